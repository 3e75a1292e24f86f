"""Servers that HTTP would never show a fault with: one that speaks first, one that waits for the end, one that takes its
time after it. Each through -L and through -R."""

import hashlib

import pytest
from harness import clients, servers


@pytest.mark.parametrize("direction", ["local", "remote"])
class TestServers:
    def test_http(self, open_forward, serve, direction):
        port = open_forward(direction, serve(servers.http_page))
        assert clients.fetch(port) == servers.PAGE

    def test_server_that_speaks_first(self, open_forward, serve, direction):
        port = open_forward(direction, serve(servers.speaks_first))
        with clients.connect(port) as sock:
            assert clients.read_exactly(sock, len(servers.BANNER)) == servers.BANNER
            sock.sendall(b"EHLO\r\n")
            assert clients.read_exactly(sock, 6) == b"EHLO\r\n"

    def test_server_that_needs_half_close(self, open_forward, serve, direction):
        port = open_forward(direction, serve(servers.digest_after_end))
        data = clients.pattern(300_000)
        assert clients.exchange(port, data).decode() == hashlib.sha256(data).hexdigest()

    def test_server_that_answers_late(self, open_forward, serve, direction):
        server = serve(servers.late_answer(2))
        port = open_forward(direction, server)
        data = clients.pattern(70_000)
        assert clients.exchange(port, data).decode() == hashlib.sha256(data).hexdigest()
        assert server.wait_connection().how == "eof"

    def test_one_connection_after_another(self, open_forward, serve, direction):
        port = open_forward(direction, serve(servers.echo))
        for number in range(20):
            data = clients.pattern(1000, seed=number)
            assert clients.exchange(port, data) == data
