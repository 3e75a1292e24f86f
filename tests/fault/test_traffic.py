"""A port that the peer grants although another session has it: Win32 OpenSSH does so. Our sshd has its name here, and what
connects to the port is led elsewhere by the peer's own kernel."""

import re

import pytest
from conftest import REMOTE
from harness import clients, servers
from harness.holdfast import definition
from harness.netns import Link, Wire
from harness.sshd import renamed_sshd

WINDOWS = "OpenSSH_for_Windows_9.5"
ELSEWHERE = (
    "table ip elsewhere {{\n chain out {{\n type nat hook output priority -100;\n"
    " ip daddr 127.0.0.1 tcp dport {port} redirect to :{other}\n }}\n}}\n"
)
CHECKED = r"ctype direct-tcpip"
CANCELLED = r"rtype cancel-tcpip-forward"
SENTENCE = (
    rf"the peer granted port {REMOTE}, but what connects to it there lands elsewhere, probably at a session of before that "
    r"the peer has not ended yet; end that session's sshd process there, or wait .* 'ClientAliveInterval 15' and "
    r"'ClientAliveCountMax 3'"
)


class Tunnel:
    """One -R on `far` to an echo server on `near`; not running yet."""

    def __init__(self, hosts, link, holdfast, serve, sshd):
        self.near, self.far = hosts
        self.link, self.holdfast, self.sshd, self.serve = link, holdfast, sshd, serve
        with self.near.entered():
            self.echo = serve(servers.echo)

    def run(self, listen=f"127.0.0.1:{REMOTE}", times=None, **more):
        forward = {"remote": listen, "to": self.echo.address, **more}
        tunnel = {"host": "peer", "forwards": [forward], "backoff": {"first": "100ms", "max": "1s"}}
        times = {"connect_timeout": "2s", **(times or {})}
        self.holdfast.run(definition({"peer": self.sshd}, {"t": tunnel}, times))

    def lead_elsewhere(self, handler):
        """What connects to the port lands at this server."""
        with self.far.entered():
            other = self.serve(handler)
        self.far.nft(ELSEWHERE.format(port=REMOTE, other=other.port))
        return other

    def lead_here(self):
        self.far.nft("delete table ip elsewhere\n")

    def check_data(self):
        with self.far.entered():
            assert clients.exchange(REMOTE, clients.pattern(200_000)) == clients.pattern(200_000)

    def state(self):
        (tunnel,) = self.holdfast.status()["tunnels"]
        return tunnel["state"], tunnel["forwards"][0]["state"]

    def checks_of_all(self):
        """How many channels the peer was asked to open, once it is over."""
        assert self.holdfast.stop() == 0
        self.sshd.log.wait_for("do_cleanup", 5)
        return len(self.sshd.log.matching(CHECKED))


@pytest.fixture
def new_tunnel(hosts, link, start_sshd, new_holdfast, serve, tmp_path):
    def new(software=WINDOWS, **options):
        program = renamed_sshd(tmp_path / "sshd", software) if software else None
        sshd = start_sshd({"LogLevel": "DEBUG1", **options}, host=Link.FAR, prefix=hosts[1].prefix, program=program)
        return Tunnel(hosts, link, new_holdfast(hosts[0].prefix), serve, sshd)

    return new


@pytest.mark.parametrize("probe", ["off", "loop"])
def test_a_port_that_is_ours(new_tunnel, probe):
    tunnel = new_tunnel()
    tunnel.run(probe=probe)
    tunnel.holdfast.wait_up()
    assert re.search(rf"\b{WINDOWS}\b", tunnel.holdfast.status()["tunnels"][0]["peer"]["banner"])
    tunnel.check_data()
    assert len(tunnel.echo.connections) == 1, "the target has seen a check"
    assert tunnel.checks_of_all() == 1 or probe == "loop"


@pytest.mark.parametrize("handler", [servers.sink, servers.speaks_first, servers.sends_then_ends(b"no")])
def test_a_port_that_is_somebody_elses(new_tunnel, handler):
    """Whether that one says nothing, speaks, or ends it."""
    tunnel = new_tunnel()
    other = tunnel.lead_elsewhere(handler)
    tunnel.run()
    tunnel.holdfast.wait_log(rf"-R 127.0.0.1:{REMOTE} -> \S+: {SENTENCE}; next try in", 20)
    tunnel.holdfast.wait_log(rf"t: port_busy \(was binding\): {SENTENCE}", 5)
    assert tunnel.state()[0] == "port_busy"
    tunnel.sshd.log.wait_for(CANCELLED, 5)
    other.wait_connection(1, 20)  # it is tried again, and still so
    assert len(tunnel.holdfast.err.matching(r"warning .*lands elsewhere.*next try")) == 1, "it is said once"
    mark = tunnel.holdfast.err.mark()
    tunnel.lead_here()
    tunnel.holdfast.wait_log(r"t: up \(was port_busy\)", 20, mark)
    tunnel.check_data()
    assert len(tunnel.sshd.session_pids()) == 1, "over the same session"
    assert len(tunnel.echo.connections) == 1, "the target has seen a check"


def test_a_port_that_is_somebody_elses_ends_a_session_that_is_to_end_by_it(new_tunnel):
    tunnel = new_tunnel()
    tunnel.lead_elsewhere(servers.sends_then_ends(b""))
    tunnel.run(times={"exit_on_forward_failure": True})
    tunnel.holdfast.wait_log(rf"t: waiting \(was binding\): .*{SENTENCE}", 20)
    tunnel.lead_here()
    tunnel.holdfast.wait_up()


def test_a_peer_that_does_not_permit_the_check(new_tunnel):
    tunnel = new_tunnel(AllowTcpForwarding="remote")
    tunnel.run()
    tunnel.holdfast.wait_up()
    warned = r"warning .*could not be checked whether its connections come to us.*; permit that by AllowTcpForwarding"
    tunnel.holdfast.wait_log(warned, 5)
    tunnel.check_data()
    mark = tunnel.holdfast.err.mark()
    tunnel.sshd.kill_sessions()
    tunnel.holdfast.wait_log(r"t: up \(was binding\)", 15, mark)
    assert len(tunnel.holdfast.err.matching(warned)) == 1, "it is said once"


def test_a_peer_that_cannot_connect_to_its_port(new_tunnel):
    tunnel = new_tunnel()
    tunnel.far.nft(
        f"table inet deaf {{\n chain in {{\n type filter hook input priority 0; iif lo tcp dport {REMOTE} reject with tcp reset\n }}\n}}\n"
    )
    tunnel.run()
    tunnel.holdfast.wait_up()
    tunnel.holdfast.wait_log(r"warning .*could not be checked whether its connections come to us.*connect failed", 5)


def test_a_session_that_dies_meanwhile(new_tunnel):
    """The check goes with it, and says nothing of the port."""
    tunnel = new_tunnel()
    other = tunnel.lead_elsewhere(servers.sink)
    tunnel.run(times={"connect_timeout": "30s"})
    other.wait_connection(0, 20)
    tunnel.sshd.kill_sessions()
    tunnel.holdfast.wait_log(r"t: waiting \(was binding\)", 10)
    tunnel.lead_here()
    tunnel.holdfast.wait_up()
    assert not tunnel.holdfast.err.matching("lands elsewhere")
    tunnel.check_data()


def test_a_tunnel_that_is_stopped_meanwhile(new_tunnel):
    tunnel = new_tunnel()
    other = tunnel.lead_elsewhere(servers.sink)
    tunnel.run(times={"connect_timeout": "30s"})
    other.wait_connection(0, 20)
    assert tunnel.holdfast.stop() == 0
    tunnel.sshd.log.wait_for(CANCELLED, 5)


def test_a_way_so_slow_that_the_check_takes_longer_than_its_limit(hosts, tool, start_sshd, new_holdfast, serve, tmp_path):
    """It is waited for as long as the way back may take, by what the way out took."""
    near, far = hosts
    wire = Wire(near, far, tool)
    program = renamed_sshd(tmp_path / "sshd", WINDOWS)
    sshd = start_sshd({"LogLevel": "DEBUG1"}, host=Link.FAR, prefix=far.prefix, program=program)
    holdfast = new_holdfast(near.prefix)
    with near.entered():
        echo = serve(servers.echo)
    forwards = [{"remote": f"127.0.0.1:{REMOTE + 1}", "to": echo.address}]
    world = {"peer": sshd}, {"t": {"host": "peer", "forwards": forwards}}, {"connect_timeout": "2s"}
    holdfast.run(definition(*world))
    holdfast.wait_up()
    wire.set("delay", "both", 700)
    forwards.append({"remote": f"127.0.0.1:{REMOTE}", "to": echo.address})
    (holdfast.folder / "tunnels.yaml").write_text(definition(*world))
    assert holdfast.call("reload").returncode == 0
    holdfast.wait_log(rf"added and up: -R 127.0.0.1:{REMOTE}", 20)
    assert not holdfast.err.matching("lands elsewhere|could not be checked")
    assert not echo.connections, "the target has seen a check"


@pytest.mark.parametrize("case", ["an ordinary peer", "a port that the peer chooses", "a path"])
def test_where_there_is_no_check(new_tunnel, case, tmp_path):
    tunnel = new_tunnel(None if case == "an ordinary peer" else WINDOWS)
    path = tmp_path / "listen.sock"
    listen = {"a port that the peer chooses": "127.0.0.1:0", "a path": str(path)}.get(case, f"127.0.0.1:{REMOTE}")
    tunnel.run(listen)
    tunnel.holdfast.wait_up()
    assert tunnel.state() == ("up", "up")
    assert tunnel.checks_of_all() == 0


def test_a_name_in_the_comment_is_not_the_peers(new_tunnel):
    tunnel = new_tunnel(None, VersionAddendum=WINDOWS)
    tunnel.run()
    tunnel.holdfast.wait_up()
    assert WINDOWS in tunnel.holdfast.status()["tunnels"][0]["peer"]["banner"]
    assert tunnel.checks_of_all() == 0
