"""Speed: bulk through one and eight connections, connections a second, the time that one message takes."""

from collections import defaultdict

from bench_lib import GIB, MIB, Bulk, Clients, in_turn, new_in_turn
from bench_table import Limit, Line

SAME_CIPHER = "aes256-gcm@openssh.com"
AT_ONCE = {"-L": (1, 64, 512), "-R": (1, 64, 100)}  # a listener of sshd keeps 128 that it has not yet accepted
RATE_MS = 2000
MOST = 20000  # connections in one go: fewer than there are ports to connect from


def throughput(world, options):
    for cipher in (None, SAME_CIPHER):
        for flag in ("-L", "-R"):
            for channels in channel_counts(cipher, options):
                for mode in ("up", "down"):
                    yield from bulk_lines(world, flag, mode, channels, cipher, options)


def channel_counts(cipher, options):
    if options.quick:
        return (8,) if cipher else (1,)
    return 1, 8


def bulk_lines(world, flag, mode, channels, cipher, options):
    """One case, in sessions that carry nothing else: two lines, of speed and of what it cost."""
    speed, cpu = defaultdict(list), defaultdict(list)
    size = options.bytes // channels * channels
    kinds = ("holdfast", "ssh") if cipher or options.quick else ("holdfast", "ssh", "plink")
    words = ["-c", cipher] if cipher else []
    flow = ["--mode", mode, "--channels", channels]
    for client in new_in_turn(world, kinds, [(flag, world.sink.address)], words, options.rounds):
        if not options.quick:
            client.blast(*flow, "--bytes", min(size, 64 * MIB) // channels)
        total, used = client.blast(*flow, "--bytes", size // channels)
        speed[client.kind].append(size / MIB / total["seconds"])
        cpu[client.kind].append(used * GIB / size)
    name = f"{flag} {mode}, {channels} channel{'s' * (channels > 1)}, {cipher.split('@')[0] if cipher else 'default'}"
    yield Line.of_rounds(f"throughput {name}", "MiB/s", speed, [Limit("ssh", least=1.0 if cipher else 1.3)])
    yield Line.of_rounds(f"  CPU {name}", "s/GiB", cpu, [Limit("ssh", most=1.0)] if cipher else [])


def rate(world, options):
    for flag, numbers in AT_ONCE.items():
        for at_once in (64,) if flag == "-R" and options.quick else numbers:
            yield from rate_lines(world, flag, at_once, options)


def rate_lines(world, flag, at_once, options):
    rates, failed = defaultdict(list), defaultdict(list)
    words = ["--at-once", at_once, "--total", MOST]
    for client in new_in_turn(world, ("holdfast", "ssh"), [(flag, world.echo)], [], options.rounds):
        world.report("hf_rate", *words, "--for", 200, client.address)
        measured_ms = RATE_MS // 5 if options.quick else RATE_MS
        found = world.report("hf_rate", *words, "--for", measured_ms, client.address)
        rates[client.kind].append(found["per_second"])
        failed[client.kind].append(found["failed"])
    name = f"{flag}, {at_once} at a time"
    yield Line.of_rounds(f"connections {name}", "1/s", rates, [Limit("ssh", least=1.3)])
    yield Line(f"  failed, {name}", "", {kind: sum(counts) for kind, counts in failed.items()}, [Limit(None, most=0)])


def ping(world, options):
    """One tunnel with two forwards: messages through the first, bulk through the second."""
    forwards = [("-L", world.echo), ("-L", world.sink.address)]
    with Clients(world, ("holdfast", "ssh"), forwards) as clients:
        for load in ("idle", "upload", "download"):
            yield from ping_lines(world, clients, load, options)


def ping_lines(world, clients, load, options):
    found = {client.kind: [] for client in clients}
    bulk_rates = {client.kind: [] for client in clients}
    for client in in_turn(clients, options.rounds):
        bulk = Bulk(client, 1, {"upload": "up", "download": "down"}[load]) if load != "idle" else None
        found[client.kind].append(world.report("hf_ping", "--count", 50 if options.quick else 400, client.address))
        if bulk:
            bulk_rates[client.kind].append(bulk.stop())
    for percentile in ("p50", "p99"):
        times = {kind: [one[f"{percentile}_us"] / 1000 for one in ones] for kind, ones in found.items()}
        limits = [Limit("ssh", most=1.0)] if percentile == "p99" else []
        yield Line.of_rounds(f"ping {percentile}, {load}", "ms", times, limits, tail=True)
    if load != "idle":
        yield Line.of_rounds(f"  the {load} meanwhile", "MiB/s", bulk_rates)
