"""A port that a dead session of ours still holds at the peer: who holds it is said, and that session is ended where the
peer runs a command for us; where it does not, the tunnel is as good as without."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from harness import servers
from harness.clients import exchange
from harness.holdfast import binary, definition, host_entry, native, runner
from harness.ports import free_port
from harness.proc import command_of, descendants_of, state_of, wait_until

TIMES = {"server_alive_interval": "1s", "server_alive_count_max": 1, "connect_timeout": "5s"}
MEND = "'ClientAliveInterval 15' and 'ClientAliveCountMax 3'"


@pytest.fixture
def tunnel(serve, new_holdfast):
    """tunnel(sshd, **more) -> a started Holdfast with one -R on `port`; `more` goes into the tunnel."""

    def start(sshd, port, host=None, **more):
        echo = serve(servers.echo)
        holdfast = new_holdfast()
        if earlier := record_of(holdfast):
            earlier.unlink()
        spec = {
            "host": "peer",
            "forwards": [{"remote": port, "to": echo.address}],
            "backoff": {"first": "100ms", "max": "1s"},
            **more,
        }
        holdfast.run(definition({"peer": host_entry(sshd, **(host or {}))}, {"t": spec}, TIMES, reclaim=None), "-v")
        return holdfast

    return start


def record_of(holdfast):
    """Where it is; None: nowhere. Under Wine all programs of a prefix have one place."""
    if runner():
        return next(Path(os.environ["HOLDFAST_WINEPREFIX"]).glob("drive_c/users/*/AppData/Local/holdfast/state/t.record"), None)
    return next(holdfast.folder.glob("**/state/holdfast/t.record"), None)


def remembered(holdfast, count=1):
    """Waits until so many processes are on record; their pids, the newest first."""

    def pids():
        path = record_of(holdfast)
        found = [int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith("process ")] if path else []
        return found if len(found) >= count else None

    return wait_until(pids, 10, f"{count} processes are on record")


def freeze(sshd):
    """The session lives on at the peer, and says nothing more; its processes."""
    pids = sshd.session_pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    return pids


def gone(pid):
    return state_of(pid) in (None, "Z")


def test_the_serving_process_is_remembered(sshd, tunnel):
    port = free_port()
    holdfast = tunnel(sshd, port)
    holdfast.wait_up()
    (pid,) = remembered(holdfast)
    assert pid in sshd.session_pids()
    path = record_of(holdfast)
    assert path.stat().st_mode & (0o007 if runner() else 0o077) == 0
    assert f"port {port}\n" in path.read_text() and "tunnel t\n" in path.read_text()
    assert not list(path.parent.glob("*.new"))


@pytest.mark.parametrize("line", ["", "exit_on_forward_failure"])
def test_our_own_frozen_session_is_ended_and_the_port_is_ours_again(sshd, tunnel, line):
    port = free_port()
    holdfast = tunnel(sshd, port, **({line: "yes"} if line else {}))
    holdfast.wait_up()
    remembered(holdfast)
    old = freeze(sshd)
    holdfast.wait_down(15)
    holdfast.wait_log(rf"(?:ended|killed) process {old[-1]} of the peer: the sshd of our own dead session since 20", 20)
    holdfast.wait_up(timeout=20)
    assert exchange(port, b"it carries") == b"it carries"
    assert all(gone(pid) for pid in old)
    assert remembered(holdfast)[0] in sshd.session_pids()


def test_reclaim_no_runs_nothing_and_ends_nothing(sshd, tunnel):
    port = free_port()
    holdfast = tunnel(sshd, port, reclaim="no")
    holdfast.wait_up()
    old = freeze(sshd)
    holdfast.wait_down(15)
    holdfast.wait_log(rf"\bport_busy \(was binding\): port {port} of the peer is still taken, probably by our own dead session, which 'reclaim: no'", 20)
    assert all(state_of(pid) == "T" for pid in old)
    assert "Starting session: command" not in sshd.log.text()
    assert record_of(holdfast) is None
    for pid in old:
        os.kill(pid, signal.SIGCONT)  # its end comes by itself now, and the port with it
    holdfast.wait_up(timeout=20)


REFUSING = {
    "ForceCommand": ({"ForceCommand": "/bin/false"}, ""),
    "a menu": ({"ForceCommand": "echo holdfast-reclaim 2; cat"}, ""),
    "no sessions": ({"MaxSessions": "0"}, ""),
    "command=": ({}, 'command="/bin/false"'),
    "a subsystem": ({"ForceCommand": "internal-sftp"}, ""),
}


@pytest.mark.parametrize("name", REFUSING)
def test_a_peer_that_runs_no_command(start_sshd, tunnel, name):
    options, key_options = REFUSING[name]
    sshd = start_sshd(options, key_options=key_options)
    port = free_port()
    holdfast = tunnel(sshd, port)
    holdfast.wait_up()
    holdfast.wait_log(r"the peer does not tell which process serves us .*" + MEND, 10)
    assert exchange(port, b"it carries") == b"it carries"
    old = freeze(sshd)
    holdfast.wait_down(15)
    holdfast.wait_log(r"\bport_busy \(was binding\): port \d+ of the peer is still taken, probably by our own dead session", 20)
    holdfast.wait_log(r"still taken, probably by our own dead session; the peer runs no command for us, so .*" + MEND, 20)
    assert all(state_of(pid) == "T" for pid in old)
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    holdfast.wait_up(timeout=20)
    said = [line for line in holdfast.err.text().splitlines() if "does not tell which process" in line]
    assert len(said) == 1


def test_the_line_of_keygen_permits_this_command_alone(sshd, tunnel, tmp_path):
    port = free_port()
    path = tmp_path / "t.yaml"
    spec = {"host": "peer", "forwards": [{"remote": port, "to": "127.0.0.1:1"}]}
    path.write_text(definition({"peer": host_entry(sshd)}, {"t": spec}, TIMES, reclaim=None))
    made = subprocess.run([*runner(), binary(), "keygen", "-c", native(path), "t"], capture_output=True, text=True, check=True)
    assert made.stdout.startswith('restrict,port-forwarding,command="') and made.stdout.count("\n") == 1
    sshd.authorized_keys.write_text(made.stdout)
    words = ["ssh", "-F", "none", "-p", str(sshd.port), "-i", sshd.user_key, "-o", f"UserKnownHostsFile={sshd.known_hosts}"]
    for asked in ("echo inside", "holdfast-reclaim 1 report 1; echo inside", "holdfast-reclaim 1 end 1 $(echo inside)"):
        ran = subprocess.run([*words, sshd.destination, asked], capture_output=True, text=True, check=False, timeout=60)
        assert (ran.returncode, ran.stdout) == (64, ""), asked
    holdfast = tunnel(sshd, port)
    holdfast.wait_up()
    remembered(holdfast)
    old = freeze(sshd)
    holdfast.wait_down(15)
    holdfast.wait_log(rf"(?:ended|killed) process {old[-1]} of the peer", 20)
    holdfast.wait_up(timeout=20)


def test_a_command_that_hangs_holds_nothing_up(start_sshd, tunnel):
    sshd = start_sshd({"ForceCommand": "exec sleep 1000"})
    holdfast = tunnel(sshd, free_port())
    holdfast.wait_up()

    def sleeping():
        return [pid for pid in descendants_of(sshd.pid) if command_of(pid) == "sleep 1000"]

    (pid,) = wait_until(sleeping, 10, "the peer runs its own command")
    assert holdfast.stop() == 0
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: state_of(pid) in (None, "Z"), 5, "the peer's command is gone")


def test_a_login_shell_that_talks(start_sshd, tunnel):
    sshd = start_sshd({"ForceCommand": 'printf "Welcome\\nhere> "; eval "$SSH_ORIGINAL_COMMAND"'})
    holdfast = tunnel(sshd, free_port())
    holdfast.wait_up()
    assert remembered(holdfast)[0] in sshd.session_pids()


def test_a_port_of_another_program(sshd, tunnel, serve):
    """Never ours before: a look at the peer says that it is taken, and nothing is ended."""
    holder = serve(servers.echo)
    holdfast = tunnel(sshd, f"127.0.0.1:{holder.port}")
    holdfast.wait_log(rf"\bport_busy \(was \w+\): port {holder.port} of the peer is still taken, by another program", 15)
    assert exchange(holder.port, b"untouched") == b"untouched"


def test_a_listener_that_is_not_permitted_is_no_taken_port(start_sshd, tunnel):
    sshd = start_sshd({"PermitListen": "none"})
    holdfast = tunnel(sshd, free_port())
    holdfast.wait_log(r"\bdegraded \(was binding\): the peer refused to listen", 15)
    remembered(holdfast)
    assert "port_busy" not in holdfast.err.text()


def test_an_added_program_has_no_say(sshd, tunnel, tmp_path):
    """A record that says nothing of this tunnel, or is broken, is passed over."""
    port = free_port()
    holdfast = tunnel(sshd, port)
    holdfast.wait_up()
    remembered(holdfast)
    path = record_of(holdfast)
    assert holdfast.stop() == 0
    path.write_text("holdfast-record 1\ntunnel t\nhost other@peer:22\nprocess 4711 1 a 0 2026\n")
    holdfast._start(["run", "-c", "tunnels.yaml"])
    holdfast.wait_log("is no record of this tunnel and host", 10)
    holdfast.wait_up()
    assert remembered(holdfast) and "4711" not in path.read_text()
