"""probe: loop. A listener on the peer that leads nowhere is noticed, and carries again once it can."""

from conftest import REMOTE
from harness import clients, servers
from harness.holdfast import definition
from harness.netns import Link
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
