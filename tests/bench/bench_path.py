"""A long path: two namespaces, and a wire between them with rate and delay of a good line to another continent."""

import contextlib
import json
import os
from pathlib import Path

from bench_lib import GIB, MIB, Clients, World, in_turn
from bench_table import Limit, Line
from harness.netns import Link, Namespace, Wire, sweep

RATE_BYTES = 125_000_000  # 1 Gbit/s
ROUND_TRIP_MS = 50
MTU = 9000  # a user-space wire pays for each packet
QUEUE = "8M"  # what waits for the rate: a little over what is on the way
SOCKET_BYTES = 64 << 20  # what one TCP may hold, so that none of the kernel's limits is what is measured


def is_possible():
    """Whether this process may make namespaces and TUN devices."""
    return os.geteuid() == 0 and Path("/dev/net/tun").exists()


@contextlib.contextmanager
def hosts():
    """(near, far): hosts whose TCP can fill a long line."""
    sweep()
    made = []
    try:
        for name in ("near", "far"):
            made.append(Namespace(name))
            made[-1].sysctl("net.ipv4.tcp_rmem", f"4096 131072 {SOCKET_BYTES}")
            made[-1].sysctl("net.ipv4.tcp_wmem", f"4096 65536 {SOCKET_BYTES}")
        yield made
    finally:
        for namespace in made:
            namespace.delete()


@contextlib.contextmanager
def two_hosts(options, folder):
    """The world of this measure: the client's host, and the sshd's at the far end of the wire."""
    with hosts() as (near, far):
        world = World(options, folder, near, far, Link.FAR, lambda tool: wire(near, far, tool))
        try:
            yield world
        finally:
            world.close()


def wire(near, far, tool):
    made = Wire(near, far, tool, MTU)
    for words in (("queue", "both", QUEUE), ("rate", "both", RATE_BYTES), ("delay", "both", ROUND_TRIP_MS // 2)):
        made.set(*words)
    return made


def path(world, options):
    size = options.bytes // (4 if options.quick else 2)
    with Clients(world, ("holdfast", "ssh", "tcp"), [("-L", world.sink.address)]) as clients:
        for name, mode, channels, limits in (
            ("download", "down", 1, [Limit("ssh", least=2.5), Limit("tcp", least=0.85)]),
            ("upload", "up", 1, [Limit("ssh", least=1.0)]),
            ("8 uploads together", "up", 8, [Limit("tcp", least=0.85)]),
        ):
            words = ["--mode", mode, "--channels", channels, "--bytes", size // channels]
            speed = {client.kind: [] for client in clients}
            cpu = {client.kind: [] for client in clients if client.kind != "tcp"}
            dropped = {client.kind: 0 for client in clients}
            for client in in_turn(clients, options.rounds):
                before = packets_dropped(world)
                total, used = client.blast(*words)
                speed[client.kind].append(size / MIB / total["seconds"])
                if client.kind in cpu:
                    cpu[client.kind].append(used * GIB / size)
                dropped[client.kind] += packets_dropped(world) - before
            yield Line.of_rounds(f"1 Gbit/s, {ROUND_TRIP_MS} ms: {name}", "MiB/s", speed, limits)
            yield Line.of_rounds(f"  CPU {name}", "s/GiB", cpu)
            yield Line(f"  packets that the wire dropped, {name}", "", dropped)


def packets_dropped(world):
    stats = json.loads(world.link.set("stats"))
    return stats["ab"]["dropped"] + stats["ba"]["dropped"]
