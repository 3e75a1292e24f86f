"""Names under .local, where the system's resolver knows none: one-shot multicast DNS, in namespaces of their own."""

import re
import socket
import struct
import threading
import time

import pytest
from harness import clients, servers
from harness.holdfast import definition, host_entry
from harness.netns import Link
from harness.proc import wait_until

PORT = 14446  # nothing else is in these namespaces
GROUP4, GROUP6, MDNS = "224.0.0.251", "ff02::fb", 5353


def encode(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


class Responder:
    """Answers for `names` ({name: [address]}) by unicast, as section 6.7 of RFC 6762 has it for a one-shot query, but not
    to the first `deaf` queries. `queries` holds (family, source port, names and types asked for)."""

    def __init__(self, namespace, device, names, deaf=0):
        self._names, self._deaf = names, deaf
        self.queries = []
        self._stopping = False
        with namespace.entered():
            index = socket.if_nametoindex(device)
            four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            four.bind(("", MDNS))
            four.setsockopt(
                socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("4s4si", socket.inet_aton(GROUP4), bytes(4), index)
            )
            six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            six.bind(("::", MDNS))
            six.setsockopt(
                socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, struct.pack("16si", socket.inet_pton(socket.AF_INET6, GROUP6), index)
            )
        self._socks = [four, six]
        self._threads = [threading.Thread(target=self._serve, args=(sock,), daemon=True) for sock in self._socks]
        for sock, thread in zip(self._socks, self._threads):
            sock.settimeout(0.2)
            thread.start()

    def stop(self):
        self._stopping = True
        for thread in self._threads:
            thread.join()
        for sock in self._socks:
            sock.close()

    def _serve(self, sock):
        while not self._stopping:
            try:
                data, peer = sock.recvfrom(9000)
            except TimeoutError:
                continue
            asked = self._questions(data)
            self.queries.append((sock.family, peer[1], asked))
            if len(self.queries) > self._deaf:
                answer = self._answer(data, asked)
                if answer:
                    sock.sendto(answer, peer)

    @staticmethod
    def _questions(data):
        found, at = [], 12
        for _ in range(struct.unpack(">H", data[4:6])[0]):
            labels, place, jumped = [], at, False
            while data[place]:
                if data[place] >= 0xC0:
                    at, place, jumped = (at if jumped else place + 2), struct.unpack(">H", data[place : place + 2])[0] & 0x3FFF, True
                    continue
                labels.append(data[place + 1 : place + 1 + data[place]].decode())
                place += 1 + data[place]
            at = at if jumped else place + 1
            found.append((".".join(labels), *struct.unpack(">HH", data[at : at + 4])))
            at += 4
        return found

    def _answer(self, data, asked):
        records = b""
        count = 0
        for name, kind, _ in asked:
            for address in self._names.get(name, []):
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                if kind == {socket.AF_INET: 1, socket.AF_INET6: 28}[family]:
                    packed = socket.inet_pton(family, address)
                    records += encode(name) + struct.pack(">HHIH", kind, 1, 10, len(packed)) + packed
                    count += 1
        return data[:2] + struct.pack(">HHHHH", 0x8400, 0, count, 0, 0) + records if count else b""


@pytest.fixture
def respond(hosts, link):
    started = []

    def start(names, **more):
        started.append(Responder(hosts[1], "cable", names, **more))
        return started[-1]

    yield start
    for responder in started:
        responder.stop()


def link_local(namespace):
    """The namespace's IPv6 address on the cable, once it may be used."""

    def lines():
        return [line for line in namespace.ip("-6", "addr", "show", "dev", "cable").splitlines() if "scope link" in line]

    wait_until(lambda: lines() and "tentative" not in lines()[0], 10, "the link has its address")
    return re.search(r"inet6 ([0-9a-f:]+)/", lines()[0]).group(1)


@pytest.fixture
def peer(hosts, link, start_sshd):
    """The entry of an sshd on `far` that is known by name only."""
    sshd = start_sshd(host=Link.FAR, prefix=hosts[1].prefix)
    return host_entry(sshd, hostname="macbook.local", strict_host_key_checking="no")


def start(holdfast, peer, to, times=None):
    tunnel = {"host": "peer", "forwards": [{"remote": f"127.0.0.1:{PORT}", "to": to}]}
    return holdfast.run(definition({"peer": peer}, {"t": {**tunnel, "backoff": {"first": "100ms", "max": "1s"}}}, times), "-v")


@pytest.mark.parametrize("deaf", [0, 2])
def test_the_peer_is_found(hosts, respond, peer, new_holdfast, serve, deaf):
    """Asked from a port of its own, in class IN; when the first queries are lost, by the ones a second later."""
    near, far = hosts
    for namespace in hosts:
        link_local(namespace)
    responder = respond({"macbook.local": [Link.FAR]}, deaf=deaf)
    with near.entered():
        echo = serve(servers.echo)
    begun = time.monotonic()
    holdfast = start(new_holdfast(near.prefix), peer, echo.address)
    holdfast.wait_up(timeout=20)
    taken = time.monotonic() - begun
    with far.entered():
        assert clients.exchange(PORT, b"found") == b"found"
    assert {family for family, _, _ in responder.queries} == {socket.AF_INET, socket.AF_INET6}
    for _, port, asked in responder.queries:
        assert port != MDNS
        assert asked == [("macbook.local", 1, 1), ("macbook.local", 28, 1)]
    assert deaf == 0 or taken > 1
    assert holdfast.stop() == 0


def test_a_target_is_found_by_its_link_local_address(hosts, respond, peer, new_holdfast, serve):
    """Such an address means something only with the interface that its answer came by."""
    near, far = hosts
    link_local(near)
    respond({"macbook.local": [Link.FAR], "guest.local": [link_local(far)]})
    with far.entered():
        echo = serve(servers.echo, "::")
    holdfast = start(new_holdfast(near.prefix), peer, f"guest.local:{echo.port}")
    holdfast.wait_up(timeout=20)
    with far.entered():
        assert clients.exchange(PORT, b"by six") == b"by six"
    assert holdfast.stop() == 0


def test_nobody_has_the_name(hosts, respond, peer, new_holdfast):
    """Told after the two seconds of asking, and tried again; other names are not asked for by multicast."""
    near, _ = hosts
    responder = respond({"other.local": [Link.FAR]})
    holdfast = start(new_holdfast(near.prefix), peer, "127.0.0.1:9")
    holdfast.wait_log("nobody answers to this name on the local network", 20)
    count = len(responder.queries)
    assert count > 0
    assert holdfast.stop() == 0


def test_stopped_while_asking(hosts, respond, peer, new_holdfast):
    responder = respond({}, deaf=1000)
    holdfast = start(new_holdfast(hosts[0].prefix), peer, "127.0.0.1:9")
    wait_until(lambda: responder.queries, 20, "it asks")
    assert holdfast.stop() == 0


def test_other_names_are_left_to_the_resolver(hosts, respond, peer, new_holdfast):
    responder = respond({"macbook.local": [Link.FAR]})
    holdfast = start(new_holdfast(hosts[0].prefix), {**peer, "hostname": "macbook.invalid"}, "127.0.0.1:9")
    holdfast.wait_log("waiting", 20)
    assert responder.queries == []
    assert holdfast.stop() == 0
