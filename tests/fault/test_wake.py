"""The network of the program's host changes: what waits tries at once, and what is up asks its peer."""

import re
import subprocess

from harness import clients
from harness.proc import wait_until

# Only hurry can bring a tunnel back while a test waits.
PATIENT = {"server_alive_interval": "300s", "backoff": {"first": "300s", "max": "300s"}}


def change_network(world, number):
    """An address more on the loopback, as a VPN or a Wi-Fi brings one."""
    words = [*world.near.prefix, "ip", "address", "add", f"10.99.{number}.1/32", "dev", "lo"]
    subprocess.run(words, check=True)


def test_a_waiting_tunnel_tries_at_once(new_world):
    world = new_world(**PATIENT).ready()
    world.sshd.stop()
    world.sshd.kill_sessions()
    # The first attempt after a session goes out at once and finds nobody; the second is minutes away.
    world.holdfast.wait_log(r"waiting \(was connecting\)", 20)
    world.sshd.start()
    mark = world.holdfast.err.mark()
    change_network(world, 1)
    world.holdfast.wait_log(r"the network has changed", 20, mark)
    world.holdfast.wait_up(timeout=20)
    world.check(clients.pattern(200_000))


def test_a_dead_session_is_found_out(new_world):
    """The link is gone and the keepalive would ask in five minutes: the change of network asks now."""
    world = new_world(**PATIENT).ready()
    world.link.cut()
    mark = world.holdfast.err.mark()
    change_network(world, 1)
    world.holdfast.wait_log(r"does not answer since the system woke up or its network changed", 20, mark)
    lost = set(world.sshd.session_pids())
    world.link.heal()
    # The new session finds its remote port held by the old one, until sshd has noticed that one's end.
    wait_until(lambda: not lost.intersection(world.sshd.session_pids()), 30, "sshd has ended the lost session")
    change_network(world, 2)
    world.holdfast.wait_up(timeout=30)
    world.check(clients.pattern(200_000))


def test_a_live_session_is_left_alone(new_world):
    world = new_world(**PATIENT).ready()
    sessions, mark = world.sshd.session_pids(), world.holdfast.err.mark()
    change_network(world, 1)
    world.holdfast.wait_log(r"the network has changed", 20, mark)
    world.check(clients.pattern(200_000))
    change_network(world, 2)
    mark = world.holdfast.err.mark()
    world.holdfast.wait_log(r"the network has changed", 20, mark)
    world.check(clients.pattern(200_000))
    assert world.sshd.session_pids() == sessions
    assert not [line for line in world.holdfast.err.since() if re.search("waiting|does not answer", line)]
