"""Servers for the far end of a forward, each a function that handles one connection on a thread of its own."""

import hashlib
import socket
import struct
import threading

CHUNK = 64 * 1024
PAGE = b"<html><body>a page from behind the tunnel</body></html>\n"
BANNER = b"220 the server speaks first\r\n"


class Connection:
    """One accepted connection as the server saw it. `how` tells its end: "eof" (an orderly end), "reset", or "" so far."""

    def __init__(self, sock, peer, server):
        self.sock = sock
        self.peer = peer
        self.server = server
        self.received = 0
        self.written = 0
        self.digest = hashlib.sha256()
        self.how = ""
        self.input_ended = threading.Event()
        self.finished = threading.Event()

    def read(self):
        """The next bytes, or b"" at the end; keeps count, digest and the way it ended."""
        try:
            data = self.sock.recv(CHUNK)
        except OSError:
            self.how = "reset"
            self.input_ended.set()
            return b""
        if not data:
            self.how = "eof"
            self.input_ended.set()
        self.received += len(data)
        self.digest.update(data)
        return data

    def read_to_end(self):
        while self.read():
            pass

    def write(self, data):
        try:
            self.sock.sendall(data)
            self.written += len(data)
        except OSError:
            self.how = "reset"


def reset(sock):
    """Closes so that the other end sees a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Server:
    """Listens on port 0 of `host` and gives each connection to `handler` on a thread."""

    def __init__(self, handler, host="127.0.0.1"):
        self._handler = handler
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=1024)
        self.host = host
        self.port = self._listener.getsockname()[1]
        self.connections = []
        self.stopping = threading.Event()
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def address(self):
        """As a forward names it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def _accept(self):
        while True:
            try:
                sock, peer = self._listener.accept()
            except OSError:
                return
            connection = Connection(sock, peer, self)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            with self._changed:
                self.connections.append(connection)
                self._threads.append(thread)
                self._changed.notify_all()
            thread.start()

    def _serve(self, connection):
        try:
            self._handler(connection)
        finally:
            connection.sock.close()
            connection.finished.set()

    def wait_connection(self, index=0, timeout=10):
        """The connection number `index`, once it has been accepted."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: len(self.connections) > index, timeout)
            assert arrived, f"connection {index} did not reach the server within {timeout:g} s"
            return self.connections[index]

    def stop(self):
        self.stopping.set()
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which close() alone would not
        except OSError:
            pass
        self._listener.close()
        for connection in self.connections:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(5)


def echo(connection):
    """Sends everything back, and ends when the client has ended."""
    while data := connection.read():
        connection.write(data)


def sink(connection):
    """Takes everything, says nothing."""
    connection.read_to_end()


def speaks_first(connection):
    """Greets before it has read a byte, then echoes."""
    connection.write(BANNER)
    echo(connection)


def digest_after_end(connection):
    """Answers only once the client has ended its side: the SHA-256 of all it got, in hex."""
    connection.read_to_end()
    connection.write(connection.digest.hexdigest().encode())


def late_answer(seconds):
    """A server that thinks for `seconds` after the client's end before it answers."""

    def handler(connection):
        connection.read_to_end()
        connection.server.stopping.wait(seconds)
        connection.write(connection.digest.hexdigest().encode())

    return handler


def sends_then_ends(data):
    """Sends `data`, ends its side at once, and goes on reading until the client ends too."""

    def handler(connection):
        connection.write(data)
        try:
            connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            connection.how = "reset"
        connection.read_to_end()

    return handler


def resets(after=0):
    """Resets the connection once it has read `after` bytes."""

    def handler(connection):
        while connection.received < after and connection.read():
            pass
        reset(connection.sock)

    return handler


def blackhole(connection):
    """Accepts and never reads."""
    connection.server.stopping.wait()


def floods(connection):
    """Sends as fast as it can until the connection ends."""
    block = bytes(range(256)) * 256
    while not connection.how:
        connection.write(block)


def http_page(connection):
    """One page for every request, then the end, as a plain HTTP/1.0 server does."""
    request = b""
    while b"\r\n\r\n" not in request:
        data = connection.read()
        if not data:
            return
        request += data
    head = f"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(PAGE)}\r\n\r\n"
    connection.write(head.encode() + PAGE)
