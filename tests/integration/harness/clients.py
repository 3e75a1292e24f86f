"""Clients for the near end of a forward."""

import hashlib
import socket
import threading


def connect(port, host="127.0.0.1", timeout=15):
    return socket.create_connection((host, port), timeout)


def pattern(size, seed=1):
    """`size` bytes that do not repeat and do not compress, the same for the same seed."""
    return hashlib.shake_128(seed.to_bytes(8, "big")).digest(size)


def read_to_end(sock):
    """Everything up to the end of stream. A reset is the caller's to see (ConnectionResetError)."""
    parts = []
    while data := sock.recv(65536):
        parts.append(data)
    return b"".join(parts)


def read_exactly(sock, size):
    parts = []
    while size > 0:
        data = sock.recv(min(size, 65536))
        assert data, f"the stream ended {size} bytes early"
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def exchange(port, data, host="127.0.0.1", timeout=30):
    """Sends `data`, ends our side, and returns all that came back; writes and reads at once."""
    with connect(port, host, timeout) as sock:
        failure = []

        def send():
            try:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
            except OSError as error:
                failure.append(error)

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        answer = read_to_end(sock)
        sender.join(timeout)
        if failure:
            raise failure[0]
        return answer


def fetch(port, host="127.0.0.1", timeout=15):
    """The body of GET / from an HTTP/1.0 server."""
    with connect(port, host, timeout) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\nHost: holdfast.test\r\n\r\n")
        head, _, body = read_to_end(sock).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.0 200"), head
        return body


def ends(sock, timeout):
    """Waits for the end of a connection that has nothing more to say, as an end of stream or a reset."""
    sock.settimeout(timeout)
    try:
        return sock.recv(1) == b""
    except (ConnectionResetError, BrokenPipeError):
        return True
