"""The program's host slept, or its network changes: what waits tries at once, and what is up asks its peer."""

import os
import re
import signal
import subprocess
import threading
import time

import pytest
from conftest import REMOTE, change_network
from harness import clients, servers
from harness.holdfast import definition, host_entry
from harness.netns import Link
from harness.proc import wait_until

# Only hurry can bring a tunnel back while a test waits.
SOON = 5 + 3  # seconds: what is promised, and what a busy machine may add
PATIENT = {"server_alive_interval": "300s", "backoff": {"first": "300s", "max": "300s"}}


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


def sleep(world, seconds):
    """The end of a stop, which is to the program what a suspend is: time that passes without it."""
    time.sleep(seconds)  # the length of the stop is what is tested
    world.holdfast.signal(signal.SIGCONT)


def up_again(world, mark, begun, what):
    world.holdfast.wait_log(r"\binfo\s+t: up\b", SOON, mark)
    took = time.monotonic() - begun
    print(f"{what}: up {took:.2f} s later")
    world.check(clients.pattern(200_000))
    return took


@pytest.mark.parametrize(
    "seconds",
    [11, pytest.param(90, marks=pytest.mark.skipif("HOLDFAST_SLOW" not in os.environ, reason="takes 90 s: HOLDFAST_SLOW=1"))],
)
def test_the_peer_ended_the_session_meanwhile(new_world, seconds):
    world = new_world(**PATIENT).ready()
    mark = world.holdfast.err.mark()
    world.holdfast.signal(signal.SIGSTOP)
    world.sshd.kill_sessions()
    sleep(world, seconds)
    up_again(world, mark, time.monotonic(), f"stopped for {seconds} s")


def test_the_way_back_was_forgotten_meanwhile(new_world):
    """A router on the way forgets the connection, and nothing answers on it for ever: only a question finds out."""
    world = new_world(**PATIENT).ready()
    mark = world.holdfast.err.mark()
    lost = set(world.sshd.session_pids())
    seen = subprocess.run([*world.far.prefix, "ss", "-Htn"], capture_output=True, text=True, check=True).stdout
    ports = re.findall(rf"{world.sshd.host}:{world.sshd.port}\s+\S+:(\d+)", seen)
    assert ports, "the session's connection is there"
    world.link.forget(*ports)
    stopped = time.monotonic()
    world.holdfast.signal(signal.SIGSTOP)
    wait_until(lambda: not lost.intersection(world.sshd.session_pids()), 30, "sshd has ended the lost session")
    sleep(world, max(0, stopped + 11 - time.monotonic()))
    up_again(world, mark, time.monotonic(), "stopped, and forgotten")


def processes_on_record(world):
    """The lines on which sshd serves us, of the tunnel's record."""
    texts = [path.read_text() for path in world.holdfast.folder.glob("**/state/holdfast/t.record")]
    return [line for text in texts for line in text.splitlines() if line.startswith("process ")]


def test_address_and_route_are_replaced(new_world):
    """Up within 5 s: 3 s for an answer that cannot come, and the rest to end the old session's sshd, which holds the remote
    port and would not let go of it. What a busy machine adds is not added each time: one of three has to hold it."""
    world = new_world(client_alive_interval=0, server_alive_interval="300s", reclaim=None).ready()
    known, times = [], []
    for net in ("10.78.0", "10.79.0", "10.80.0"):
        before = known
        wait_until(lambda before=before: processes_on_record(world) not in ([], before), 10, "who serves it is on record")
        known, mark = processes_on_record(world), world.holdfast.err.mark()
        begun = time.monotonic()
        world.near.ip("address", "flush", "dev", "cable")
        world.near.ip("address", "add", f"{net}.1/24", "dev", "cable")
        world.near.ip("route", "add", "10.77.0.0/24", "dev", "cable", "src", f"{net}.1")
        world.far.ip("route", "add", f"{net}.0/24", "dev", "cable")
        world.holdfast.wait_log(r"\binfo\s+t: binding\b", SOON, mark)
        print(f"another address: a session {time.monotonic() - begun:.2f} s later")
        times.append(up_again(world, mark, begun, "another address"))
        if times[-1] < 5:
            return
    raise AssertionError(f"up after {times} s")


def test_started_before_there_is_a_network(new_world, hosts):
    near, _ = hosts
    near.ip("link", "set", "cable", "down")
    world = new_world(**PATIENT)
    world.holdfast.wait_log(r"waiting \(was connecting\)", 20)
    mark = world.holdfast.err.mark()
    begun = time.monotonic()
    near.ip("link", "set", "cable", "up")
    up_again(world, mark, begun, "the network came")


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["to_far", "to_near"])
def test_nothing_passes_one_way_for_20_s(world, direction):
    mark = world.holdfast.err.mark()
    begun = time.monotonic()
    world.link.cut(direction)
    world.holdfast.wait_down(20, mark)
    time.sleep(max(0, begun + 20 - time.monotonic()))  # the length of the cut is what is tested
    mark = world.holdfast.err.mark()
    begun = time.monotonic()
    world.link.heal()
    up_again(world, mark, begun, f"nothing went {direction} for 20 s")


def test_a_network_that_changes_all_the_time(hosts, link, start_sshd, new_holdfast, serve):
    """The first address of the peer is dead; an attempt has time to come to the second, whatever goes on here."""
    near, far = hosts
    far.ip("addr", "add", "10.77.0.3/24", "dev", "cable")
    far.nft("table inet dead {\n chain in {\n type filter hook input priority 0; ip daddr 10.77.0.3 drop\n }\n}\n")
    sshd = start_sshd({}, host=Link.FAR, prefix=far.prefix)
    holdfast = new_holdfast(near.prefix)
    with near.entered():
        echo = serve(servers.echo)
    peer = host_entry(sshd, hostname=["10.77.0.3", Link.FAR], connect_timeout="6s")
    tunnel = {"host": "peer", "forwards": [{"remote": f"127.0.0.1:{REMOTE}", "to": echo.address}]}
    holdfast.run(definition({"peer": peer}, {"t": {**tunnel, "backoff": {"first": "100ms", "max": "1s"}}}))
    over = threading.Event()

    def change():
        for number in range(40):
            words = ["ip", "address", ("add", "del")[number % 2], "10.99.1.1/32", "dev", "lo"]
            subprocess.run([*near.prefix, *words], check=True)
            if over.wait(1):
                return

    thread = threading.Thread(target=change)
    thread.start()
    try:
        holdfast.wait_up(timeout=35)
    finally:
        over.set()
        thread.join()
