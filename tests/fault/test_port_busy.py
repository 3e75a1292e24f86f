"""The remote port that a dead session still holds, on an sshd that never looks for dead clients: had back soon after the
network's return, and nothing is ended that is not provably ours."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import REMOTE
from harness import servers
from harness.clients import exchange
from harness.holdfast import definition, host_entry
from harness.netns import Link
from harness.proc import Process, state_of, wait_until

USER = "hftunnel"  # lives in a passwd file that only the test's sshd sees
TIMES = {"server_alive_interval": "1s", "server_alive_count_max": 1, "connect_timeout": "2s"}
LIMIT = 15  # of the way back, on a busy machine; on a quiet one it is a fraction of a second
ENDED = r"(?:ended|killed) process \d+ of the peer: the sshd of our own dead session since 20"
GONE = r"is not there any more \({}\)"


@pytest.fixture
def start_far_sshd(start_sshd, hosts, link, tmp_path):
    """start(user) -> an sshd on `far` without ClientAlive, which `user` logs in to: root, or one who may do little."""
    passwd = tmp_path / "passwd"
    passwd.write_text(Path("/etc/passwd").read_text() + f"{USER}:x:47110:47110::/tmp:/bin/sh\n")
    prefix = hosts[1].prefix_with(passwd, "/etc/passwd")

    def start(user):
        sshd = start_sshd({"ClientAliveInterval": "0"}, host=Link.FAR, prefix=prefix)
        for path in [sshd.folder, *sshd.folder.parents]:
            if path != Path("/tmp") and str(path).startswith("/tmp"):
                path.chmod(0o755)  # authorized_keys is read as the user
        sshd.user = user
        return sshd

    return start


class Tunnel:
    """One -R on `far`, kept by holdfast on `near`."""

    def __init__(self, hosts, link, sshd, holdfast, serve):
        self.near, self.far = hosts
        self.link, self.sshd, self.holdfast = link, sshd, holdfast
        with self.near.entered():
            self.echo = serve(servers.echo)

    def run(self, **more):
        tunnel = {
            "host": "peer",
            "forwards": [{"remote": f"127.0.0.1:{REMOTE}", "to": self.echo.address}],
            "backoff": {"first": "100ms", "max": "1s"},
            **more,
        }
        self.holdfast.run(definition({"peer": host_entry(self.sshd)}, {"t": tunnel}, TIMES, reclaim=None), "-v")
        return self

    @property
    def record(self):
        return next(iter(self.holdfast.folder.glob("**/state/holdfast/t.record")), None)

    def processes(self):
        """What is on record: lists of pid, start, boot, uid, time."""
        text = self.record.read_text() if self.record else ""
        return [line.split()[1:] for line in text.splitlines() if line.startswith("process ")]

    def remembered(self):
        return wait_until(self.processes, 10, "a process is on record")[0]

    def write_process(self, words):
        """Replaces the processes on record by one."""
        kept = [line for line in self.record.read_text().splitlines() if not line.startswith("process ")]
        self.record.write_text("\n".join([*kept, "process " + " ".join(map(str, words))]) + "\n")

    def check(self, data=b"it carries"):
        with self.far.entered():
            assert exchange(REMOTE, data) == data

    def lose(self):
        """Cuts the link until the session is given up here; the peer never hears of it, for what was the way to it stays
        closed. Returns the peer's processes that serve it."""
        old = self.sshd.session_pids()
        (port,) = re.findall(r"Accepted publickey for .* port (\d+) ssh2", self.sshd.log.text())[-1:]
        self.link.cut()
        self.holdfast.wait_down(15)
        self.link.forget(port)
        return old


@pytest.fixture
def new_tunnel(hosts, link, start_far_sshd, new_holdfast, serve):
    def new(user):
        return Tunnel(hosts, link, start_far_sshd(user), new_holdfast(hosts[0].prefix), serve)

    return new


def is_gone(pid):
    return state_of(pid) in (None, "Z")


@pytest.mark.parametrize("user", ["root", USER])
def test_the_port_is_had_back(new_tunnel, user):
    tunnel = new_tunnel(user).run()
    tunnel.holdfast.wait_up()
    tunnel.remembered()
    old = tunnel.lose()
    healed = time.monotonic()
    tunnel.link.heal()
    tunnel.holdfast.wait_up(timeout=LIMIT)
    print(f"{user}: up {time.monotonic() - healed:.2f} s after the heal")
    tunnel.holdfast.wait_log(ENDED, LIMIT)
    tunnel.check()
    assert len(old) == (1 if user == "root" else 2)
    for pid in old:
        wait_until(lambda pid=pid: is_gone(pid), 5, f"process {pid} of the dead session is gone")
    assert tunnel.holdfast.stop() == 0


def test_the_port_is_had_back_by_a_new_program(new_tunnel):
    """The record outlives the process, as after a power cut here."""
    tunnel = new_tunnel(USER).run()
    tunnel.holdfast.wait_up()
    tunnel.remembered()
    tunnel.lose()
    tunnel.holdfast.signal(signal.SIGKILL)
    tunnel.holdfast.wait()
    tunnel.link.heal()
    tunnel.run()
    tunnel.holdfast.wait_log(ENDED, LIMIT)
    tunnel.holdfast.wait_up(timeout=LIMIT)
    tunnel.check()


def test_reclaim_no_leaves_it(new_tunnel):
    tunnel = new_tunnel(USER).run(reclaim="no")
    tunnel.holdfast.wait_up()
    old = tunnel.lose()
    tunnel.link.heal()
    tunnel.holdfast.wait_log(r"\bport_busy \(was binding\): .* which 'reclaim: no' leaves alone", LIMIT)
    time.sleep(1)  # nothing is to happen
    assert not any(is_gone(pid) for pid in old) and tunnel.record is None


class Holder:
    """What has the port instead of us: `process`, and the words that prove its identity."""

    def __init__(self, process, pid):
        self.process, self.pid = process, pid
        stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        self.start = stat[19]
        self.boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        self.uid = os.stat(f"/proc/{pid}").st_uid


def ssh_holder(tunnel, user, serve):
    """Somebody's ssh -R of the same port; its sshd, the one that holds the port."""
    before = set(tunnel.sshd.session_pids())
    with tunnel.near.entered():
        other = serve(servers.echo)
    process = Process([
        *tunnel.near.prefix, "ssh", "-F", "none", "-N", "-p", tunnel.sshd.port, "-i", tunnel.sshd.user_key,
        "-o", f"UserKnownHostsFile={tunnel.sshd.known_hosts}", "-o", "IdentitiesOnly=yes",
        "-R", f"127.0.0.1:{REMOTE}:{other.address}", f"{user}@{Link.FAR}"])  # fmt: skip

    def serves():
        with tunnel.far.entered():
            try:
                return exchange(REMOTE, b"theirs") == b"theirs"
            except OSError:
                return False

    wait_until(serves, 15, "the other ssh has the port")
    new = [pid for pid in tunnel.sshd.session_pids() if pid not in before]
    return Holder(process, new[-1])  # the user's, where there are two


def listener_holder(tunnel):
    """A program of the tunnel's user, and no sshd."""
    script = (
        f"import os, socket\nos.setuid(47110)\ns = socket.create_server(('127.0.0.1', {REMOTE}))\n"
        "print('ready', flush=True)\nwhile True: s.accept()[0].close()\n"
    )
    process = Process([*tunnel.far.prefix, "/usr/bin/python3", "-c", script])
    process.out.wait_for("^ready$", 10)
    return Holder(process, process.pid)


@pytest.fixture
def ended_tunnel(new_tunnel):
    """A tunnel of the user that was up and is stopped in order: its record says that the port was ours."""
    tunnel = new_tunnel(USER).run()
    tunnel.holdfast.wait_up()
    tunnel.remembered()
    assert tunnel.holdfast.stop() == 0
    wait_until(lambda: not tunnel.sshd.session_pids(), 10, "the peer's session is over")
    return tunnel


CASES = {
    # who has the port; what the record is made to say of it; what the peer's answer is
    "another user's sshd": ("root", lambda h: (h.pid, h.start, h.boot, 47110), "other_user"),
    "a reused pid": (USER, lambda h: (h.pid, int(h.start) - 100, h.boot, 47110), "reused"),
    "a rebooted peer": (USER, lambda h: (h.pid, h.start, "0" * 8 + h.boot[8:], 47110), "other_boot"),
    "not an sshd": (None, lambda h: (h.pid, h.start, h.boot, 47110), "not_sshd"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_ours_is_left_alone(ended_tunnel, serve, case):
    tunnel = ended_tunnel
    user, words, answer = CASES[case]
    holder = listener_holder(tunnel) if user is None else ssh_holder(tunnel, user, serve)
    try:
        tunnel.write_process([*words(holder), "2026-01-01T00:00:00.000Z"])
        tunnel.run()
        tunnel.holdfast.wait_log(GONE.format(answer), LIMIT)
        tunnel.holdfast.wait_log(r"\bport_busy \(was binding\)", LIMIT)
        who = "another user there" if user == "root" else "another program there"
        tunnel.holdfast.wait_log(rf"port {REMOTE} of the peer is still taken, by .*{who}", LIMIT)
        assert not is_gone(holder.pid) and holder.process.is_running()
        holder.process.kill()
        tunnel.holdfast.wait_up(timeout=LIMIT)  # once it has gone by itself
        tunnel.check()
    finally:
        holder.process.kill()


def test_a_living_session_of_ours_that_is_not_on_record_is_left_alone(ended_tunnel, serve):
    """The same user, the same key, an sshd: and still somebody else's for all that can be proven."""
    tunnel = ended_tunnel
    holder = ssh_holder(tunnel, USER, serve)
    try:
        tunnel.run()
        tunnel.holdfast.wait_log(rf"port {REMOTE} of the peer is still taken, by another program there", LIMIT)
        assert not is_gone(holder.pid) and holder.process.is_running()
    finally:
        holder.process.kill()
