"""holdfast.exe as a service of Wine's service manager: the same manager calls as on Windows, and Wine's idea of accounts,
which is that there are none. What only Windows can show is in packaging/windows/CHECKLIST.md."""

import os
import re
import shutil
from pathlib import Path

import pytest
from harness import clients, servers
from harness.holdfast import definition, native
from harness.ports import free_port
from harness.proc import wait_until
from harness.sshd import make_key
from harness.wine_prefix import wine

MEBIBYTE = 1 << 20
PREFIX = Path(os.environ.get("HOLDFAST_WINEPREFIX", "."))
FOLDER = PREFIX / "drive_c" / "ProgramData" / "holdfast"
# Wine shows a file of mode 0600 as one that its owner and SYSTEM may read, so this account can be given the tests' keys.
SYSTEM = ("--account", "LocalSystem")


@pytest.fixture
def service(run_program):
    """service(*words) -> (exit code, both outputs) of `holdfast service`; the service and its folder go with the test."""

    def run(*words):
        done = run_program("service", *words)
        return done.returncode, (done.stdout + done.stderr).decode()

    yield run
    run("uninstall")
    run("uninstall", "--name", "other")
    shutil.rmtree(FOLDER, ignore_errors=True)


@pytest.fixture
def defined(sshd, serve):
    """define(**host) -> the port at the peer of a -R tunnel to an echo server, defined where services look."""

    def define(name="t.yaml", tunnel="t", **more):
        port = free_port()
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / "known_hosts").write_bytes(sshd.known_hosts.read_bytes())
        entry = {
            "hostname": sshd.host,
            "port": sshd.port,
            "user": sshd.user,
            "identity_file": native(sshd.user_key),
            "known_hosts_file": "known_hosts",
            "server_alive_interval": "1s",
            **more,
        }
        entry = {key: value for key, value in entry.items() if value is not None}
        forwards = [{"remote": f"127.0.0.1:{port}", "to": serve(servers.echo).address}]
        text = definition({"peer": entry}, {tunnel: {"host": "peer", "forwards": forwards, "backoff": {"max": "1s"}}})
        (FOLDER / name).write_text(text)
        return port

    return define


def answers(port):
    try:
        return clients.exchange(port, b"anyone?", timeout=5) == b"anyone?"
    except OSError:
        return False


def log():
    return (FOLDER / "logs" / "holdfast.log").read_text()


def registry(name):
    """What the registry of the prefix says of a service, as it is on disk after the server's last word."""
    text = (PREFIX / "system.reg").read_text(errors="replace")
    return [line for line in text.splitlines() if line.startswith("[") and re.search(rf"\\{name}\]", line)]


def test_life_of_a_service(service, defined, sshd):
    """Install, start, a hundred mebibytes, a restart of sshd, stop, uninstall; and nothing of it is left."""
    port = defined()
    code, said = service("install", *SYSTEM)
    assert code == 0, said
    assert "keeps 1 tunnel" in said and "holdfast service start" in said
    assert not (FOLDER / "logs" / "holdfast.log").exists(), "installed is not started"
    code, said = service("status")
    assert code == 1 and said.startswith("holdfast: stopped\n") and "at boot" in said, said

    code, said = service("start")
    assert (code, said) == (0, "holdfast: started\n")
    wait_until(lambda: answers(port), 30, "the tunnel is up")
    code, said = service("status")
    assert code == 0 and re.match(r"holdfast: running, process \d+\n", said), said
    code, said = service("start")
    assert code == 1 and "runs already" in said
    code, said = service("install", *SYSTEM)
    assert code == 1 and "there is a service 'holdfast' already" in said

    data = clients.pattern(100 * MEBIBYTE)
    assert clients.exchange(port, data, timeout=240) == data

    sshd.restart()
    sshd.kill_sessions()
    wait_until(lambda: answers(port), 60, "the tunnel is up again")
    assert re.search(r"\binfo +t: up \(was binding\)[^\n]*\n(.*\n)*.*\binfo +t: up \(was binding\)", log())

    code, said = service("stop")
    assert (code, said) == (0, "holdfast: stopped\n")
    assert not answers(port)
    assert "the service manager: asked to stop" in log() and "ends with code 0" in log()
    code, said = service("stop")
    assert code == 1 and "does not run" in said
    code, said = service("start")
    assert code == 0, said
    wait_until(lambda: answers(port), 30, "the tunnel is up after a second start")

    code, said = service("uninstall")
    assert code == 0 and "definitions and keys are where they were" in said
    assert not answers(port)
    assert sorted(path.name for path in FOLDER.iterdir()) == ["known_hosts", "t.yaml"]
    code, said = service("status")
    assert code == 2 and "there is no service 'holdfast'" in said


def test_a_service_loads_its_definitions_again(service, defined, sshd):
    """Told by the manager: a tunnel that is new comes up, and the one that was there keeps its session."""
    port = defined()
    assert service("install", *SYSTEM)[0] == 0
    assert service("start")[0] == 0
    wait_until(lambda: answers(port), 30, "the tunnel is up")
    other = defined("u.yaml", "u")
    text = (FOLDER / "u.yaml").read_text()
    (FOLDER / "u.yaml").write_text(text.replace("peer", "again"))  # the names of hosts are those of all files
    tool = Path(os.environ["HOLDFAST_BIN"]).parent / "tests" / "windows" / "service_control.exe"
    done = wine(str(tool), "holdfast")
    assert done.returncode == 0, done
    wait_until(lambda: answers(other), 30, "the new tunnel is up")
    assert "reloaded: 1 added; 1 unchanged" in log()
    assert len(re.findall(r"\bt: up \(was ", log())) == 1 and answers(port)
    assert service("stop")[0] == 0


def test_two_services_by_name(service, defined, tmp_path):
    """Each has its own definitions, log and end."""
    first = defined()
    elsewhere = tmp_path / "more definitions"  # a path with a blank reaches the service whole
    second = defined(name="other.yaml", tunnel="o")
    elsewhere.mkdir()
    for name in ("other.yaml", "known_hosts"):
        shutil.copy(FOLDER / name, elsewhere / name)
    (FOLDER / "other.yaml").unlink()
    assert service("install", *SYSTEM)[0] == 0
    code, said = service("install", "--name", "other", "-c", native(elsewhere), *SYSTEM)
    assert code == 0 and "holdfast service start --name other" in said, said
    assert service("start")[0] == 0 and service("start", "--name", "other")[0] == 0
    wait_until(lambda: answers(first) and answers(second), 30, "both are up")
    assert service("uninstall", "--name", "other")[0] == 0
    assert answers(first) and not answers(second)


def test_a_broken_definition_ends_the_service_with_words(service, defined):
    defined()
    assert service("install", *SYSTEM)[0] == 0
    (FOLDER / "t.yaml").write_text("tunnels: {t: {host: h, forwards: [{local: 99999999, to: 'x:1'}]}}\n")
    code, said = service("start")
    assert code == 1 and "ended at once with code 2" in said and "holdfast.log" in said, said
    assert "t.yaml:1:" in log()
    code, said = service("status")
    assert code == 1 and "stopped, it ended with code 2" in said


def test_install_refuses_what_would_break_later(service, defined, tmp_path):
    code, said = service("install", *SYSTEM)
    assert code == 2 and "no such file or folder" in said and not FOLDER.exists()

    defined(identity_file=None, known_hosts_file=None)
    code, said = service("install", *SYSTEM)
    assert code == 3, said
    assert "t: no identity_file" in said and "holdfast keygen" in said
    assert "t: no known_hosts_file" in said and "holdfast trust" in said
    assert said.endswith("nothing was installed\n")

    locked = make_key(tmp_path / "locked", passphrase="open sesame")
    defined(identity_file=native(locked))
    code, said = service("install", *SYSTEM)
    assert code == 3 and "needs a passphrase" in said

    defined(identity_file=native(tmp_path / "missing"))
    code, said = service("install", *SYSTEM)
    assert code == 3 and "missing" in said

    defined()
    (FOLDER / "known_hosts").write_text("")
    code, said = service("install", *SYSTEM)
    assert code == 4 and "is not pinned: run  holdfast trust --known-hosts" in said
    assert service("status")[0] == 2, "nothing was installed"


def test_install_looks_at_who_may_read_the_key(service, defined, sshd, tmp_path):
    """Wine keeps nine bits of an access list: enough for everybody, for the owner, and for no virtual account."""
    defined()
    code, said = service("install")
    assert code == 3, said
    assert "NT SERVICE\\holdfast" in said and re.search(r'icacls "Z:.*user_ed25519" .* "\*S-1-5-80-', said), said

    key = make_key(tmp_path / "for_all")
    key.chmod(0o644)
    defined(identity_file=native(key))
    code, said = service("install", *SYSTEM)
    assert code == 3 and re.search(r'can be read by .*icacls "Z:.*for_all"', said), said

    code, said = service("install", "--account", "NOBODY\\knows")
    assert code == 2 and "there is no account" in said, said
    assert service("status")[0] == 2, "nothing was installed"


def test_a_first_key_can_be_pinned(service, defined, tmp_path):
    """Where it cannot, any key would be taken at each connection."""
    defined(strict_host_key_checking="accept_new")
    (FOLDER / "known_hosts").write_text("")
    said = service("install")[1]
    assert re.search(r"t: strict_host_key_checking: accept_new pins the first key in .*holdfast.known_hosts, which", said), said
    wanted = r'holdfast cannot be written by NT SERVICE\\holdfast; name a place in C:\\.*\\state, or run: icacls "C:.*S-1-5-80-'
    assert re.search(wanted, said), said
    assert service("status")[0] == 2, "nothing was installed"

    open_folder = tmp_path / "open"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    defined(strict_host_key_checking="accept_new", known_hosts_file=native(open_folder / "known_hosts"))
    said = service("install")[1]
    assert "accept_new" not in said and "cannot be written" not in said, said

    port = defined(strict_host_key_checking="accept_new", known_hosts_file="state\\known_hosts")
    code, said = service("install", *SYSTEM)
    assert code == 0, said
    assert service("start")[0] == 0
    wait_until(lambda: answers(port), 20, "the tunnel carries")
    assert (FOLDER / "state" / "known_hosts").read_text().startswith("[")
    assert service("stop")[0] == 0


def test_a_folder_that_is_a_link_is_refused(service, defined, tmp_path):
    """Whoever made the link could lead the service to definitions of his own later."""
    defined()
    FOLDER.rename(tmp_path / "elsewhere")
    FOLDER.symlink_to(tmp_path / "elsewhere")
    try:
        code, said = service("install", *SYSTEM)
    finally:
        FOLDER.unlink()
    assert code == 1 and "holdfast is no folder of its own" in said and "remove it" in said, said
    assert service("status")[0] == 2, "nothing was installed"


def test_a_client_knows_whose_the_pipe_is(service, defined, holdfast, sshd, serve):
    """By the manager's word: the service's process, and the account that it is to run under. To Wine all accounts are one,
    so the question is put by itself, and the answer to it is what an administrator's client goes by."""
    port = defined()
    tool = Path(os.environ["HOLDFAST_BIN"]).parent / "tests" / "windows" / "pipe_owner" / "holdfast.exe"
    # A service of Wine has not the group of services, and so the pipe of a person.
    pipe = re.search(r"none listens at (\S+) or", holdfast.call("status").stderr).group(1)

    def serves(account):
        done = wine(str(tool), pipe, account)
        assert done.returncode == 0, done
        return done.stdout.decode().strip()

    assert service("install", *SYSTEM)[0] == 0 and service("start")[0] == 0
    wait_until(lambda: answers(port), 30, "the tunnel is up")
    assert serves("LocalSystem") == "yes"
    assert serves(r"BUILTIN\Users") == "no", "its process, and another's pipe"
    assert holdfast.call("status").returncode == 0
    assert service("stop")[0] == 0
    forwards = [{"local": f"127.0.0.1:{free_port()}", "to": serve(servers.echo).address}]
    holdfast.run(definition({"peer": sshd}, {"other": {"host": "peer", "forwards": forwards}}))
    holdfast.wait_up(timeout=60)
    assert serves("LocalSystem") == "no", "the name, and no service"


@pytest.mark.parametrize(
    "words, said",
    [
        (["instal"], "did you mean 'install'"),
        ([], "needs one of"),
        (["install", "--name", "a b"], "cannot be a service's name"),
        (["start", "x"], "goes after --name"),
        (["start", "--fix-acl"], "unknown flag --fix-acl"),
        (["run"], "by hand, use 'holdfast service start'"),
    ],
)
def test_usage(service, words, said):
    code, text = service(*words)
    assert code == 2 and said in text, text
