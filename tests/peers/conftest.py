"""Processes that the suites need: the built quell, a served range, a moto server. All on loopback, all stopped."""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time

import boto3
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
QUELL = TARGET / "debug" / "quell"
BIN = pathlib.Path(sys.executable).parent


class Ran:
    """What a run of quell came to."""

    def __init__(self, process):
        self.code, self.out, self.err = process.returncode, process.stdout, process.stderr

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit {self.code}\nstdout:\n{self.out}\nstderr:\n{self.err}"


class World:
    """Something that answers like AWS, and quell, boto3 and the AWS CLI pointed at it."""

    def __init__(self, env, tmp):
        nowhere = str(tmp / "home")
        self.env = {"PATH": os.environ["PATH"], "HOME": nowhere, "AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "*", **env}
        self.env["QUELL_STATE_DIR"] = str(tmp / "state")
        self.tmp = tmp

    def quell(self, *arguments, **more):
        return Ran(subprocess.run([QUELL, *arguments], env={**self.env, **more}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120))

    def aws(self, *arguments, session=None):
        env = dict(self.env)
        if session:
            env.update(AWS_ACCESS_KEY_ID=session[0], AWS_SECRET_ACCESS_KEY=session[1], AWS_SESSION_TOKEN=session[2])
        return Ran(subprocess.run([BIN / "aws", *arguments], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120))

    def client(self, service, session=None, region=None):
        key, secret, token = session or (self.env["AWS_ACCESS_KEY_ID"], self.env["AWS_SECRET_ACCESS_KEY"], None)
        return boto3.client(
            service,
            endpoint_url=self.env["AWS_ENDPOINT_URL"],
            region_name=region or self.env["AWS_REGION"],
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
        )

    def sessions(self):
        """The practice user's running session in each account."""
        found = {}
        for name, value in self.env.items():
            match = re.fullmatch(r"TEST_USER_(\d{12})_ACCESS_KEY_ID", name)
            if match:
                account = match[1]
                found[account] = (value, self.env[f"TEST_USER_{account}_SECRET_ACCESS_KEY"], self.env[f"TEST_USER_{account}_SESSION_TOKEN"])
        return found


def quick_playbook(tmp):
    """The playbook with rounds of milliseconds: what is waited for here is a process, not a continent."""
    text = (ROOT / "playbooks" / "identity-center-user.toml").read_text()
    path = tmp / "quick.toml"
    assert 'every = "2s"' in text
    path.write_text(text.replace('every = "2s"', 'every = "50ms"'))
    return str(path)


@pytest.fixture
def range_world(tmp_path):
    process = subprocess.Popen([QUELL, "range", "serve", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        env = {}
        for line in process.stdout:
            match = re.fullmatch(r"export ([A-Z0-9_]+)=(\S+)\n", line)
            if match:
                env[match[1]] = match[2]
            if line.startswith("export TEST_USER_111122223333_SESSION_TOKEN"):
                break
        yield World(env, tmp_path)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def moto_world(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = open(tmp_path / "moto.log", "w")
    process = subprocess.Popen([BIN / "moto_server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "moto.log").read_text()
        env = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLEEXAMPLE00",
            "AWS_SECRET_ACCESS_KEY": "example",
        }
        yield World(env, tmp_path)
    finally:
        process.kill()
        process.wait()
