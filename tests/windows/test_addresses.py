"""Addresses that move, and the firewall. wsl.exe and netsh.exe are fakes (fake_program.c): they replay what those of
Windows print, in its encoding, and show what they were called with. Nothing here says that the real ones agree."""

import os
import shutil
from pathlib import Path

import pytest
from harness import clients, servers
from harness.holdfast import definition, flags, native
from harness.ports import free_port

HERE, THERE = "127.0.0.1", "127.0.0.2"
NO_DISTRIBUTION = (
    "There is no distribution with the supplied name.\r\nError code: Wsl/Service/WSL_E_DISTRO_NOT_FOUND\r\n"
).encode("utf-16-le")


class Fake:
    def __init__(self, folder, name):
        folder.mkdir()
        self.path = folder / f"{name}.exe"
        shutil.copy(Path(os.environ["HOLDFAST_TOOLS"]) / f"{name}.exe", self.path)

    def says(self, output, code=0):
        self.path.with_suffix(".out").write_bytes(output)
        self.path.with_suffix(".code").write_text(str(code))

    def runs(self):
        log = self.path.with_suffix(".log")
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def wsl(tmp_path, monkeypatch):
    fake = Fake(tmp_path / "wsl", "fake_wsl")
    monkeypatch.setenv("HOLDFAST_TEST_WSL", native(fake.path))
    return fake


@pytest.fixture
def netsh(tmp_path, monkeypatch):
    fake = Fake(tmp_path / "netsh", "fake_netsh")
    monkeypatch.setenv("HOLDFAST_TEST_NETSH", native(fake.path))
    return fake


@pytest.fixture
def to_wsl(sshd, holdfast):
    """start(port there) -> the port at the peer that leads to wsl:Debian:PORT."""

    def start(target):
        port = free_port()
        holdfast.start(*flags(sshd, "-v", "-R", f"127.0.0.1:{port}:wsl:Debian:{target}"))
        holdfast.wait_up(timeout=60)
        return port

    return start


def ends_at_once(port):
    with clients.connect(port, timeout=20) as sock:
        return clients.ends(sock, 20)


def test_a_distribution_is_asked_once_and_kept(to_wsl, wsl, serve, holdfast):
    server = serve(servers.echo)
    wsl.says(f"{HERE} 172.17.0.1 fd00::1 \n".encode())
    port = to_wsl(server.port)
    for _ in range(2):
        assert clients.exchange(port, b"from the peer") == b"from the peer"
    (words,) = wsl.runs()
    assert words.endswith(" -d Debian -- hostname -I")
    holdfast.wait_log(rf"wsl:Debian:{server.port} is at {HERE}:{server.port}, as wsl.exe says")
    assert holdfast.stop() == 0


def test_a_distribution_has_moved(to_wsl, wsl, serve):
    server = serve(servers.echo, THERE)
    wsl.says(f"{HERE} \n".encode())
    port = to_wsl(server.port)
    assert ends_at_once(port)
    wsl.says(f"{THERE} \n".encode())
    assert clients.exchange(port, b"found") == b"found"


def test_a_distribution_that_is_not_there(to_wsl, wsl, holdfast):
    """What wsl.exe says itself is in UTF-16, on standard output."""
    wsl.says(NO_DISTRIBUTION, -1)
    assert ends_at_once(to_wsl(80))
    holdfast.wait_log(r"exit code -1: There is no distribution with the supplied name\.; 'wsl --list' shows those there are")


def test_no_wsl(to_wsl, monkeypatch, holdfast):
    monkeypatch.setenv("HOLDFAST_TEST_WSL", "C:\\none\\wsl.exe")
    assert ends_at_once(to_wsl(80))
    holdfast.wait_log(r"wsl\.exe could not be started: .*; run 'wsl --install'")


def test_a_service_tries_this_computer_first(to_wsl, wsl, serve, monkeypatch, holdfast):
    monkeypatch.setenv("HOLDFAST_TEST_WSL_SERVICE", "1")
    server = serve(servers.echo)
    port = to_wsl(server.port)
    assert clients.exchange(port, b"forwarded") == b"forwarded"
    assert wsl.runs() == []
    holdfast.wait_log(rf"is at localhost:{server.port}, as WSL forwards it, since this is a service")


def test_a_service_asks_where_this_computer_does_not_answer(to_wsl, wsl, serve, monkeypatch):
    monkeypatch.setenv("HOLDFAST_TEST_WSL_SERVICE", "1")
    server = serve(servers.echo, THERE)
    wsl.says(f"{THERE} \n".encode())
    assert clients.exchange(to_wsl(server.port), b"asked") == b"asked"
    assert len(wsl.runs()) == 1


def test_a_command(sshd, holdfast, serve, wsl):
    server = serve(servers.echo)
    wsl.says(f"{HERE}\r\n".encode())
    port = free_port()
    to = {"command": [native(wsl.path), "two words", 'a "quoted" one'], "port": server.port}
    holdfast.run(definition({"peer": sshd}, {"t": {"host": "peer", "forwards": [{"remote": f"127.0.0.1:{port}", "to": to}]}}))
    holdfast.wait_up(timeout=60)
    assert clients.exchange(port, b"asked") == b"asked"
    assert wsl.runs()[0].endswith(' "two words" "a \\"quoted\\" one"')


# --- firewall ---


def definition_file(tmp_path, *listeners):
    lines = "".join(f"      - local: '{listener}'\n        to: a:80\n" for listener in listeners)
    path = tmp_path / "t.yaml"
    path.write_text(f"tunnels:\n  web:\n    host: me@h\n    forwards:\n{lines}")
    return native(path)


def test_allow_adds_one_rule(run_program, netsh, tmp_path):
    netsh.says(b"Ok.\r\n\r\n")
    path = definition_file(tmp_path, "*:8080", "127.0.0.1:1", "localhost:2", "[::1]:3", "192.168.1.2:8081", "4")
    done = run_program("firewall", "allow", "-c", path, "web")
    assert done.returncode == 0, done.stderr
    before, rule = netsh.runs()
    assert 'advfirewall firewall delete rule name="holdfast web" dir=in program="' in before
    assert 'advfirewall firewall add rule name="holdfast web" dir=in action=allow protocol=TCP localport=8080,8081 program="' in rule
    assert rule.rstrip().endswith('holdfast.exe"')
    assert done.stdout.splitlines() == [b"web: other machines may connect to port %d" % port for port in (8080, 8081)]


def test_no_rule_is_needed_on_loopback(run_program, netsh, tmp_path):
    done = run_program("firewall", "allow", "-c", definition_file(tmp_path, "127.0.0.1:1", "2"), "web")
    assert (done.returncode, netsh.runs()) == (0, [])
    assert done.stdout == b"web: none is needed: no listener of it is open to other machines\n"


def test_remove_takes_away_ours(run_program, netsh):
    netsh.says(b"\r\nDeleted 1 rule(s).\r\nOk.\r\n\r\n")
    done = run_program("firewall", "remove", "web")
    assert done.returncode == 0, done.stderr
    (words,) = netsh.runs()
    assert 'delete rule name="holdfast web" dir=in program="' in words


@pytest.mark.parametrize("encoding", ["ascii", "utf-16-le"])
def test_what_netsh_complains_of_is_told(run_program, netsh, encoding):
    netsh.says("\r\nNo rules match the specified criteria.\r\n\r\n".encode(encoding), 1)
    done = run_program("firewall", "remove", "web")
    assert done.returncode == 1
    assert done.stderr == b"holdfast: firewall: netsh ended with exit code 1: No rules match the specified criteria.\n"


@pytest.mark.parametrize("words", [[], ["open", "web"], ["allow"], ["remove", 'a"b'], ["remove", "a", "b"]])
def test_mistakes(run_program, netsh, words):
    done = run_program("firewall", *words)
    assert (done.returncode, netsh.runs()) == (2, [])
    assert done.stderr.startswith(b"holdfast: firewall")
