"""holdfast.exe as a program of Windows: what it is made of, and that it does there what it does elsewhere."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pe
import pytest
from harness import clients, servers
from harness.holdfast import binary, definition, flags, native
from harness.ports import free_port
from harness.sshd import make_key

MEBIBYTE = 1 << 20
ADDR_NO_RANDOMIZE = 0x0040000  # personality(2)
# What every Windows 7 has. A bare machine has no other libraries, so nothing else may be needed.
SYSTEM_LIBRARIES = {
    "advapi32.dll", "bcrypt.dll", "crypt32.dll", "gdi32.dll", "iphlpapi.dll", "kernel32.dll", "msvcrt.dll",
    "psapi.dll", "shell32.dll", "user32.dll", "userenv.dll", "ws2_32.dll",
}  # fmt: skip


def test_version(run_program):
    done = run_program("--version")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"holdfast ")
    assert b"libuv 1.44.2\n" in done.stdout, "newer ones do not load on Windows 7"
    assert done.stderr == b""


def test_one_file():
    needed = {f"{dll}.dll" for dll, _ in pe.Image(binary()).imports()}
    assert needed and needed <= SYSTEM_LIBRARIES, f"it needs {needed - SYSTEM_LIBRARIES}"


def test_usage_error(run_program):
    done = run_program("-L", "1:x:2")
    assert done.returncode == 2
    assert done.stderr


def test_bad_definition_names_its_place(run_program, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_bytes(b"tunnels:\r\n  t:\r\n    host: h\r\n    forwards: [{local: 1, to: 'x:99999'}]\r\n")
    done = run_program("check", "-c", native(path))
    assert done.returncode == 2
    assert b"bad.yaml:4:31: tunnels.t.forwards[0].to: port 99999 is not in 1-65535" in done.stdout + done.stderr


def test_wine_does_not_end_it(holdfast):
    """Not of holdfast.exe but of what runs it here: wine.sh says what Wine does to one program in some thousands without."""
    holdfast.start("-p", 1, "-L", f"127.0.0.1:{free_port()}:127.0.0.1:1", "127.0.0.1")
    holdfast.wait_log("waiting", timeout=60)
    process = Path(f"/proc/{holdfast.pid}")
    assert "/early_unwind.so" in (process / "maps").read_text()
    if subprocess.run(["setarch", "-R", "true"], capture_output=True).returncode == 0:
        assert int((process / "personality").read_text(), 16) & ADDR_NO_RANDOMIZE
    assert holdfast.stop() == 0


def test_echo_heal_and_stop(sshd, holdfast, serve):
    """One -L and one -R: a mebibyte each way with a half-close, again after the session was killed, and a clean end."""
    server = serve(servers.echo)
    local, remote = free_port(), free_port()
    words = ["-L", f"127.0.0.1:{local}:{server.address}", "-R", f"127.0.0.1:{remote}:{server.address}"]
    holdfast.start(*flags(sshd, *words))
    for number in range(3):
        if number > 0:
            assert sshd.kill_sessions() > 0
        assert {match.group("flag") for match in holdfast.wait_up(2, timeout=60)} == {"-L", "-R"}
        for port in (local, remote):
            data = clients.pattern(MEBIBYTE, seed=number)
            assert clients.exchange(port, data) == data
    assert [connection.how for connection in server.connections] == ["eof"] * 6, "each half-close arrived"
    assert holdfast.stop() == 0


def test_definition(sshd, holdfast, serve):
    """The same from a file, with its paths beside it and the line ends of Windows."""
    server = serve(servers.echo)
    port = free_port()
    (holdfast.folder / "id").write_bytes(sshd.user_key.read_bytes())
    (holdfast.folder / "id").chmod(0o600)
    (holdfast.folder / "known").write_bytes(sshd.known_hosts.read_bytes().replace(b"\n", b"\r\n"))
    entry = {
        "hostname": sshd.host,
        "port": sshd.port,
        "user": sshd.user,
        "identity_file": "id",
        "known_hosts_file": "known",
    }
    forwards = [{"remote": f"127.0.0.1:{port}", "to": server.address}]
    text = definition({"peer": entry}, {"t": {"host": "peer", "forwards": forwards}})
    holdfast.run(text.replace("\n", "\r\n"))
    holdfast.wait_up(timeout=60)
    data = clients.pattern(MEBIBYTE)
    assert clients.exchange(port, data) == data
    assert holdfast.stop() == 0


def test_one_keeper_per_name(sshd, holdfast, new_holdfast, serve):
    """A second process with the same tunnel names the first, and ends; the first is not disturbed."""
    port = free_port()
    forwards = [{"remote": f"127.0.0.1:{port}", "to": serve(servers.echo).address}]
    text = definition({"peer": sshd}, {"t": {"host": "peer", "forwards": forwards}})
    holdfast.run(text)
    holdfast.wait_up(timeout=60)
    second = new_holdfast().run(text)
    assert second.wait(60) == 1
    assert re.search(r"already kept by process \d+", second.err.text())
    assert clients.exchange(port, b"undisturbed") == b"undisturbed"


def test_killed_it_can_be_started_again(sshd, holdfast, serve):
    """Killed without a word, it leaves no lock that would keep its successor from the name."""
    port = free_port()
    forwards = [{"remote": f"127.0.0.1:{port}", "to": serve(servers.echo).address}]
    text = definition({"peer": sshd}, {"t": {"host": "peer", "forwards": forwards}})
    for _ in range(2):
        holdfast.run(text)
        holdfast.wait_up(timeout=60)
        assert clients.exchange(port, b"up") == b"up"
        holdfast.signal(signal.SIGKILL)
        holdfast.wait()
        sshd.kill_sessions()  # the port at the peer is free again


def test_key_that_others_read_is_refused(sshd, holdfast, tmp_path):
    """Wine makes an access list of the file's mode."""
    key = make_key(tmp_path / "open_key")
    os.chmod(key, 0o644)
    words = [native(key) if word == native(sshd.user_key) else word for word in flags(sshd, "-L", "127.0.0.1:1:x:2")]
    holdfast.start(*words)
    assert holdfast.wait(60) == 3
    assert re.search(r"can be read by .*icacls", holdfast.err.text())


def test_unknown_host_key_is_refused(sshd, holdfast, tmp_path):
    empty = tmp_path / "empty"
    empty.write_text("")
    words = [str(word).replace(native(sshd.known_hosts), native(empty)) for word in flags(sshd, "-L", "127.0.0.1:1:x:2")]
    holdfast.start(*words)
    assert holdfast.wait(60) == 4


@pytest.mark.parametrize("place", ["file", "/dev/null"])
def test_new_host_key_is_accepted(sshd, holdfast, serve, tmp_path, place):
    """And kept in its file, or nowhere: /dev/null is in many an ssh line."""
    known = tmp_path / "new" / "known_hosts"
    port = free_port()
    words = [
        "-p", sshd.port, "-i", native(sshd.user_key), "-o", "StrictHostKeyChecking=accept-new",
        "-o", f"UserKnownHostsFile={native(known) if place == 'file' else place}",
        "-L", f"127.0.0.1:{port}:{serve(servers.echo).address}", sshd.destination,
    ]  # fmt: skip
    holdfast.start(*words)
    holdfast.wait_up(timeout=60)
    assert clients.exchange(port, b"up") == b"up"
    assert known.exists() == (place == "file")
    if known.exists():
        assert known.read_text().split()[1:3] == sshd.known_hosts.read_text().split()[1:3]


@pytest.mark.parametrize("flag, spec", [("-L", "/tmp/x:h:1"), ("-R", "1:C:\\x")])
def test_socket_of_ours_is_refused(run_program, flag, spec):
    done = run_program(flag, spec, "host")
    assert done.returncode == 2
    assert b"not in this version" in done.stderr
