"""The control pipe against clients of any kind: bounded, refused, and the tunnels do not notice. Who owns the pipe and
whom its access list admits is in tests/unit/win/test_local_pipe.c: Wine has one user, so none is refused here."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from handles import handle_count, settled
from harness.control import BAD, CLIENTS_MAX, STATUS, error_of, running, traffic  # noqa: F401
from harness.holdfast import runner
from harness.proc import Process, wait_until

CROWD, CROWDS = 250, 4
SLACK = 16  # handles that the pool of threads takes or gives back by itself
MEMORY_KIB = 6144


@pytest.fixture(autouse=True)
def pipe(monkeypatch):
    """The name of the pipe of this test."""
    name = rf"\\.\pipe\holdfast-test-{os.getpid()}"
    monkeypatch.setenv("HOLDFAST_CONTROL", name)
    return name


class Client:
    """pipe_client.exe, which see."""

    def __init__(self, pipe, *words):
        tool = Path(os.environ["HOLDFAST_BIN"]).parent / "tests" / "windows" / "pipe_client.exe"
        self.process = Process([*runner(), tool, pipe, *words], stdin=subprocess.PIPE)
        self._seen = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()

    def send(self, data):
        while data:  # past the buffer of stdin, which could not be closed with what nobody takes
            data = data[os.write(self.process.stdin.fileno(), data) :]
        return self

    def leave(self):
        """Its standard input ends, and with it what it was asked to wait for."""
        self.process.stdin.close()

    def said(self, timeout=30):
        """The next line of its output."""
        self.process.out.wait_for("", timeout, mark=self._seen)
        self._seen += 1
        return self.process.out.since(self._seen - 1)[0]

    def ask(self, data):
        return json.loads(self.send(data).said())


@pytest.fixture
def client(pipe):
    """client(*words) -> a Client, ended with the test."""
    made = []

    def start(*words):
        made.append(Client(pipe, *words))
        return made[-1]

    yield start
    for one in made:
        one.process.kill()


@pytest.fixture
def bounded(running):  # noqa: F811
    """Afterwards the program is asked and answers, and has what it had before."""
    holdfast, _ = running
    assert holdfast.call("status").returncode == 0  # what the first client costs is there
    handles, memory = settled(), holdfast.memory_kib()
    yield handles
    wait_until(lambda: holdfast.call("status").returncode == 0, 15, "there is room again")
    wait_until(lambda: handle_count() <= handles + SLACK, 20, f"it is back to {handles} handles, not {handle_count()}")
    # Threads of the pool that have nothing to do any more stay for some seconds, with their stacks.
    wait_until(lambda: holdfast.memory_kib() - memory < MEMORY_KIB, 20, f"it is back to {memory} KiB")
    print(f"handles {handles} before, {handle_count()} after; memory {memory} KiB, {holdfast.memory_kib()} KiB")


def test_malformed_requests_are_answered(running, client, traffic, bounded):  # noqa: F811
    talker = client("talk")
    for case, (line, code) in BAD.items():
        assert error_of(talker.ask(line)) == code, case
        assert talker.ask(STATUS)["ok"], f"after {case} the connection goes on"
    talker.send(STATUS * 50)
    assert [json.loads(talker.said())["ok"] for _ in range(50)] == [True] * 50


def test_a_huge_request_ends_its_connection(running, client, traffic, bounded):  # noqa: F811
    talker = client("talk")
    sent = 0
    try:
        while sent < 16 << 20:
            talker.send(b"x" * 65536)
            sent += 65536
    except BrokenPipeError:
        pass
    assert error_of(reply := json.loads(talker.said())) == "usage" and "at most 65536 bytes" in reply["error"]["message"]
    assert talker.said() == "the end"


def test_slow_clients_are_ended(running, client, traffic, bounded):  # noqa: F811
    """Half a request, a request byte by byte, and replies that nobody reads: all end after about ten seconds, and
    meanwhile others are answered."""
    holdfast, _ = running
    begun = time.monotonic()
    half, drip, deaf = client("talk"), client("talk"), client("deaf")
    half.send(b'{"v":1,')
    assert deaf.said() == "jammed"
    try:
        for byte in STATUS[:-1]:
            drip.send(bytes([byte]))
            assert holdfast.call("status").returncode == 0
            time.sleep(1)  # so slow is this client
    except BrokenPipeError:
        pass
    assert half.said() == "the end" and drip.said() == "the end"
    assert 8 < time.monotonic() - begun < 40
    deaf.leave()
    assert deaf.said().startswith("the end ")


def test_a_thousand_at_once(running, client, traffic, bounded):  # noqa: F811
    holdfast, _ = running
    crowds = [client("crowd", CROWD) for _ in range(CROWDS)]
    counts = [[int(word) for word in crowd.said(60).split()[1::2]] for crowd in crowds]
    most = handle_count()
    served, busy, gone = (sum(column) for column in zip(*counts, strict=True))
    print(f"{served} were served, {busy} told to come later, {gone} turned away; {most} handles then, {bounded} before")
    assert served >= CLIENTS_MAX and busy > 0 and served + busy + gone == CROWD * CROWDS
    assert most <= 2 * bounded, "bounded while all were there (Wine counts in doubling steps)"
    for crowd in crowds:
        crowd.leave()
    assert all(crowd.process.wait(20) == 0 for crowd in crowds)


def test_hundreds_that_leave_at_once(running, client, traffic, bounded):  # noqa: F811
    crowds = [client("flee", CROWD) for _ in range(2)]
    assert [crowd.said(60) for crowd in crowds] == [f"fled {CROWD}"] * 2


def test_stopping_does_not_wait_for_clients(running, client):  # noqa: F811
    holdfast, _ = running
    idle, follower = client("talk"), client("talk")
    assert idle.ask(STATUS)["ok"]
    assert "log" in follower.ask(b'{"v":1,"command":"logs","follow":true}\n')
    begun = time.monotonic()
    assert holdfast.stop() == 0
    assert time.monotonic() - begun < 8
    assert idle.said() == "the end"
