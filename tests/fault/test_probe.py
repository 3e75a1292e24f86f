"""probe: loop. A listener on the peer that leads nowhere is noticed, and carries again once it can."""

import threading
import time

import pytest
from conftest import REMOTE
from harness import clients, servers
from harness.holdfast import definition
from harness.netns import Link, Wire
from harness.proc import wait_until

DEAF = "table inet deaf {{ chain in {{ type filter hook input priority 0; iif lo tcp dport {port} {how}\n }}\n}}\n"


def test_a_listener_that_leads_nowhere(hosts, link, start_sshd, new_holdfast, serve):
    near, far = hosts
    sshd = start_sshd({}, host=Link.FAR, prefix=far.prefix)
    holdfast = new_holdfast(near.prefix)
    with near.entered():
        echo = serve(servers.echo)
    forward = {"remote": f"127.0.0.1:{REMOTE}", "to": echo.address, "probe": "loop", "probe_interval": "1s"}
    tunnel = {"host": "peer", "forwards": [forward], "backoff": {"first": "100ms", "max": "1s"}}
    holdfast.run(definition({"peer": sshd}, {"t": tunnel}, {"connect_timeout": "2s"}))
    holdfast.wait_up()
    sessions = set(sshd.session_pids())
    far.nft(DEAF.format(port=REMOTE, how="reject with tcp reset"))
    holdfast.wait_log(r"degraded \(was up\): a probe did not come back through the peer's listener: .*connect failed", 20)
    holdfast.wait_log(r"still so; the peer is asked for a new listener", 20)
    holdfast.wait_log(r"waiting \(was degraded\): .*a probe did not come back", 20)
    wait_until(lambda: set(sshd.session_pids()) - sessions, 20, "there is another session")
    mark = holdfast.err.mark()
    holdfast.wait_log(r"degraded \(was up\)", 20, mark)
    holdfast.wait_log(r"still so", 20, mark)
    sessions = set(sshd.session_pids())
    far.nft("delete table inet deaf\n")
    holdfast.wait_log(r"carries again, as its probe shows", 20, mark)
    holdfast.wait_log(r"t: up \(was degraded\)", 20, mark)
    assert set(sshd.session_pids()) == sessions, "only one session is spent on it"
    with far.entered():
        assert clients.exchange(REMOTE, clients.pattern(200_000)) == clients.pattern(200_000)
    assert len(echo.connections) == 1, "the target has seen no probe"


def test_a_listener_that_swallows(hosts, link, start_sshd, new_holdfast, serve):
    """Nothing refuses and nothing comes back: the probe has its limit."""
    near, far = hosts
    sshd = start_sshd({}, host=Link.FAR, prefix=far.prefix)
    holdfast = new_holdfast(near.prefix)
    with near.entered():
        echo = serve(servers.echo)
    forward = {"remote": f"127.0.0.1:{REMOTE}", "to": echo.address, "probe": "loop", "probe_interval": "1s"}
    tunnel = {"host": "peer", "forwards": [forward]}
    holdfast.run(definition({"peer": sshd}, {"t": tunnel}, {"connect_timeout": "1s"}))
    holdfast.wait_up()
    far.nft(DEAF.format(port=REMOTE, how="drop"))
    mark = holdfast.err.mark()
    holdfast.wait_log(r"degraded \(was up\): .*nothing came within 1 s", 20)
    far.nft("delete table inet deaf\n")
    holdfast.wait_log(r"t: up \(was degraded\)", 20, mark)


def test_a_long_way(hosts, tool, start_sshd, new_holdfast, serve):
    """What the probe says comes back a round trip after the connection that brings it; the target still sees none."""
    near, far = hosts
    wire = Wire(near, far, tool)
    sshd = start_sshd({}, host=Link.FAR, prefix=far.prefix)
    holdfast = new_holdfast(near.prefix)
    with near.entered():
        echo = serve(servers.echo)
    wire.set("delay", "both", 200)
    forward = {"remote": f"127.0.0.1:{REMOTE}", "to": echo.address, "probe": "loop", "probe_interval": "1s"}
    holdfast.run(definition({"peer": sshd}, {"t": {"host": "peer", "forwards": [forward]}}), "-v")
    holdfast.wait_up(timeout=30)
    mark = holdfast.err.mark()
    time.sleep(6)  # a few probes
    assert not holdfast.err.matching("degraded"), "\n".join(holdfast.err.since(mark))
    assert not echo.connections, "the target has seen a probe"
    with far.entered():
        assert clients.exchange(REMOTE, b"it carries") == b"it carries"


def slow_probe(hosts, tool, start_sshd, holdfast, target, delay_ms, timeout):
    """A tunnel that is up when its path becomes so slow. Returns the wire."""
    near, far = hosts
    wire = Wire(near, far, tool)
    sshd = start_sshd({}, host=Link.FAR, prefix=far.prefix)
    forward = {"remote": f"127.0.0.1:{REMOTE}", "to": target.address, "probe": "loop", "probe_interval": "3s"}
    times = {"connect_timeout": timeout}
    holdfast.run(definition({"peer": sshd}, {"t": {"host": "peer", "forwards": [forward]}}, times), "-vv")
    holdfast.wait_up()
    wire.set("delay", "both", delay_ms)
    return wire


def test_a_probe_that_comes_late(hosts, tool, start_sshd, new_holdfast, serve):
    """It was given up when its connection was here, and what it says was not."""
    near, far = hosts
    holdfast = new_holdfast(near.prefix)
    with near.entered():
        echo = serve(servers.echo)
    wire = slow_probe(hosts, tool, start_sshd, holdfast, echo, 700, "2s")
    holdfast.wait_log(r"degraded \(was up\): .*nothing came within 2 s", 20)
    holdfast.wait_log(r"a probe came back \S+ s after it was given up", 10)
    assert not echo.connections, "the target has seen a probe"
    mark = holdfast.err.mark()
    wire.set("delay", "both", 0)
    holdfast.wait_log(r"carries again, as its probe shows", 30, mark)
    with far.entered():
        assert clients.exchange(REMOTE, b"it carries") == b"it carries"
    assert len(echo.connections) == 1, "the target has seen a probe"


@pytest.mark.parametrize("timeout", ["3s", "10s"])
def test_a_probe_that_comes_later_than_a_client_waits(hosts, tool, start_sshd, new_holdfast, serve, timeout):
    """Its connection is with the target by then, which is told nothing: given up before or not."""
    near, far = hosts
    holdfast = new_holdfast(near.prefix)
    with near.entered():
        echo = serve(servers.echo)
    wire = slow_probe(hosts, tool, start_sshd, holdfast, echo, 1200, timeout)
    connection = echo.wait_connection(timeout=20)
    if timeout == "3s":
        holdfast.wait_log(r"a probe came back \S+ s after it was given up", 20)
    wait_until(connection.finished.is_set, 20, "the probe's connection has ended")
    wire.set("delay", "both", 0)
    assert (connection.how, connection.received) == ("eof", 0)
    assert bool(holdfast.err.matching("degraded")) == (timeout == "3s")
    with far.entered():
        assert clients.exchange(REMOTE, b"it carries") == b"it carries"


def test_many_quiet_clients_beside_a_probe_that_hangs(hosts, link, start_sshd, new_holdfast, serve):
    """Each waits for the probe 0.2 s at most, however many come after it."""
    near, far = hosts
    sshd = start_sshd({"GatewayPorts": "clientspecified"}, host=Link.FAR, prefix=far.prefix)
    holdfast = new_holdfast(near.prefix)
    with near.entered():
        first = serve(servers.speaks_first)
    forward = {"remote": f"*:{REMOTE}", "to": first.address, "probe": "loop", "probe_interval": "1s"}
    holdfast.run(definition({"peer": sshd}, {"t": {"host": "peer", "forwards": [forward]}}, {"connect_timeout": "5s"}))
    holdfast.wait_up()
    far.nft(  # the probe's way, but not the clients': these come by another address of the same loopback
        "table inet deaf {\n chain in {\n type filter hook input priority 0;\n"
        f" ip daddr 127.0.0.1 tcp dport {REMOTE} drop\n ip6 daddr ::1 tcp dport {REMOTE} drop\n }}\n}}\n"
    )
    waits = []

    def client():
        begun = time.monotonic()
        with far.entered(), clients.connect(REMOTE, "127.0.0.2") as sock:
            assert sock.recv(1)
        waits.append(time.monotonic() - begun)

    threads = []
    for _ in range(200):  # one in 20 ms
        threads.append(threading.Thread(target=client, daemon=True))
        threads[-1].start()
        time.sleep(0.02)
    for thread in threads:
        thread.join(15)
    assert len(waits) == len(threads)
    assert max(waits) < 1.5, f"{max(waits):.2f} s"
