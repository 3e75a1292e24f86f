"""The system slept: to the program that is time that passes without it, and a stop of its process is the same."""

import signal
import socket
import threading
import time

import pytest
from harness import clients, servers
from harness.holdfast import definition, host_entry
from harness.ports import free_port

ASLEEP = 11  # seconds
SOON = 5 + 3  # what is promised, and what a busy machine may add
# Only hurry can bring the tunnel back while a test waits.
PATIENT = {"server_alive_interval": "300s", "backoff": {"first": "300s", "max": "300s"}}


class Router:
    """Passes connections on to the sshd, until it forgets those that it has: nothing is answered on them any more."""

    def __init__(self, serve, sshd):
        self._sshd = sshd
        self._remembered = threading.Event()
        self._remembered.set()
        self.server = serve(self._pass)

    def forget(self):
        self._remembered.clear()
        self._remembered = threading.Event()
        self._remembered.set()

    def _pass(self, connection):
        remembered = self._remembered
        try:
            there = socket.create_connection((self._sshd.host, self._sshd.port))
        except OSError:
            return
        with there:
            threading.Thread(target=self._copy, args=(there, connection.sock, remembered), daemon=True).start()
            self._copy(connection.sock, there, remembered)

    def _copy(self, source, target, remembered):
        try:
            while data := source.recv(65536):
                if remembered.is_set():
                    target.sendall(data)
            if not remembered.is_set():
                self.server.stopping.wait()
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@pytest.fixture
def world(holdfast, sshd, serve):
    """(holdfast with a tunnel that is up, the router before the sshd, the port where the tunnel begins)."""
    router, port = Router(serve, sshd), free_port()
    forwards = [{"local": f"127.0.0.1:{port}", "to": serve(servers.echo).address}]
    peer = host_entry(sshd, port=router.server.port, known_hosts_file="known_hosts")
    kind_and_key = sshd.known_hosts.read_text().split()[1:3]
    (holdfast.folder / "known_hosts").write_text(" ".join([f"[{sshd.host}]:{router.server.port}", *kind_and_key]) + "\n")
    holdfast.run(definition({"peer": peer}, {"t": {"host": "peer", "forwards": forwards, **PATIENT}}))
    holdfast.wait_up(timeout=60)
    return holdfast, router, port


def test_a_session_that_was_lost_meanwhile(world, sshd):
    """The peer ended it, and no word of that arrives: only a question finds out."""
    holdfast, router, port = world
    mark = holdfast.err.mark()
    holdfast.signal(signal.SIGSTOP)
    router.forget()
    sshd.kill_sessions()
    time.sleep(ASLEEP)  # the length of the stop is what is tested
    begun = time.monotonic()
    holdfast.signal(signal.SIGCONT)
    holdfast.wait_log(r"\binfo\s+t: up\b", SOON, mark)
    print(f"up {time.monotonic() - begun:.2f} s later")
    holdfast.wait_log("the system was asleep", SOON, mark)
    holdfast.wait_log("does not answer since the system woke up", SOON, mark)
    assert clients.exchange(port, clients.pattern(200_000)) == clients.pattern(200_000)


def test_a_waiting_tunnel_tries_at_once(world, sshd):
    """The peer was away before the sleep, and the next attempt is minutes away."""
    holdfast, _, port = world
    sshd.stop()
    sshd.kill_sessions()
    holdfast.wait_log(r"waiting \(was (?:connecting|handshaking)\)", 20)
    sshd.start()
    mark = holdfast.err.mark()
    holdfast.signal(signal.SIGSTOP)
    time.sleep(ASLEEP)
    holdfast.signal(signal.SIGCONT)
    holdfast.wait_log(r"\binfo\s+t: up\b", SOON, mark)
    assert clients.exchange(port, b"awake") == b"awake"
