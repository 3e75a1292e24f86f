"""max_channels: what comes beyond it is refused cleanly, and said once."""

import pytest
from harness import clients, servers
from harness.holdfast import definition
from harness.ports import free_port

MAX = 2


def refused(port):
    """Whether a connection is ended before it carried anything."""
    with clients.connect(port) as sock:
        try:
            sock.sendall(b"?")
            return sock.recv(1) == b""
        except ConnectionError:
            return True


@pytest.mark.parametrize("direction", ["local", "remote"])
def test_connections_beyond_the_limit_are_refused(sshd, holdfast, serve, direction):
    port = free_port()
    forward = {direction: f"127.0.0.1:{port}", "to": serve(servers.echo).address, "max_channels": MAX}
    holdfast.run(definition({"peer": sshd}, {"t": {"host": "peer", "forwards": [forward]}}))
    holdfast.wait_up()
    socks = [clients.connect(port) for _ in range(MAX)]
    for sock in socks:
        sock.sendall(b"held")
        assert clients.read_exactly(sock, 4) == b"held"
    assert refused(port) and refused(port)
    for sock in socks:
        sock.sendall(b"still")
        assert clients.read_exactly(sock, 5) == b"still", "those that are open go on"
    mark = holdfast.err.mark()
    socks.pop().close()
    holdfast.wait_log(r"takes connections again; 2 were refused", 10, mark)
    assert clients.exchange(port, b"room") == b"room"
    assert len(holdfast.err.matching("as many as max_channels permits")) == 1
    if direction == "remote":
        sshd.log.wait_for("open failed: resource shortage: too many connections", 5)
    socks.pop().close()
