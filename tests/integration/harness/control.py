"""What the tests of the control channel share, over a Unix socket and over a pipe."""

import json
import threading
import time

import pytest

from . import clients, servers
from .holdfast import definition
from .ports import free_port

STATUS = b'{"v":1,"command":"status"}\n'
CLIENTS_MAX = 16

# What is no request, and the code of the answer to it.
BAD = {
    "not JSON": (b"status\n", "usage"),
    "empty": (b"\n", "usage"),
    "bytes": (bytes(range(1, 10)) + b"\xff\xfe\x00\n", "usage"),
    "a list": (b"[]\n", "usage"),
    "deep": (b"[" * 60000 + b"\n", "usage"),
    "no version": (b'{"command":"status"}\n', "usage"),
    "another version": (b'{"v":99,"command":"status"}\n', "unsupported"),
    "no command": (b'{"v":1}\n', "usage"),
    "an unknown command": (b'{"v":1,"command":"format"}\n', "unsupported"),
    "an unknown name": (b'{"v":1,"command":"stop","names":["x"]}\n', "usage"),
    "ten thousand names": (json.dumps({"v": 1, "command": "stop", "names": ["x"] * 10000}).encode() + b"\n", "usage"),
}


def error_of(reply):
    assert reply["v"] == 1 and reply["ok"] is False and set(reply["error"]) == {"code", "message"}
    return reply["error"]["code"]


@pytest.fixture
def running(holdfast, sshd, serve):
    """(holdfast with one tunnel that is up, the port of its echo server)."""
    echo = serve(servers.echo)
    port = free_port()
    tunnel = {"host": "desk", "forwards": [{"local": f"127.0.0.1:{port}", "to": echo.address}]}
    holdfast.run(definition({"desk": sshd}, {"t": tunnel}))
    holdfast.wait_up()
    return holdfast, port


@pytest.fixture
def traffic(running):
    """A connection through the tunnel that is used all the while; each answer must come."""
    _, port = running
    ended, begun_to_talk = threading.Event(), threading.Event()
    slowest = [0.0]
    failure = []

    def talk():
        try:
            with clients.connect(port) as sock:
                while not ended.wait(0.01):
                    begun = time.monotonic()
                    sock.sendall(b"ping")
                    assert clients.read_exactly(sock, 4) == b"ping"
                    slowest[0] = max(slowest[0], time.monotonic() - begun)
                    begun_to_talk.set()
        except (OSError, AssertionError) as error:
            failure.append(error)

    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    assert begun_to_talk.wait(15)
    yield slowest
    ended.set()
    thread.join(10)
    assert not failure
    assert slowest[0] < 3, f"one answer took {slowest[0]:.1f} s"
