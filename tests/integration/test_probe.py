"""probe: tcp. A target that does not answer makes its forward degraded, with a sentence, and costs nobody a byte."""

import concurrent.futures
import hashlib
import socket
import threading
import time

import pytest
from harness import clients, servers
from harness.holdfast import definition
from harness.ports import free_port
from harness.proc import wait_until


class Restartable:
    """A server that can go and come back on the same port."""

    def __init__(self, serve):
        self._serve = serve
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.sock = None
        self.accepted = 0

    def start(self):
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(("127.0.0.1", self.port))
        self.sock.listen(16)
        threading.Thread(target=self._accept, args=(self.sock,), daemon=True).start()

    def _accept(self, sock):
        while True:
            try:
                client, _ = sock.accept()
            except OSError:
                return
            self.accepted += 1
            client.close()

    def stop(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


@pytest.mark.parametrize("direction", ["local", "remote"])
def test_a_target_that_goes_and_comes_back(sshd, holdfast, serve, direction):
    target = Restartable(serve)
    target.start()
    port, other = free_port(), free_port()
    echo = serve(servers.echo)
    forwards = [
        {direction: f"127.0.0.1:{port}", "to": target.address, "probe": "tcp", "probe_interval": "1s"},
        {direction: f"127.0.0.1:{other}", "to": echo.address},
    ]
    holdfast.run(definition({"peer": sshd}, {"t": {"host": "peer", "forwards": forwards}}))
    holdfast.wait_up()
    sessions = sshd.session_pids()
    wait_until(lambda: target.accepted >= 2, 10, "it is probed again and again")
    with clients.connect(other) as sock:
        target.stop()
        said = holdfast.wait_log(rf"degraded \(was up\): the target {target.address} does not answer a probe: (.+)", 20)
        assert said.group(1)
        sock.sendall(b"it carries")
        assert clients.read_exactly(sock, 10) == b"it carries"
        mark = holdfast.err.mark()
        target.start()
        holdfast.wait_log(r"carries again, as its probe shows", 20, mark)
        holdfast.wait_log(r"t: up \(was degraded\)", 20, mark)
        sock.sendall(b"all the time")
        assert clients.read_exactly(sock, 12) == b"all the time"
    assert sshd.session_pids() == sessions, "a target that is down is no fault of the session"
    target.stop()


@pytest.mark.parametrize("direction", ["local", "remote"])
def test_users_of_a_probed_forward_notice_nothing(sshd, holdfast, serve, direction):
    port = free_port()
    echo = serve(servers.echo)
    forward = {direction: f"127.0.0.1:{port}", "to": echo.address, "probe": "tcp", "probe_interval": "1s"}
    forward["max_channels"] = 1
    holdfast.run(definition({"peer": sshd}, {"t": {"host": "peer", "forwards": [forward]}}))
    holdfast.wait_up()
    data = clients.pattern(1 << 20)
    with clients.connect(port) as sock:
        digest = hashlib.sha256()
        for start in range(0, len(data), 1 << 16):
            sock.sendall(data[start : start + (1 << 16)])
            digest.update(clients.read_exactly(sock, min(1 << 16, len(data) - start)))
        assert digest.digest() == hashlib.sha256(data).digest()
        wait_until(lambda: len(echo.connections) >= 3, 15, "it is probed beside its user")
    assert not holdfast.err.matching("refused|degraded")


def test_users_beside_a_probe_that_loops(sshd, holdfast, serve):
    """Clients from the peer itself, which a probe is told apart from: those that speak first, late, or never, and those
    that begin as a probe could."""
    port, greeting = free_port(), free_port()
    echo, first = serve(servers.echo), serve(servers.speaks_first)
    looped = {"probe": "loop", "probe_interval": "1s"}
    forwards = [
        {"remote": f"127.0.0.1:{port}", "to": echo.address, **looped},
        {"remote": f"127.0.0.1:{greeting}", "to": first.address, **looped},
    ]
    holdfast.run(definition({"peer": sshd}, {"t": {"host": "peer", "forwards": forwards}}))
    holdfast.wait_up()

    def greeted():
        with clients.connect(greeting) as sock:
            return sock.recv(1)

    wanted = greeted()
    assert wanted
    end = time.monotonic() + 5  # several probes of each
    count = [0]

    def user(number):
        data = clients.pattern(1 + 4999 * number, number)
        while time.monotonic() < end:
            assert clients.exchange(port, data) == data
            assert greeted() == wanted
            count[0] += 1

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(user, number) for number in range(4)]:
            done.result()
    print(f"{count[0]} rounds beside probes")
    with clients.connect(port) as quiet:  # says nothing for longer than a probe is waited for
        time.sleep(1.5)
        quiet.sendall(b"late")
        assert clients.read_exactly(quiet, 4) == b"late"
    assert not holdfast.err.matching("warning|degraded")


def test_a_peer_that_does_not_permit_the_loop(start_sshd, holdfast, serve):
    sshd = start_sshd({"PermitOpen": "localhost:1"})
    port = free_port()
    forward = {"remote": f"127.0.0.1:{port}", "to": serve(servers.echo).address, "probe": "loop", "probe_interval": "1s"}
    holdfast.run(definition({"peer": sshd}, {"t": {"host": "peer", "forwards": [forward]}}))
    holdfast.wait_up()
    holdfast.wait_log(r"not probed, since the peer does not let us connect to its own listener", 15)
    assert clients.exchange(port, b"it carries") == b"it carries"
    assert not holdfast.err.matching("degraded")


def test_a_probe_that_loops_takes_nobodys_place(sshd, holdfast, serve):
    """It is no connection: max_channels is for those of clients, and so is the count."""
    port, free = free_port(), free_port()
    first = serve(servers.speaks_first)
    looped = {"to": first.address, "probe": "loop", "probe_interval": "1s", "max_channels": 1}
    forwards = [{"remote": f"127.0.0.1:{port}", **looped}, {"remote": f"127.0.0.1:{free}", **looped}]
    holdfast.run(definition({"peer": sshd}, {"t": {"host": "peer", "forwards": forwards}}), "-v")
    holdfast.wait_up()
    with clients.connect(port) as sock:
        assert sock.recv(1)
        time.sleep(3)  # a few probes
        (tunnel,) = holdfast.status()["tunnels"]
        assert [(one["state"], one["channels"], one["channels_total"]) for one in tunnel["forwards"]] == [
            ("up", 1, 1), ("up", 0, 0)]  # fmt: skip
        with clients.connect(port) as other:
            assert other.recv(1) == b"", "there is no room for a second one"
    wait_until(lambda: holdfast.status()["tunnels"][0]["forwards"][0]["channels"] == 0, 10, "the client has gone")
    with clients.connect(port) as sock:
        assert sock.recv(1)


def test_a_degraded_forward_hides_none_that_cannot_be_bound(sshd, holdfast, serve):
    """exit_on_forward_failure is about that one, whichever comes first in the definition."""
    target = Restartable(serve)
    forwards = [{"local": f"127.0.0.1:{free_port()}", "to": target.address, "probe": "tcp", "probe_interval": "1s"}]
    tunnel = {"host": "peer", "forwards": forwards, "exit_on_forward_failure": True, "backoff": {"first": "1s", "max": "1s"}}
    hosts = {"peer": sshd}
    holdfast.run(definition(hosts, {"t": tunnel}))
    holdfast.wait_log(r"t: degraded \(was up\): the target \S+ does not answer a probe", 15)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        forwards.append({"local": f"127.0.0.1:{taken.getsockname()[1]}", "to": target.address})
        (holdfast.folder / "tunnels.yaml").write_text(definition(hosts, {"t": tunnel}))
        assert holdfast.call("reload").returncode == 0
        holdfast.wait_log(r"t: waiting \(was degraded\): .*cannot listen on", 10)
    holdfast.wait_log(r"t: up \(was binding\)", 15)
