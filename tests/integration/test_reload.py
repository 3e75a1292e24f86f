"""Definitions that change under a running program: what is the same stays as it is, and an invalid set changes nothing.

A reload is asked for by SIGHUP; where there is none (Windows), by watch_definitions."""

import contextlib
import copy
import hashlib
import os
import signal
import socket
import threading
from pathlib import Path

import pytest
from harness.clients import connect, ends, exchange, pattern, read_exactly
from harness.holdfast import definition, host_entry, native, runner
from harness.ports import free_port, is_listened_on
from harness.proc import wait_until
from harness.servers import echo, sink
from harness.wine import shown, upright

WATCH = "watch_definitions: yes\n"
HAS_SIGNALS = not runner()


def tunnels_text(hosts, tunnels, watch=False):
    """YAML; `hosts` may have Sshd and dict values."""
    return (WATCH if watch or not HAS_SIGNALS else "") + definition(hosts, tunnels)


class Reloading:
    """A holdfast whose definitions change: each set is put in the old one's place as an editor does."""

    def __init__(self, holdfast):
        self.holdfast = holdfast
        self.path = holdfast.folder / "tunnels.yaml"

    def replace(self, text):
        new = self.path.with_suffix(".new")
        new.write_text(text)
        os.replace(new, self.path)

    def reload(self, text=None, outcome=r"reloaded: (.*)"):
        """Returns what the log says of it."""
        mark = self.holdfast.err.mark()
        if text is not None:
            self.replace(text)
        if HAS_SIGNALS:
            self.holdfast.signal(signal.SIGHUP)
        elif text is None:
            os.utime(self.path)
        found = self.holdfast.wait_log(outcome, 20, mark)
        return found.group(found.re.groups)


@pytest.fixture
def reloading(holdfast):
    return Reloading(holdfast)


class Stream:
    """Bytes through a forward to an echo and back, without a pause, until it is told to end; none may be lost or changed."""

    def __init__(self, port, seed):
        self._sock = connect(port)
        self._block = pattern(16384, seed)
        self._sent, self._got = hashlib.sha256(), hashlib.sha256()
        self._sent_bytes = self.got_bytes = 0
        self._is_ending = threading.Event()
        self._failure = None
        self._threads = [threading.Thread(target=run, args=(part,), daemon=True) for run, part in
                         ((self._run, self._send), (self._run, self._read))]  # fmt: skip
        for thread in self._threads:
            thread.start()

    def _run(self, part):
        try:
            part()
        except OSError as error:
            self._failure = error

    def _send(self):
        while not self._is_ending.is_set():
            self._sock.sendall(self._block)
            self._sent.update(self._block)
            self._sent_bytes += len(self._block)
            self._is_ending.wait(0.02)  # many of these run on a small machine
        self._sock.shutdown(socket.SHUT_WR)

    def _read(self):
        while data := self._sock.recv(65536):
            self._got.update(data)
            self.got_bytes += len(data)

    def end(self):
        self._is_ending.set()
        for thread in self._threads:
            thread.join(30)
        self._sock.close()
        assert self._failure is None, self._failure
        assert self._sent_bytes > 0
        assert (self.got_bytes, self._got.digest()) == (self._sent_bytes, self._sent.digest())


def forward(kind, port, target):
    return {kind: f"127.0.0.1:{port}", "to": target}


def refuses(port):
    try:
        connect(port, timeout=5).close()
        return False
    except OSError:
        return True


def twenty_tunnels(target):
    """(ports, same, changed, texts of two sets): from one to the other 5 are removed, 5 are added, 3 start anew and 2 get
    or lose a forward on their living session; 10 are the same."""
    ports = {f"t{i:02}": free_port() for i in range(25)}
    tunnels = {name: {"host": "h", "forwards": [forward(("local", "remote")[i % 2], port, target)]}
               for i, (name, port) in enumerate(ports.items())}  # fmt: skip
    names = list(tunnels)
    same, changed = names[:10], names[10:15]
    one = {name: tunnels[name] for name in same + changed + names[15:20]}
    other = {name: copy.deepcopy(tunnels[name]) for name in names[20:] + same + changed}  # in another order
    for name in changed[:3]:
        other[name]["server_alive_interval"] = "20s"
    for name in changed[3:]:
        other[name]["forwards"].append(forward("local", free_port(), target))
    return ports, same, changed, one, other


class Grown:
    """Streams that go on: each has carried more since the last look."""

    def __init__(self, streams):
        self._streams, self._seen = streams, [0] * len(streams)

    def check(self):
        for i, stream in enumerate(self._streams):
            wait_until(lambda i=i, stream=stream: stream.got_bytes > self._seen[i], 20, f"stream {i} goes on")
        self._seen = [stream.got_bytes for stream in self._streams]


def test_twenty_tunnels_of_which_ten_stay(reloading, sshd, serve):
    """A hundred reloads in a row, each of 5 changed, 5 removed and 5 added ones, while 10 unchanged ones carry streams. A
    sanitizer's build does 20 of them, and one whose processes are Wine's 6: each begins eight sessions."""
    ports, same, changed, one, other = twenty_tunnels(serve(echo).address)
    sets = [{"names": set(tunnels) - {*same, *changed}, "text": tunnels_text({"h": sshd}, tunnels)} for tunnels in (one, other)]
    holdfast = reloading.holdfast.run(sets[0]["text"])
    holdfast.wait_up(20, 30)
    streams = [Stream(ports[name], i) for i, name in enumerate(same)]
    grown = Grown(streams)
    assert reloading.reload(sets[0]["text"]) == "nothing changed"

    rounds = 6 if not HAS_SIGNALS else 20 if os.environ.get("HOLDFAST_SANITIZED") else 100
    descriptors, memory_kib = None, []
    for i in range(1, rounds + 1):
        old, new = sets[(i - 1) % 2], sets[i % 2]
        mark = holdfast.err.mark()
        assert reloading.reload(new["text"]) == "2 changed, 3 restarted, 5 added, 5 removed; 10 unchanged"
        up = {match.group("tunnel") for match in holdfast.wait_up(8, 30)}
        assert up == set(changed[:3]) | new["names"]
        holdfast.err.wait_for(rf"(?:{'|'.join(old['names'])}): stopped \(was up\)", 20, 5, mark)
        grown.check()
        if i in (2, rounds // 4 * 2, rounds):
            assert reloading.reload() == "nothing changed"
            assert all(exchange(ports[name], b"hello") == b"hello" for name in [*new["names"], *changed, *same])
            for name in old["names"]:
                wait_until(lambda name=name: not is_listened_on(ports[name]), 10, f"nothing listens for {name}")
            if HAS_SIGNALS and i == 2:
                descriptors = holdfast.descriptors()
            memory_kib.append(holdfast.memory_kib())
    print(f"memory: {memory_kib} KiB, descriptors: {descriptors} before, {holdfast.descriptors()} now")
    if HAS_SIGNALS:  # Wine's processes have descriptors and memory of their own: tests/windows looks at handles
        holdfast.wait_descriptors(descriptors, 15)
        if not os.environ.get("HOLDFAST_SANITIZED"):  # which keeps freed memory back, and looks for what is lost by itself
            early, late = memory_kib[-2:]
            assert late <= early + 2048, f"memory grew from {early} KiB to {late} KiB"
    for stream in streams:
        stream.end()
    lost = [line for line in holdfast.err.since() if any(f" {name}: waiting" in line for name in same)]
    assert not lost, lost
    assert holdfast.stop() == 0


def test_forwards_change_on_the_living_session(reloading, sshd, serve):
    one, two = serve(echo), serve(lambda connection: connection.write(b"two" + connection.read()))
    ports = [free_port() for _ in range(6)]
    kept = forward("local", ports[0], one.address)
    old = [forward("local", ports[1], one.address), kept, forward("remote", ports[2], one.address)]
    new = [forward("remote", ports[4], one.address), kept, forward("local", ports[3], one.address),
           forward("remote", ports[2], two.address)]  # fmt: skip
    for going_one, probe in ((old[0], "tcp"), (old[2], "loop")):  # which ends with its forward
        going_one.update(probe=probe, probe_interval="1s")
    tunnels = [{"t": {"host": "h", "forwards": forwards}} for forwards in (old, new)]
    holdfast = reloading.holdfast.run(tunnels_text({"h": sshd}, tunnels[0]))
    holdfast.wait_up()
    sessions = sshd.session_pids()
    stream = Stream(ports[0], 1)
    going = [connect(port) for port in ports[1:3]]  # of forwards that are about to go
    for sock in going:
        sock.sendall(b"before")
        assert read_exactly(sock, 6) == b"before"

    mark = holdfast.err.mark()
    assert reloading.reload(tunnels_text({"h": sshd}, tunnels[1])) == "1 changed"
    for flag in ("-R .*:%d" % ports[4], "-L .*:%d" % ports[3], "-R .*:%d" % ports[2]):
        holdfast.wait_log(f"added and up: {flag} ", 15, mark)
    assert exchange(ports[3], b"x") == exchange(ports[4], b"x") == b"x"
    assert exchange(ports[2], b"x") == b"twox", "the port is the same, the target is another one"
    assert refuses(ports[1])
    for sock in going:  # as with ssh's ~C -KL and -KR
        sock.sendall(b"after")
        assert read_exactly(sock, 5) == b"after"
        sock.shutdown(socket.SHUT_WR)
        assert ends(sock, 10)
        sock.close()

    assert reloading.reload(tunnels_text({"h": sshd}, tunnels[0])) == "1 changed"
    wait_until(lambda: not is_listened_on(ports[4]), 10, "the peer listens no more")
    wait_until(lambda: is_listened_on(ports[1]), 10, "the first listener is back")
    assert refuses(ports[3])
    stream.end()
    assert sshd.session_pids() == sessions, "it is the same session"
    assert holdfast.stop() == 0


def test_a_forward_that_failed_may_go(reloading, sshd, serve):
    """Without the forward that could not be bound, the tunnel is up again at once."""
    target = serve(echo)
    good = forward("local", free_port(), target.address)
    taken = forward("local", target.port, target.address)
    holdfast = reloading.holdfast.run(tunnels_text({"h": sshd}, {"t": {"host": "h", "forwards": [good, taken]}}))
    holdfast.wait_log(r"t: degraded \(was binding\)")
    assert reloading.reload(tunnels_text({"h": sshd}, {"t": {"host": "h", "forwards": [good]}})) == "1 changed"
    holdfast.wait_log(r"t: up \(was degraded\)")
    assert holdfast.stop() == 0


def listeners_of(pids):
    """How many sockets these processes listen on."""
    listening = set()
    for table in ("tcp", "tcp6"):
        fields = [line.split() for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
        listening |= {f"socket:[{field[9]}]" for field in fields if field[3] == "0A"}
    count = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError):  # it has just ended, or closed that one
            count += sum(os.readlink(link) in listening for link in Path(f"/proc/{pid}/fd").iterdir())
    return count


@pytest.mark.skipif(not HAS_SIGNALS, reason="the order of two reloads is made with signals")
def test_what_is_cancelled_before_the_peer_has_answered(reloading, sshd, serve):
    """The peer is slow: a forward it was asked for is wanted no more when its answer comes. Nothing is left there."""
    target = serve(echo).address
    kept = forward("local", free_port(), target)
    asked = [forward("remote", port, target) for port in (0, 0, free_port())]
    texts = [tunnels_text({"h": sshd}, {"t": {"host": "h", "forwards": forwards}}) for forwards in ([kept], [kept, *asked])]
    holdfast = reloading.holdfast.run(texts[0])
    holdfast.wait_up()
    assert listeners_of(sshd.session_pids()) == 0
    for _ in range(2):
        sshd.sigstop()
        assert reloading.reload(texts[1]) == "1 changed"
        assert reloading.reload(texts[1]) == "nothing changed"  # so that the loop has turned, and the peer was asked
        assert reloading.reload(texts[0]) == "1 changed"
        sshd.sigcont()
        assert exchange(int(kept["local"].rsplit(":")[1]), b"x") == b"x"
        wait_until(lambda: listeners_of(sshd.session_pids()) == 0, 10, "the peer listens on nothing of ours")
    mark = holdfast.err.mark()
    assert reloading.reload(texts[1]) == "1 changed"
    holdfast.err.wait_for("added and up: -R ", 10, 3, mark)
    assert listeners_of(sshd.session_pids()) >= 3
    assert holdfast.stop() == 0


def test_forwards_move_between_tunnels(reloading, sshd, serve):
    """A listener that one tunnel lets go of is free for another in the same reload."""
    target = serve(echo).address
    moving, a, b = (forward("local", free_port(), target) for _ in range(3))
    sets = [{"a": {"host": "h", "forwards": [a, moving]}, "b": {"host": "h", "forwards": [b]}},
            {"a": {"host": "h", "forwards": [a]}, "b": {"host": "h", "forwards": [b, moving]}}]  # fmt: skip
    holdfast = reloading.holdfast.run(tunnels_text({"h": sshd}, sets[0]))
    holdfast.wait_up(2)
    for tunnels in (sets[1], sets[0], sets[1]):
        mark = holdfast.err.mark()
        assert reloading.reload(tunnels_text({"h": sshd}, tunnels)) == "2 changed"
        holdfast.wait_log("added and up: ", 10, mark)
        assert not [line for line in holdfast.err.since(mark) if "cannot listen" in line]
    assert exchange(int(moving["local"].rsplit(":")[1]), b"x") == b"x"
    assert holdfast.stop() == 0


def test_connections_of_a_removed_tunnel_may_finish(reloading, new_holdfast, sshd, serve):
    target = serve(echo)
    ports = [free_port(), free_port()]
    tunnels = {name: {"host": "h", "forwards": [forward("local", port, target.address)]} for name, port in zip("ab", ports)}
    holdfast = reloading.holdfast.run(tunnels_text({"h": sshd}, tunnels))
    holdfast.wait_up(2)
    with connect(ports[1]) as sock:
        sock.sendall(b"before")
        assert read_exactly(sock, 6) == b"before"
        alone = tunnels_text({"h": sshd}, {"a": tunnels["a"]})
        assert reloading.reload(alone) == "1 removed; 1 unchanged"
        wait_until(lambda: refuses(ports[1]), 5, "nothing new is accepted")
        sock.sendall(b"after")
        assert read_exactly(sock, 5) == b"after"
        sock.shutdown(socket.SHUT_WR)
        assert ends(sock, 10)
    holdfast.wait_log(r"b: stopped \(was up\)", 10)
    # its name is free now for another process, and then not for this one
    other = new_holdfast()
    other.folder = holdfast.folder  # the same home, and so the same locks
    (holdfast.folder / "other.yaml").write_text(tunnels_text({"h": sshd}, {"b": tunnels["b"]}))
    other.start("run", "-c", native(holdfast.folder / "other.yaml"))
    other.err.wait_for(r"\bb: up\b", 15)
    both = tunnels_text({"h": sshd}, {**tunnels, "a": {**tunnels["a"], "server_alive_interval": "20s"}})
    said = reloading.reload(both, "not reloaded: (.*)")
    assert said.startswith("tunnel 'b' is already kept by process ") and said.endswith("; nothing has changed")
    assert exchange(ports[0], b"x") == b"x"
    assert not [line for line in holdfast.err.since() if "a: stopped" in line]
    assert other.stop() == 0
    assert reloading.reload(both) == "1 restarted, 1 added"
    assert holdfast.stop() == 0


def test_a_bad_file_changes_nothing_and_says_why(reloading, sshd, serve):
    port = free_port()
    tunnels = {"t": {"host": "h", "forwards": [forward("local", port, serve(echo).address)]}}
    good = tunnels_text({"h": sshd}, tunnels)
    holdfast = reloading.holdfast.run(good)
    holdfast.wait_up()
    stream = Stream(port, 1)
    place = upright(shown(reloading.path))
    bad = good.replace("forwards:", "forward:").replace("    host: h", "    host: h\n    server_alive_interval: 5 parsecs")
    mark = holdfast.err.mark()
    assert "nothing has changed" in reloading.reload(bad, "(not reloaded: .*)")
    said = [upright(line) for line in holdfast.err.since(mark) if " error " in line]
    assert any(f"{place}:{line}:" in text for text in said for line in range(10, 15)), said
    assert any("unknown key 'forward'; did you mean 'forwards'?" in text for text in said), said
    assert reloading.reload(good) == "nothing changed"
    stream.end()
    assert holdfast.stop() == 0


def test_a_failed_one_is_tried_again(reloading, sshd, serve):
    """An unknown host key, and nothing that watches would see: the file is named anew."""
    port = free_port()
    tunnels = {"t": {"host": "h", "forwards": [forward("local", port, serve(echo).address)]}}
    sshd.known_hosts.rename(sshd.folder / "known_hosts.later")
    text = tunnels_text({"h": sshd}, tunnels)
    holdfast = reloading.holdfast.run(text)
    holdfast.wait_log(r"t: failed \(was ")
    assert reloading.reload() == "1 tried again; 1 unchanged"
    mark = holdfast.err.mark()
    later = host_entry(sshd, known_hosts_file=native(sshd.folder / "known_hosts.later"))
    holdfast.wait_log(r"t: failed \(was ")
    assert reloading.reload(tunnels_text({"h": later}, tunnels)) == "1 restarted"
    holdfast.wait_log(r"t: up ", 15, mark)
    assert exchange(port, b"x") == b"x"
    assert holdfast.stop() == 0


def test_files_are_watched(reloading, sshd, serve):
    """Renamed over, written in place, and spoilt: one reload for each change, one complaint for each bad one."""
    target = serve(echo).address
    ports = [free_port(), free_port()]
    sets = [{"t": {"host": "h", "forwards": [forward("local", port, target) for port in ports[:count]]}} for count in (1, 2)]
    texts = [tunnels_text({"h": sshd}, tunnels, watch=True) for tunnels in sets]
    holdfast = reloading.holdfast.run(texts[0])
    holdfast.wait_up()
    reloading.replace(texts[1])
    holdfast.wait_log(f"added and up: -L .*:{ports[1]} ", 20)
    mark = holdfast.err.mark()
    reloading.path.write_text(texts[0])
    holdfast.wait_log("reloaded: 1 changed", 20, mark)
    mark = holdfast.err.mark()
    reloading.replace(texts[1] + "tunels: {}\n")
    holdfast.wait_log("not reloaded", 20, mark)
    reloading.path.unlink()  # a change again; and while it is gone nothing else is
    holdfast.wait_log("not reloaded", 20, holdfast.err.mark())
    assert exchange(ports[0], b"x") == b"x"
    reloading.replace(texts[1].replace(WATCH, ""))
    holdfast.wait_log("reloaded: 1 changed", 20, mark)
    said = [line for line in holdfast.err.since(mark) if "not reloaded" in line]
    assert len(said) == 2, said
    assert len([line for line in holdfast.err.since(mark) if "unknown key 'tunels'" in line]) == 1
    assert holdfast.stop() == 0


def test_a_folder_is_watched(holdfast, sshd, serve):
    """A file that is added to it, and one that goes."""
    target = serve(echo).address
    folder = holdfast.folder / "definitions"
    folder.mkdir()
    texts = [definition({f"h{i}": sshd}, {f"t{i}": {"host": f"h{i}", "forwards": [forward("local", free_port(), target)]}})
             for i in range(2)]  # fmt: skip
    (folder / "a.yaml").write_text(WATCH + texts[0])
    holdfast.start("run", "-c", native(folder))
    holdfast.wait_log(r"\bt0: up\b")
    (folder / "b.yaml").write_text(texts[1])
    holdfast.wait_log("reloaded: 1 added; 1 unchanged", 20)
    holdfast.wait_log(r"\bt1: up\b")
    (folder / "b.yaml").unlink()
    holdfast.wait_log("reloaded: 1 removed; 1 unchanged", 20)
    assert holdfast.stop() == 0


def test_a_reload_while_stopping_is_none(reloading, sshd, serve):
    port = free_port()
    tunnels = {"t": {"host": "h", "forwards": [forward("local", port, serve(sink).address)]}}
    holdfast = reloading.holdfast.run(definition({"h": sshd}, tunnels))
    holdfast.wait_up()
    with connect(port) as sock:
        sock.sendall(b"x")
        holdfast.signal(signal.SIGTERM)
        holdfast.wait_log("stopping 1 of 1 tunnels")
        holdfast.signal(signal.SIGHUP)
        holdfast.signal(signal.SIGTERM)
        assert holdfast.wait() == 0
    assert "reloaded" not in holdfast.err.text()


def test_the_service_manager_is_told_of_a_reload(new_holdfast, sshd, serve, tmp_path):
    name = str(tmp_path / "notify")
    tunnels = {"t": {"host": "h", "forwards": [forward("local", free_port(), serve(echo).address)]}}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(10)
        manager.bind(name)
        program = new_holdfast(prefix=["env", f"NOTIFY_SOCKET={name}"])
        reloading = Reloading(program.run(definition({"h": sshd}, tunnels)))

        def told():
            """The next words but for those of the status."""
            while (words := manager.recv(500).split(b"\n"))[0].startswith(b"STATUS="):
                pass
            return [word.split(b"=")[0] for word in words]

        assert told() == [b"READY"]
        program.wait_up()
        reloading.reload()
        assert told() == [b"RELOADING", b"MONOTONIC_USEC"]
        assert told() == [b"READY"]
        reloading.reload("nonsense", "not reloaded")
        assert told() == [b"RELOADING", b"MONOTONIC_USEC"]
        assert told() == [b"READY"]
        assert program.stop() == 0
