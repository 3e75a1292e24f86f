"""What a service manager hears of `holdfast run`: sd_notify(3) at a socket of ours, and the log as it is kept."""

import os
import plistlib
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from harness.clients import exchange
from harness.holdfast import definition, flags
from harness.ports import free_port
from harness.proc import wait_until
from harness.servers import echo


class Manager:
    """The service manager's end of NOTIFY_SOCKET."""

    def __init__(self, path):
        self.path = str(path)
        self.heard = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)

    def wait_for(self, pattern, timeout=20):
        """The first message from now on that matches; all that came before it are kept in `heard`."""
        deadline = time.monotonic() + timeout
        while True:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                message = self._socket.recv(4096).decode()
            except TimeoutError:
                raise AssertionError(f"after {timeout} s no {pattern!r}; heard {self.heard}") from None
            self.heard.append(message)
            if re.search(pattern, message, re.MULTILINE):
                return message

    def close(self):
        self._socket.close()


@pytest.fixture
def manager(tmp_path):
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


def with_environment(holdfast, **more):
    """Has it start with more in its environment."""
    usual = holdfast.environment
    holdfast.environment = lambda: {**usual(), **{name: str(value) for name, value in more.items()}}


@pytest.fixture
def tunnels(sshd, serve):
    """One definition with one tunnel to the sshd."""
    forward = {"local": f"127.0.0.1:{free_port()}", "to": serve(echo).address}
    return definition({"desk": sshd}, {"desk": {"host": "desk", "forwards": [forward]}})


def test_states(holdfast, manager, tunnels):
    with_environment(holdfast, NOTIFY_SOCKET=manager.path, WATCHDOG_USEC=200000)
    holdfast.run(tunnels)
    manager.wait_for(r"^READY=1$")
    for _ in range(3):
        manager.wait_for(r"^WATCHDOG=1$")
    holdfast.signal(signal.SIGTERM)
    manager.wait_for(r"^STOPPING=1$")
    assert holdfast.wait() == 0


def test_status_and_reload(holdfast, manager, sshd, serve):
    target = serve(echo).address
    forwards = {name: {"local": f"127.0.0.1:{free_port()}", "to": target} for name in ("desk", "nas")}
    tunnels = {name: {"host": "desk", "forwards": [forward]} for name, forward in forwards.items()}
    tunnels["nas"]["host"] = "nas"
    hosts = {"desk": sshd, "nas": {"hostname": "127.0.0.1", "port": free_port(), "user": "me"}}
    with_environment(holdfast, NOTIFY_SOCKET=manager.path)
    holdfast.run(definition(hosts, tunnels))
    manager.wait_for(r"^READY=1$")
    manager.wait_for(r"^STATUS=1 of 2 tunnels up; nas waiting: .*refused")
    del tunnels["nas"]
    (holdfast.folder / "tunnels.yaml").write_text(definition(hosts, tunnels))
    holdfast.signal(signal.SIGHUP)
    message = manager.wait_for(r"^RELOADING=1$")
    told = int(re.search(r"^MONOTONIC_USEC=(\d+)$", message, re.MULTILINE).group(1))
    assert 0 <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000 - told < 60_000_000
    manager.wait_for(r"^READY=1$")
    manager.wait_for(r"^STATUS=1 of 1 tunnel up$")
    (holdfast.folder / "tunnels.yaml").write_text("tunnels: nonsense\n")
    holdfast.signal(signal.SIGHUP)
    manager.wait_for(r"^RELOADING=1$")
    manager.wait_for(r"^READY=1$")
    assert holdfast.stop() == 0


@pytest.mark.skipif("HOLDFAST_TOOLS" not in os.environ, reason="HOLDFAST_TOOLS names no build")
def test_the_property_list_of_launchd_can_be_read(tmp_path):
    """As the unit test makes it: launchd itself is not here."""
    made = tmp_path / "holdfast.plist"
    test = Path(os.environ["HOLDFAST_TOOLS"]).parent / "test_service_text"
    subprocess.run([test], env={**os.environ, "HOLDFAST_PLIST_COPY": str(made)}, check=True, capture_output=True)
    read = plistlib.loads(made.read_bytes())
    assert read == {
        "Label": "holdfast",
        "ProgramArguments": [
            "/usr/local/bin/holdfast", "run", "-q", "--log-level", "info", "-c", "/etc/a & <b>", "-E", "/l/h.log", "--log-max-size", "10MiB",
        ],
        "UserName": "_me",
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ExitTimeOut": 20,
        "StandardErrorPath": "/l/e.log",
    }  # fmt: skip


def test_no_watchdog_for_another_process(holdfast, manager, tunnels):
    with_environment(holdfast, NOTIFY_SOCKET=manager.path, WATCHDOG_USEC=2000, WATCHDOG_PID=1)
    holdfast.run(tunnels)
    holdfast.wait_up()
    assert holdfast.stop() == 0
    manager.wait_for(r"^STOPPING=1$")
    assert not [message for message in manager.heard if "WATCHDOG" in message]


@pytest.mark.skipif(os.path.exists("/run/systemd/journal/socket"), reason="there is a journal here to write to")
def test_without_a_journal_lines_have_a_priority(new_holdfast, tunnels):
    """Standard error is the journal's stream, and its socket is not there: sd-daemon(3) has the form for that."""
    holdfast = new_holdfast(["sh", "-c", 'JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$@"', "sh"])
    holdfast.run(tunnels)
    holdfast.wait_log(r"^<6>desk: up \(was binding\)")
    assert not re.search(r"^(?!<[3467]>)", holdfast.err.text().rstrip("\n"), re.MULTILINE), holdfast.err.text()
    assert holdfast.stop() == 0


@pytest.mark.parametrize("is_service", [False, True])
def test_a_log_file_that_cannot_be_written_is_waited_for(new_holdfast, sshd, tmp_path, is_service):
    """A disk may come after us, and what systemd starts must not end with 2: it takes that for a broken definition."""
    prefix = ["sh", "-c", 'JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$@"', "sh"] if is_service else []
    holdfast = new_holdfast(prefix)
    folder = tmp_path / "disk"
    tunnels = definition({"desk": sshd}, {"desk": {"host": "desk", "forwards": [{"remote": 0, "to": "127.0.0.1:9"}]}})
    holdfast.run(f"log: '{folder}/holdfast.log'\n{tunnels}")
    head = "<3>holdfast" if is_service else r"\S+ error holdfast"
    holdfast.wait_log(f"^{head}: the log file {folder}/holdfast.log cannot be written: no such file or directory; until it can, ")
    holdfast.wait_log(r"desk: up \(was binding\)")
    folder.mkdir()
    sshd.stop()
    wait_until(lambda: (folder / "holdfast.log").exists(), 10, "the next line is in the file")
    assert holdfast.stop() == 0
    assert "desk: waiting (was up)" in (folder / "holdfast.log").read_text()
    assert "waiting (was up)" not in holdfast.err.text()


def test_a_log_file_of_a_flag_is_no_bad_flag(new_holdfast, sshd, tmp_path):
    holdfast = new_holdfast()
    holdfast.start(*flags(sshd, "-E", tmp_path / "none" / "log", "-R", "0:127.0.0.1:9"))
    assert holdfast.wait() == 1
    assert "none/log: no such file or directory" in holdfast.err.text()


def test_a_log_file_is_rotated(holdfast, sshd, serve, tmp_path):
    """Each connection is some lines of the level trace."""
    port = free_port()
    forward = {"local": f"127.0.0.1:{port}", "to": serve(echo).address}
    tunnels = definition({"desk": sshd}, {"desk": {"host": "desk", "forwards": [forward]}})
    folder = tmp_path / "a b"
    folder.mkdir()
    holdfast.run(f"log: {{path: '{folder}/holdfast.log', max_size: 64KiB, keep: 2}}\n{tunnels}", "-vvv")
    holdfast.wait_log(r"^holdfast: up: ")
    for _ in range(2000):
        if (folder / "holdfast.log.2").exists():
            break
        assert exchange(port, b"x") == b"x"
    assert holdfast.stop() == 0
    sizes = {entry.name: entry.stat().st_size for entry in folder.iterdir()}
    assert sorted(sizes) == ["holdfast.log", "holdfast.log.1", "holdfast.log.2"]
    assert max(sizes.values()) <= 65536, sizes
    assert "\n" not in holdfast.err.text()
