"""What a tunnel costs while nothing happens, and how soon it is back: memory, wake-ups, recovery."""

import os
import signal
import socket
import subprocess
import time

from bench_lib import Client, Clients, in_turn
from bench_table import Limit, Line
from harness.proc import wait_until

CHANNELS = 2000
RAMP = 64  # ssh keeps 128 connections that it has not yet accepted
IDLE_SECONDS = 10


def settled(read, quiet=0.3, timeout=5):
    """The value that `read` gives once it has been the same for `quiet` seconds; the last one when it never is."""
    value, since = read(), time.monotonic()
    deadline = since + timeout

    def same_for_long():
        nonlocal value, since
        fresh = read()
        if fresh != value:
            value, since = fresh, time.monotonic()
        return time.monotonic() > min(since + quiet, deadline)

    wait_until(same_for_long, timeout + 1, "a value that stays")
    return value


def memory(world, options):
    """Each program alone, so that no page is shared with another of them; sshd and its libraries are there for all."""
    idle, private, channel = {}, {}, {}
    channels = CHANNELS // 5 if options.quick else CHANNELS
    for kind in in_turn(["holdfast", "ssh", "autossh", "plink"], options.rounds):
        with Clients(world, [kind], [("-L", world.echo)]) as clients:
            for client in clients:
                world.report("hf_rate", "--total", 1, client.address)
                before = settled(client.private_kib)  # PSS also moves when others come and go
                private.setdefault(kind, []).append(before)
                idle.setdefault(kind, []).append(client.pss_kib())
                if kind in ("holdfast", "ssh"):
                    with_channels = memory_with_channels(world, client, channels)
                    channel.setdefault(kind, []).append((with_channels - before) / channels)
    yield Line.of_rounds("memory (PSS), idle", "KiB", idle, [Limit("ssh", most=1)])
    yield Line.of_rounds("  of it private", "KiB", private)
    yield Line.of_rounds(f"  each of {channels} idle channels", "KiB", channel, [Limit(None, most=8)])


def memory_with_channels(world, client, channels):
    words = ["--hold", "--total", str(channels), "--ramp", str(RAMP), client.address]
    holder = world.near_tool("hf_rate", *words, stdin=subprocess.PIPE)
    holder.out.wait_for(r'"failed": 0,', 120)
    value = settled(client.private_kib)
    holder.stdin.close()
    holder.wait(30)
    return value


def wakeups(world, options):
    """All of them at the same time: they sleep. Keepalives are not due before the end. Who looks at its sockets without
    sleep is not woken: the CPU time tells of that."""
    found, cpu, seconds = {}, {}, 2 if options.quick else IDLE_SECONDS
    kinds = ("holdfast", "ssh", "autossh", "plink")
    with Clients(world, kinds, [("-L", world.echo)], ["-o", "ServerAliveInterval=3600"]) as clients:
        for client in clients:
            world.report("hf_rate", "--total", 200, client.address)
        settled(lambda: [client.sleeps() for client in clients], 1)
        for _ in range(options.rounds):
            before = {client.kind: (client.sleeps(), client.cpu_seconds()) for client in clients}
            time.sleep(seconds)  # this is what is measured
            for client in clients:
                sleeps, used = before[client.kind]
                found.setdefault(client.kind, []).append(client.sleeps() - sleeps)
                cpu.setdefault(client.kind, []).append(1000 * (client.cpu_seconds() - used))
    yield Line.of_rounds(f"wake-ups in {seconds} s, idle", "", found, [Limit(None, most=2)])
    yield Line.of_rounds("  CPU meanwhile", "ms", cpu, [Limit(None, most=20)])


def recovery(world, options):
    words = ["-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=2"]
    for flag in ("-L", "-R"):
        found = {}
        for kind in in_turn(["holdfast", "autossh"], options.rounds):
            with Clients(world, [kind], [(flag, world.echo)], words) as clients:
                for client in clients:
                    found.setdefault(kind, []).append(1000 * seconds_until_back(world, client))
        yield Line.of_rounds(f"recovery, sshd's session killed, {flag}", "ms", found, [Limit("autossh", most=1)])


def seconds_until_back(world, client: Client):
    host, port = client.address.rsplit(":", 1)
    wait_until(lambda: answers((host, int(port))), 15, f"{client.kind} answers")
    sessions = world.sshd.session_pids()
    begun = time.monotonic()
    for pid in sessions:
        os.kill(pid, signal.SIGKILL)
    while not answers((host, int(port))):
        assert time.monotonic() < begun + 60, f"{client.kind} does not come back"
        time.sleep(0.002)  # nothing tells when a port that is refused is there again
    return time.monotonic() - begun


def answers(address):
    """Whether a message comes back through the forward."""
    try:
        with socket.create_connection(address, 10) as connection:
            connection.sendall(b"anybody there?")
            return connection.recv(64) != b""
    except OSError:
        return False
