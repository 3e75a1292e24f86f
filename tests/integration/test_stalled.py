"""Connections whose receiving end never reads, while the other end sends what it can: each costs no more than its share.
(unit.test_session_stalled has two thousand, from a peer of our own: an sshd with so many full channels takes minutes, and
so many full sockets more memory than a system has for all of its TCP.)"""

import os

import pytest
from harness.holdfast import flags
from harness.ports import free_port
from harness.proc import cpu_seconds_of, own_kib_of, wait_until
from harness.tools import Crowd, SinkSource, assert_all_right, blast, hold

STALLED = 32
# docs/engine.md, "Marks": what a window holds goes to a reader of ours, and the first channels have 2 MiB each. A writer of
# ours that finds no reader over there costs what was read ahead of it and written behind it, and no window.
WINDOW_KIB, SOCKET_KIB, SESSION_KIB = 2048, 64, 2048
FLOOD = "8M"  # on each: the system alone takes four


def settled_kib(holdfast, sshd):
    """Its memory once nothing moves any more: for a second, neither end of the session has used the CPU."""
    last = [None, 0]

    def is_settled():
        try:
            now = [cpu_seconds_of(pid) for pid in (holdfast.pid, *sshd.session_pids())]
        except OSError:  # a child of the sshd that has just ended
            return False
        last[1] = last[1] + 1 if now == last[0] else 0
        last[0] = now
        return last[1] > 50  # wait_until looks fifty times a second

    wait_until(is_settled, 100, "nothing moves any more")
    return own_kib_of(holdfast.pid)


@pytest.mark.parametrize("direction", ["local", "remote"])
@pytest.mark.parametrize("stuck", ["client", "server"])
def test_readers_that_stall_cost_little(tool, sshd, holdfast, direction, stuck):
    """A stuck client of -L or server of -R stands at our side of the tunnel; the other two at the peer's."""
    crowd = Crowd(tool, "--flood", FLOOD) if stuck == "client" else Crowd(tool, "--deaf", "--greet")
    source = SinkSource(tool)
    flag = {"local": "-L", "remote": "-R"}[direction]
    port, stalled_port = free_port(), free_port()
    words = [flag, f"127.0.0.1:{port}:{source.address}", flag, f"127.0.0.1:{stalled_port}:{crowd.address}"]
    holdfast.start(*flags(sshd, *words))
    holdfast.wait_up(2)
    blast(tool, f"127.0.0.1:{port}", "--mode", "both", "--bytes", "16M")
    before = own_kib_of(holdfast.pid)
    hold(tool, stalled_port, STALLED, *(["--first-byte"] if stuck == "client" else ["--flood", FLOOD]), timeout=60)
    growth = (settled_kib(holdfast, sshd) - before) / 1024
    print(f"{direction}, {stuck} stuck: {growth:.1f} MiB for {STALLED} connections, {growth * 1024 / STALLED:.0f} KiB each")
    reports, total = blast(tool, f"127.0.0.1:{port}", "--mode", "both", "--bytes", "64K")
    assert_all_right(reports, total)
    ours_stands_still = (direction == "local") == (stuck == "client")
    sanitizer = 2 if os.environ.get("HOLDFAST_SANITIZED") else 1  # which takes 64 KiB for a packet of 32 KiB
    assert growth < sanitizer * (STALLED * (SOCKET_KIB + WINDOW_KIB * ours_stands_still) + SESSION_KIB) / 1024
