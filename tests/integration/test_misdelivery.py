"""Ten thousand connections to fifty servers over one tunnel: each gets the answer of the server it asked, and all get one."""

import json

import pytest
from harness.holdfast import flags, runner
from harness.ports import free_port
from harness.tools import Crowd

SERVERS = 50
TOTAL, AT_ONCE = (1000, 100) if runner() else (10_000, 500)


def different_ports(count):
    ports = set()
    while len(ports) < count:
        ports.add(free_port())
    return sorted(ports)


@pytest.mark.parametrize("direction", ["local", "remote"])
def test_every_answer_is_of_the_server_that_was_asked(tool, sshd, holdfast, direction):
    servers = Crowd(tool, "--ports", str(SERVERS))
    ports = different_ports(SERVERS)
    flag = {"local": "-L", "remote": "-R"}[direction]
    words = []
    for port, address in zip(ports, servers.addresses, strict=True):
        words += [flag, f"127.0.0.1:{port}:{address}"]
    holdfast.start(*flags(sshd, *words))
    holdfast.wait_up(SERVERS, timeout=30)
    baseline = holdfast.descriptors()
    addresses = [f"127.0.0.1:{port}" for port in ports]
    visitors = tool("hf_crowd", "visit", "--total", str(TOTAL), "--at-once", str(AT_ONCE), *addresses)
    visitors.wait(150)
    (result,) = [json.loads(line) for line in visitors.out.since()]
    print(f"{direction}: {result}")
    assert result["ok"] == result["total"] == TOTAL and result["wrong"] == result["failed"] == 0, result
    assert result["at_once"] == AT_ONCE
    holdfast.wait_descriptors(baseline, timeout=10)
    assert holdfast.stop() == 0
