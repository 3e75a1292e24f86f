"""`holdfast doctor`: faults are staged one by one, and it names the hop and what mends it."""

import json
import re
import socket
import subprocess
import threading

import pytest
from harness import clients, servers
from harness.holdfast import binary, definition, host_entry, native, runner
from harness.ports import free_port, is_listened_on
from harness.sshd import make_key
from harness.terminal import at_terminal

SESSION_HOPS = [
    "definition", "key file", "agent", "name", "connect", "banner", "algorithms", "host key", "authentication", "packet size",
]  # fmt: skip


class Doctor:
    """Runs the program on a definition, and keeps what it said."""

    def __init__(self, program, sshd_of, serve, tmp_path):
        self.program, self.start_sshd, self.serve, self.folder = program, sshd_of, serve, tmp_path
        self.remote, self.local = free_port(), free_port()

    def write(self, text):
        path = self.program.folder / "tunnels.yaml"
        path.write_text(text)
        return native(path)

    def call(self, *words):
        done = subprocess.run(
            [*runner(), binary(), "doctor", *map(str, words)],
            env=self.program.environment(),
            cwd=self.program.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            start_new_session=True,  # without a terminal
        )
        self.code = done.returncode
        self.err = done.stderr.decode("utf-8", "replace")
        self.out = done.stdout.decode("utf-8", "replace").replace("\r\n", "\n")
        assert "Sanitizer" not in self.err and "runtime error" not in self.err, self.err
        return self

    def look(self, text, *words):
        """--json on this definition; `hops` are those of the first tunnel, in order."""
        self.call("-c", self.write(text), "--json", *words)
        self.tunnels = json.loads(self.out)
        self.hops = self.tunnels[0]["hops"] if self.tunnels else []
        print(self.out)
        return self

    def hop(self, name, number=0):
        return [hop for hop in self.hops if hop["hop"] == name][number]

    def define(self, host, *forwards, **times):
        forwards = forwards or ({"remote": self.remote, "to": "127.0.0.1:9"},)
        return definition({"peer": host}, {"t": {"host": "peer", "forwards": list(forwards)}}, {"connect_timeout": "2s", **times})

    def tunnel(self, *forwards, options=None, host="127.0.0.1", key_options="", **more):
        """A definition for a new sshd with these options."""
        self.sshd = self.start_sshd(options, host=host, key_options=key_options)
        return self.define(host_entry(self.sshd, **more), *forwards)

    def echo(self):
        return self.serve(servers.echo).address


@pytest.fixture
def doctor(new_holdfast, start_sshd, serve, tmp_path):
    return Doctor(new_holdfast(), start_sshd, serve, tmp_path)


def one_line(line, ends=True):
    """A server that says a line and ends, or waits for the client's end."""

    def handler(connection):
        connection.write(line)
        if not ends:
            connection.read_to_end()

    return handler


def not_a_sshd(handler):
    def stage(doctor):
        server = doctor.serve(handler)
        key = make_key(doctor.folder / "some_key")
        host = {"hostname": "127.0.0.1", "port": server.port, "user": "me", "identity_file": native(key)}
        return doctor.define(host, connect_timeout="1s")

    return stage


def with_key(change):
    """A definition whose key `change` has made or changed, for a sshd that will not be asked."""

    def stage(doctor):
        path = doctor.folder / "the_key"
        change(path)
        return doctor.define({"hostname": "127.0.0.1", "port": free_port(), "user": "me", "identity_file": native(path)})

    return stage


def others_can_read(path):
    make_key(path).chmod(0o644)


def forwarding(*forwards, options=None, key_options=""):
    """forwards: as in a definition, with {r}, {l} for free ports and {echo} for a server."""

    def stage(doctor):
        names = {"r": doctor.remote, "l": doctor.local, "echo": doctor.echo()}

        def fill(value):
            return value.format(**names) if isinstance(value, str) else value

        made = [{key: fill(value) for key, value in forward.items()} for forward in forwards]
        filled = {key: fill(value) for key, value in (options or {}).items()}
        return doctor.tunnel(*made, options=filled, key_options=fill(key_options))

    return stage


R, L = {"remote": "{r}", "to": "{echo}"}, {"local": "127.0.0.1:{l}", "to": "{echo}"}


def a_name_without_an_address(doctor):
    key = make_key(doctor.folder / "some_key")
    return doctor.define({"hostname": "no-such-host.invalid", "user": "me", "identity_file": native(key)})


def nothing_listens(doctor):
    key = make_key(doctor.folder / "some_key")
    return doctor.define({"hostname": "127.0.0.1", "port": free_port(), "user": "me", "identity_file": native(key)})


def the_first_address_is_wrong(doctor):
    return doctor.tunnel(hostname=["127.0.0.9", "127.0.0.1"])


def host_key_algorithm(doctor):
    return doctor.tunnel(host_key_algorithms="rsa-sha2-512")


def sshd_has(**options):
    return lambda doctor: doctor.tunnel(options=options)


def known_hosts_is(change, **more):
    def stage(doctor):
        text = doctor.tunnel(**more)
        change(doctor)
        return text

    return stage


def has_another(doctor):
    other = make_key(doctor.folder / "other_host_key").with_suffix(".pub").read_text().split()[:2]
    doctor.sshd.known_hosts.write_text(f"[127.0.0.1]:{doctor.sshd.port} {' '.join(other)}\n")


def is_revoked(doctor):
    doctor.sshd.known_hosts.write_text("@revoked " + doctor.sshd.known_hosts.read_text())


def is_empty(doctor):
    doctor.sshd.known_hosts.write_text("")


def another_key_is_authorized(doctor):
    return doctor.tunnel(identity_file=native(make_key(doctor.folder / "stranger")))


def the_port_is_taken(doctor, options=None):
    server = doctor.serve(servers.sink)
    return doctor.tunnel({"remote": f"127.0.0.1:{server.port}", "to": doctor.echo()}, options=options)


def half_of_the_port_is_taken(doctor):
    """127.0.0.1 is, [::1] is not: sshd listens on that for us, and clients reach somebody else."""
    server = doctor.serve(servers.sink)
    return doctor.tunnel({"remote": server.port, "to": doctor.echo()})


def all_addresses_are_asked_for(doctor):
    """By GatewayPorts yes, whatever address we name; and then as above."""
    server = doctor.serve(servers.sink)
    forward = {"remote": f"127.0.0.1:{server.port}", "to": doctor.echo()}
    return doctor.tunnel(forward, options={"GatewayPorts": "yes"})


def the_permitted_port_is_taken(doctor):
    server = doctor.serve(servers.sink)
    return doctor.tunnel(
        {"remote": f"127.0.0.1:{server.port}", "to": doctor.echo()},
        options={"PermitListen": f"127.0.0.1:{server.port}"},
    )


def the_local_port_is_taken(doctor):
    server = doctor.serve(servers.sink)
    return doctor.tunnel({"local": f"127.0.0.1:{server.port}", "to": doctor.echo()})


def the_gateway_is_closed(doctor):
    return doctor.tunnel({"remote": f"*:{doctor.remote}", "to": doctor.echo()}, host="127.0.0.2")


def a_server_that_ends_at_once(doctor):
    server = doctor.serve(lambda connection: None)
    return doctor.tunnel({"remote": doctor.remote, "to": server.address})


def a_command_that_fails(doctor):
    # hostname is a program of every system, and has no such flag
    return doctor.tunnel({"remote": doctor.remote, "to": {"command": ["hostname", "--no-such-flag"], "port": 80}})


def no_socket(doctor):
    return doctor.tunnel({"remote": doctor.remote, "to": str(doctor.folder / "none.sock")})


# Each: what is staged, the hop that is to be named, its result, and patterns of what was seen and of the mend.
FAULTS = {
    "key missing": (with_key(lambda path: None), "key file", "fail", "no such file", "keygen t"),
    "key rights": (with_key(others_can_read), "key file", "fail", "0644", "chmod 600"),
    "key with a passphrase": (
        with_key(lambda path: make_key(path, passphrase="secret")), "key file", "fail", "needs a passphrase", "ssh-agent"),
    "key of PuTTY": (
        with_key(lambda path: path.write_text("PuTTY-User-Key-File-3: ssh-ed25519\n")), "key file", "fail", "PuTTY", "convert"),
    "key that is none": (with_key(lambda path: path.write_text("hello\n")), "key file", "fail", "not a private key", "identity_file"),
    "name": (a_name_without_an_address, "name", "fail", "no-such-host.invalid: ", "spelling|name server"),
    "connection refused": (nothing_listens, "connect", "fail", "connection refused", "start the sshd"),
    "first address refused": (the_first_address_is_wrong, "connect", "warning", r"before it: 127\.0\.0\.9:\d+: conn", "take the"),
    "web server": (not_a_sshd(one_line(b"HTTP/1.1 400 Bad Request\r\n\r\n")), "banner", "fail", "HTTP/1.1 400.*web server", "set port"),
    "mail server": (not_a_sshd(one_line(b"220 mail ESMTP\r\n", False)), "banner", "fail", "220 mail ESMTP", "set port"),
    "silent server": (not_a_sshd(servers.sink), "banner", "fail", "said nothing within 1 s", "hangs"),
    "server that closes": (not_a_sshd(lambda connection: None), "banner", "fail", "before any greeting", "MaxStartups"),
    "SSH 1": (not_a_sshd(one_line(b"SSH-1.5-old\n", False)), "banner", "fail", "version 1", "renew"),
    "key exchange hangs": (
        not_a_sshd(one_line(b"SSH-2.0-hangs\r\n", False)), "algorithms", "fail", "did not finish within 1 s", "MTU"),
    "no cipher": (sshd_has(Ciphers="aes128-cbc"), "algorithms", "fail", "no cipher.*offers aes128-cbc; we", "Ciphers"),
    "no key exchange": (
        sshd_has(KexAlgorithms="diffie-hellman-group1-sha1"), "algorithms", "fail", "no key exchange.*group1", "KexAlgorithms"),
    "no MAC": (sshd_has(Ciphers="aes128-ctr", MACs="hmac-md5"), "algorithms", "fail", "no MAC.*hmac-md5; we", "MACs"),
    "no host key algorithm": (host_key_algorithm, "algorithms", "fail", "no host key algorithm.*ed25519", "host_key_algorithms"),
    "host key unknown": (known_hosts_is(is_empty), "host key", "fail", "is not known", "holdfast trust .* --known-hosts .*known_hosts"),
    "host key changed": (known_hosts_is(has_another), "host key", "fail", r"CHANGED.*known_hosts:1 has", "holdfast trust"),
    "host key revoked": (known_hosts_is(is_revoked), "host key", "fail", r"revoked at .*known_hosts:1", "renewed"),
    "host key not looked at": (
        known_hosts_is(is_empty, strict_host_key_checking="no"), "host key", "warning", "taken all the same", "checking: yes"),
    "key not authorized": (another_key_is_authorized, "authentication", "fail", "stranger.*refused.*offers publickey", "authorized_keys"),
    "no public keys": (
        sshd_has(PubkeyAuthentication="no", PasswordAuthentication="yes"),
        "authentication", "fail", "offers password", "PubkeyAuthentication"),
    "too many keys": (sshd_has(MaxAuthTries="1", AuthorizedKeysFile="none"), "authentication", "fail", "refused|ended", "identit|authorized"),
    "-R: AllowTcpForwarding no": (forwarding(R, options={"AllowTcpForwarding": "no"}), "permission", "fail", "refuses", "AllowTcpF"),
    "-R: AllowTcpForwarding local": (
        forwarding(R, options={"AllowTcpForwarding": "local"}), "permission", "fail", "nothing listens there", "AllowTcpF"),
    "-R: PermitListen": (forwarding(R, options={"PermitListen": "1"}), "permission", "fail", "nothing listens there", "PermitListen"),
    "-R: DisableForwarding": (forwarding(R, options={"DisableForwarding": "yes"}), "permission", "fail", "refuses", "DisableF"),
    "-R: restrict": (forwarding(R, key_options="restrict"), "permission", "fail", "refuses", "port-forwarding behind restrict"),
    "-R: GatewayPorts": (the_gateway_is_closed, "permission", "warning", "loopback alone", "GatewayPorts clientspecified"),
    "-R: taken": (the_port_is_taken, "remote port", "fail", "granted another port", "ClientAliveInterval"),
    "-R: taken, PermitListen": (the_permitted_port_is_taken, "remote port", "fail", "something listens", "ss -ltnp"),
    "-R: taken in part": (half_of_the_port_is_taken, "path", "fail", "did not come to this machine", "another program"),
    "-R: taken in part, GatewayPorts yes": (
        all_addresses_are_asked_for, "path", "fail", "did not come to this machine", "another program"),
    "-R: target refuses": (
        forwarding({"remote": "{r}", "to": "127.0.0.1:{l}"}), "target", "fail", "from here.*connection refused", "start the server"),
    "-R: target ends at once": (a_server_that_ends_at_once, "target", "warning", "ended it at once", "VMware"),
    "-R: command fails": (a_command_that_fails, "target", "fail", "command 'hostname' ended", "hand|run"),
    "-R: no socket": (no_socket, "target", "fail", "none.sock: no such file", "start the server"),
    "-L: taken": (the_local_port_is_taken, "local port", "fail", "address already in use", "ss -ltnp"),
    "-L: address of another": (
        forwarding({"local": "192.0.2.1:{l}", "to": "{echo}"}), "local port", "fail", "not available", "address of this machine"),
    "-L: AllowTcpForwarding remote": (
        forwarding(L, options={"AllowTcpForwarding": "remote"}), "permission", "fail", "prohibited", "AllowTcpForwarding yes"),
    "-L: PermitOpen": (forwarding(L, options={"PermitOpen": "host:1"}), "permission", "fail", "prohibited", "PermitOpen"),
    "-L: permitopen": (
        forwarding(L, key_options='permitopen="host:1"'), "permission", "fail", "prohibited", "permitopen="),
    "-L: target refuses": (
        forwarding({"local": "127.0.0.1:{l}", "to": "127.0.0.1:{r}"}), "target", "fail", "from the peer.*refused", "start the server"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS.values(), ids=FAULTS.keys())
def test_fault(doctor, case):
    stage, name, result, seen, mend = case
    doctor.look(stage(doctor))
    bad = [hop for hop in doctor.hops if hop["result"] in ("warning", "fail") and hop["hop"] == name]
    assert len(bad) == 1, doctor.out
    hop = bad[0]
    assert hop["result"] == result, hop
    assert re.search(seen, hop["seen"]), hop
    assert re.search(mend, hop["mend"]), hop
    failures = [one for one in doctor.hops if one["result"] == "fail"]
    if result == "fail":
        assert failures == [hop]
        assert all(one["result"] == "skipped" for one in doctor.hops[doctor.hops.index(hop) + 1 :])
        assert doctor.code == 1
    else:
        assert doctor.code == (1 if failures else 0)
    assert doctor.err == ""


def test_there_are_enough_faults():
    assert len(FAULTS) >= 25


def test_definition_errors_have_their_place(doctor):
    path = doctor.write("tunnels:\n  t:\n    hots: x\n    forwards: [{remote: 70000, to: a:1}]\n")
    doctor.call("-c", path, "--json")
    (only,) = json.loads(doctor.out)
    assert only["tunnel"] is None and doctor.code == 2
    assert {(hop["hop"], hop["result"]) for hop in only["hops"]} == {("definition", "fail")}
    assert any(":3:5: tunnels.t" in hop["seen"] for hop in only["hops"]), doctor.out
    doctor.call("-c", path)
    assert doctor.code == 2 and "fail     definition" in doctor.out


def test_all_is_well(doctor):
    speaks = doctor.serve(servers.speaks_first)
    silent = doctor.serve(servers.sink)
    text = doctor.tunnel(
        {"remote": doctor.remote, "to": speaks.address},
        {"local": f"127.0.0.1:{doctor.local}", "to": silent.address},
        # One address: of two, sshd may get the port it chose at the first alone, and say nothing.
        {"remote": "127.0.0.1:0", "to": silent.address},
    )
    doctor.look(text)
    assert [hop["result"] for hop in doctor.hops] == ["ok"] * len(doctor.hops)
    assert (doctor.code, doctor.err) == (0, "")
    assert [hop["hop"] for hop in doctor.hops if hop["forward"] is None] == SESSION_HOPS
    forwards = [(hop["forward"][:2], hop["hop"]) for hop in doctor.hops if hop["forward"]]
    remote = [("-R", name) for name in ("permission", "remote port", "target", "path")]
    assert forwards == [*remote, *[("-L", name) for name in ("local port", "permission", "target")], *remote]
    assert "'220 the server speaks first'" in doctor.hop("target")["seen"]
    assert "says nothing by itself" in doctor.hop("target", 1)["seen"]
    assert "and back" in doctor.hop("path")["seen"]
    assert "pinned at" in doctor.hop("host key")["seen"]
    for connection in [*speaks.connections, *silent.connections]:
        assert connection.finished.wait(10)
        assert connection.received == 0, "a target gets no byte"
    assert not is_listened_on(doctor.remote)
    doctor.call("-c", native(doctor.program.folder / "tunnels.yaml"))
    lines = doctor.out.splitlines()
    assert lines[0].startswith("t (") and all(line.startswith("  ") for line in lines[1:])
    assert sum(line.startswith("  ok       ") for line in lines) == len(doctor.hops) and "=>" not in doctor.out


def test_its_text_ends_with_the_first_mend(doctor):
    doctor.call("-c", doctor.write(nothing_listens(doctor)))
    lines = doctor.out.splitlines()
    assert lines[-1].startswith("  => connect: start the sshd there"), doctor.out
    assert "  skipped  banner" in lines and "  skipped  path" in lines


def test_the_mend_of_an_unknown_key_mends_it(doctor):
    text = known_hosts_is(is_empty)(doctor)
    doctor.look(text)
    words = doctor.hop("host key")["mend"].split("run: holdfast ")[1].split()
    done = subprocess.run(
        [*runner(), binary(), *words, "--yes"],
        env=doctor.program.environment(), stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    doctor.look(text)
    assert doctor.hop("host key")["result"] == "ok"


def test_nothing_is_pinned(doctor):
    doctor.look(known_hosts_is(is_empty, strict_host_key_checking="accept_new")(doctor))
    hop = doctor.hop("host key")
    assert hop["result"] == "ok" and "not known yet" in hop["seen"]
    assert doctor.sshd.known_hosts.read_text() == ""
    assert not (doctor.program.folder / "none").exists()


def test_least_rights_are_enough(doctor):
    """The path is not proven then, which is said and is no fault."""
    options = f'restrict,port-forwarding,permitlisten="localhost:{doctor.remote}",permitopen="0.0.0.0:1"'
    doctor.look(doctor.tunnel({"remote": doctor.remote, "to": doctor.echo()}, key_options=options))
    assert doctor.code == 0
    assert "not proven" in doctor.hop("path")["seen"]


def test_forwards_are_judged_each(doctor):
    server = doctor.serve(servers.sink)
    doctor.look(
        doctor.tunnel(
            {"remote": f"127.0.0.1:{server.port}", "to": doctor.echo()},
            {"remote": doctor.remote, "to": doctor.echo()},
        )
    )
    assert doctor.code == 1
    results = [hop["result"] for hop in doctor.hops if hop["forward"]]
    assert results == ["ok", "fail", "skipped", "skipped", "ok", "ok", "ok", "ok"]


def test_a_passphrase_is_asked_for_at_a_terminal_alone(doctor):
    """Without one the walk ends at the key; with one it goes on, and says that 'run' could not."""
    sshd = doctor.start_sshd(user_key=make_key(doctor.folder / "locked", passphrase="open sesame"))
    text = doctor.define(host_entry(sshd), {"remote": "127.0.0.1:0", "to": doctor.echo()})
    doctor.look(text)
    assert doctor.code == 1 and doctor.hop("key file")["result"] == "fail"
    words = [*runner(), binary(), "doctor", "-c", native(doctor.program.folder / "tunnels.yaml")]
    code, shown = at_terminal(words, [(rb"passphrase for key", "open sesame")], doctor.program.environment())
    assert code == 0, shown
    assert re.search(r"warning +key file .* 'run' has nobody to ask", shown)
    assert re.search(r"ok +authentication +let in as", shown)


def test_only_those_named(doctor):
    sshd = doctor.start_sshd()
    echo = doctor.echo()
    tunnels = {name: {"host": "peer", "forwards": [{"remote": "127.0.0.1:0", "to": echo}]} for name in ("one", "two", "three")}
    text = definition({"peer": sshd}, tunnels)
    doctor.look(text, "two", "one")
    assert [tunnel["tunnel"] for tunnel in doctor.tunnels] == ["one", "two"] and doctor.code == 0
    doctor.call("-c", doctor.write(text), "tow")
    assert (doctor.code, doctor.out) == (2, "")
    assert doctor.err.strip() == "holdfast: doctor: the definitions have no tunnel 'tow'; did you mean 'two'?"


@pytest.fixture
def running(doctor):
    """A tunnel that a holdfast keeps, with a connection through it."""
    greets = doctor.serve(servers.speaks_first)
    forwards = [
        {"remote": doctor.remote, "to": greets.address},
        {"local": f"127.0.0.1:{doctor.local}", "to": greets.address},
    ]
    doctor.text = doctor.tunnel(*forwards)
    doctor.program.run(doctor.text)
    doctor.program.wait_up()
    return doctor


def test_a_running_tunnel_is_left_alone(running):
    mark = running.program.err.mark()
    with clients.connect(running.remote) as sock:
        assert clients.read_exactly(sock, len(servers.BANNER)) == servers.BANNER
        running.look(running.text)
        assert running.code == 0 and {hop["result"] for hop in running.hops} == {"ok"}
        assert re.search(r"is held, as it should be, by process \d+", running.hop("remote port")["seen"])
        assert "keeps this tunnel now" in running.hop("local port")["seen"]
        assert "220 the server" in running.hop("path")["seen"]
        sock.sendall(b"still here")
        assert clients.read_exactly(sock, 10) == b"still here"
    assert not [line for line in running.program.err.since(mark) if "waiting" in line or "degraded" in line]


def test_a_running_tunnel_whose_port_is_not_up(doctor):
    sshd = doctor.start_sshd({"PermitListen": "1"})
    text = doctor.define(host_entry(sshd), {"remote": doctor.remote, "to": doctor.echo()})
    doctor.program.run(text)
    doctor.program.wait_log("refused to listen")
    doctor.look(text)
    assert doctor.code == 1
    hop = doctor.hop("remote port")
    assert hop["result"] == "fail" and "keeps this tunnel, but nothing takes connections" in hop["seen"], hop
    assert "log" in hop["mend"]


def test_after_a_crash_nobody_keeps_it(running):
    """A lock file that a dead process left behind holds nothing."""
    running.program._process.kill()
    running.sshd.kill_sessions()
    running.look(running.text)
    assert running.code == 0
    assert "was free" in running.hop("remote port")["seen"]


def test_a_foreign_connection_during_the_look(doctor):
    """The port is known to others, who connect just then: they are declined or ended, and the path is proven."""
    stopping = []

    def knock(connection):
        connection.read_to_end()

    server = doctor.serve(knock)
    text = doctor.tunnel({"remote": doctor.remote, "to": server.address})

    def hammer():
        while not stopping:
            try:
                with socket.create_connection(("127.0.0.1", doctor.remote), 1) as sock:
                    sock.settimeout(1)
                    sock.recv(1)
            except OSError:
                pass

    thread = threading.Thread(target=hammer)
    thread.start()
    try:
        doctor.look(text)
    finally:
        stopping.append(True)
        thread.join()
    assert doctor.code == 0 and doctor.hop("path")["result"] == "ok", doctor.out
