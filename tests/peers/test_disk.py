"""The disk fills up at every record of the journal: nothing unrecorded is begun, and what was done can be undone by hand."""

import re
import resource
import shlex
import signal
import subprocess

import pytest

from conftest import QUELL, Ran, quick_playbook
from test_kills import Observer


def on_a_disk_of(world, size, *arguments):
    """Runs quell where no file can grow beyond this size."""

    def limit():
        # Without it the kernel would kill the process instead of refusing the write.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    process = subprocess.run([QUELL, *arguments], env=world.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, preexec_fn=limit, restore_signals=False)
    return Ran(process)


def by_hand(world, told):
    """Types what quell says to type, every command of its last hints."""
    for command in re.findall(r"`(aws organizations [^`]*|quell release [^`]*<directory>)`", told):
        program, *arguments = shlex.split(command.replace("<directory>", str(world.tmp / "elsewhere")))
        ran = world.quell(*arguments, "--yes") if program == "quell" else world.aws(*arguments)
        # Without its tags nobody knows in which accounts to look whether the person is let in again: 4, not shown.
        assert ran.code in ([0, 4] if program == "quell" else [0]), (command, ran)


@pytest.mark.parametrize("armed", [False, True], ids=["cold", "armed"])
def test_a_disk_that_fills_up_at_any_record(range_world, tmp_path, armed):
    world, observer = range_world, Observer(range_world)
    contain = ["contain", "test-user", "--yes", "--playbook", quick_playbook(tmp_path)]
    if armed:
        assert world.quell("prepare", "arm", "--yes").code == 0

    def seen():
        """Without the tags: an armed policy remembers for an hour what was released."""
        return {name: policy[:2] for name, policy in observer.policies().items()}

    nothing = seen()
    assert world.quell(*contain).code == 0
    (journal,) = (tmp_path / "state").glob("q-*.jsonl")
    records = journal.read_text().splitlines(keepends=True)
    assert world.quell("release", journal.stem, "--yes", "--force", "--playbook", quick_playbook(tmp_path)).code == 0
    journal.unlink()

    told = {"nothing": 0, "something": 0}
    # Room for so many records and half of the next.
    looked = [number for number, record in enumerate(records) if '"looked"' in record]
    for number in sorted(set(range(len(records))) - set(looked[1:])):
        size = sum(len(record) for record in records[:number]) + len(records[number]) // 2
        ran = on_a_disk_of(world, size, *contain)
        policies = seen()
        assert "the journal cannot be written" in ran.err or ran.code == 0, (number, ran)
        if "Nothing was changed." in ran.err:
            assert ran.code == 1 and policies == nothing, (number, ran, policies)
            told["nothing"] += 1
        else:
            assert ran.code == 6, (number, ran)
            assert policies != nothing, (number, ran)
            by_hand(world, ran.err)
            assert seen() == nothing, (number, ran)
            told["something"] += 1
        for journal in (tmp_path / "state").glob("q-*.jsonl"):
            journal.unlink()
    print(f"{'armed' if armed else 'cold'}: {told}")
    assert told["nothing"] >= 2 and told["something"] >= 4, told

    # The disk has room again: the same command ends as if nothing had happened.
    size = len(records[0]) + len(records[1]) + len(records[2]) // 2
    assert on_a_disk_of(world, size, *contain).code == 6
    assert world.quell(*contain).code == 0
    assert len(seen()) == 1
