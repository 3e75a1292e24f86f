"""Whose key is it? Policies, known_hosts in all its forms, and `holdfast trust`."""

import os
import re
import shlex
import socket
import subprocess
import threading

import pytest
from harness.holdfast import binary, runner
from harness.ports import free_port
from harness.sshd import make_key
from harness.terminal import at_terminal
from harness.wine import shown, upright

POLICIES = ["yes", "accept-new", "ask"]


def fingerprint(key):
    public = key.with_name(key.name + ".pub")
    return subprocess.run(["ssh-keygen", "-lf", public], capture_output=True, text=True, check=True).stdout.split()[1]


def public_line(name, key):
    return f"{name} {' '.join(key.with_name(key.name + '.pub').read_text().split()[:2])}\n"


def dial(holdfast, sshd, known_hosts, policy, *more):
    """Starts a tunnel that looks only at `known_hosts`."""
    return holdfast.start(
        "-F", "none",
        "-p", sshd.port,
        "-i", sshd.user_key,
        "-o", f"UserKnownHostsFile={known_hosts}",
        "-o", "GlobalKnownHostsFile=none",
        "-o", f"StrictHostKeyChecking={policy}",
        *more,
        "-L", f"127.0.0.1:{free_port()}:127.0.0.1:9",
        sshd.destination,
    )  # fmt: skip


def refused(holdfast):
    assert holdfast.wait() == 4
    return holdfast.err.text()


@pytest.fixture
def known(tmp_path):
    return tmp_path / "known_hosts"


@pytest.fixture
def other_key(tmp_path):
    return make_key(tmp_path / "other_host_key")


@pytest.fixture
def name(sshd):
    return f"[{sshd.host}]:{sshd.port}"


@pytest.mark.parametrize("policy", ["yes", "ask"])
def test_unknown_key_is_refused_without_a_terminal(holdfast, sshd, known, host_key, policy):
    dial(holdfast, sshd, known, policy)
    said = refused(holdfast)
    assert fingerprint(host_key()) in said
    assert f"holdfast trust {sshd.host}:{sshd.port}" in said
    assert not known.exists()


@pytest.mark.parametrize("alias", [None, "my-alias"])
def test_the_command_that_is_told_pins_the_key_where_it_is_looked_for(holdfast, sshd, known, alias):
    words = ["-o", f"HostKeyAlias={alias}"] if alias else []
    dial(holdfast, sshd, known, "yes", *words)
    told = re.search(r"then run: holdfast (trust .*)", refused(holdfast)).group(1)
    holdfast.start(*shlex.split(told, posix=not runner()), "--yes", "-F", "none")
    assert holdfast.wait() == 0
    dial(holdfast, sshd, known, "yes", *words).wait_up()
    assert holdfast.stop() == 0


@pytest.mark.parametrize("policy", ["accept-new", "no"])
def test_unknown_key_is_pinned(holdfast, sshd, known, host_key, name, policy):
    known = known.parent / "fresh" / "known_hosts"
    dial(holdfast, sshd, known, policy).wait_up()
    assert holdfast.stop() == 0
    assert known.read_text() == public_line(name, host_key())
    assert runner() or known.stat().st_mode & 0o777 == 0o600
    assert runner() or known.parent.stat().st_mode & 0o777 == 0o700
    dial(holdfast, sshd, known, "yes").wait_up()
    assert holdfast.stop() == 0


def test_pinning_hashes_names_and_mends_a_missing_newline(holdfast, sshd, known, host_key, other_key, name):
    known.write_text(public_line("elsewhere", other_key).rstrip("\n"))
    dial(holdfast, sshd, known, "accept-new", "-o", "HashKnownHosts=yes").wait_up()
    assert holdfast.stop() == 0
    lines = known.read_text().splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("|1|")
    found = subprocess.run(["ssh-keygen", "-F", name, "-f", known], capture_output=True, text=True, check=False)
    assert found.returncode == 0, "ssh-keygen finds what holdfast pinned"


def test_a_file_that_cannot_be_written_is_a_warning(holdfast, sshd, tmp_path):
    (tmp_path / "plain").write_text("")
    dial(holdfast, sshd, tmp_path / "plain" / "known_hosts", "accept-new").wait_up()
    assert "could not be pinned" in holdfast.err.text()
    assert holdfast.stop() == 0


@pytest.mark.parametrize("policy", POLICIES)
def test_changed_key_is_refused(holdfast, sshd, known, host_key, other_key, name, policy):
    known.write_text("# first\n\n" + public_line(name, other_key))
    dial(holdfast, sshd, known, policy)
    said = refused(holdfast)
    assert fingerprint(host_key()) in said
    assert fingerprint(other_key) in said
    assert f"{known}:3" in said
    assert f"holdfast trust {sshd.host}:{sshd.port}" in said
    assert "or remove that line" in said


def test_changed_key_with_no_goes_on_with_a_warning(holdfast, sshd, known, other_key, name):
    known.write_text(public_line(name, other_key))
    dial(holdfast, sshd, known, "no").wait_up()
    assert "HAS CHANGED" in holdfast.err.text()
    assert holdfast.stop() == 0
    assert known.read_text() == public_line(name, other_key)


def test_revoked_key_is_refused_whatever_the_policy(holdfast, sshd, known, host_key, name):
    known.write_text(public_line(name, host_key()) + "@revoked " + public_line("*", host_key()))
    dial(holdfast, sshd, known, "no")
    assert f"revoked at {shown(known)}:2" in upright(refused(holdfast))


def test_every_form_of_entry_matches(holdfast, sshd, tmp_path, known, host_key, other_key, name):
    hashed = tmp_path / "hashed"
    hashed.write_text(public_line(name, host_key()))
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", hashed], check=True, capture_output=True)
    key = host_key()
    forms = {
        "plain": public_line(name, key),
        "list": public_line(f"elsewhere,{name},third", key),
        "pattern": public_line("[127.0.0.*]:*", key),
        "negation": public_line(f"!elsewhere,{name}", key),
        "hashed": hashed.read_text(),
        "without port": public_line(sshd.host, key),
        "crlf": public_line(name, key).replace("\n", "\r\n"),
        "garbage before": "garbage\n@unknown x y z\n\x00\xff\n" + "x" * 100000 + "\n" + public_line(name, key),
        "authority before": "@cert-authority " + public_line("*", other_key) + public_line(name, key),
        "old key of the same type before": public_line(name, other_key) + public_line(name, key),
    }
    for form, text in forms.items():
        known.write_bytes(text.encode("latin-1"))
        dial(holdfast, sshd, known, "yes").wait_up()
        assert holdfast.stop() == 0, form


def test_negated_entry_does_not_match(holdfast, sshd, known, host_key, name):
    known.write_text(public_line(f"*,!{name},!127.*", host_key()))
    dial(holdfast, sshd, known, "yes")
    assert "is not known" in refused(holdfast)


def test_second_file_is_read_too(holdfast, sshd, tmp_path, known, host_key, name):
    second = tmp_path / "second"
    second.write_text(public_line(name, host_key()))
    dial(holdfast, sshd, f"{known} {second}", "yes").wait_up()
    assert holdfast.stop() == 0


def test_alias_is_looked_up_instead(holdfast, sshd, known, host_key):
    known.write_text(public_line("my-alias", host_key()))
    dial(holdfast, sshd, known, "yes", "-o", "HostKeyAlias=my-alias").wait_up()
    assert holdfast.stop() == 0


def test_pinned_type_is_asked_for_first(holdfast, start_sshd, known, host_key):
    sshd = start_sshd(host_keys=[host_key("ed25519"), host_key("ecdsa"), host_key("rsa")])
    for kind in ("rsa", "ecdsa", "ed25519"):
        known.write_text(public_line(f"[{sshd.host}]:{sshd.port}", host_key(kind)))
        dial(holdfast, sshd, known, "yes").wait_up()
        assert holdfast.stop() == 0


def test_another_type_than_the_pinned_is_a_change_as_with_ssh(holdfast, start_sshd, known, host_key):
    sshd = start_sshd(host_keys=[host_key("ed25519")])
    known.write_text(public_line(f"[{sshd.host}]:{sshd.port}", host_key("rsa")))
    dial(holdfast, sshd, known, "accept-new")
    said = refused(holdfast)
    assert "has only ssh-rsa" in said


# ---- at a terminal ----


def words_of(holdfast, *words):
    return [str(word) for word in [*runner(), binary(), *words]]


def ask_words(holdfast, sshd, known):
    return words_of(
        holdfast, "-F", "none", "-p", sshd.port, "-i", sshd.user_key, "-o", f"UserKnownHostsFile={known}",
        "-o", "GlobalKnownHostsFile=none", "-L", f"127.0.0.1:{free_port()}:127.0.0.1:9", sshd.destination,
    )  # fmt: skip


def stop(pid):
    os.kill(pid, 2 if runner() else 15)  # to Wine, 15 is a death at once


@pytest.mark.parametrize("how", ["yes", "fingerprint"])
def test_a_person_may_accept_the_key(holdfast, sshd, known, host_key, name, how):
    answer = "yes" if how == "yes" else fingerprint(host_key())
    code, screen = at_terminal(
        ask_words(holdfast, sshd, known),
        [(rb"continue connecting", "what?"), (rb"Please type", answer), (rb"holdfast: up", stop)],
        holdfast.environment(),
    )
    assert code == 0, screen
    assert fingerprint(host_key()) in screen
    assert known.read_text() == public_line(name, host_key())


def test_a_person_may_refuse_the_key(holdfast, sshd, known):
    code, screen = at_terminal(
        ask_words(holdfast, sshd, known), [(rb"continue connecting", "no")], holdfast.environment()
    )
    assert code == 4, screen
    assert not known.exists()


# ---- holdfast trust ----


def trust(holdfast, sshd, known, *more):
    holdfast.start("trust", "-F", "none", "--known-hosts", known, *more, f"{sshd.host}:{sshd.port}")
    code = holdfast.wait()
    return code, holdfast.out.text() + holdfast.err.text()


def test_trust_shows_and_pins_every_key(holdfast, start_sshd, known, host_key):
    kinds = ["ed25519", "ecdsa", "rsa"]
    sshd = start_sshd(host_keys=[host_key(kind) for kind in kinds])
    code, said = trust(holdfast, sshd, known)
    assert code == 4
    assert "nothing was pinned" in said
    assert not known.exists()
    for kind in kinds:
        assert fingerprint(host_key(kind)) in said
    code, said = trust(holdfast, sshd, known, "--yes")
    assert code == 0
    name = f"[{sshd.host}]:{sshd.port}"
    assert sorted(known.read_text().splitlines(True)) == sorted(public_line(name, host_key(kind)) for kind in kinds)
    code, said = trust(holdfast, sshd, known)
    assert code == 0
    assert "already pinned" in said


def test_trust_pins_nothing_when_it_could_not_ask_for_all(holdfast, start_sshd, known, host_key, serve):
    """A host is asked once for each type of key. One that is gone half-way has not shown what it has."""
    sshd = start_sshd(host_keys=[host_key(kind) for kind in ["ed25519", "rsa"]])

    def goes_away(connection):
        if len(connection.server.connections) > 2:
            return
        with socket.create_connection((sshd.host, sshd.port)) as onward:
            back = threading.Thread(target=pass_on, args=(onward, connection.sock))
            back.start()
            pass_on(connection.sock, onward)
            back.join()

    def pass_on(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other end has gone, which is the other thread's to notice as well

    code, said = trust(holdfast, serve(goes_away), known, "--yes")
    assert code == 1
    assert "ended the connection before any SSH greeting" in said
    assert not known.exists()


def test_trust_replaces_a_changed_key_only_when_told(holdfast, sshd, known, host_key, other_key, name):
    before = (
        "# mine\r\n" + public_line("elsewhere", other_key) + public_line(name, other_key)
        + public_line(f"other,{name}", other_key) + "odd line\n" + public_line("last", other_key).rstrip("\n")
    )  # fmt: skip
    known.write_bytes(before.encode())
    known.chmod(0o640)
    for more in ([], ["--yes"]):
        code, said = trust(holdfast, sshd, known, *more)
        assert code == 4
        assert f"{known}:3" in said
        assert fingerprint(host_key()) in said
        assert fingerprint(other_key) in said
        assert known.read_bytes() == before.encode()
    code, said = trust(holdfast, sshd, known, "--yes", "--replace")
    assert code == 0, said
    after = (
        "# mine\r\n" + public_line("elsewhere", other_key) + public_line("other", other_key) + "odd line\n"
        + public_line("last", other_key) + public_line(name, host_key())
    )  # fmt: skip
    assert known.read_bytes() == after.encode()
    assert runner() or known.stat().st_mode & 0o777 == 0o640


def test_trust_at_a_terminal(holdfast, sshd, known, host_key, name):
    words = words_of(holdfast, "trust", "-F", "none", "--known-hosts", known, f"{sshd.host}:{sshd.port}")
    code, screen = at_terminal(words, [(rb"yes/no", "no")], holdfast.environment())
    assert code == 4, screen
    assert not known.exists()
    code, screen = at_terminal(words, [(rb"yes/no", "yes")], holdfast.environment())
    assert code == 0, screen
    assert known.read_text() == public_line(name, host_key())


def test_trust_of_nobody(holdfast, known):
    holdfast.start("trust", "-F", "none", "--known-hosts", known, f"127.0.0.1:{free_port()}")
    assert holdfast.wait() == 1
    assert "refused" in holdfast.err.text()


def test_a_failed_tunnel_goes_on_once_its_host_is_trusted(holdfast, sshd, known, host_key, name, tmp_path):
    """`run` keeps a tunnel whose host key is unknown as failed, and looks again when known_hosts has changed."""
    definition = tmp_path / "t.yaml"
    definition.write_text(
        "hosts:\n  peer:\n"
        f"    hostname: {sshd.host}\n    port: {sshd.port}\n    user: {sshd.user}\n"
        f"    identity_file: {sshd.user_key}\n    known_hosts_file: {known}\n"
        "tunnels:\n  t:\n    host: peer\n    forwards:\n"
        f"      - local: 127.0.0.1:{free_port()}\n        to: 127.0.0.1:9\n"
    )
    holdfast.start("run", "-c", definition)
    holdfast.wait_log(r"\berror +t: failed .*is not known", 15)
    known.write_text(public_line(name, host_key()))
    holdfast.wait_log(r"\binfo +t: up\b", 15)
