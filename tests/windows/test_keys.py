"""Keys on Windows: who may read them, where they lie, and what holds them.

Wine keeps a file's mode and no more of its access list; what lists mean is tested in memory by unit/win/test_access.c.
"""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from harness import clients, servers
from harness.holdfast import binary, definition, flags, host_entry, native, runner
from harness.ports import free_port
from harness.proc import Process
from harness.sshd import make_key
from test_keygen import (  # noqa: F401
    defined,
    is_private,
    test_an_existing_key_stays_and_its_line_is_the_same,
    test_the_key_is_let_in_and_carries_both_forwards,
)

JAPANESE = "鍵と設定"


OPENSSH_PIPE = r"\\.\pipe\openssh-ssh-agent"


def with_key(sshd, key, *more):
    """The one-line form's words with another key."""
    return [native(key) if word == native(sshd.user_key) else word for word in flags(sshd, *more)]


# --- who may read them ---


def test_refusal_is_the_command_that_mends_it(sshd, holdfast, tmp_path):
    key = make_key(tmp_path / "open key")
    os.chmod(key, 0o644)
    holdfast.start(*with_key(sshd, key, "-L", "127.0.0.1:1:x:2"))
    assert holdfast.wait(60) == 3
    path = re.escape(native(key))
    assert re.search(
        rf"private key {path} can be read by Everyone, so it is not used; run: icacls \"{path}\" /inheritance:r "
        rf"/grant:r \"[^\"]+\\[^\"]+:\(R\)\" \"\*S-1-5-18:\(F\)\" \"\*S-1-5-32-544:\(F\)\" /remove:g \"\*S-1-1-0\"",
        holdfast.err.text())


# --- where they lie ---


def test_japanese_folder_and_file_names(sshd, holdfast, serve, tmp_path):
    """Definition, key and known_hosts under names that no code page of this machine has."""
    place = tmp_path / JAPANESE
    place.mkdir()
    key = place / "秘密鍵.key"
    key.write_bytes(sshd.user_key.read_bytes())
    key.chmod(0o600)
    (place / "既知のホスト").write_bytes(sshd.known_hosts.read_bytes())
    port = free_port()
    entry = host_entry(sshd, identity_file=key.name, known_hosts_file="既知のホスト")
    forwards = [{"local": f"127.0.0.1:{port}", "to": serve(servers.echo).address}]
    path = place / "トンネル.yaml"
    path.write_text(definition({"peer": entry}, {"t": {"host": "peer", "forwards": forwards}}))
    holdfast._up_pattern = r"\binfo\s+t: up\b"
    holdfast._start(["run", "-c", native(path)])
    holdfast.wait_up(timeout=60)
    assert clients.exchange(port, b"through") == b"through"
    assert holdfast.stop() == 0


def test_japanese_names_on_the_command_line(sshd, holdfast, serve, tmp_path):
    place = tmp_path / JAPANESE
    place.mkdir()
    key = make_key(place / "新しい鍵")
    sshd.authorized_keys.write_text(key.with_name(key.name + ".pub").read_text())
    port = free_port()
    holdfast.start(*with_key(sshd, key, "-L", f"127.0.0.1:{port}:{serve(servers.echo).address}"))
    holdfast.wait_up(timeout=60)
    assert clients.exchange(port, b"through") == b"through"
    assert holdfast.stop() == 0


def test_japanese_name_in_a_refusal(sshd, holdfast, tmp_path):
    place = tmp_path / JAPANESE
    place.mkdir()
    key = make_key(place / "開いた鍵")
    os.chmod(key, 0o644)
    holdfast.start(*with_key(sshd, key, "-L", "127.0.0.1:1:x:2"))
    assert holdfast.wait(60) == 3
    assert f'icacls "{native(key)}" ' in holdfast.err.text()


def test_keygen_makes_a_key_in_a_japanese_folder(run_program, tmp_path):
    place = tmp_path / JAPANESE
    place.mkdir()
    path = place / "t.yaml"
    path.write_text(
        "hosts:\n  h:\n    hostname: h\n    user: me\n    identity_file: 鍵\n"
        "tunnels:\n  t:\n    host: h\n    forwards:\n      - remote: 1\n        to: a:80\n")
    done = run_program("keygen", "-c", native(path), "t")
    assert done.returncode == 0, done.stderr
    assert native(place / "鍵").encode() in done.stderr
    assert is_private(place / "鍵")
    assert (place / "鍵.pub").exists()


# --- what holds them: agents, which are fakes here (fake_agent.c) with a real key each ---


@pytest.fixture(scope="session")
def windows_without_display(wine_of_our_own):
    """Wine makes no window without a display, unless told that nothing need be drawn."""
    words = ["reg", "add", r"HKCU\Software\Wine\Drivers", "/v", "Graphics", "/d", "null", "/f"]
    assert Process([*runner(), *words]).wait(60) == 0


@pytest.fixture
def fake_agent(windows_without_display):
    """fake_agent(*words) -> the public line of its key, once it listens."""
    started = []

    def start(*words):
        process = Process([*runner(), os.environ["HOLDFAST_FAKE_AGENT"], *words])
        started.append(process)
        return process.out.wait_for(r"^ssh-ed25519 \S+ fake-agent", 60)[0].group(0) + "\n"

    yield start
    for process in started:
        process.kill()


def without_key(sshd, *more):
    words = flags(sshd, *more)
    at = words.index("-i")
    return words[:at] + words[at + 2 :]


def carries(holdfast, sshd, serve, *more, env=None):
    """A tunnel comes up with no key file, and carries data."""
    port = free_port()
    environment = holdfast.environment()
    holdfast.environment = lambda: {**environment, **(env or {})}
    holdfast.start(*without_key(sshd, "-v", *more, "-L", f"127.0.0.1:{port}:{serve(servers.echo).address}"))
    holdfast.wait_up(timeout=60)
    assert clients.exchange(port, b"through") == b"through"
    assert re.search(r"authenticated as \S+ by agent key", holdfast.err.text())
    assert holdfast.stop() == 0


def test_agent_of_openssh_is_asked(sshd, holdfast, serve, fake_agent):
    sshd.authorized_keys.write_text(fake_agent("pipe", OPENSSH_PIPE))
    carries(holdfast, sshd, serve)


def test_ssh_auth_sock_names_a_pipe(sshd, holdfast, serve, fake_agent):
    fake_agent("pipe", OPENSSH_PIPE)
    sshd.authorized_keys.write_text(fake_agent("pipe", r"\\.\pipe\another agent"))
    carries(holdfast, sshd, serve, env={"SSH_AUTH_SOCK": "//./pipe/another agent"})


def test_ssh_auth_sock_of_a_foreign_world_is_passed_over(sshd, holdfast, serve, fake_agent):
    """Git's bash sets it to a socket that only its own programs can open."""
    sshd.authorized_keys.write_text(fake_agent("pipe", OPENSSH_PIPE))
    carries(holdfast, sshd, serve, env={"SSH_AUTH_SOCK": "/tmp/ssh-abc/agent.12"})


def test_identity_agent_names_a_pipe(sshd, holdfast, serve, fake_agent):
    sshd.authorized_keys.write_text(fake_agent("pipe", r"\\.\pipe\third"))
    carries(holdfast, sshd, serve, "-o", r"IdentityAgent=\\.\pipe\third")


@pytest.mark.parametrize("kind", ["pageant", "pageant-pipe"])
def test_pageant_is_asked_where_no_other_is(sshd, holdfast, serve, fake_agent, kind):
    sshd.authorized_keys.write_text(fake_agent(kind))
    carries(holdfast, sshd, serve)


def test_openssh_comes_before_pageant_which_may_be_named(sshd, holdfast, new_holdfast, serve, fake_agent):
    pageant = fake_agent("pageant")
    sshd.authorized_keys.write_text(fake_agent("pipe", OPENSSH_PIPE))
    carries(holdfast, sshd, serve)
    sshd.authorized_keys.write_text(pageant)
    carries(new_holdfast(), sshd, serve, "-o", "IdentityAgent=pageant")


def test_definition_names_pageant(sshd, holdfast, serve, fake_agent):
    sshd.authorized_keys.write_text(fake_agent("pageant"))
    port = free_port()
    entry = host_entry(sshd, identity_agent="pageant")
    del entry["identity_file"]
    forwards = [{"local": f"127.0.0.1:{port}", "to": serve(servers.echo).address}]
    holdfast.run(definition({"peer": entry}, {"t": {"host": "peer", "forwards": forwards}}))
    holdfast.wait_up(timeout=60)
    assert clients.exchange(port, b"through") == b"through"
    assert holdfast.stop() == 0


BAD_AGENTS = {
    "silent": "the agent does not answer",
    "closes": "the agent closed the connection",
    "huge": "the agent's answer of 4294967295 bytes is out of bounds",
    "foreign": r"the agent at \S+ belongs to .*Guests, so it is not asked",
}


@pytest.mark.parametrize("kind", BAD_AGENTS)
def test_bad_agents_end_in_a_sentence(sshd, holdfast, fake_agent, kind):
    line = fake_agent(kind, r"\\.\pipe\bad")
    sshd.authorized_keys.write_text(line)
    began = time.monotonic()
    holdfast.start(*without_key(sshd, "-o", r"IdentityAgent=\\.\pipe\bad", "-L", "127.0.0.1:1:x:2"))
    assert holdfast.wait(60) == 3
    assert re.search(rf"no agent keys: {BAD_AGENTS[kind]}", holdfast.err.text())
    assert time.monotonic() - began < 20


def test_pageant_that_hangs_is_given_up(sshd, holdfast, fake_agent):
    # it sleeps inside its window procedure, so that only the limit of time helps
    sshd.authorized_keys.write_text(fake_agent("silent-window"))
    holdfast.start(*without_key(sshd, "-o", "IdentityAgent=pageant", "-L", "127.0.0.1:1:x:2"))
    assert holdfast.wait(60) == 3
    assert "no agent keys: Pageant does not answer" in holdfast.err.text()


NO_AGENTS = {
    "pageant": "no agent: Pageant does not run",
    r"\\.\pipe\nobody": r"no agent at \S+nobody: no such file or directory",
    "/tmp/agent.sock": r"\S+ is no agent of Windows: name a pipe, such as \\\\\.\\pipe\\openssh-ssh-agent, or pageant",
}


@pytest.mark.parametrize("name", NO_AGENTS)
def test_agent_that_is_not_there(sshd, holdfast, name):
    holdfast.start(*without_key(sshd, "-o", f"IdentityAgent={name}", "-L", "127.0.0.1:1:x:2"))
    assert holdfast.wait(60) == 3
    assert re.search("no agent keys: " + NO_AGENTS[name], holdfast.err.text())


# --- passphrases that the system keeps ---

PASSPHRASE = "correct horse 電池 staple"


def secret(*words, text=None):
    """`holdfast secret ...` with `text` as its standard input -> (exit code, standard output, standard error)."""
    done = subprocess.run(
        [*runner(), binary(), "secret", *words], input=text, capture_output=True, timeout=60, check=False)  # fmt: skip
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def places():
    """Every file that holds a secret in this Wine, by its folder's place: (a person's, a service's)."""
    root = Path(os.environ["HOLDFAST_WINEPREFIX"]) / "drive_c"
    return (
        sorted(root.glob("users/*/AppData/Roaming/holdfast/secrets/*")),
        sorted(root.glob("ProgramData/holdfast/secrets/*")),
    )


@pytest.fixture
def no_secrets():
    """None before the test, and none after it."""
    assert places() == ([], [])
    yield
    for path in [*places()[0], *places()[1]]:
        path.unlink()


def test_secrets_are_set_listed_replaced_and_removed(no_secrets):
    assert secret("list") == (0, "", "holdfast: no secrets are stored for you\n")
    assert secret("set", "one", text=b"first\n") == (0, "", "holdfast: the secret 'one' is stored for you\n")
    assert secret("set", "two.2", text=b"second") == (0, "", "holdfast: the secret 'two.2' is stored for you\n")
    assert sorted(secret("list")[1].split()) == ["one", "two.2"]
    before = places()[0][0].read_bytes()
    assert secret("set", "one", text=b"third\r\n") == (0, "", "holdfast: the secret 'one' is replaced for you\n")
    after = places()[0][0].read_bytes()
    assert before != after and b"first" not in before and b"third" not in after
    assert [path.stat().st_mode & 0o007 for path in places()[0]] == [0, 0]
    assert secret("remove", "one") == (0, "", "holdfast: the secret 'one' is removed\n")
    assert secret("list") == (0, "two.2\n", "")
    code, _, said = secret("remove", "one")
    assert code == 1 and "there is no secret 'one'; 'holdfast secret list' shows those there are" in said


def test_secrets_of_a_service_are_apart(no_secrets):
    code, _, said = secret("set", "one", "--service", text=b"for the service")
    assert (code, said) == (0, "holdfast: the secret 'one' is stored for NT SERVICE\\holdfast\n")
    code, _, said = secret("set", "two", "--service=other", "--account", "LocalSystem", text=b"x")
    assert (code, said) == (0, "holdfast: the secret 'two' is stored for LocalSystem\n")
    assert secret("list")[1] == ""
    assert sorted(secret("list", "--service")[1].split()) == ["one", "two"]
    mine, services = places()
    assert mine == [] and [path.name for path in services] == ["secret-one.dpapi", "secret-two.dpapi"]
    assert [path.stat().st_mode & 0o007 for path in services] == [0, 0]
    code, _, said = secret("set", "three", "--service", "--account", "nobody-here", text=b"x")
    assert code == 2 and "there is no account 'nobody-here' on this machine" in said
    assert secret("remove", "one", "--service")[0] == 0
    assert secret("list", "--service")[1] == "two\n"


BAD_LINES = {
    "no action": ([], b"", "secret needs set, list or remove"),
    "near action": (["sett", "a"], b"", "secret: there is no 'sett'; did you mean 'set'?"),
    "no name": (["set"], b"x", "secret set needs a name"),
    "name for all": (["list", "a"], b"", "secret list takes no name; it lists all"),
    "bad name": (["set", "../a"], b"x", "'../a' is not a name for a secret: letters, digits"),
    "nothing given": (["set", "a"], b"\n", "no passphrase was given; nothing was stored"),
    "too long": (["set", "a"], b"x" * 2000, "the line on standard input is longer than 1024 bytes"),
    "UTF-16": (["set", "a"], "x\n".encode("utf-16"), "standard input is not text in UTF-8"),
    "account alone": (["set", "a", "--account", "x"], b"x", "--account is whose a service's secret is; add --service"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_bad_lines_of_secret(no_secrets, name):
    words, text, message = BAD_LINES[name]
    code, out, said = secret(*words, text=text)
    assert (code, out) == (2, "") and message in said
    assert places() == ([], [])


def test_secret_on_the_command_line_is_refused_and_not_shown(no_secrets):
    code, _, said = secret("set", "a", "hunter2", text=b"")
    assert code == 2 and "never from the command line" in said and "hunter2" not in said
    assert places() == ([], [])


@pytest.fixture
def locked(sshd, tmp_path):
    """locked(form) -> a definition whose key has a passphrase and names the secret `desk`."""

    def make(form="openssh"):
        key = make_key(tmp_path / "locked", "ed25519" if form == "openssh" else "rsa")
        if form == "pem":  # its public half is known to nobody before it is open
            subprocess.run(["ssh-keygen", "-q", "-p", "-m", "PEM", "-P", "", "-N", PASSPHRASE, "-f", key], check=True)
            sshd.authorized_keys.write_text(key.with_name("locked.pub").read_text())
            key.with_name("locked.pub").unlink()
        else:
            subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", PASSPHRASE, "-f", key], check=True)
            sshd.authorized_keys.write_text(key.with_name("locked.pub").read_text())
        entry = host_entry(sshd, identity_file=native(key), passphrase_secret="desk")
        return lambda to, port: definition(
            {"peer": entry}, {"t": {"host": "peer", "forwards": [{"local": f"127.0.0.1:{port}", "to": to}]}})

    return make


@pytest.mark.parametrize("form", ["openssh", "pem"])
def test_stored_passphrase_opens_the_key_and_is_never_shown(no_secrets, holdfast, serve, locked, form):
    assert secret("set", "desk", text=b"\xef\xbb\xbf" + PASSPHRASE.encode() + b"\r\n")[0] == 0
    port = free_port()
    holdfast.run(locked(form)(serve(servers.echo).address, port), "-vvv")
    holdfast.wait_up(timeout=60)
    assert clients.exchange(port, b"through") == b"through"
    assert holdfast.stop() == 0
    assert "horse" not in holdfast.err.text() + holdfast.out.text()


def test_missing_secret_is_named_with_its_mend(no_secrets, holdfast, locked):
    holdfast.run(locked()("a:1", free_port()))
    assert holdfast.wait_log(
        r"was refused: .*locked, but it has a passphrase, and the secret 'desk' is not stored for this user; run: "
        r"holdfast secret set desk", timeout=60)
    assert holdfast.stop() == 0


@pytest.mark.parametrize("form", ["openssh", "pem"])
def test_wrong_secret_is_named_with_its_mend(no_secrets, holdfast, locked, form):
    assert secret("set", "desk", text=b"another one")[0] == 0
    holdfast.run(locked(form)("a:1", free_port()), "-vvv")
    assert holdfast.wait_log(r"was refused: .*the secret 'desk' is not its passphrase; store the right one", timeout=60)
    assert holdfast.stop() == 0
    assert "another one" not in holdfast.err.text()


def test_file_of_a_secret_stands_for_no_other_name(no_secrets, holdfast, locked):
    assert secret("set", "other", text=PASSPHRASE.encode())[0] == 0
    path = places()[0][0]
    path.rename(path.with_name("secret-desk.dpapi"))
    holdfast.run(locked()("a:1", free_port()))
    assert holdfast.wait_log(r"the secret 'desk' cannot be decrypted: another user or another machine stored it", timeout=60)
    assert holdfast.stop() == 0


def test_definition_with_a_bad_name_of_a_secret(run_program, tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text("hosts:\n  h:\n    passphrase_secret: a/b\ntunnels:\n  t:\n    host: h\n    forwards: [{local: 1, to: 'x:1'}]\n")
    done = run_program("check", "-c", native(path))
    assert done.returncode == 2
    assert b"t.yaml:3:24: hosts.h.passphrase_secret: 'a/b' is not a name for a secret" in done.stderr
