"""`holdfast service` under a real systemd, and its unit as systemd-analyze sees it."""

import json
import os
import re
import shutil
import subprocess

import pytest

from harness.clients import exchange
from harness.holdfast import binary, definition
from harness.ports import free_port
from harness.proc import wait_until
from harness.servers import echo
from harness.systemd import PROGRAM, Machine, why_not

# A sanitizer at the end of a process traces it, which a unit does not permit.
REASON = "the program is sanitized" if os.environ.get("HOLDFAST_SANITIZED") else why_not()
real_one = pytest.mark.skipif(REASON is not None, reason=f"no systemd can be booted here: {REASON}")
has_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (package systemd)")


@pytest.fixture
def machine(tmp_path):
    made = Machine(tmp_path / "machine")
    try:
        yield made.boot()
        print(made.journal("-n", "60"))
    finally:
        made.end()


def unit_of(folder, text, *words):
    path = folder / "tunnels.yaml"
    path.write_text(text)
    done = subprocess.run([binary(), "service", "install", "--print", "-c", path, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


HOSTS = """hosts:
  desk: {hostname: 127.0.0.1, user: me, identity_file: 'my key%i', known_hosts_file: known_hosts}
"""


@has_analyze
@pytest.mark.parametrize("words", [(), ("--account", "daemon"), ("--name", "other")], ids=["dynamic", "user", "name"])
def test_the_unit_is_sound(tmp_path, words):
    folder = tmp_path / "a 100% $HOME place"
    folder.mkdir()
    tunnels = "tunnels: {desk: {host: desk, forwards: [{local: 80, to: 'a:80'}]}}\n"
    unit = tmp_path / "holdfast.service"
    unit.write_text(unit_of(folder, f"log: /var/log/holdfast/a.log\n{HOSTS}{tunnels}", *words))
    verified = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    assert (verified.returncode, verified.stderr) == (0, ""), verified.stderr
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=30", "--no-pager", unit], capture_output=True, text=True
    )
    assert judged.returncode == 0, judged.stdout[-200:]
    assert re.search(r"exposure level for holdfast.service: \d\.\d OK", judged.stdout), judged.stdout[-200:]


@has_analyze
def test_the_unit_of_a_person_is_sound(tmp_path):
    tunnels = "tunnels: {desk: {host: desk, forwards: [{local: 8080, to: 'a:80'}]}}\n"
    unit = tmp_path / "holdfast.service"
    text = unit_of(tmp_path, HOSTS + tunnels, "--user")
    assert "DynamicUser" not in text and "WantedBy=default.target" in text
    unit.write_text(text)
    verified = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    assert (verified.returncode, verified.stderr) == (0, ""), verified.stderr


@pytest.mark.parametrize("action", ["install", "uninstall", "start", "stop", "status"])
def test_without_systemd_it_says_what_to_do(tmp_path, action):
    path = tmp_path / "tunnels.yaml"
    path.write_text(HOSTS + "tunnels: {desk: {host: desk, forwards: [{local: 8080, to: 'a:80'}]}}\n")
    words = ["unshare", "-m", "sh", "-c", 'umount /run/systemd/system 2>/dev/null; mount -t tmpfs tmpfs /run; exec "$@"', "sh"]
    more = ["-c", path] if action == "install" else []
    done = subprocess.run([*words, binary(), "service", action, *more], capture_output=True, text=True)
    assert done.returncode == 2
    assert "systemd does not run here" in done.stderr and "service install --print" in done.stderr


class Desk:
    """A definition on the machine for one tunnel to an sshd outside."""

    def __init__(self, machine, sshd, target):
        self.machine = machine
        self.port = free_port()
        self.key = "/etc/holdfast/my key.key"
        machine.write(self.key, sshd.user_key.read_text(), 0o600)
        self.host = {
            "hostname": sshd.host, "port": sshd.port, "user": sshd.user,
            "identity_file": "my key.key", "known_hosts_file": "known_hosts",
        }  # fmt: skip
        self.tunnel = {"host": "desk", "forwards": [{"local": f"127.0.0.1:{self.port}", "to": target}]}
        self.write()

    def write(self, text=None):
        self.machine.write("/etc/holdfast/tunnels.yaml", text or definition({"desk": self.host}, {"desk": self.tunnel}))

    def carries(self):
        try:
            return exchange(self.port, b"ping", timeout=5) == b"ping"
        except OSError:
            return False


@pytest.fixture
def desk(machine, sshd, serve):
    return Desk(machine, sshd, serve(echo).address)


def did(done, code=0):
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@real_one
def test_from_nothing_to_a_tunnel_and_back(machine, desk):
    assert "holdfast trust --known-hosts" in did(machine.holdfast("service", "install"), 4)
    assert not machine.exists("/etc/systemd/system/holdfast.service")
    did(machine.holdfast("trust", "--service", "--yes", "desk"))
    assert "installed" in did(machine.holdfast("service", "install"))
    assert "stopped" in did(machine.holdfast("service", "status"), 1)
    did(machine.holdfast("service", "start"))
    wait_until(desk.carries, 30, "the tunnel carries")
    status = did(machine.holdfast("service", "status"))
    assert "running, process" in status and "DynamicUser" in status and "at boot" in status and PROGRAM in status
    assert "runs already" in did(machine.holdfast("service", "start"), 1)
    assert "It runs as it was before; stop it first" in did(machine.holdfast("service", "install"))
    pid = machine.property("holdfast", "MainPID")
    assert machine.run("stat", "-c", "%U %u", f"/proc/{pid}").stdout.split()[1] not in ("0", "")
    assert "1 of 1 tunnel up" in wait_until(lambda: machine.property("holdfast", "StatusText"), 10, "there is a status")
    assert re.search(r"^desk\s+up\b", did(machine.holdfast("status")), re.MULTILINE)
    entries = [json.loads(line) for line in machine.journal("-o", "json", "HOLDFAST_TUNNEL=desk").splitlines()]
    assert any(entry["PRIORITY"] == "6" and "up (was binding)" in entry["MESSAGE"] for entry in entries), entries
    did(machine.run("systemctl", "reload", "holdfast"))
    assert machine.property("holdfast", "ActiveState") == "active"
    assert machine.property("holdfast", "MainPID") == pid
    wait_until(desk.carries, 30, "the tunnel carries after a reload")
    did(machine.holdfast("service", "stop"))
    assert "does not run" in did(machine.holdfast("service", "stop"), 1)
    assert machine.property("holdfast", "Result") == "success"
    did(machine.holdfast("service", "uninstall"))
    assert not machine.exists("/etc/systemd/system/holdfast.service")
    if machine.exists("/usr/bin/dbus-daemon"):  # systemctl clean asks systemd by D-Bus
        assert not machine.exists("/var/lib/private/holdfast")
    assert machine.exists("/etc/holdfast/tunnels.yaml")
    assert machine.exists(desk.key)
    assert "there is no service" in did(machine.holdfast("service", "status"), 2)


@real_one
def test_trust_without_a_definition(machine, sshd):
    said = did(machine.holdfast("trust", "--service", "--yes", "-p", sshd.port, sshd.host))
    assert "no known_hosts_file in a definition of this host; let it have: /etc/holdfast/known_hosts" in said
    assert machine.run("stat", "-c", "%a", "/etc/holdfast/known_hosts").stdout == "644\n"
    assert "already pinned" in did(machine.holdfast("trust", "--service", "--yes", "-p", sshd.port, sshd.host))


@real_one
def test_what_the_account_cannot_reach_is_said(machine, desk):
    did(machine.holdfast("trust", "--service", "--yes", "desk"))
    machine.run("chmod", "644", desk.key)
    assert f"chmod 600 {desk.key}" in did(machine.holdfast("service", "install"), 3)
    did(machine.holdfast("service", "install", "--fix-acl"))
    assert machine.run("stat", "-c", "%a", desk.key).stdout == "600\n"
    for path, letters, word in (
        ("/etc/holdfast/tunnels.yaml", "600", "r"),
        ("/etc/holdfast/known_hosts", "600", "r"),
        ("/etc/holdfast", "700", "x"),
    ):
        old = machine.run("stat", "-c", "%a", path).stdout.strip()
        machine.run("chmod", letters, path)
        assert re.search(rf"run: chmod o\+{word}\w* {path}\b", did(machine.holdfast("service", "install"), 2))
        machine.run("chmod", old, path)
    assert "there is no user 'nobody-here'" in did(machine.holdfast("service", "install", "--account", "nobody-here"), 2)
    machine.write("/etc/systemd/system/mine.service", "[Service]\nExecStart=/bin/true\n")
    assert "was not written by holdfast" in did(machine.holdfast("service", "install", "--name", "mine"), 1)


@real_one
def test_a_first_key_can_be_pinned(machine, desk):
    """Where it cannot, any key would be taken at each connection."""
    desk.write(definition({"desk": desk.host | {"strict_host_key_checking": "accept_new"}}, {"desk": desk.tunnel}))
    said = did(machine.holdfast("service", "install"), 4)
    assert "desk: strict_host_key_checking: accept_new pins the first key in /etc/holdfast/known_hosts" in said
    assert re.search("/etc/holdfast cannot be written by .*; name a place in /var/lib/holdfast", said)
    known = "/var/lib/holdfast/known_hosts"
    host = desk.host | {"strict_host_key_checking": "accept_new", "known_hosts_file": known}
    desk.write(definition({"desk": host}, {"desk": desk.tunnel}))
    did(machine.holdfast("service", "install"))
    did(machine.holdfast("service", "start"))
    wait_until(desk.carries, 30, "the tunnel carries")
    assert machine.run("cat", known).stdout.startswith("[")


@real_one
def test_a_named_user_and_a_log_file(machine, desk):
    did(machine.holdfast("trust", "--service", "--yes", "desk"))
    text = definition({"desk": desk.host}, {"desk": desk.tunnel})
    desk.write("log: /var/log/holdfast/tunnels.log\n" + text)
    did(machine.holdfast("service", "install", "--account", "daemon"))
    did(machine.holdfast("service", "start"))
    wait_until(desk.carries, 30, "the tunnel carries")
    assert "account  daemon" in did(machine.holdfast("service", "status"))
    assert "up (was binding)" in machine.run("cat", "/var/log/holdfast/tunnels.log").stdout


@real_one
def test_a_log_on_a_disk_that_comes_later(machine, desk):
    """A boot may bring the disk after the service, which does not wait for its log."""
    log, mount = "/srv/disk/logs/tunnels.log", ("mount", "-t", "tmpfs", "-o", "mode=0755", "disk", "/srv/disk")
    did(machine.holdfast("trust", "--service", "--yes", "desk"))
    did(machine.run("mkdir", "-p", "/srv/disk"))
    did(machine.run(*mount))
    did(machine.run("mkdir", "/srv/disk/logs"))
    desk.write(f"log: {log}\n" + definition({"desk": desk.host}, {"desk": desk.tunnel}))
    did(machine.holdfast("service", "install", "--account", "root"))
    did(machine.run("umount", "/srv/disk"))
    did(machine.holdfast("service", "start"))
    wait_until(desk.carries, 30, "the tunnel carries")
    assert f"the log file {log} cannot be written: no such file or directory" in machine.journal("-u", "holdfast")
    did(machine.run(*mount))
    did(machine.run("mkdir", "/srv/disk/logs"))
    did(machine.holdfast("restart", "desk"))
    wait_until(lambda: machine.exists(log), 10, "the log is where it belongs")
    wait_until(desk.carries, 30, "the tunnel carries again")
    assert "up (was binding)" in machine.run("cat", log).stdout
    did(machine.holdfast("service", "stop"))
    did(machine.run("umount", "/srv/disk"))


@real_one
def test_restarts_after_a_hang_and_not_after_a_broken_definition(machine, desk):
    did(machine.holdfast("trust", "--service", "--yes", "desk"))
    did(machine.holdfast("service", "install"))
    machine.write("/etc/systemd/system/holdfast.service.d/quick.conf", "[Service]\nWatchdogSec=2\nRestartSec=0\n")
    did(machine.run("systemctl", "daemon-reload"))
    did(machine.holdfast("service", "start"))
    wait_until(desk.carries, 30, "the tunnel carries")
    pid = machine.property("holdfast", "MainPID")
    machine.run("kill", "-STOP", pid)
    wait_until(lambda: machine.property("holdfast", "NRestarts") == "1", 60, "the watchdog has had it restarted")
    wait_until(desk.carries, 30, "the tunnel carries again")
    desk.write("tunnels: nonsense\n")
    machine.run("kill", "-KILL", machine.property("holdfast", "MainPID"))
    wait_until(lambda: machine.property("holdfast", "ExecMainStatus") == "2", 30, "it ended with 2")
    wait_until(lambda: machine.property("holdfast", "ActiveState") == "failed", 30, "it is left alone")
    assert "it ended with code 2" in did(machine.holdfast("service", "status"), 1)
    assert "tunnels.yaml:1:10" in machine.journal("-u", "holdfast")
