"""Three hundred connections at once, a hundred of them to where nobody answers: the others do not wait for those, and those
end with a reason. A target that answers after all, when nobody wants it any more, is let go."""

import contextlib
import selectors
import socket
from pathlib import Path

import pytest
from harness import clients, servers
from harness.holdfast import definition
from harness.netns import Link
from harness.proc import wait_until

LIVE, DEAD = 14444, 14445  # the listeners' ports; nothing else is in these namespaces
SERVED, LOST = 200, 100


class Opens:
    """One tunnel with two forwards of one direction. Clients are on `here`, the targets are dialed from `there`, and the
    dead one lies on `here` again, behind a filter that answers nothing."""

    def __init__(self, hosts, link, start_sshd, new_holdfast, serve, direction, connect_timeout):
        near, far = hosts
        self.here, self.there = (near, far) if direction == "local" else (far, near)
        with self.here.entered():
            self.late = serve(servers.echo, Link.NEAR if direction == "local" else Link.FAR)
        with self.there.entered():
            live = serve(servers.echo)
        self.drop()
        self.sshd = start_sshd(host=Link.FAR, prefix=far.prefix)
        self.holdfast = new_holdfast(near.prefix)
        forwards = [
            {direction: f"127.0.0.1:{LIVE}", "to": live.address},
            {direction: f"127.0.0.1:{DEAD}", "to": self.late.address},
        ]
        self.holdfast.run(
            definition({"peer": self.sshd}, {"t": {"host": "peer", "forwards": forwards}}, connect_timeout), "-vv"
        )
        self.holdfast.wait_up()
        self.sessions = self.sshd.session_pids()

    def filter(self, verdict):
        self.here.nft(f"table inet hole {{ chain in {{ type filter hook input priority 0; {verdict}\n }}\n}}\n")

    def drop(self):
        self.filter(f"tcp dport {self.late.port} drop")

    def refuse(self):
        self.here.nft("delete table inet hole\n")
        self.filter(f"tcp dport {self.late.port} reject with tcp reset")

    def answer(self):
        self.here.nft("delete table inet hole\n")

    def hanging(self):
        """How many connects to the dead target wait for an answer."""
        with self.there.entered():
            lines = Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]
        wanted = f":{self.late.port:04X}"
        return sum(fields[2].endswith(wanted) and fields[3] == "02" for fields in (line.split() for line in lines))

    def open_all(self, stack):
        """300 connections, every third to the dead target, begun without waiting for anything. Returns (served, lost)."""
        served, lost = [], []
        with self.here.entered():
            for number in range(SERVED + LOST):
                sock = stack.enter_context(socket.socket())
                sock.setblocking(False)
                sock.connect_ex(("127.0.0.1", DEAD if number % 3 == 2 else LIVE))
                (lost if number % 3 == 2 else served).append(sock)
        assert (len(served), len(lost)) == (SERVED, LOST)
        return served, lost


def answered(served, timeout):
    """Sends each its number and returns how many got it back."""
    right = 0
    with selectors.DefaultSelector() as selector:
        for number, sock in enumerate(served):
            selector.register(sock, selectors.EVENT_WRITE, number)
        while selector.get_map():
            ready = selector.select(timeout)
            if not ready:
                break
            for key, events in ready:
                word = b"%06d" % key.data
                if events & selectors.EVENT_WRITE:
                    key.fileobj.send(word)
                    selector.modify(key.fileobj, selectors.EVENT_READ, key.data)
                else:
                    right += key.fileobj.recv(100) == word
                    selector.unregister(key.fileobj)
    return right


@pytest.fixture
def new_opens(hosts, link, start_sshd, new_holdfast, serve):
    return lambda *words: Opens(hosts, link, start_sshd, new_holdfast, serve, *words)


def check_served(opens, stack):
    served, lost = opens.open_all(stack)
    assert answered(served, 20) == SERVED
    wait_until(lambda: opens.hanging() == LOST, 20, f"{LOST} connects hang; {opens.hanging()} do")
    assert answered(served, 20) == SERVED, "while all of the others hang"
    assert opens.hanging() == LOST
    return served, lost


def check_after(opens):
    """The tunnel is the one it was, and opens still work."""
    with opens.here.entered():
        assert clients.exchange(LIVE, b"still") == b"still"
    assert set(opens.sshd.session_pids()) <= set(opens.sessions), "it was one session"
    assert opens.holdfast.stop() == 0


both_directions = pytest.mark.parametrize("direction", ["local", "remote"])


@both_directions
def test_the_others_are_served_and_those_are_refused_in_the_end(new_opens, direction):
    opens = new_opens(direction, {"connect_timeout": "1m"})
    with contextlib.ExitStack() as stack:
        served, lost = check_served(opens, stack)
        opens.refuse()  # the connects learn it with their next attempt
        for sock in lost:
            assert clients.ends(sock, 30)
        assert answered(served, 20) == SERVED
    reason = {"local": "refused: connect failed at the peer: Connection refused", "remote": "the target did not answer"}
    opens.holdfast.err.wait_for(f"connection from .*{reason[direction]}", 10, count=LOST)
    check_after(opens)


@pytest.mark.slow
def test_given_up_by_us_and_confirmed_late(new_opens):
    """connect_timeout x 30 is what an open may take; the shortest there is makes that 30 s."""
    opens = new_opens("local", {"connect_timeout": "1s"})
    with contextlib.ExitStack() as stack:
        served, lost = check_served(opens, stack)
        for sock in lost:
            assert clients.ends(sock, 60)
        opens.holdfast.err.wait_for("the peer did not say within 30s whether its target answers", 10, count=LOST)
        assert opens.hanging() == LOST, "the peer still tries"
        assert answered(served, 20) == SERVED
        let_go(opens)
        assert answered(served, 20) == SERVED
    check_after(opens)


def let_go(opens):
    """The targets answer after all: each is connected to, and let go at once, since nobody waits for it."""
    opens.answer()
    for number in range(LOST):
        connection = opens.late.wait_connection(number, 60)
        assert connection.finished.wait(10), "it is left hanging"
        assert connection.received == 0


@pytest.mark.slow
def test_given_up_by_us_as_the_side_that_dials(new_opens):
    """-R: our own connects end with connect_timeout, and the peer's clients are told so."""
    opens = new_opens("remote", {"connect_timeout": "3s"})
    with contextlib.ExitStack() as stack:
        served, lost = opens.open_all(stack)
        assert answered(served, 20) == SERVED
        for sock in lost:
            assert clients.ends(sock, 30)
        assert answered(served, 20) == SERVED
    opens.holdfast.err.wait_for("connection from .*: the target did not answer: ", 10, count=LOST)
    check_after(opens)
