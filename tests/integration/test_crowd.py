"""Thousands of channels in one session that do nothing, and thousands of keepalives: neither is in anybody's way, and
neither leaves anything behind."""

import os
import statistics

import pytest
from harness.holdfast import definition, flags, runner
from harness.ports import free_port
from harness.proc import cpu_seconds_of, own_kib_of, wait_until
from harness.tools import Crowd, SinkSource, assert_all_right, blast, hold, release

IDLE = 200 if runner() else 2000
ROUNDS = 4
KEEPALIVES = 600 if runner() else 6000
SANITIZED = bool(os.environ.get("HOLDFAST_SANITIZED"))


def one_transfer(tool, holdfast, port):
    """(seconds, CPU seconds of holdfast) of one channel that carries 64 MiB each way. Those of the CPU come in ticks."""
    cpu = cpu_seconds_of(holdfast.pid)
    reports, total = blast(tool, f"127.0.0.1:{port}", "--mode", "both", "--bytes", "64M", "--check", "count")
    assert_all_right(reports, total)
    return total["seconds"], cpu_seconds_of(holdfast.pid) - cpu


@pytest.mark.parametrize("direction", ["local", "remote"])
def test_idle_channels_are_in_nobodys_way(tool, many_descriptors, sshd, holdfast, direction):
    """An sshd looks at each of its channels in every turn, and is many times slower with thousands; what it takes longer
    is its own work. (unit.test_session_crowd measures ours against a peer without that.)"""
    source, idle = SinkSource(tool), Crowd(tool, "--greet")
    flag = {"local": "-L", "remote": "-R"}[direction]
    port, idle_port = free_port(), free_port()
    words = [flag, f"127.0.0.1:{port}:{source.address}", flag, f"127.0.0.1:{idle_port}:{idle.address}"]
    holdfast.start(*flags(sshd, *words))
    holdfast.wait_up(2)
    baseline = holdfast.descriptors()
    one_transfer(tool, holdfast, port)  # warm
    free, beside = [], []
    for _ in range(ROUNDS):
        free.append(one_transfer(tool, holdfast, port))
        crowd = hold(tool, idle_port, IDLE, "--first-byte")
        beside.append(one_transfer(tool, holdfast, port))
        release(crowd)
        holdfast.wait_descriptors(baseline, timeout=20)
    (free_s, free_cpu), (beside_s, beside_cpu) = (
        [statistics.median(values) for values in zip(*rounds, strict=True)] for rounds in (free, beside)
    )
    print(
        f"{direction}: alone {free_s:.3f} s, {free_cpu:.3f} s of CPU; beside {IDLE} idle channels {beside_s:.3f} s, "
        f"{beside_cpu:.3f} s of CPU"
    )
    tick = 1 / os.sysconf("SC_CLK_TCK")
    assert beside_cpu - free_cpu <= max(beside_s - free_s, 0.25 * free_s) / 3 + tick, f"{free} {beside}"
    assert holdfast.stop() == 0


def test_a_days_keepalives_in_seconds(start_sshd, holdfast):
    """At the shortest interval, as many as a day brings at the usual one of 15 s; each is answered."""
    sshd = start_sshd({"LogLevel": "DEBUG1"})
    times = {"server_alive_interval": "1ms", "server_alive_count_max": 1000}
    forward = {"local": f"127.0.0.1:{free_port()}", "to": "127.0.0.1:9"}
    holdfast.run(definition({"peer": sshd}, {"t": {"host": "peer", "forwards": [forward]}}, times))
    holdfast.wait_up()
    mark, up = sshd.log.mark(), holdfast.err.mark()
    memory = []
    for count in (KEEPALIVES // 3, KEEPALIVES):
        wait_until(lambda count=count: len(sshd.log.since(mark)) >= count, 60, f"{count} keepalives have come")
        memory.append(own_kib_of(holdfast.pid))
    asked = len(sshd.log.matching("server_input_global_request: rtype keepalive@openssh.com want_reply 1", mark))
    print(f"{asked} keepalives; KiB after a third and at the end: {memory}")
    assert asked >= KEEPALIVES * 0.9
    assert memory[1] <= memory[0] + (4096 if SANITIZED else 64)
    assert not holdfast.err.matching("waiting|ended", up)
    assert holdfast.stop() == 0
