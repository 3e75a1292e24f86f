"""The process around the tunnels: its log, its signals, what a service manager is told, and one keeper per name."""

import json
import os
import pty
import re
import signal
import socket
import subprocess

from harness.clients import exchange
from harness.holdfast import binary, definition, flags, runner
from harness.ports import free_port
from harness.proc import wait_until
from harness.servers import echo
from harness.terminal import plain, wait_for_reader

TEXT_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warning|info |debug|trace) [^ ].*: .+")


def one_forward(serve, sshd, *more):
    return flags(sshd, *more, "-R", f"127.0.0.1:{free_port()}:{serve(echo).address}")


def test_log_is_text_one_line_per_event(holdfast, sshd, serve, tmp_path):
    log = tmp_path / "log"
    holdfast.start(*one_forward(serve, sshd, "-v", "-E", log))
    holdfast.wait_up()
    assert holdfast.stop() == 0
    lines = log.read_text().splitlines()
    assert lines and all(TEXT_LINE.fullmatch(line) for line in lines), lines
    assert len(holdfast.err.text().splitlines()) == 1, "standard error holds the up: line and nothing else"


def test_log_is_json(holdfast, sshd, serve, tmp_path):
    log = tmp_path / "log"
    holdfast.start(*one_forward(serve, sshd, "-vvv", "-E", log, "--log-format", "json"))
    holdfast.wait_up()
    assert holdfast.stop() == 0
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert all(list(event) == ["time", "level", "tunnel", "message"] for event in events)
    assert any(event["tunnel"] is None for event in events)
    assert any(event["tunnel"] is not None and event["message"].startswith("up") for event in events)
    assert {event["level"] for event in events} >= {"info", "debug"}


def test_log_is_appended_and_opened_again_on_sighup(holdfast, sshd, serve, tmp_path):
    log, moved = tmp_path / "log", tmp_path / "log.1"
    log.write_text("of old\n")
    holdfast.start(*one_forward(serve, sshd, "-v", "-E", log))
    holdfast.wait_up()
    log.rename(moved)
    holdfast.signal(signal.SIGHUP)
    wait_until(log.exists, 5, "the log is opened again")
    wait_until(lambda: "SIGHUP" in log.read_text(), 5, "SIGHUP is in the log")
    assert holdfast.stop() == 0
    assert moved.read_text().startswith("of old\n")
    assert "asked to stop" in log.read_text()
    assert "asked to stop" not in moved.read_text()


def test_sighup_drops_no_byte(holdfast, sshd, serve):
    port = free_port()
    holdfast.start(*flags(sshd, "-L", f"127.0.0.1:{port}:{serve(echo).address}"))
    holdfast.wait_up()
    holdfast.signal(signal.SIGHUP)
    assert exchange(port, b"x" * 100000) == b"x" * 100000
    assert holdfast.stop() == 0


def test_service_manager_is_told(new_holdfast, sshd, serve, tmp_path):
    for name in (str(tmp_path / "notify"), f"@holdfast-test-{os.getpid()}"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.settimeout(10)
            manager.bind("\0" + name[1:] if name.startswith("@") else name)
            program = new_holdfast(prefix=["env", f"NOTIFY_SOCKET={name}"])
            program.start(*one_forward(serve, sshd))
            assert manager.recv(100) == b"READY=1"
            program.wait_up()
            assert program.stop() == 0
            assert manager.recv(100) == b"STOPPING=1"


def test_a_name_has_one_keeper(holdfast, new_holdfast, sshd, serve):
    def text():
        forward = {"remote": f"127.0.0.1:{free_port()}", "to": serve(echo).address}
        return definition({"127.0.0.1": sshd}, {"xp-mode": {"host": "127.0.0.1", "forwards": [forward]}})

    holdfast.run(text())
    holdfast.wait_up()
    state = holdfast.environment()["STATE_DIRECTORY"]
    second = new_holdfast(prefix=["env", f"STATE_DIRECTORY={state}"])
    second.run(text())
    assert second.wait() == 1
    assert f"tunnel 'xp-mode' is already kept by process {holdfast.pid}; stop it or rename one" in second.err.text()
    assert holdfast.is_running()
    holdfast.signal(signal.SIGKILL)
    holdfast.wait()
    third = new_holdfast(prefix=["env", f"STATE_DIRECTORY={state}"])
    third.run(text())
    third.wait_up()
    assert third.stop() == 0
    assert os.listdir(state) == []


def at_terminal(holdfast, words):
    """Starts the program with a terminal of its own; returns (process, the terminal's other side)."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", *runner(), binary(), *map(str, words)],
        stdin=slave,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=holdfast.environment(),
    )
    os.close(slave)
    return process, master


def test_the_end_of_its_terminal_ends_it(holdfast, sshd, serve, tmp_path):
    log = tmp_path / "log"
    process, master = at_terminal(holdfast, one_forward(serve, sshd, "-v", "-E", log))
    try:
        wait_until(lambda: log.exists() and ": up" in log.read_text(), 15, "it is up")
        process.send_signal(signal.SIGHUP)  # the terminal is still there: only the log is opened again
        wait_until(lambda: "SIGHUP" in log.read_text(), 5, "SIGHUP is in the log")
        os.close(master)
        assert process.wait(10) == 0
        assert "the terminal is gone" in log.read_text()
    finally:
        process.kill()
        process.wait()


def test_ctrl_c_at_a_question_ends_it(holdfast, sshd, serve, tmp_path):
    words = [
        "-p", sshd.port, "-i", sshd.user_key, "-o", f"UserKnownHostsFile={tmp_path / 'none'}",
        "-R", f"127.0.0.1:{free_port()}:{serve(echo).address}", sshd.destination,
    ]  # fmt: skip
    process, master = at_terminal(holdfast, words)
    try:
        said = b""
        while b"?" not in plain(said):
            said += os.read(master, 1000)
        wait_for_reader(master)
        os.write(master, b"\x03")
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)
