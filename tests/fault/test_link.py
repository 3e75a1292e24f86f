"""The link goes without a word, one way or both, and comes back."""

import time

import pytest
from conftest import INTERVAL, LIMIT, LOCAL
from harness import clients
from harness.holdfast import definition, host_entry


@pytest.mark.parametrize("direction", ["both", "to_far", "to_near"])
def test_cut_and_healed(world, direction):
    mark = world.holdfast.err.mark()
    begun = time.monotonic()
    world.link.cut(direction)
    world.holdfast.wait_down(LIMIT, mark)
    noticed = time.monotonic() - begun
    assert noticed > INTERVAL, "silence takes its time to be one"
    world.link.heal()
    world.holdfast.wait_up(timeout=20)
    print(f"cut {direction}: noticed after {noticed:.2f} s, up {time.monotonic() - begun - noticed:.2f} s after the heal")
    world.check(clients.pattern(200_000))
    assert world.holdfast.stop() == 0


def test_cut_shorter_than_the_limit_is_survived(world):
    """What was in flight is sent again by the kernels; neither side notices more than a delay."""
    sessions, mark = world.sshd.session_pids(), world.holdfast.err.mark()
    with world.near.entered():
        sock = clients.connect(LOCAL)
    with sock:
        sock.sendall(b"before")
        assert clients.read_exactly(sock, 6) == b"before"
        world.link.cut()
        sock.sendall(b"during")
        time.sleep(INTERVAL * 0.7)  # the length of the cut is what is tested
        world.link.heal()
        assert clients.read_exactly(sock, 6) == b"during"
    assert world.sshd.session_pids() == sessions
    assert not [line for line in world.holdfast.err.since(mark) if "waiting" in line]


def test_cut_in_full_flow(world):
    """The socket's send buffer is full when the link goes: noticed all the same, and the client is told."""
    with world.near.entered():
        sock = clients.connect(LOCAL)
    with sock:
        sock.settimeout(0.3)
        world.link.cut()
        mark = world.holdfast.err.mark()
        block = bytes(1 << 20)
        try:
            for _ in range(64):
                sock.sendall(block)
        except TimeoutError:
            pass
        world.holdfast.wait_down(LIMIT + 1, mark)
        assert clients.ends(sock, 2), "the client of a dead session is not left hanging"
    world.link.heal()
    world.holdfast.wait_up(timeout=20)
    world.check()


def test_cut_before_the_first_attempt(new_world, link):
    """Started while there is no way to the peer, it gets there once there is one."""
    link.cut()
    world = new_world()
    world.holdfast.wait_log(r"\bwaiting \(was connecting\)", 10)
    link.heal()
    world.ready()


@pytest.fixture
def names_from_far(hosts, link, tmp_path):
    """A prefix for a program on `near` whose name server is on `far`, where nothing answers."""
    near, far = hosts
    conf = tmp_path / "resolv.conf"
    conf.write_text(f"nameserver {link.FAR}\noptions timeout:30 attempts:2\n")
    link.cut()
    return near.prefix_with(conf, "/etc/resolv.conf")


def test_a_stop_does_not_wait_for_a_name_server(names_from_far, new_holdfast, start_sshd):
    """The system's lookup of a name cannot be called back, and takes a minute here."""
    holdfast = new_holdfast(names_from_far)
    peer = host_entry(start_sshd()) | {"hostname": "peer.example.net"}
    tunnel = {"host": "peer", "forwards": [{"local": f"127.0.0.1:{LOCAL}", "to": "127.0.0.1:9"}]}
    holdfast.run(definition({"peer": peer}, {"t": tunnel}))
    holdfast.wait_log("t: resolving")
    begun = time.monotonic()
    assert holdfast.stop() == 0
    assert time.monotonic() - begun < 10
    holdfast.wait_log("t: stopped")
