"""Stopping: no new connections, those that run may finish, and a second signal means now."""

import os
import signal
import time

import pytest
from harness import clients, servers
from harness.holdfast import definition, flags
from harness.ports import free_port, is_listened_on
from harness.proc import wait_until

GRACE = 5


@pytest.fixture
def running(sshd, holdfast, serve):
    """(local port, remote port) of a running one-line tunnel to an echo server."""
    echo = serve(servers.echo)
    local, remote = free_port(), free_port()
    words = ["-L", f"127.0.0.1:{local}:{echo.address}", "-R", f"127.0.0.1:{remote}:{echo.address}"]
    holdfast.start(*flags(sshd, *words))
    holdfast.wait_up(2)
    return local, remote


def open_and_use(port):
    sock = clients.connect(port)
    sock.sendall(b"x")
    assert clients.read_exactly(sock, 1) == b"x"
    return sock


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_idle_tunnel_ends_at_once(running, holdfast, number):
    begun = time.monotonic()
    holdfast.signal(number)
    assert holdfast.wait() == 0
    assert time.monotonic() - begun < 2


def test_channels_may_finish(running, holdfast):
    """Both listeners are gone soon, the open connections go on, and when they end the program ends."""
    local, remote = running
    with open_and_use(local) as one, open_and_use(remote) as two:
        holdfast.signal(signal.SIGTERM)
        wait_until(lambda: not is_listened_on(local), 2, "the local listener is gone")
        wait_until(lambda: not is_listened_on(remote), 2, "the peer's listener is gone")
        for sock in (one, two):
            sock.sendall(b"still here")
            assert clients.read_exactly(sock, 10) == b"still here"
        assert holdfast.is_running()
        begun = time.monotonic()
    assert holdfast.wait() == 0
    assert time.monotonic() - begun < 2


@pytest.mark.slow
def test_channels_that_never_finish_are_cut(running, holdfast):
    with open_and_use(running[0]):
        begun = time.monotonic()
        holdfast.signal(signal.SIGTERM)
        assert holdfast.wait() == 0
        assert GRACE - 1 < time.monotonic() - begun < GRACE + 2


def test_second_signal_ends_at_once(running, holdfast):
    with open_and_use(running[0]):
        holdfast.signal(signal.SIGTERM)
        wait_until(lambda: not is_listened_on(running[0]), 2, "the first signal has arrived")
        begun = time.monotonic()
        holdfast.signal(signal.SIGTERM)
        assert holdfast.wait() == 0
        assert time.monotonic() - begun < 1


@pytest.mark.parametrize("_number", range(10))  # the moment is short
def test_a_signal_at_any_moment_of_the_end(running, holdfast, _number):
    """However often it is asked, also while it gives its handlers back: the end is an orderly one."""
    while holdfast.is_running():
        for _ in range(100):
            os.kill(holdfast.pid, signal.SIGTERM)
    assert holdfast.wait() == 0


def test_run_stops_all_tunnels(start_sshd, holdfast, serve):
    hosts = {"one": start_sshd(), "two": start_sshd()}
    forwards = [{"remote": "127.0.0.1:0", "to": serve(servers.echo).address}]
    holdfast.run(definition(hosts, {f"t-{name}": {"host": name, "forwards": forwards} for name in hosts}))
    holdfast.wait_up(2)
    assert holdfast.stop() == 0
    for sshd in hosts.values():
        wait_until(lambda sshd=sshd: not sshd.session_pids(), 5, "the sessions have ended at the peer")


def test_stop_while_the_peer_is_away(sshd, holdfast, serve):
    """A program that waits for its next attempt stops just as fast."""
    holdfast.run(
        definition(
            {"peer": sshd},
            {"t": {"host": "peer", "forwards": [{"remote": "127.0.0.1:0", "to": serve(servers.echo).address}]}},
        )
    )
    holdfast.wait_up()
    mark = holdfast.err.mark()
    sshd.stop()
    holdfast.wait_down(mark=mark)
    begun = time.monotonic()
    assert holdfast.stop() == 0
    assert time.monotonic() - begun < 2
