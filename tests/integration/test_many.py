"""Many connections at once, each with what is its own; and one that stands still does not hold up the others."""

import os
import statistics

import pytest
from harness import clients, servers
from harness.holdfast import flags, runner
from harness.ports import free_port
from harness.tools import SinkSource, assert_all_right, blast

both_directions = pytest.mark.parametrize("direction", ["local", "remote"])


@both_directions
def test_five_hundred_echoes(tool, open_forward, holdfast, direction):
    port = open_forward(direction, SinkSource(tool, "--echo"))
    baseline = holdfast.descriptors()
    reports, total = blast(
        tool, f"127.0.0.1:{port}", "--mode", "echo", "--channels", 500, "--bytes", "20000", "--ramp", 100, "--together"
    )
    assert total["total"] == 500
    assert_all_right(reports, total)
    holdfast.wait_descriptors(baseline, timeout=10)
    assert holdfast.stop() == 0


def times_of(tool, port, rounds):
    """Seconds that four channels take for 32 MiB each, so many times."""
    times = []
    for _ in range(rounds):
        reports, total = blast(
            tool, f"127.0.0.1:{port}", "--mode", "both", "--bytes", "32M", "--channels", 4, "--check", "count"
        )
        assert_all_right(reports, total)
        times.append(total["seconds"])
    return times


@both_directions
@pytest.mark.parametrize("stuck", ["client", "server"])
def test_one_that_never_reads_slows_nobody(tool, sshd, holdfast, serve, direction, stuck):
    """The same transfers with and without a connection whose receiving end never reads, alternating; compared by the
    fastest of each kind, since the machine has other things to do too (of more rounds where it has many). Filling the
    connection is mostly waiting, and what comes after a wait is slow for a while (pacing of TCP, processors that went to
    sleep): a transfer that is not counted goes ahead, so that both kinds begin warm."""
    source = SinkSource(tool)
    still = serve(servers.floods if stuck == "client" else servers.blackhole)
    flag = {"local": "-L", "remote": "-R"}[direction]
    port, still_port = free_port(), free_port()
    words = [flag, f"127.0.0.1:{port}:{source.address}", flag, f"127.0.0.1:{still_port}:{still.address}"]
    holdfast.start(*flags(sshd, *words))
    holdfast.wait_up(2)
    # A sanitizer slows what is slow already; under Wine every wait goes through one server that the machine's cores share.
    limit = 2 if os.environ.get("HOLDFAST_SANITIZED") or runner() else 1.2
    free, beside = [], []
    while len(free) < 4 or (len(free) < 16 and min(beside) > limit * min(free)):
        with clients.connect(still_port) as sock:
            fill(sock, stuck, still)
            times_of(tool, port, 1)  # warm
            beside += times_of(tool, port, 1)
        free += times_of(tool, port, 1)
    print(f"medians: free {statistics.median(free):.3f} s, beside a stuck one {statistics.median(beside):.3f} s")
    assert min(beside) <= limit * min(free), f"free {free}, beside a stuck one {beside}"


def fill(sock, stuck, server):
    """Brings the stuck connection to where it is stuck: nothing more fits in."""
    if stuck == "client":
        clients.read_exactly(sock, 1)
        connection = server.connections[-1]
        written = -1
        while written != connection.written:
            written = connection.written
            server.stopping.wait(0.3)
        return
    sock.settimeout(0.5)
    block = bytes(1 << 20)
    try:
        while True:
            sock.sendall(block)
    except TimeoutError:
        pass
