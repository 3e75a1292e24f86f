"""Free TCP ports that nothing else will take before the test does."""

import random
import socket


def is_free(port, host="127.0.0.1"):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port():
    """A port free on all addresses, below the range that the system takes for outgoing connections: a test that makes
    hundreds of those cannot collide with it."""
    for _ in range(1000):
        port = random.randint(10000, 32000)
        if is_free(port, "0.0.0.0"):
            return port
    raise AssertionError("no free port found")
