"""Who are we? Key files of all kinds, the agent, passphrases, second factors, and what is said when nothing helps."""

import base64
import os
import socket
import subprocess

import pytest
from harness.holdfast import binary, runner
from harness.ports import free_port
from harness.proc import wait_until
from harness.servers import sends_then_ends
from harness.sshd import make_key
from harness.terminal import at_terminal
from harness.wine import shown, upright

PASSPHRASE = "correct horse"


def flags(sshd, *more):
    return [
        "-F", "none",
        "-p", sshd.port,
        "-o", f"UserKnownHostsFile={sshd.known_hosts}",
        "-o", "GlobalKnownHostsFile=none",
        "-o", "StrictHostKeyChecking=yes",
        *more,
        "-L", f"127.0.0.1:{free_port()}:127.0.0.1:9",
        sshd.destination,
    ]  # fmt: skip


def public(key):
    return key.with_name(key.name + ".pub")


def fingerprint(key):
    line = subprocess.run(["ssh-keygen", "-lf", public(key)], capture_output=True, text=True, check=True).stdout
    return line.split()[1]


def let_in(sshd, *keys):
    sshd.authorized_keys.write_text("".join(public(key).read_text() for key in keys))


def refused(holdfast, *words):
    holdfast.start(*words)
    assert holdfast.wait() == 3
    return upright(holdfast.err.text())


def up(holdfast, *words):
    holdfast.start(*words)
    holdfast.wait_up()
    assert holdfast.stop() == 0


@pytest.fixture
def new_key(tmp_path):
    return lambda name="key", kind="ed25519", **more: make_key(tmp_path / name, kind, **more)


@pytest.fixture
def agent(holdfast, tmp_path):
    """A real ssh-agent; agent(key, ...) loads keys. holdfast finds it by SSH_AUTH_SOCK."""
    path = tmp_path / "agent.sock"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    environment = holdfast.environment
    holdfast.environment = lambda: {**environment(), "SSH_AUTH_SOCK": str(path)}

    def load(*keys):
        wait_until(path.exists, 5, "the agent listens")
        for key in keys:
            subprocess.run(
                ["ssh-add", "-q", key], env={**os.environ, "SSH_AUTH_SOCK": str(path)}, check=True, capture_output=True
            )

    yield load
    process.terminate()
    process.wait()


# ---- key files ----

CONVERTED = {
    "pem": ["-m", "PEM"],
    "pkcs8": ["-m", "PKCS8"],
}


@pytest.mark.parametrize("form", ["openssh", *CONVERTED])
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa"])
def test_every_kind_of_key_file(holdfast, sshd, tmp_path, kind, form):
    name, _, bits = kind.partition("-")
    key = tmp_path / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", name, *(["-b", bits] if bits else []), "-N", "", "-f", key], check=True
    )
    let_in(sshd, key)
    if form != "openssh":
        if name == "ed25519":
            pytest.skip("ssh-keygen writes ed25519 in its own form only")
        words = ["ssh-keygen", "-q", "-p", "-N", "", *CONVERTED[form], "-f", key]
        subprocess.run(words, check=True, capture_output=True)
    public(key).unlink()
    up(holdfast, *flags(sshd, "-i", key))


def test_ed25519_in_pkcs8(holdfast, sshd, tmp_path):
    key = tmp_path / "key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True, capture_output=True)
    key.chmod(0o600)
    if subprocess.run(["ssh-keygen", "-y", "-f", key], capture_output=True, check=False).returncode != 0:
        words = ["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"]
        text = subprocess.run(words, capture_output=True, check=True)
        blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + text.stdout[-32:]
        sshd.authorized_keys.write_text(f"ssh-ed25519 {base64.b64encode(blob).decode()}\n")
    up(holdfast, *flags(sshd, "-i", key))


def test_rsa_with_sha2_only(holdfast, start_sshd, new_key):
    key = new_key(kind="rsa")
    sshd = start_sshd({"PubkeyAcceptedAlgorithms": "rsa-sha2-512"})
    let_in(sshd, key)
    up(holdfast, *flags(sshd, "-i", key))


def test_rsa_is_never_signed_by_sha1(holdfast, start_sshd, new_key):
    key = new_key(kind="rsa")
    sshd = start_sshd({"PubkeyAcceptedAlgorithms": "ssh-rsa"})
    let_in(sshd, key)
    said = refused(holdfast, *flags(sshd, "-i", key))
    assert shown(key) in said
    assert "Accepted publickey" not in sshd.log.text()


def test_rsa_key_that_the_peer_never_takes_does_not_spoil_the_next(holdfast, start_sshd, new_key, user_key):
    sshd = start_sshd({"PubkeyAcceptedAlgorithms": "ssh-ed25519"})
    up(holdfast, *flags(sshd, "-i", new_key(kind="rsa"), "-i", user_key))


def test_files_are_tried_in_order(holdfast, sshd, new_key, user_key):
    up(holdfast, *flags(sshd, "-i", new_key("first"), "-i", new_key("second", "ecdsa"), "-i", user_key))


def test_wrong_key_says_what_was_tried_and_what_to_do(holdfast, sshd, new_key):
    key = new_key()
    said = refused(holdfast, *flags(sshd, "-i", key))
    assert f"{shown(key)} (refused)" in said
    assert "the peer offers publickey" in said
    assert f"add the public key {shown(key)}.pub to ~/.ssh/authorized_keys of {sshd.user} on {sshd.host}" in said


def test_no_key_at_all(holdfast, sshd):
    said = refused(holdfast, *flags(sshd))
    assert "there was no key to offer" in said
    assert "ssh-keygen -t ed25519" in said


def test_missing_file_is_named(holdfast, sshd, tmp_path):
    assert f"{shown(tmp_path)}/nowhere cannot be read" in refused(holdfast, *flags(sshd, "-i", tmp_path / "nowhere"))


def test_key_that_others_can_read_is_refused(holdfast, sshd, user_key, new_key):
    key = new_key()
    let_in(sshd, key)
    key.chmod(0o644)
    said = refused(holdfast, *flags(sshd, "-i", key))
    assert (f"icacls \"{shown(key)}\"" if runner() else f"chmod 600 {key}") in said
    key.chmod(0o600)
    up(holdfast, *flags(sshd, "-i", key))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rubbish", "is not a private key file"),
        ("", "is not a private key file"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\n", "export it as an OpenSSH key with puttygen"),
        ("-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----\n", "DSA keys are not in this version"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", "is broken"),
        ("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", "is broken"),
    ],
)
def test_file_that_is_no_key(holdfast, sshd, tmp_path, text, sentence):
    key = tmp_path / "key"
    key.write_text(text)
    key.chmod(0o600)
    said = refused(holdfast, *flags(sshd, "-i", key))
    assert shown(key) in said
    assert sentence in said


# ---- passphrases ----


def encrypted(new_key, form):
    key = new_key(kind="rsa" if form == "pem" else "ed25519", passphrase=PASSPHRASE)
    if form == "pem":
        subprocess.run(
            ["ssh-keygen", "-q", "-p", "-P", PASSPHRASE, "-N", PASSPHRASE, "-m", "PEM", "-f", key],
            check=True, capture_output=True,
        )  # fmt: skip
    return key


def words_of(*words):
    return [str(word) for word in [*runner(), binary(), *words]]


def stop(pid):
    os.kill(pid, 2 if runner() else 15)  # to Wine, 15 is a death at once


@pytest.mark.parametrize("form", ["openssh", "pem", "pem without .pub"])
def test_passphrase_is_asked_at_the_terminal(holdfast, sshd, new_key, form):
    key = encrypted(new_key, form.split()[0])
    let_in(sshd, key)
    if form.endswith(".pub"):
        public(key).unlink()
    question = rb"Enter passphrase for key '" + shown(key).encode() + rb"'"
    code, screen = at_terminal(
        words_of(*flags(sshd, "-i", key)),
        [(question, "wrong"), (question, PASSPHRASE), (rb"holdfast: up", stop)],
        holdfast.environment(),
    )
    assert code == 0, screen
    assert PASSPHRASE not in screen
    assert "wrong" not in screen


def test_three_wrong_passphrases_are_enough(holdfast, sshd, new_key):
    key = encrypted(new_key, "openssh")
    let_in(sshd, key)
    code, screen = at_terminal(
        words_of(*flags(sshd, "-i", key)), [(rb"Enter passphrase", "no")] * 3, holdfast.environment()
    )
    assert code == 3, screen
    assert screen.count("Enter passphrase") == 3
    assert "no right passphrase was given" in screen


def test_no_passphrase_is_asked_for_a_key_that_the_peer_refuses(holdfast, sshd, new_key, user_key):
    code, screen = at_terminal(
        words_of(*flags(sshd, "-i", encrypted(new_key, "openssh"), "-i", user_key)),
        [(rb"holdfast: up", stop)],
        holdfast.environment(),
    )
    assert code == 0, screen
    assert "passphrase" not in screen


@pytest.mark.parametrize("batch", [False, True])
def test_encrypted_key_where_nobody_can_be_asked(holdfast, sshd, new_key, batch):
    key = encrypted(new_key, "openssh")
    let_in(sshd, key)
    said = refused(holdfast, *flags(sshd, "-i", key, *(["-o", "BatchMode=yes"] if batch else [])))
    assert f"would take {shown(key)}, but it has a passphrase" in said
    assert "ssh-agent" in said


def test_ended_while_it_asks(holdfast, sshd, new_key):
    key = encrypted(new_key, "openssh")
    let_in(sshd, key)
    code, screen = at_terminal(
        words_of(*flags(sshd, "-i", key)), [(rb"Enter passphrase", "\x03")], holdfast.environment()
    )
    assert code != -9, screen


# ---- agent ----


def test_agent_key(holdfast, sshd, agent, user_key):
    agent(user_key)
    up(holdfast, *flags(sshd))


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_agent_signs_with_other_kinds(holdfast, start_sshd, agent, new_key, kind):
    key = new_key(kind=kind)
    sshd = start_sshd({"PubkeyAcceptedAlgorithms": "rsa-sha2-512,ecdsa-sha2-nistp256"})
    let_in(sshd, key)
    agent(key)
    up(holdfast, *flags(sshd))


def test_agent_key_named_by_a_public_file_goes_first(holdfast, start_sshd, agent, new_key, user_key):
    others = [new_key(f"other{i}") for i in range(3)]
    sshd = start_sshd({"MaxAuthTries": "2"})
    agent(*others, user_key)
    up(holdfast, *flags(sshd, "-i", public(user_key)))
    up(holdfast, *flags(sshd, "-i", public(user_key), "-o", "IdentitiesOnly=yes"))


def test_identities_only_keeps_the_agents_other_keys_back(holdfast, sshd, agent, new_key, user_key):
    agent(user_key)
    key = new_key()
    said = refused(holdfast, *flags(sshd, "-i", key, "-o", "IdentitiesOnly=yes"))
    assert fingerprint(user_key) not in said
    assert shown(key) in said


def test_too_many_agent_keys_name_the_mend(holdfast, start_sshd, agent, new_key):
    sshd = start_sshd({"MaxAuthTries": "2"})
    agent(*[new_key(f"other{i}") for i in range(4)])
    assert "identities_only" in refused(holdfast, *flags(sshd))


def test_refused_agent_keys_are_named_by_fingerprint(holdfast, sshd, agent, new_key):
    key = new_key()
    agent(key)
    public(key).unlink()
    key_line = subprocess.run(["ssh-keygen", "-lf", key], capture_output=True, text=True, check=True).stdout
    assert key_line.split()[1] in refused(holdfast, *flags(sshd))


def test_agent_none_and_an_agent_that_is_gone(holdfast, sshd, agent, user_key, tmp_path):
    agent(user_key)
    assert "no key to offer" in refused(holdfast, *flags(sshd, "-o", "IdentityAgent=none"))
    up(holdfast, *flags(sshd, "-i", user_key, "-o", f"IdentityAgent={tmp_path}/nobody.sock"))


# ---- more than one factor, and passwords ----


def test_two_keys_as_two_factors(holdfast, start_sshd, new_key, user_key):
    second = new_key()
    sshd = start_sshd({"AuthenticationMethods": "publickey,publickey"})
    let_in(sshd, user_key, second)
    up(holdfast, *flags(sshd, "-i", user_key, "-i", second))


def test_second_factor_that_we_do_not_have(holdfast, start_sshd, user_key):
    sshd = start_sshd({"AuthenticationMethods": "publickey,password", "PasswordAuthentication": "yes"})
    assert "the peer offers password" in refused(holdfast, *flags(sshd, "-i", user_key))


def test_password_is_asked_three_times_at_the_terminal(holdfast, start_sshd):
    sshd = start_sshd({"PasswordAuthentication": "yes"})
    code, screen = at_terminal(
        words_of(*flags(sshd)), [(rb"password: ", "not it")] * 3, holdfast.environment(), timeout=40
    )
    assert code == 3, screen
    assert screen.count("'s password: ") == 3
    assert "not it" not in screen


def test_password_never_goes_to_a_peer_with_a_changed_key(holdfast, start_sshd, new_key):
    sshd = start_sshd({"PasswordAuthentication": "yes"})
    kind, blob = public(new_key()).read_text().split()[:2]
    sshd.known_hosts.write_text(f"[{sshd.host}]:{sshd.port} {kind} {blob}\n")
    words = ["StrictHostKeyChecking=no" if word == "StrictHostKeyChecking=yes" else word for word in flags(sshd)]
    code, screen = at_terminal(words_of(*words), [], holdfast.environment())
    assert code == 3, screen
    assert "password:" not in screen


def test_password_is_not_asked_when_switched_off(holdfast, start_sshd):
    sshd = start_sshd({"PasswordAuthentication": "yes"})
    code, screen = at_terminal(words_of(*flags(sshd, "-o", "PasswordAuthentication=no")), [], holdfast.environment())
    assert code == 3, screen
    assert "password:" not in screen


def test_no_secret_reaches_the_log(holdfast, sshd, new_key):
    key = encrypted(new_key, "openssh")
    let_in(sshd, key)
    code, screen = at_terminal(
        words_of(*flags(sshd, "-vvv", "-i", key)),
        [(rb"Enter passphrase", PASSPHRASE), (rb"holdfast: up", stop)],
        holdfast.environment(),
    )
    assert code == 0, screen
    assert PASSPHRASE not in screen
    assert key.read_text().splitlines()[3] not in screen


# ---- keys/README.md ----


def try_forward(holdfast, sshd, *forward):
    words = flags(sshd, "-i", sshd.user_key, "-o", "ExitOnForwardFailure=yes")
    at = words.index("-L")
    holdfast.start(*words[:at], *forward, words[-1])


def test_key_that_may_only_listen_at_one_place(holdfast, start_sshd):
    port = free_port()
    options = f'restrict,port-forwarding,permitlisten="localhost:{port}",permitopen="0.0.0.0:1"'
    sshd = start_sshd(key_options=options)
    try_forward(holdfast, sshd, "-R", f"{port}:127.0.0.1:9")
    holdfast.wait_up()
    assert holdfast.stop() == 0
    try_forward(holdfast, sshd, "-R", f"{free_port()}:127.0.0.1:9")
    assert holdfast.wait() == 5


def test_key_that_may_only_connect_to_one_place(holdfast, start_sshd, serve):
    server = serve(sends_then_ends(b"hello"))
    host, port = server.address.rsplit(":", 1)
    sshd = start_sshd(key_options=f'restrict,port-forwarding,permitopen="{host}:{port}",permitlisten="0.0.0.0:1"')
    for target, answer in ((server.address, b"hello"), (f"127.0.0.1:{sshd.port}", b"")):
        local = free_port()
        try_forward(holdfast, sshd, "-L", f"127.0.0.1:{local}:{target}")
        holdfast.wait_up()
        with socket.create_connection(("127.0.0.1", local), 5) as client:
            client.settimeout(10)
            try:
                assert client.recv(5) == answer
            except ConnectionResetError:
                assert answer == b""
        assert holdfast.stop() == 0
    try_forward(holdfast, sshd, "-R", f"{free_port()}:127.0.0.1:9")
    assert holdfast.wait() == 5
