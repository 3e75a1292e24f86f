"""Speed: bulk through one and eight connections, connections a second, the time that one message takes."""

from bench_lib import GIB, MIB, Bulk, Clients, in_turn
from bench_table import Limit, Line

SAME_CIPHER = "aes256-gcm@openssh.com"
AT_ONCE = {"-L": (1, 64, 512), "-R": (1, 64, 100)}  # a listener of sshd keeps 128 that it has not yet accepted
RATE_MS = 2000
MOST = 20000  # connections in one go: fewer than there are ports to connect from


def throughput(world, options):
    for cipher in (None, SAME_CIPHER):
        for flag in ("-L", "-R"):
            words = ["-c", cipher] if cipher else []
            kinds = ("holdfast", "ssh") if cipher or options.quick else ("holdfast", "ssh", "plink")
            with Clients(world, kinds, [(flag, world.sink.address)], words) as clients:
                for channels in channel_counts(cipher, options):
                    for mode in ("up", "down"):
                        yield from bulk_lines(clients, flag, mode, channels, cipher, options)


def channel_counts(cipher, options):
    if options.quick:
        return (8,) if cipher else (1,)
    return 1, 8


def bulk_lines(clients, flag, mode, channels, cipher, options):
    """One case: two lines, of speed and of what it cost."""
    speed, cpu = {client.kind: [] for client in clients}, {client.kind: [] for client in clients}
    size = options.bytes // channels * channels
    words = ["--mode", mode, "--channels", channels]
    for client in [] if options.quick else clients:
        client.blast(*words, "--bytes", min(size, 64 * MIB) // channels)
    for client in in_turn(clients, options.rounds):
        total, used = client.blast(*words, "--bytes", size // channels)
        speed[client.kind].append(size / MIB / total["seconds"])
        cpu[client.kind].append(used * GIB / size)
    name = f"{flag} {mode}, {channels} channel{'s' * (channels > 1)}, {cipher.split('@')[0] if cipher else 'default'}"
    yield Line.of_rounds(f"throughput {name}", "MiB/s", speed, [Limit("ssh", least=1.0 if cipher else 1.3)])
    yield Line.of_rounds(f"  CPU {name}", "s/GiB", cpu, [Limit("ssh", most=1.0)] if cipher else [])


def rate(world, options):
    for flag, numbers in AT_ONCE.items():
        with Clients(world, ("holdfast", "ssh"), [(flag, world.echo)]) as clients:
            for at_once in numbers if flag == "-L" or not options.quick else (64,):
                yield from rate_lines(world, clients, flag, at_once, options)


def rate_lines(world, clients, flag, at_once, options):
    rates, failed = {client.kind: [] for client in clients}, {client.kind: 0 for client in clients}
    words = ["--at-once", at_once, "--total", MOST]
    for client in clients:
        world.report("hf_rate", *words, "--for", 200, client.address)
    for client in in_turn(clients, options.rounds):
        found = world.report("hf_rate", *words, "--for", RATE_MS // 5 if options.quick else RATE_MS, client.address)
        rates[client.kind].append(found["per_second"])
        failed[client.kind] += found["failed"]
    yield Line.of_rounds(f"connections {flag}, {at_once} at a time", "1/s", rates, [Limit("ssh", least=1.3)])
    yield Line(f"  failed, {flag}, {at_once} at a time", "", failed, [Limit(None, most=0)])


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
