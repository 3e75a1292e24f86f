"""`holdfast doctor` where the network itself is at fault: two hosts with a link that loses, refuses or has no way."""

import json
import re
import subprocess

import pytest
from conftest import REMOTE
from harness import servers
from harness.holdfast import binary, definition, host_entry
from harness.netns import Link
from test_local_names import link_local, respond  # noqa: F401

NOBODY = "10.77.0.9"  # an address of the link that no host has


@pytest.fixture
def doctor(hosts, link, start_sshd, new_holdfast, serve):
    """look(to, seconds, remote, words of the host) -> the hops of a tunnel from near to the sshd on far."""
    near, far = hosts
    sshd = start_sshd(host=Link.FAR, prefix=far.prefix)
    program = new_holdfast(near.prefix)
    with near.entered():
        echo = serve(servers.echo)

    def look(to=None, seconds=1, remote=REMOTE, **host):
        text = definition(
            {"peer": host_entry(sshd, **host)},
            {"t": {"host": "peer", "forwards": [{"remote": remote, "to": to or echo.address}]}},
            {"connect_timeout": f"{seconds}s"},
        )
        path = program.folder / "t.yaml"
        path.write_text(text)
        done = subprocess.run(
            [*near.prefix, binary(), "doctor", "-c", str(path), "--json"],
            env=program.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.stderr == ""
        print(done.stdout)
        hops = json.loads(done.stdout)[0]["hops"]
        failed = [hop for hop in hops if hop["result"] == "fail"]
        assert done.returncode == (1 if failed else 0)
        return hops

    look.near, look.far, look.link, look.sshd = near, far, link, sshd
    return look


def only_failure(hops, name, seen, mend):
    failed = [hop for hop in hops if hop["result"] == "fail"]
    assert [hop["hop"] for hop in failed] == [name]
    assert re.search(seen, failed[0]["seen"]), failed
    assert re.search(mend, failed[0]["mend"]), failed


def drop(doctor, rule):
    """A rule of the far host's filter for what comes in."""
    doctor.far.nft(f"table inet t {{\n chain in {{ type filter hook input priority 0; {rule}\n }}\n}}\n")


def test_all_is_well(doctor):
    assert {hop["result"] for hop in doctor()} == {"ok"}


def test_a_name_that_the_local_network_tells(doctor, respond):  # noqa: F811
    for namespace in (doctor.near, doctor.far):
        link_local(namespace)
    respond({"macbook.local": [Link.FAR]})
    hops = doctor(hostname="macbook.local", strict_host_key_checking="no", seconds=5)
    (name,) = [hop for hop in hops if hop["hop"] == "name"]
    assert name["result"] == "ok"
    assert f"macbook.local: {Link.FAR} (by multicast DNS)" in name["seen"]
    assert not [hop for hop in hops if hop["result"] == "fail"]


def test_a_name_that_nobody_tells(doctor):
    only_failure(doctor(hostname="macbook.local", seconds=5), "name", "macbook.local: ", "Bonjour")


def test_packets_vanish(doctor):
    doctor.link.cut()
    only_failure(doctor(), "connect", "no answer: packets vanish", "firewall")


def test_a_firewall_rejects(doctor):
    drop(doctor, f"tcp dport {doctor.sshd.port} reject with icmp type host-prohibited")
    only_failure(doctor(), "connect", "no route to host", "firewall")


def test_a_firewall_resets(doctor):
    drop(doctor, f"tcp dport {doctor.sshd.port} reject with tcp reset")
    only_failure(doctor(), "connect", "connection refused", "start the sshd")


def test_nobody_has_the_address(doctor):
    only_failure(doctor(hostname=NOBODY, seconds=8), "connect", "no route to host: nobody has", "has this address now")


def test_no_route(doctor):
    only_failure(doctor(hostname="192.0.2.7"), "connect", "network is unreachable", "route")


def test_the_link_is_down(doctor):
    doctor.near.ip("link", "set", "cable", "down")
    only_failure(doctor(), "connect", "network is unreachable", "connect this machine to the network")


def test_an_address_that_does_not_answer_before_one_that_does(doctor):
    """The next address of the list is taken, and the first one is told of."""
    hops = doctor(hostname=["192.0.2.7", Link.FAR])
    (warning,) = [hop for hop in hops if hop["result"] != "ok"]
    assert (warning["hop"], warning["result"]) == ("connect", "warning")
    assert "192.0.2.7" in warning["seen"] and "unreachable" in warning["seen"]


@pytest.mark.parametrize("bytes_at_most", [1300, 1450])
def test_large_packets_vanish(doctor, bytes_at_most):
    """What the peer's key exchange needs fits; what is larger goes without a word."""
    drop(doctor, f"meta length > {bytes_at_most} tcp dport {doctor.sshd.port} drop")
    only_failure(doctor(seconds=2), "packet size", "small packets pass, but 8 KiB", "MTU")


def test_even_the_key_exchange_is_too_large(doctor):
    drop(doctor, f"meta length > 600 tcp dport {doctor.sshd.port} drop")
    only_failure(doctor(), "algorithms", "did not finish within 1 s", "MTU")


def test_virtual_pc_shares_a_network_that_nothing_reaches(doctor):
    hops = doctor(to="192.168.131.70:4444")
    only_failure(hops, "target", "Virtual PC's shared network", "Loopback Adapter")


def test_a_guest_on_the_loopback_adapter_that_is_off(doctor):
    doctor.near.ip("link", "add", "adapter", "type", "veth", "peer", "name", "guest")
    doctor.near.ip("addr", "add", "192.168.200.1/24", "dev", "adapter")
    for end in ("adapter", "guest"):
        doctor.near.ip("link", "set", end, "up")
    only_failure(doctor(to="192.168.200.2:4444"), "target", "no answer.*loopback adapter", "second card")


def test_the_gateway_s_port_is_reached_or_walled(doctor):
    """Others are wanted: the sshd lets them, and the far host's firewall may keep them out."""
    doctor.sshd.set_options(GatewayPorts="clientspecified")
    doctor.sshd.restart()
    hops = doctor(remote=f"*:{REMOTE}")
    assert {hop["result"] for hop in hops} == {"ok"}
    assert any(f"{Link.FAR} port {REMOTE} was reached from here" in hop["seen"] for hop in hops)
    drop(doctor, f"iifname cable tcp dport {REMOTE} drop")
    (warning,) = [hop for hop in doctor(remote=f"*:{REMOTE}") if hop["result"] != "ok"]
    assert (warning["hop"], warning["result"]) == ("permission", "warning")
    assert "not reached from here" in warning["seen"] and "firewall" in warning["mend"]
