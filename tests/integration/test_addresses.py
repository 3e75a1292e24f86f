"""Targets whose address a command prints: asked when a connection comes, kept while it answers, asked again when not."""

import re

import pytest
from harness import clients, servers
from harness.holdfast import definition, flags
from harness.ports import free_port
from harness.proc import wait_until

HERE, THERE = "127.0.0.1", "127.0.0.2"
FLAGS = {"local": "-L", "remote": "-R"}


class Where:
    """A program that prints what `place` holds, and notes each run in `runs`. `before` is shell to run first."""

    def __init__(self, folder):
        folder.mkdir()
        self.path, self.place, self._runs = folder / "where", folder / "place", folder / "runs"
        self._runs.write_text("")

    def set(self, place, before=""):
        self.place.write_text(place)
        self.path.write_text(f"#!/bin/sh\necho \"$*\" >> '{self._runs}'\n{before}\ncat '{self.place}'\n")
        self.path.chmod(0o755)
        return self

    @property
    def runs(self):
        return self._runs.read_text().splitlines()


@pytest.fixture
def where(tmp_path):
    return Where(tmp_path / "where")


@pytest.fixture(params=["local", "remote"])
def direction(request):
    return request.param


@pytest.fixture
def tunnel(sshd, holdfast, direction):
    """start(to, **defaults) -> the port of a forward to this `to:`, in either direction."""

    def start(to, **defaults):
        port = free_port()
        forwards = [{direction: f"127.0.0.1:{port}", "to": to}]
        holdfast.run(definition({"peer": sshd}, {"t": {"host": "peer", "forwards": forwards}}, defaults))
        holdfast.wait_up()
        return port

    return start


def ends_at_once(port):
    """The connection is closed without a byte."""
    with clients.connect(port, timeout=10) as sock:
        return clients.ends(sock, 10)


def test_asked_once_and_kept(tunnel, where, serve, holdfast):
    """Words with blanks reach the program as they are; the answer serves all connections that follow."""
    server = serve(servers.echo)
    where.set(f"{HERE}\nsecond line\n")
    port = tunnel({"command": [where.path, "two words", "$HOME;"], "port": server.port})
    assert where.runs == [], "nobody is asked before a connection comes"
    for number in range(3):
        data = clients.pattern(100_000, seed=number)
        assert clients.exchange(port, data) == data
    assert where.runs == ["two words $HOME;"]
    assert holdfast.err.matching(rf"is at {HERE}:{server.port}, as the command says")
    assert holdfast.stop() == 0


def test_the_port_is_asked_too(tunnel, where, serve):
    server = serve(servers.echo, "::1")
    where.set(f"[::1]:{server.port}\n")
    port = tunnel({"command": [where.path]})
    assert clients.exchange(port, b"six") == b"six"


def test_many_at_once_share_a_run(tunnel, where, serve):
    server = serve(servers.echo)
    where.set(f"{HERE}\n", before="sleep 0.5")
    port = tunnel({"command": [where.path], "port": server.port})
    socks = [clients.connect(port) for _ in range(20)]
    for number, sock in enumerate(socks):
        sock.sendall(b"%4d" % number)
    for number, sock in enumerate(socks):
        with sock:
            assert clients.read_exactly(sock, 4) == b"%4d" % number
    assert len(where.runs) == 1


def test_asked_again_once_it_has_moved(tunnel, where, serve, holdfast):
    """The server goes from one address to another; the first connection after that gets there."""
    server = serve(servers.echo, HERE)
    where.set(f"{HERE}:{server.port}\n")
    port = tunnel({"command": [where.path]})
    assert clients.exchange(port, b"here") == b"here"
    server.stop()
    moved = serve(servers.echo, THERE)
    where.set(f"{THERE}:{moved.port}\n")
    assert clients.exchange(port, b"there") == b"there"
    assert clients.exchange(port, b"still") == b"still"
    assert len(where.runs) == 2
    wait_until(lambda: len(holdfast.err.matching("as the command says")) == 2, 10, "the second place is logged")


def test_gone_and_back(tunnel, where, serve, holdfast):
    """While nobody answers at the address, connections end with a reason; afterwards they work without a restart."""
    server = serve(servers.echo)
    where.set(f"{HERE}\n")
    dead = free_port()
    where.set(f"{HERE}:{dead}\n")
    port = tunnel({"command": [where.path]})
    for _ in range(2):
        assert ends_at_once(port)
    holdfast.wait_log(r"(?i)refused")
    where.set(f"{HERE}:{server.port}\n")
    assert clients.exchange(port, b"back") == b"back"


FAILURES = {
    "not found": (None, "", r"the command '.*nowhere' was not found; write its whole path"),
    "exit code": (f"{HERE}\n", "echo no such guest >&2; exit 4", r"the command '.*' ended with exit code 4: no such guest"),
    "nothing": ("", "", r"printed nothing; its first line must be HOST or HOST:PORT"),
    "nonsense": ("the guest is off\n", "", r"printed 'the guest is off', which is no address; its first line must be"),
    "too slow": (f"{HERE}\n", "sleep 30", r"did not say its address within 1 s; raise connect_timeout if it needs longer"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILURES)
def test_failures(tunnel, where, serve, holdfast, case):
    """The connection ends and the log says why; the next one asks anew."""
    place, before, sentence = FAILURES[case]
    server = serve(servers.echo)
    where.set(place or "", before)
    program = where.path.parent / "nowhere" if place is None else where.path
    port = tunnel({"command": [program], "port": server.port}, connect_timeout="1s")
    assert ends_at_once(port)
    holdfast.wait_log(sentence)
    if place is not None:
        where.set(f"{HERE}\n")
        assert clients.exchange(port, b"mended") == b"mended"
    assert holdfast.stop() == 0


def test_the_reason_reaches_the_peer(sshd, holdfast, where):
    """OPEN_FAILURE carries the sentence: the peer's ssh, asked to be verbose, would show it; sshd's own log does."""
    where.set("", before="echo the guest is asleep >&2; exit 1")
    port = free_port()
    holdfast.start(*flags(sshd, "-v", "-R", f"127.0.0.1:{port}:command:{where.path}:80"))
    holdfast.wait_up()
    assert ends_at_once(port)
    sshd.log.wait_for("open failed: .*the guest is asleep", 5)


def test_on_the_command_line(sshd, holdfast, where, serve, direction):
    server = serve(servers.echo)
    where.set(f"{HERE}\n")
    port = free_port()
    holdfast.start(*flags(sshd, FLAGS[direction], f"127.0.0.1:{port}:command:{where.path}:{server.port}"))
    holdfast.err.wait_for(re.escape(f"-> command:{where.path}:{server.port} via"), 15)
    assert clients.exchange(port, b"asked") == b"asked"


def test_stopped_while_asking(tunnel, where, holdfast):
    """The program is not left behind. (That what it started goes too is a matter of test_asker.c.)"""
    where.set(f"{HERE}\n", before="exec sleep 600")
    port = tunnel({"command": [where.path], "port": 80})
    with clients.connect(port):
        wait_until(lambda: where.runs, 5, "it is asked")
        assert holdfast.stop() == 0


def test_a_session_that_breaks_while_asking(tunnel, where, serve, sshd, holdfast):
    """What was asked for -L waits for the next session; the -R's peer is gone, and a new connection asks again."""
    server = serve(servers.echo)
    where.set(f"{HERE}\n", before="sleep 1")
    port = tunnel({"command": [where.path], "port": server.port})
    with clients.connect(port):
        wait_until(lambda: where.runs, 5, "it is asked")
        assert sshd.kill_sessions() > 0
    holdfast.wait_up(timeout=20)
    assert clients.exchange(port, b"again") == b"again"
