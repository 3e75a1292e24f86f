"""A wire as the world has them: long, thin, lossy. What a tunnel carries stays whole, and the tunnel stays up."""

import hashlib
import json
import signal
import threading
import time

import pytest
from conftest import LOCAL, REMOTE, change_network
from harness import clients, servers
from harness.netns import Wire
from harness.proc import wait_until
from harness.tools import SinkSource, assert_all_right, blast

MIB = 1 << 20


@pytest.fixture
def link(hosts, tool):
    return Wire(*hosts, tool)


@pytest.fixture
def patient_world(new_world):
    """Where nobody is to be given up: only a busy machine is that silent."""
    return new_world(client_alive_interval=20, server_alive_interval="20s").ready()


def carries(world, size):
    """Echoes through both forwards, whole, over one and the same session."""
    sessions = world.sshd.session_pids()
    with world.near.entered():
        assert clients.exchange(LOCAL, data := clients.pattern(size), timeout=60) == data
    with world.far.entered():
        assert clients.exchange(REMOTE, data := clients.pattern(size, seed=2), timeout=60) == data
    assert world.sshd.session_pids() == sessions, "the tunnel fell over on the way"


def test_the_wire_itself(hosts, tool):
    """What the others rely on: large frames arrive whole, and nothing arrives before its time, nor much after it."""
    near, far = hosts
    wire = Wire(near, far, tool, mtu=9000)
    wire.set("delay", "both", 25)
    sink = SinkSource(tool, prefix=far.prefix, host=Wire.FAR)
    assert_all_right(*blast(tool, sink.address, "--bytes", "8M", prefix=near.prefix))
    echo = tool("hf_echo", "--listen", f"{Wire.FAR}:0", prefix=far.prefix)
    port = echo.out.wait_for(r"^listening (\d+)$", 10)[0].group(1)
    ping = tool("hf_ping", "--count", "20", "--bytes", "8000", f"{Wire.FAR}:{port}", prefix=near.prefix)
    assert ping.wait(30) == 0, ping.err.text()
    assert 50_000 <= json.loads(ping.out.text())["p50_us"] < 75_000


def test_long_wire(patient_world):
    patient_world.link.set("delay", "both", 60)
    carries(patient_world, 2 * MIB)
    assert patient_world.holdfast.stop() == 0


def test_lossy_wire(patient_world):
    patient_world.link.set("delay", "both", 5)
    patient_world.link.set("loss", "both", 1)
    carries(patient_world, 2 * MIB)
    stats = json.loads(patient_world.link.set("stats"))
    assert stats["ab"]["dropped"] > 0 and stats["ba"]["dropped"] > 0, stats


@pytest.mark.slow
def test_thin_wire_with_a_deep_queue(world):
    """The bulk fills a queue that takes longer to drain than a peer may be silent: bytes that arrive prove life, whatever
    they belong to."""
    world.link.set("queue", "both", "4M")
    world.link.set("rate", "both", "500K")
    carries(world, 2 * MIB)


def test_cut_in_one_direction_under_load(world):
    world.link.set("rate", "both", "2M")
    with world.near.entered():
        sock = clients.connect(LOCAL)
    with sock:
        sock.setblocking(False)
        sock.send(bytes(MIB))
        mark = world.holdfast.err.mark()
        world.link.cut("to_near")
        world.holdfast.wait_down(6, mark)
    world.link.heal()
    world.holdfast.wait_up(timeout=20)
    world.check()


def test_an_upload_on_a_thin_wire_is_no_dead_peer(new_world):
    """The network changes, and the question whether the peer is there waits behind bulk for longer than an answer may take;
    nothing comes back meanwhile, since the server answers at the end only."""
    world = new_world(far_server=servers.digest_after_end, client_alive_interval=0, server_alive_interval="300s")
    world.holdfast.wait_up()
    sessions = world.sshd.session_pids()
    world.link.set("queue", "both", "4M")
    world.link.set("rate", "both", "12K")
    data = clients.pattern(160_000)
    with world.near.entered():
        sock = clients.connect(LOCAL)
    with sock:
        sock.settimeout(60)
        before = world.tunnel()["bytes_out"]
        sender = threading.Thread(target=lambda: (sock.sendall(data), sock.shutdown(1)))
        sender.start()
        wait_until(lambda: world.tunnel()["bytes_out"] > before + 100_000, 10, "the upload waits for the wire")
        mark = world.holdfast.err.mark()
        change_network(world, 1)
        world.holdfast.wait_log(r"the network has changed", 20, mark)
        assert clients.read_exactly(sock, 64).decode() == hashlib.sha256(data).hexdigest()
        sender.join()
    assert world.sshd.session_pids() == sessions, "the tunnel fell over on the way"


def test_a_round_trip_does_not_count_a_sleep(new_world):
    world = new_world(client_alive_interval=0, server_alive_interval="1s", server_alive_count_max=60).ready()
    before = world.tunnel()["bytes_out"]
    world.link.cut("to_near")
    wait_until(lambda: world.tunnel()["bytes_out"] > before, 10, "it has asked, and the answer is lost")
    world.holdfast.signal(signal.SIGSTOP)
    world.link.heal()
    time.sleep(11)  # the length of the stop is what is tested
    mark = world.holdfast.err.mark()
    world.holdfast.signal(signal.SIGCONT)
    world.holdfast.wait_log(r"the system was asleep", 20, mark)
    for _ in range(20):
        assert world.tunnel()["rtt_ms"] < 10_000
        time.sleep(0.05)  # all that came while it was stopped is read within this second
