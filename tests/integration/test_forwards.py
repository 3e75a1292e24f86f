"""Listeners and where they lead: bind addresses as ssh has them, port 0, several of everything, and what refuses."""

import json
import socket

import pytest
from harness import clients, servers
from harness.holdfast import definition, flags
from harness.ports import free_port
from harness.proc import wait_until

LOOPBACK4, OTHER4, LOOPBACK6 = "127.0.0.1", "127.0.0.2", "::1"


def answers(port, host):
    """Whether something listens there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(5)
        return probe.connect_ex((host, port)) == 0


def answering(port):
    """Which of the three addresses of this machine are listened on. 127.0.0.2 stands for the network."""
    return {host for host in (LOOPBACK4, OTHER4, LOOPBACK6) if answers(port, host)}


# What a bind address means: ssh(1) for -L, and sshd_config(5) GatewayPorts for -R.
BINDS_LOCAL = [
    ("", {LOOPBACK4, LOOPBACK6}),
    ("*:", {LOOPBACK4, OTHER4, LOOPBACK6}),
    (":", {LOOPBACK4, OTHER4, LOOPBACK6}),
    ("localhost:", {LOOPBACK4, LOOPBACK6}),
    ("127.0.0.1:", {LOOPBACK4}),
    ("127.0.0.2:", {OTHER4}),
    ("[::1]:", {LOOPBACK6}),
]


@pytest.mark.parametrize("bind, expected", BINDS_LOCAL)
def test_local_bind_address(sshd, holdfast, serve, bind, expected):
    port = free_port()
    holdfast.start(*flags(sshd, "-L", f"{bind}{port}:{serve(servers.echo).address}"))
    holdfast.wait_up()
    assert answering(port) == expected
    for host in expected:
        assert clients.exchange(port, b"through " + host.encode(), host) == b"through " + host.encode()


@pytest.mark.parametrize("words", [["-g"], ["-o", "GatewayPorts=yes"]])
def test_local_gateway_ports(sshd, holdfast, serve, words):
    port = free_port()
    holdfast.start(*flags(sshd, *words, "-L", f"{port}:{serve(servers.echo).address}"))
    holdfast.wait_up()
    assert answering(port) == {LOOPBACK4, OTHER4, LOOPBACK6}


@pytest.mark.parametrize("bind, expected", BINDS_LOCAL)
def test_remote_bind_address(start_sshd, holdfast, serve, bind, expected):
    sshd = start_sshd({"GatewayPorts": "clientspecified"})
    port = free_port()
    holdfast.start(*flags(sshd, "-R", f"{bind}{port}:{serve(servers.echo).address}"))
    holdfast.wait_up()
    assert answering(port) == expected
    for host in expected:
        assert clients.exchange(port, b"through " + host.encode(), host) == b"through " + host.encode()


def test_remote_bind_address_is_the_peers_to_decide(sshd, holdfast, serve):
    """GatewayPorts no, the default: whatever was asked, the peer listens on loopback."""
    port = free_port()
    holdfast.start(*flags(sshd, "-R", f"*:{port}:{serve(servers.echo).address}"))
    holdfast.wait_up()
    assert answering(port) == {LOOPBACK4, LOOPBACK6}
    assert clients.exchange(port, b"through") == b"through"


def test_half_of_the_peers_loopback(start_sshd, holdfast, serve):
    """sshd(8) says that all is well when it got one of 127.0.0.1 and ::1: only an address that is named is told apart."""
    sshd, open_sshd, echo = start_sshd(), start_sshd({"GatewayPorts": "yes"}), serve(servers.echo)
    taken = [serve(servers.sink).port for _ in range(3)]

    def tunnel(host, remote):
        forward = {"remote": remote, "to": echo.address, "probe": "loop", "probe_interval": "1s"}
        return {"host": host, "forwards": [forward], "connect_timeout": "1s"}

    tunnels = {
        "named": tunnel("peer", f"127.0.0.1:{taken[0]}"),
        "unnamed": tunnel("peer", taken[1]),
        "open": tunnel("open", f"127.0.0.1:{taken[2]}"),
    }
    holdfast.run(definition({"peer": sshd, "open": open_sshd}, tunnels))
    holdfast.wait_log(r"named: degraded \(was binding\): the peer refused to listen on 127\.0\.0\.1:")
    for name in ("unnamed", "open"):
        holdfast.wait_log(rf"{name}: up \(was binding\)")
        holdfast.wait_log(rf"{name}: degraded \(was up\): a probe did not come back through the peer's listener")


@pytest.mark.parametrize("direction", ["local", "remote"])
def test_target_over_ipv6(open_forward, serve, direction):
    port = open_forward(direction, serve(servers.echo, LOOPBACK6))
    assert clients.exchange(port, b"six") == b"six"


@pytest.mark.parametrize("bind", ["", "127.0.0.1:"])
def test_port_zero_on_the_peer(sshd, holdfast, serve, bind):
    """The peer chooses; the up line says what it chose; two such forwards do not get mixed up."""
    echo, hello = serve(servers.echo), serve(servers.speaks_first)
    holdfast.start(*flags(sshd, "-R", f"{bind}0:{echo.address}", "-R", f"{bind}0:{hello.address}"))
    ports = {match.group("to"): holdfast.bound_port(match) for match in holdfast.wait_up(2)}
    assert clients.exchange(ports[echo.address], b"one") == b"one"
    assert clients.exchange(ports[hello.address], b"two") == servers.BANNER + b"two"


def test_port_zero_asks_for_the_same_again(sshd, holdfast, serve):
    """Whoever was told the port can go on using it after the session has broken."""
    echo = serve(servers.echo)
    holdfast.start(*flags(sshd, "-R", f"127.0.0.1:0:{echo.address}"))
    port = holdfast.bound_port(holdfast.wait_up()[0])
    sshd.kill_sessions()
    assert holdfast.bound_port(holdfast.wait_up()[0]) == port
    assert clients.exchange(port, b"again") == b"again"


def test_several_forwards_of_both_kinds(sshd, holdfast, serve):
    words, wanted = [], {}
    for number in range(6):
        port = free_port()
        answer = b"server %d\n" % number
        server = serve(servers.sends_then_ends(answer))
        words += ["-L" if number % 2 else "-R", f"127.0.0.1:{port}:{server.address}"]
        wanted[port] = answer
    holdfast.start(*flags(sshd, *words))
    holdfast.wait_up(6)
    assert {port: clients.exchange(port, b"") for port in wanted} == wanted


def test_several_tunnels_in_one_process(start_sshd, holdfast, serve):
    """Three tunnels to two hosts; one session breaks, the others do not notice."""
    hosts = {"one": start_sshd(), "two": start_sshd()}
    tunnels, ports = {}, {}
    for name, host in (("alpha", "one"), ("beta", "two"), ("gamma", "two")):
        ports[name] = free_port()
        server = serve(servers.sends_then_ends(name.encode()))
        tunnels[name] = {"host": host, "forwards": [{"remote": f"127.0.0.1:{ports[name]}", "to": server.address}]}
    holdfast.run(definition(hosts, tunnels))
    assert {match.group("tunnel") for match in holdfast.wait_up(3)} == set(tunnels)
    assert {name: clients.exchange(port, b"").decode() for name, port in ports.items()} == {n: n for n in tunnels}
    kept = hosts["two"].session_pids()
    hosts["one"].kill_sessions()
    holdfast.wait_up()
    assert clients.exchange(ports["alpha"], b"") == b"alpha"
    assert hosts["two"].session_pids() == kept, "the sessions of the other host are the same ones"
    assert holdfast.stop() == 0


@pytest.mark.parametrize("direction", ["local", "remote"])
def test_refused_target_closes_that_channel(sshd, holdfast, serve, direction):
    """Nobody listens at one target: its connections end at once, the log says why, the other forward goes on."""
    flag = {"local": "-L", "remote": "-R"}[direction]
    dead, port, good = free_port(), free_port(), free_port()
    words = [flag, f"127.0.0.1:{port}:127.0.0.1:{dead}", flag, f"127.0.0.1:{good}:{serve(servers.echo).address}"]
    holdfast.start(*flags(sshd, *words))
    holdfast.wait_up(2)
    mark = holdfast.err.mark()
    with clients.connect(port, timeout=5) as sock:
        assert clients.read_to_end(sock) == b""
    line = holdfast.wait_log(r"(?i)refused", 5, mark).string
    assert str(dead) in line, f"the log names the target: {line}"
    assert clients.exchange(good, b"unharmed") == b"unharmed"
    sessions = sshd.session_pids()
    assert sessions, "the session lives"


@pytest.mark.parametrize("direction", ["local", "remote"])
def test_slow_reader_freezes_only_its_own(sshd, holdfast, serve, direction):
    """Ten connections to a server that floods are never read; memory stays bounded and an echo beside them is prompt."""
    flag = {"local": "-L", "remote": "-R"}[direction]
    flood, echo = serve(servers.floods), serve(servers.echo)
    port, good = free_port(), free_port()
    words = [flag, f"127.0.0.1:{port}:{flood.address}", flag, f"127.0.0.1:{good}:{echo.address}"]
    holdfast.start(*flags(sshd, *words))
    holdfast.wait_up(2)
    before = holdfast.memory_kib()
    stuck = [clients.connect(port) for _ in range(10)]
    try:
        for number in range(20):
            data = clients.pattern(100_000, seed=number)
            assert clients.exchange(good, data, timeout=10) == data
        grown = holdfast.memory_kib() - before
        assert grown < 64 * 1024, f"ten connections that nobody reads cost {grown} KiB"
        total = clients.read_exactly(stuck[0], 8 << 20)  # once it is read again, it flows again
        assert total == bytes(range(256)) * (len(total) // 256)
    finally:
        for sock in stuck:
            sock.close()


class TestForwardingForbidden:
    """AllowTcpForwarding no: the peer takes the session and refuses every forward."""

    @pytest.fixture
    def peer(self, start_sshd):
        return start_sshd({"AllowTcpForwarding": "no"})

    def test_local(self, peer, open_forward, serve, holdfast):
        port = open_forward("local", serve(servers.echo), peer=peer)
        mark = holdfast.err.mark()
        with clients.connect(port, timeout=5) as sock:
            assert clients.read_to_end(sock) == b""
        holdfast.wait_log(r"(?i)prohibited|not permit", 5, mark)
        assert holdfast.stop() == 0

    def test_remote_degrades(self, peer, holdfast, serve):
        holdfast.start(*flags(peer, "-R", f"127.0.0.1:{free_port()}:{serve(servers.echo).address}"))
        holdfast.wait_log(r"(?i)degraded")
        assert not holdfast.err.matching(r"^holdfast: up:")
        assert holdfast.stop() == 0

    @pytest.mark.parametrize("words", [["-o", "ExitOnForwardFailure=yes"], ["--once"]])
    def test_remote_exits_when_asked_to(self, peer, holdfast, serve, words):
        holdfast.start(*flags(peer, *words, "-R", f"127.0.0.1:{free_port()}:{serve(servers.echo).address}"))
        assert holdfast.wait() == 5


class TestPortInUse:
    """Somebody else has the port, at the peer (-R) or here (-L)."""

    @pytest.fixture
    def taken(self):
        with socket.create_server(("127.0.0.1", 0)) as holder:
            yield holder

    @pytest.mark.parametrize("flag", ["-L", "-R"])
    def test_degraded_and_retried_alone(self, sshd, holdfast, serve, taken, flag):
        """The other forward works at once; the port once free is taken without a new session."""
        port, good = taken.getsockname()[1], free_port()
        echo = serve(servers.echo)
        words = [flag, f"127.0.0.1:{port}:{echo.address}", "-R", f"127.0.0.1:{good}:{echo.address}"]
        holdfast.start(*flags(sshd, *words))
        holdfast.wait_log(r"(?i)degraded")
        assert clients.exchange(good, b"the other") == b"the other"
        sessions = sshd.session_pids()
        taken.close()
        holdfast.wait_up(2, timeout=30)
        assert clients.exchange(port, b"at last") == b"at last"
        assert sshd.session_pids() == sessions

    @pytest.mark.parametrize("flag", ["-L", "-R"])
    @pytest.mark.parametrize("words", [["-o", "ExitOnForwardFailure=yes"], ["--once"]])
    def test_exit_code_when_asked_to(self, sshd, holdfast, serve, taken, flag, words):
        port = taken.getsockname()[1]
        holdfast.start(*flags(sshd, *words, flag, f"127.0.0.1:{port}:{serve(servers.echo).address}"))
        assert holdfast.wait() == 5
        assert str(port) in holdfast.err.text(), "the message names the port"


def test_a_remote_socket_that_is_there(sshd, holdfast, serve, tmp_path):
    """The peer refuses to listen on a path: that is no port, and what mends it is another thing."""
    path = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    tunnel = {"host": "peer", "forwards": [{"remote": str(path), "to": serve(servers.echo).address}]}
    holdfast.run(definition({"peer": sshd}, {"t": tunnel}))
    said = holdfast.wait_log(r"the peer refused to listen on (.*)", 15).group(1)
    assert said.startswith(f"{path}: a file of that name is there") and "port" not in said.replace(str(path), ""), said
    assert "remove it" in said and "StreamLocalBindUnlink yes" in said


def test_remote_listener_ends_with_the_session(sshd, holdfast, serve):
    port = free_port()
    holdfast.start(*flags(sshd, "-R", f"127.0.0.1:{port}:{serve(servers.echo).address}"))
    holdfast.wait_up()
    assert answers(port, LOOPBACK4)
    assert holdfast.stop() == 0
    wait_until(lambda: not answers(port, LOOPBACK4), 5, "the peer's listener is gone")


def test_connections_that_the_peer_offers_wait_for_no_acknowledgement(tool, sshd, holdfast):
    """A sshd has Nagle's algorithm on for a session that runs no command, and so keeps each small packet until the one
    before is acknowledged, which a system does 40 ms late unless it is asked to."""
    echo = tool("hf_echo", "--listen", "127.0.0.1:0")
    target = "127.0.0.1:" + echo.out.wait_for(r"^listening (\d+)$", 10)[0].group(1)
    rates = {}
    for flag in ("-L", "-R"):
        port = free_port()
        holdfast.start(*flags(sshd, flag, f"127.0.0.1:{port}:{target}"))
        holdfast.wait_up()
        client = tool("hf_rate", "--total", "50", f"127.0.0.1:{port}")
        assert client.wait(60) == 0, client.out.text()
        rates[flag] = json.loads(client.out.text())["per_second"]
        assert holdfast.stop() == 0
    assert rates["-R"] >= rates["-L"] / 5, rates
