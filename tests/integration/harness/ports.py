"""Free TCP ports that nothing else will take before the test does."""

import itertools
import random
import socket
from pathlib import Path


def is_free(port, host="127.0.0.1"):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


# Below the range that the system takes for outgoing connections: a test that makes hundreds of those cannot collide
# with it.
PORTS = itertools.cycle(random.sample(range(10000, 32000), 22000))


def free_port():
    """A port free on all addresses, and no port twice: what asks for six of them before anything listens gets six."""
    for port in itertools.islice(PORTS, 1000):
        if is_free(port, "0.0.0.0"):
            return port
    raise AssertionError("no free port found")


def is_listened_on(port, pid="self"):
    """Whether any address of this machine (of the namespace of process `pid`) listens on it. Asked of the kernel: to
    connect would be a connection, and to bind is refused as long as old connections linger."""
    wanted = f":{port:04X}"
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue  # the process has ended, or there is no IPv6
        for line in lines:
            fields = line.split()
            if fields[1].endswith(wanted) and fields[3] == "0A":  # LISTEN
                return True
    return False
