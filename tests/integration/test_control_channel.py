"""The control channel against clients of any kind: bounded, refused, and the tunnels do not notice."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from harness.control import BAD, CLIENTS_MAX, STATUS, error_of, running, traffic  # noqa: F401
from harness.holdfast import binary, definition
from harness.ports import free_port
from harness.proc import Process, wait_until


class Client:
    """One raw connection to the channel."""

    def __init__(self, path, timeout=30):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))  # blocking: where the queue is full it waits, and with a limit it would fail
        self.socket.settimeout(timeout)
        self._rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else json.dumps(data).encode() + b"\n")
        return self

    def line(self):
        """The next reply; None at the end of the connection."""
        while b"\n" not in self._rest:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                assert not self._rest, f"half a line at the end: {self._rest}"
                return None
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)

    def ask(self, data):
        return self.send(data).line()


def test_requests_one_after_the_other_and_at_once(running):
    holdfast, _ = running
    with Client(holdfast.control_socket) as client:
        for _ in range(3):
            reply = client.ask(STATUS)
            assert reply["ok"] and reply["status"]["tunnels"][0]["name"] == "t"
        client.send(STATUS * 50)
        assert [client.line()["ok"] for _ in range(50)] == [True] * 50
        client.send(STATUS[:10])
        client.send(STATUS[10:] + STATUS[:5])
        assert client.line()["ok"]
        client.socket.sendall(STATUS[5:] + STATUS)
        client.socket.shutdown(socket.SHUT_WR)
        assert client.line()["ok"] and client.line()["ok"], "asked before it ended its side"
        assert client.line() is None


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_malformed_requests_are_answered(running, case):
    holdfast, _ = running
    line, code = case
    with Client(holdfast.control_socket) as client:
        assert error_of(client.ask(line)) == code
        assert client.ask(STATUS)["ok"], "the connection goes on"


def test_a_huge_request_ends_its_connection(running, traffic):
    holdfast, _ = running
    before = holdfast.memory_kib()
    with Client(holdfast.control_socket) as client:
        sent = 0
        try:
            for _ in range(1024):
                client.socket.sendall(b"x" * 65536)
                sent += 65536
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert sent < 16 << 20, "it was read to the end"
        reply = client.line()
        assert error_of(reply) == "usage" and "at most 65536 bytes" in reply["error"]["message"]
        assert client.line() is None
    assert holdfast.memory_kib() - before < 4096
    assert holdfast.call("status").returncode == 0


def test_slow_clients_are_ended(running, traffic):
    """Half a request, a request byte by byte, and replies that nobody reads: all end after about ten seconds, and
    meanwhile others are answered."""
    holdfast, _ = running
    descriptors = holdfast.descriptors()
    begun = time.monotonic()
    with Client(holdfast.control_socket) as half, Client(holdfast.control_socket) as drip, Client(holdfast.control_socket) as deaf:
        half.send(b'{"v":1,')
        deaf.socket.setblocking(False)
        try:
            while True:
                deaf.socket.send(STATUS * 100)
        except BlockingIOError:
            pass
        deaf.socket.settimeout(30)

        def drop_by_drop():
            try:
                for byte in STATUS * 100:
                    drip.socket.sendall(bytes([byte]))
                    time.sleep(1)
            except OSError:
                pass

        thread = threading.Thread(target=drop_by_drop, daemon=True)
        thread.start()
        while time.monotonic() - begun < 7:
            assert holdfast.call("status").returncode == 0
            time.sleep(0.5)
        assert half.line() is None and drip.line() is None
        assert 8 < time.monotonic() - begun < 30
        while deaf.line() is not None:  # what was on its way; then the end
            pass
        thread.join(10)
    holdfast.wait_descriptors(descriptors)


def test_a_thousand_at_once(running, traffic, many_descriptors):
    holdfast, _ = running
    descriptors, memory = holdfast.descriptors(), holdfast.memory_kib()
    kept, most = [], 0
    try:
        for _ in range(1000):
            kept.append(Client(holdfast.control_socket))
            most = max(most, holdfast.descriptors())
        busy = sum(1 for client in kept[CLIENTS_MAX:] if (client.line() or {}).get("ok") is False)
        assert busy > 0, "those that were refused have been told"
        assert most - descriptors <= 2 * CLIENTS_MAX + 8
        assert kept[0].ask(STATUS)["ok"], "who was there first is served"
    finally:
        for client in kept:
            client.socket.close()
    wait_until(lambda: holdfast.call("status").returncode == 0, 10, "there is room again")
    holdfast.wait_descriptors(descriptors)
    sanitizer = 4 if os.environ.get("HOLDFAST_SANITIZED") else 1  # which keeps freed memory back
    assert holdfast.memory_kib() - memory < 4096 * sanitizer


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_one_that_cron_has_started_is_found_from_a_session():
    """cron gives no XDG_RUNTIME_DIR; who asks has one."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        path = Path(folder) / "t.yaml"
        forwards = [{"local": f"127.0.0.1:{free_port()}", "to": "127.0.0.1:9"}]
        path.write_text(json.dumps({"tunnels": {"t": {"host": f"me@127.0.0.1:{free_port()}", "forwards": forwards}}}))
        words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary()]
        cron = {"HOME": folder, "PATH": os.environ["PATH"]}
        session = {**cron, "XDG_RUNTIME_DIR": f"{folder}/runtime"}
        (Path(folder) / "runtime").mkdir(mode=0o777)
        running = Process([*words, "run", "-c", path], env=cron, cwd="/")
        try:
            running.err.wait_for("waiting", 20)
            for environment in (cron, session):
                done = subprocess.run(
                    [*words, "status"], env=environment, capture_output=True, text=True, cwd="/", timeout=30, check=False
                )
                assert done.returncode == 0 and done.stdout.startswith("holdfast "), done
        finally:
            running.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_another_user_is_refused(holdfast, sshd):
    """By the socket's mode; and where that has been loosened, by who asks."""
    script = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect(sys.argv[1])\n"
        f"s.sendall({STATUS!r})\n"
        "print(s.recv(100))\n"
    )

    def as_nobody():
        words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-I", "-c", script, path]
        return subprocess.run(words, capture_output=True, text=True, timeout=30, cwd="/", check=False)

    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = os.environ["HOLDFAST_CONTROL"] = str(Path(folder) / "c.sock")
        try:
            tunnel = {"host": "desk", "forwards": [{"local": f"127.0.0.1:{free_port()}", "to": "127.0.0.1:9"}]}
            holdfast.run(definition({"desk": sshd}, {"t": tunnel}))
            holdfast.wait_up()
            assert "PermissionError" in as_nobody().stderr
            os.chmod(path, 0o666)
            for _ in range(20):
                done = as_nobody()
                assert "version" not in done.stdout and (done.stdout == "b''\n" or "Error" in done.stderr), done
            assert len(holdfast.err.matching("user 65534 tried the control channel, which is not theirs; refused")) == 1
            assert holdfast.call("status").returncode == 0
        finally:
            del os.environ["HOLDFAST_CONTROL"]
            holdfast.stop()


def test_the_log_is_told_and_followed(running):
    holdfast, _ = running
    with Client(holdfast.control_socket) as client, Client(holdfast.control_socket) as follower:
        client.send({"v": 1, "command": "logs"})
        lines = []
        while "log" in (reply := client.line()):
            lines.append(reply["log"])
        assert reply["ok"]
        assert [set(line) == {"time", "level", "tunnel", "message"} for line in lines] == [True] * len(lines)
        assert [line["message"] for line in lines if line["tunnel"] == "t"][-1] == "up (was binding): 1 forward"
        assert client.ask(STATUS)["ok"], "the connection goes on"
        assert error_of(client.ask({"v": 1, "command": "logs", "names": ["x"]})) == "usage"
        follower.send({"v": 1, "command": "logs", "follow": True, "names": ["t"]})
        while follower.line()["log"]["message"] != lines[-1]["message"]:
            pass
        assert client.ask({"v": 1, "command": "restart", "names": ["t"]})["ok"]
        while (log := follower.line()["log"])["message"] != "up (was binding): 1 forward":
            assert log["tunnel"] == "t"


def test_who_follows_and_reads_late_learns_what_he_missed(running, traffic):
    holdfast, port = running
    with Client(holdfast.control_socket) as follower:
        follower.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        follower.send({"v": 1, "command": "logs", "follow": True})
        with Client(holdfast.control_socket) as client:
            for _ in range(3500):  # two lines of the log each, more than is remembered and fits in a socket
                assert client.ask({"v": 1, "command": "reload"})["ok"]
        seen = dropped = 0
        end = time.monotonic() + 20
        while dropped == 0 and time.monotonic() < end:
            reply = follower.line()
            dropped += reply.get("dropped", 0)
            seen += "log" in reply
        assert dropped > 0 and seen > 0


def test_stopping_does_not_wait_for_clients(running):
    holdfast, _ = running
    with Client(holdfast.control_socket) as idle, Client(holdfast.control_socket) as follower:
        follower.send({"v": 1, "command": "logs", "follow": True})
        assert follower.line()
        begun = time.monotonic()
        assert holdfast.stop() == 0
        assert time.monotonic() - begun < 5
        assert idle.line() is None
