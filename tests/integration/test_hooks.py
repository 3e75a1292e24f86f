"""on_up and on_down: run without a shell, with names and reasons in their environment, and never in the tunnel's way."""

import json
import os
import signal
import socket
import sys
import time

import pytest
from harness import clients, servers
from harness.holdfast import definition, runner
from harness.ports import free_port
from harness.proc import children_of, command_of, state_of, wait_until

native = pytest.mark.skipif(bool(runner()), reason="the hooks here are scripts of this machine")

NOTES = """import json, os, sys
names = "hook", "tunnel", "host", "state", "reason", "forwards"
facts = {name: os.environ["HOLDFAST_" + name.upper()] for name in names}
with open(sys.argv[1], "a") as notes:
    notes.write(json.dumps(facts) + "\\n")
print("noted", facts["state"])
"""


class Notes:
    """What the hooks were told, one after the other."""

    def __init__(self, folder):
        self.path = folder / "notes"
        self.script = folder / "note.py"
        self.script.write_text(NOTES)

    def hook(self):
        return [sys.executable, str(self.script), str(self.path)]

    def all(self):
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    def wait(self, count):
        wait_until(lambda: len(self.all()) >= count, 15, f"{count} hooks have run")
        return self.all()


def run(holdfast, sshd, echo, **more):
    port = free_port()
    forward = {"local": f"127.0.0.1:{port}", "to": echo.address}
    tunnel = {"host": "peer", "forwards": [forward], "backoff": {"first": "100ms", "max": "200ms"}, **more}
    holdfast.run(definition({"peer": sshd}, {"t": tunnel}))
    holdfast.wait_up()
    return port


@native
def test_they_are_told_what_happened(sshd, holdfast, serve, tmp_path):
    notes = Notes(tmp_path)
    echo = serve(servers.echo)
    port = run(holdfast, sshd, echo, on_up=notes.hook(), on_down=notes.hook())
    (up,) = notes.wait(1)
    assert up == {
        "hook": "on_up", "tunnel": "t", "host": "peer", "state": "up", "reason": "",
        "forwards": f"-L 127.0.0.1:{port} -> {echo.address}"}  # fmt: skip
    holdfast.wait_log(r"t: on_up: noted up", 10)
    sshd.kill_sessions()
    told = notes.wait(3)
    assert [one["state"] for one in told] == ["up", "waiting", "up"]
    assert told[1]["hook"] == "on_down" and "peer" in told[1]["reason"]
    holdfast.wait_up()
    assert clients.exchange(port, b"it carries") == b"it carries"
    assert holdfast.stop() == 0
    assert [one["state"] for one in notes.all()[3:]] == ["stopped"], "the program ends after its last hook"


@native
def test_one_that_hangs_stops_nothing(sshd, holdfast, serve, tmp_path):
    """It is killed at its limit; meanwhile the tunnel comes and goes, and only what happened last is run after it."""
    notes = Notes(tmp_path)
    port = run(holdfast, sshd, serve(servers.echo), on_up=["sleep", "1000"], on_down=notes.hook(), hook_timeout="2s")
    for _ in range(3):
        sshd.kill_sessions()
        holdfast.wait_up()
        assert clients.exchange(port, b"it carries") == b"it carries"
    holdfast.wait_log(r"on_up: 'sleep' was killed, since it had not ended after 2s \(hook_timeout\)", 15)
    assert holdfast.stop() == 0
    assert notes.all()[-1]["state"] == "stopped"


@native
def test_one_that_cannot_be_killed_is_left_alone(sshd, new_holdfast, serve, tmp_path):
    """As a helper that has become root under an ordinary holdfast; here one of another user, and we may kill our own alone."""
    holdfast = new_holdfast(["setpriv", "--bounding-set=-kill", "--inh-caps=-kill"])
    notes = Notes(tmp_path)
    other = ["setpriv", "--reuid=65534", "--clear-groups", "sleep", "1000"]
    run(holdfast, sshd, serve(servers.echo), on_up=other, on_down=notes.hook(), hook_timeout="1s")
    line = r"on_up: 'setpriv' had not ended after 1s \(hook_timeout\) and cannot be killed: operation not permitted"
    left = []
    try:
        holdfast.wait_log(line, 10)
        left += children_of(holdfast.pid)
        assert [command_of(pid) for pid in left] == ["sleep 1000"]
        ended = left.pop()
        os.kill(ended, signal.SIGKILL)
        wait_until(lambda: state_of(ended) == "Z", 10, "it has ended")
        sshd.kill_sessions()
        notes.wait(1)
        wait_until(lambda: state_of(ended) is None, 10, "its end is taken note of")
        holdfast.err.wait_for(line, 10, count=2)
        left += children_of(holdfast.pid)
        holdfast.signal(signal.SIGTERM)
        assert holdfast.wait() == 0
        assert [command_of(pid) for pid in left] == ["sleep 1000"]
        assert notes.all()[-1]["state"] == "stopped"
    finally:
        for pid in left:
            os.kill(pid, signal.SIGKILL)


@native
def test_what_cannot_be_run_is_said(sshd, holdfast, serve):
    port = run(holdfast, sshd, serve(servers.echo), on_up="./no-such-program", on_down=["sh", "-c", "echo oh >&2; exit 3"])
    holdfast.wait_log(r"on_up: '\S*no-such-program' could not be started: no such file", 10)
    assert clients.exchange(port, b"it carries") == b"it carries"
    mark = holdfast.err.mark()
    assert holdfast.stop() == 0
    said = os.linesep.join(holdfast.err.since(mark))
    assert "on_down: oh" in said and "on_down: 'sh' ended with exit code 3" in said


@native
def test_one_that_leaves_another_behind_is_not_waited_for(sshd, holdfast, serve):
    """A daemon that a hook starts keeps the hook's pipes open; that is no reason to kill it, or to wait."""
    run(holdfast, sshd, serve(servers.echo), on_up=["sh", "-c", "sleep 30 & echo left $!; exit 4"])
    left = int(holdfast.wait_log(r"on_up: left (\d+)", 10).group(1))
    try:
        holdfast.wait_log("on_up: 'sh' ended with exit code 4", 10)
        os.kill(left, 0)
    finally:
        os.kill(left, signal.SIGKILL)


@pytest.mark.skipif(not runner(), reason="for the Windows program")
def test_a_command_of_windows(sshd, holdfast, serve):
    """With its facts beside what the system's own environment has."""
    run(holdfast, sshd, serve(servers.echo), on_up=["cmd.exe", "/c", "echo %HOLDFAST_TUNNEL% is %HOLDFAST_STATE% on %OS%"])
    holdfast.wait_log("on_up: t is up on Windows_NT", 20)


@native
def test_one_that_hangs_does_not_hold_up_the_end(sshd, holdfast, serve):
    """on_down runs since the tunnel went down, and is at it still when holdfast is asked to stop."""
    run(holdfast, sshd, serve(servers.echo), on_down=["sleep", "1000"])
    sshd.stop()
    holdfast.wait_log(r"t: waiting \(was ", 10)
    begun = time.monotonic()
    assert holdfast.stop(timeout=60) == 0
    assert time.monotonic() - begun < 15, "it has 5 s"
    assert holdfast.err.matching("on_down: 'sleep' was killed, since the tunnel ends")


@native
def test_each_up_has_one_down(sshd, holdfast, serve, tmp_path):
    """A tunnel that was not up cannot go down, and one that is down does not go down further."""
    notes = Notes(tmp_path)
    echo = serve(servers.echo)
    hooks = {"on_up": notes.hook(), "on_down": notes.hook()}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        forwards = [{"local": f"127.0.0.1:{at}", "to": echo.address} for at in (free_port(), port)]
        tunnel = {"host": "peer", "forwards": forwards, "backoff": {"first": "100ms", "max": "200ms"}, **hooks}
        holdfast.run(definition({"peer": sshd}, {"t": tunnel}))
        holdfast.wait_log(r"t: degraded \(was binding\)", 10)
        sshd.kill_sessions()
        holdfast.wait_log(r"t: waiting \(was degraded\)", 10)
    holdfast.wait_log(r"t: up \(was ", 15)
    assert [one["state"] for one in notes.wait(1)] == ["up"]
    assert holdfast.stop() == 0
    assert [one["state"] for one in notes.all()] == ["up", "stopped"]
