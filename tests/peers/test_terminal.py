"""A person at a terminal: the prompt is dialoguer's, the terminal a real pseudo-terminal."""

import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import termios
import time

from conftest import QUELL, quick_playbook


class Person:
    """quell on a pseudo-terminal of its own, and somebody typing."""

    def __init__(self, world, *arguments, piped=None):
        # stdin and stderr are the terminal, as for somebody who redirects the report.
        self.terminal, other = pty.openpty()
        self.process = subprocess.Popen(
            [QUELL, *arguments],
            env={**world.env, "TERM": "xterm"},
            stdin=other if piped is None else subprocess.PIPE,
            stderr=other,
            stdout=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(other, termios.TIOCSCTTY, 0),
        )
        os.close(other)
        if piped is not None:
            self.process.stdin.write(piped.encode())
            self.process.stdin.close()
        self.seen = ""

    def reads_until(self, text):
        deadline = time.monotonic() + 60
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.terminal], [], [], 1)[0]:
                try:
                    self.seen += os.read(self.terminal, 65536).decode(errors="replace")
                except OSError:
                    break
        assert text in self.seen, self.seen
        return self

    def types(self, text):
        os.write(self.terminal, text.encode())
        return self

    def presses_ctrl_c(self):
        """Until it has ended: on a busy machine the first may come before the prompt listens to keys."""
        deadline = time.monotonic() + 60
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.seen
            self.types("\x03")
            if select.select([self.terminal], [], [], 1)[0]:
                try:
                    self.seen += os.read(self.terminal, 65536).decode(errors="replace")
                except OSError:
                    break
        return self

    def ends(self):
        """The exit code, after everything was read."""
        while True:
            try:
                data = os.read(self.terminal, 65536)
            except OSError:
                break
            if not data:
                break
            self.seen += data.decode(errors="replace")
        self.out = self.process.stdout.read().decode()
        code = self.process.wait(timeout=60)
        os.close(self.terminal)
        return code


def policies(world):
    listed = world.client("organizations").list_policies(Filter="SERVICE_CONTROL_POLICY")["Policies"]
    return [policy["Name"] for policy in listed if policy["Name"] != "FullAWSAccess"]


def test_typing_the_username_contains(range_world):
    person = Person(range_world, "contain", "test-user", "--playbook", quick_playbook(range_world.tmp))
    person.reads_until("PRACTICE: type the username").types("test-user\r")
    assert person.ends() == 0, person.seen
    assert "refused everywhere we looked" in person.out
    assert len(policies(range_world)) == 1


def test_a_finding_is_piped_in_and_the_username_typed_on_the_terminal(range_world):
    guardduty = range_world.client("guardduty")
    findings = guardduty.get_findings(DetectorId=range_world.env["QUELL_PRACTICE_DETECTOR"], FindingIds=[range_world.env["QUELL_PRACTICE_FINDING"]])
    piped = json.dumps({"Findings": findings["Findings"]}, default=str)
    person = Person(range_world, "contain", "--finding-file", "-", "--playbook", quick_playbook(range_world.tmp), piped=piped)
    person.reads_until("PRACTICE: type the username").types("test-user\r")
    assert person.ends() == 0, person.seen


def test_enter_alone_or_another_name_does_not(range_world):
    for typed in ("\r", "y\r", "Test-User\r"):
        person = Person(range_world, "contain", "test-user").reads_until("type the username").types(typed)
        assert person.ends() == 3, person.seen
        assert "Nothing was changed." in person.seen
    assert policies(range_world) == []


def test_ctrl_c_at_the_prompt_ends_it_with_nothing_changed(range_world):
    person = Person(range_world, "contain", "test-user").reads_until("type the username").presses_ctrl_c()
    assert person.ends() in (130, -signal.SIGINT), person.seen
    assert policies(range_world) == []


def test_an_answer_piped_in_is_no_approval(range_world):
    ran = subprocess.run([QUELL, "contain", "test-user"], env=range_world.env, input="test-user\n", capture_output=True, text=True, timeout=60)
    assert ran.returncode == 3 and "--yes" in ran.stderr, ran
    assert policies(range_world) == []
