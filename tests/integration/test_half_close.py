"""How connections end: the same way on the other side, at every size where a window or a packet ends, and at once where
somebody gives up."""

import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import clients, servers

PACKET = 32 * 1024
WINDOW = 2 * 1024 * 1024
SIZES = [0, 1] + [edge + step for edge in (PACKET, WINDOW, 2 * WINDOW) for step in (-1, 0, 1)]
ORDER = struct.Struct(">QQd?")
both_directions = pytest.mark.parametrize("direction", ["local", "remote"])


def obeys(connection):
    """A server that is told by its client: how much comes, how much to send, how long to wait before what it does last,
    and which side ends first. It puts what it got into connection.digest (without the order)."""
    head = b""
    while len(head) < ORDER.size:
        part = connection.sock.recv(ORDER.size - len(head))
        if not part:
            return
        head += part
    _, size, hold, server_first = ORDER.unpack(head)
    data = clients.pattern(size, seed=2)
    if server_first:
        connection.write(data)
        connection.sock.shutdown(servers.socket.SHUT_WR)
        connection.read_to_end()
    else:
        connection.read_to_end()
        connection.server.stopping.wait(hold)
        connection.write(data)


def talk(port, server, size, hold, server_first):
    """One connection of `size` bytes each way; checks bytes and endings on the client's side."""
    up, down = clients.pattern(size, seed=1), clients.pattern(size, seed=2)
    with clients.connect(port, timeout=60) as sock:
        sock.sendall(ORDER.pack(size, size, hold, server_first))
        if server_first:
            assert clients.read_to_end(sock) == down, f"size {size}: what the server sent first"
            server.stopping.wait(hold)
            sock.sendall(up)
            sock.shutdown(servers.socket.SHUT_WR)
        else:
            sock.sendall(up)
            sock.shutdown(servers.socket.SHUT_WR)
            assert clients.read_to_end(sock) == down, f"size {size}: what the server sent last"
        return up


def check_server(server, expected):
    """The server saw all these uploads, each whole and with an orderly end."""
    for index in range(len(expected)):
        assert server.wait_connection(index).finished.wait(10), "a connection did not end at the server"
    assert [connection.how for connection in server.connections] == ["eof"] * len(expected)
    got = sorted((connection.received, connection.digest.hexdigest()) for connection in server.connections)
    wanted = sorted((len(data), servers.hashlib.sha256(data).hexdigest()) for data in expected)
    assert got == wanted


@both_directions
@pytest.mark.parametrize("first", ["client", "server"])
class TestSizes:
    def test_one_by_one(self, open_forward, serve, holdfast, direction, first):
        server = serve(obeys)
        port = open_forward(direction, server)
        baseline = holdfast.descriptors()
        check_server(server, [talk(port, server, size, 0, first == "server") for size in SIZES])
        holdfast.wait_descriptors(baseline)
        assert holdfast.stop() == 0

    def test_half_close_held(self, open_forward, serve, holdfast, direction, first):
        """All sizes at once, each with one side ended and the other silent for 2 s before it goes on."""
        server = serve(obeys)
        port = open_forward(direction, server)
        baseline = holdfast.descriptors()
        with ThreadPoolExecutor(len(SIZES)) as pool:
            talks = [pool.submit(talk, port, server, size, 2, first == "server") for size in SIZES]
            check_server(server, [done.result() for done in talks])
        holdfast.wait_descriptors(baseline)


@both_directions
def test_abort_ends_the_other_side(open_forward, serve, holdfast, direction):
    """The client resets; the server's connection ends within a second, though nobody said goodbye."""
    server = serve(servers.echo)
    port = open_forward(direction, server)
    baseline = holdfast.descriptors()
    sock = clients.connect(port)
    sock.sendall(b"x")
    assert clients.read_exactly(sock, 1) == b"x"
    connection = server.wait_connection()
    servers.reset(sock)
    assert connection.input_ended.wait(1), "the server's connection still lives a second after the client's reset"
    holdfast.wait_descriptors(baseline)


@both_directions
def test_abort_in_full_flow(open_forward, serve, holdfast, direction):
    """The same while the server is sending as fast as it can: nothing waits for the rest to be read."""
    blocked = threading.Event()

    def floods_until_it_fails(connection):
        servers.floods(connection)
        blocked.set()

    port = open_forward(direction, serve(floods_until_it_fails))
    baseline = holdfast.descriptors()
    sock = clients.connect(port)
    clients.read_exactly(sock, WINDOW)
    servers.reset(sock)
    assert blocked.wait(1), "the server can still write a second after the client's reset"
    holdfast.wait_descriptors(baseline)


@both_directions
def test_reset_of_the_target_arrives_as_end(open_forward, serve, holdfast, direction):
    port = open_forward(direction, serve(servers.resets(after=1)))
    baseline = holdfast.descriptors()
    with clients.connect(port) as sock:
        sock.sendall(b"x")
        begun = time.monotonic()
        assert clients.read_to_end(sock) == b"", "an end of stream, not data"
        assert time.monotonic() - begun < 1
    holdfast.wait_descriptors(baseline)


@both_directions
def test_everything_sent_before_the_end_arrives(open_forward, serve, direction):
    """A server that sends a lot and closes both ways at once, while the client reads slowly at first."""
    data = clients.pattern(3 * WINDOW)

    def sends_and_closes(connection):
        connection.write(data)

    port = open_forward(direction, serve(sends_and_closes))
    with clients.connect(port) as sock:
        head = clients.read_exactly(sock, 1000)
        threading.Event().wait(0.5)  # the server is done writing into the buffers by now, or is blocked on them
        assert head + clients.read_to_end(sock) == data


@both_directions
def test_hundred_endings_leak_nothing(open_forward, serve, holdfast, direction):
    """Every way to end, over and over: the process holds as many descriptors after it as before."""
    server = serve(servers.echo)
    port = open_forward(direction, server)
    baseline = holdfast.descriptors()
    for number in range(100):
        sock = clients.connect(port)
        sock.sendall(b"some bytes")
        if number % 4 == 0:
            servers.reset(sock)
        elif number % 4 == 1:
            sock.close()  # with an answer on its way
        else:
            clients.read_exactly(sock, 10)
            sock.shutdown(servers.socket.SHUT_WR if number % 4 == 2 else servers.socket.SHUT_RDWR)
            sock.close()
    holdfast.wait_descriptors(baseline, timeout=10)
    assert clients.exchange(port, b"still there") == b"still there"
