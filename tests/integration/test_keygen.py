"""`holdfast keygen`: the key is good, and its line allows the tunnel's forwards and nothing else."""

import subprocess

import pytest
from harness import clients, servers
from harness.holdfast import binary, definition, host_entry, native, runner
from harness.ports import free_port


def keygen(path, *words):
    return subprocess.run(
        [*runner(), binary(), "keygen", "-c", native(path), *words],
        capture_output=True, text=True, check=False, timeout=60)  # fmt: skip


def is_private(path):
    """Wine shows the access list of owner, SYSTEM and Administrators as a mode that lets the group in."""
    mode = path.stat().st_mode & 0o777
    return mode & 0o007 == 0 if runner() else mode == 0o600


@pytest.fixture
def defined(sshd, serve, tmp_path):
    """A definition with a -R and a -L whose key does not exist yet: (its path, the key, the two ports)."""
    ports = (free_port(), free_port())
    to = serve(servers.echo).address
    forwards = [{"remote": ports[0], "to": to}, {"local": f"127.0.0.1:{ports[1]}", "to": to}]
    path = tmp_path / "tunnels.yaml"
    key = tmp_path / "new.key"
    host = host_entry(sshd, identity_file="new.key")
    path.write_text(definition({"peer": host}, {"t": {"host": "peer", "forwards": forwards}}))
    return path, key, ports


def test_the_key_is_let_in_and_carries_both_forwards(sshd, holdfast, defined):
    path, key, ports = defined
    made = keygen(path, "t")
    assert made.returncode == 0, made.stderr
    assert "made " in made.stderr and f"authorized_keys of {sshd.user} on {sshd.host}" in made.stderr
    assert is_private(key)
    key.chmod(0o600)  # ssh-keygen knows modes only
    shown = subprocess.run(["ssh-keygen", "-y", "-f", key], capture_output=True, text=True, check=True).stdout
    assert shown.split()[:2] == (key.parent / "new.key.pub").read_text().split()[:2]
    sshd.authorized_keys.write_text(made.stdout)
    holdfast.start("run", "-c", native(path))
    holdfast.wait_up(2)
    for port in ports:
        assert clients.exchange(port, b"through") == b"through"


def test_the_line_allows_nothing_else(sshd, holdfast, serve, defined):
    path, key, _ = defined
    sshd.authorized_keys.write_text(keygen(path, "t").stdout)
    key.chmod(0o600)  # as the program made it, but under Wine, whose modes are a guess at access lists
    words = ["ssh", "-F", "none", "-p", str(sshd.port), "-i", key, "-o", f"UserKnownHostsFile={sshd.known_hosts}"]
    ran = subprocess.run([*words, sshd.destination, "echo", "inside"], capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 1 and ran.stdout == ""
    refused = subprocess.run(
        [*words, "-N", "-o", "ExitOnForwardFailure=yes", "-R", f"{free_port()}:localhost:1", sshd.destination],
        capture_output=True, text=True, check=False, timeout=60)  # fmt: skip
    assert refused.returncode == 255 and "remote port forwarding failed" in refused.stderr
    other = serve(servers.echo).address
    opened = subprocess.run([*words, "-W", other, sshd.destination], capture_output=True, text=True, check=False, timeout=60)
    assert "administratively prohibited" in opened.stderr


def test_a_probe_that_loops_is_allowed_its_way(sshd, holdfast, serve, tmp_path):
    """It has the peer connect to its own listener, and to nothing else."""
    ports = [free_port(), free_port()]
    loops = {"probe": "loop", "probe_interval": "1s", "to": serve(servers.echo).address}
    forwards = [{"remote": ports[0], **loops}, {"remote": f"127.0.0.1:{ports[1]}", **loops}]
    path, key = tmp_path / "tunnels.yaml", tmp_path / "new.key"
    path.write_text(definition({"peer": host_entry(sshd, identity_file="new.key")}, {"t": {"host": "peer", "forwards": forwards}}))
    line = keygen(path, "t").stdout
    assert f'permitopen="localhost:{ports[0]}"' in line and f'permitopen="127.0.0.1:{ports[1]}"' in line
    assert "0.0.0.0:1" not in line
    key.chmod(0o600)
    sshd.authorized_keys.write_text(line)
    sshd.set_options(LogLevel="DEBUG1")
    sshd.restart()
    holdfast.start("run", "-c", native(path), "-v")
    holdfast.wait_up()
    for port in ports:
        sshd.log.wait_for(rf"Connection to port {port} forwarding to .* requested|connect_to.*{port}", 15)
        assert clients.exchange(port, b"through") == b"through"
    assert not holdfast.err.matching("not probed|degraded|did not come back")


def test_an_existing_key_stays_and_its_line_is_the_same(defined):
    path, key, _ = defined
    first = keygen(path, "t")
    before = key.read_bytes()
    second = keygen(path, "t")
    assert (second.returncode, second.stdout) == (0, first.stdout)
    assert key.read_bytes() == before and "stays as it is" in second.stderr


LINES = {
    "14444": 'permitlisten="localhost:14444",permitopen="0.0.0.0:1" ',
    "'*:14444'": 'permitlisten="14444",permitopen="0.0.0.0:1" ',
    "'[::1]:14444'": 'permitlisten="[::1]:14444",permitopen="0.0.0.0:1" ',
    "0": 'permitlisten="localhost:*",permitopen="0.0.0.0:1" ',
}


@pytest.mark.parametrize("listen", LINES)
def test_listeners_as_the_peer_compares_them(tmp_path, listen):
    path = tmp_path / "t.yaml"
    path.write_text(
        "hosts:\n  h:\n    hostname: h\n    user: me\n    identity_file: k\n"
        f"tunnels:\n  t:\n    host: h\n    reclaim: no\n    forwards:\n      - remote: {listen}\n        to: a:80\n")
    assert keygen(path, "t").stdout.startswith('restrict,port-forwarding,command="/bin/false",' + LINES[listen])


BAD = {
    "no name": ([], "keygen needs the name of a tunnel: holdfast keygen [-c FILE|DIR] NAME"),
    "two names": (["t", "u"], "keygen takes one tunnel, and 'u' is a second"),
    "near name": (["tt"], "keygen: the definitions have no tunnel 'tt'; did you mean 't'?"),
    "other name": (["colour"], "keygen: the definitions have no tunnel 'colour'; 'holdfast check' lists those they have"),
    "flag": (["-z", "t"], "unknown flag -z; see 'holdfast help keygen'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_lines(tmp_path, name):
    path = tmp_path / "t.yaml"
    path.write_text("tunnels:\n  t:\n    host: me@h\n    forwards:\n      - local: 8080\n        to: a:80\n")
    words, message = BAD[name]
    result = keygen(path, *words)
    assert (result.returncode, result.stdout, result.stderr) == (2, "", f"holdfast: {message}\n")


def test_a_host_without_identity_file_is_told_to_name_one(tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text("tunnels:\n  t:\n    host: me@h\n    forwards:\n      - local: 8080\n        to: a:80\n")
    result = keygen(path, "t")
    assert result.returncode == 2
    assert "its host has no identity_file to make; add 'identity_file: t.key' to the host" in result.stderr


def test_a_folder_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text(
        "hosts:\n  h:\n    hostname: h\n    identity_file: nowhere/k\n"
        "tunnels:\n  t:\n    host: h\n    forwards:\n      - remote: 1\n        to: a:80\n")
    result = keygen(path, "t")
    assert result.returncode == 1 and "nowhere" in result.stderr and "cannot be made" in result.stderr
    assert result.stdout == ""
