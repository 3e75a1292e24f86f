"""A throwaway sshd on loopback with keys of its own, run by the current user."""

import getpass
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from .ports import free_port
from .proc import Process, command_of, descendants_of, state_of, wait_until

SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/sbin")


def make_key(path, kind="ed25519", comment="holdfast-test", passphrase=""):
    """Makes a key pair `path`, `path`.pub and returns the path."""
    bits = ["-b", "2048"] if kind == "rsa" else []
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, *bits, "-N", passphrase, "-C", comment, "-f", str(path)],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return path


def sshd_version():
    """(major, minor) of the installed sshd."""
    words = subprocess.run([SSHD, "-V"], capture_output=True, text=True, check=False)
    found = re.search(r"OpenSSH_(\d+)\.(\d+)", words.stdout + words.stderr)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def renamed_sshd(path, software):
    """A copy of sshd that greets as `software`, such as "OpenSSH_for_Windows_9.5"; returns `path`."""
    program = Path(SSHD).read_bytes()
    names = re.findall(rb"(?<=\0)OpenSSH_[\d.]+p\d+ [^\0]+(?=\0)", program)
    assert len(names) == 1, f"{SSHD} has no name with its distribution's version, as Debian's up to 12 has: {names}"
    name = software.encode()
    assert len(name) <= len(names[0])
    path.write_bytes(program.replace(b"\0" + names[0] + b"\0", b"\0" + name.ljust(len(names[0]) + 1, b"\0")))
    path.chmod(0o755)
    return path


class Sshd:
    """options: sshd_config words that replace or add to the ones below (a list value repeats the word).
    prefix: a command to run it through, such as `ip netns exec NAME`. host: the address it listens on. program: a sshd
    other than the system's."""

    def __init__(self, folder, host_keys, user_key, options=None, host="127.0.0.1", prefix=(), key_options="", program=None):
        assert SSHD, "these tests need sshd: install openssh-server"
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.host = host
        self.user = getpass.getuser()
        self.user_key = Path(user_key)
        self.port = 0
        self._prefix = list(prefix)
        self._program = program or SSHD
        self._host_keys = [Path(key) for key in host_keys]
        self._process = None
        self.authorized_keys = self.folder / "authorized_keys"
        self.known_hosts = self.folder / "known_hosts"
        self.authorize(key_options)
        self._options = {
            "HostKey": [str(key) for key in self._host_keys],
            "AuthorizedKeysFile": str(self.authorized_keys),
            "PidFile": "none",
            "UsePAM": "no",
            "StrictModes": "no",  # the test's folder may lie under a world-writable one
            "PermitRootLogin": "yes",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "MaxStartups": "100",
            "MaxSessions": "1000",
            "UseDNS": "no",
            "LogLevel": "VERBOSE",
            # Commands of the tests run without the user's ~/.bashrc, which bash reads in the outermost shell alone: it may
            # take its time, and a session that is killed in its midst may leave a lock of its behind.
            "SetEnv": "SHLVL=1",
        }
        if sshd_version() >= (9, 8):
            self._options["PerSourcePenalties"] = "no"  # fifty broken sessions in a row look like an attack
        self._options.update(options or {})

    @property
    def destination(self):
        return f"{self.user}@{self.host}"

    @property
    def log(self):
        return self._process.err if self._process is not None else None

    @property
    def pid(self):
        return self._process.pid

    def authorize(self, key_options=""):
        """Writes authorized_keys: the user's key with options such as 'restrict,port-forwarding'."""
        public = self.user_key.with_name(self.user_key.name + ".pub").read_text()
        self.authorized_keys.write_text(f"{key_options} {public}".lstrip())

    def set_options(self, **options):
        """Changes sshd_config words; they hold from the next start."""
        self._options.update(options)

    def _write_config(self):
        listen = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        lines = [f"ListenAddress {listen}"]
        for word, value in self._options.items():
            lines += [f"{word} {one}" for one in (value if isinstance(value, (list, tuple)) else [value])]
        (self.folder / "sshd_config").write_text("\n".join(lines) + "\n")

    def _write_known_hosts(self):
        keys = [key.with_name(key.name + ".pub").read_text().split()[:2] for key in self._host_keys]
        self.known_hosts.write_text("".join(f"[{self.host}]:{self.port} {kind} {blob}\n" for kind, blob in keys))

    def start(self):
        """Starts it on a new port the first time, on the same port after that."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd's privilege separation sits
        for _ in range(20):
            fixed = self.port != 0
            self.port = self.port or free_port()
            self._write_config()
            self._write_known_hosts()
            self._process = Process([*self._prefix, self._program, "-D", "-e", "-f", self.folder / "sshd_config"])
            try:
                self.log.wait_for(r"^Server listening on ", 10)
                return self
            except AssertionError:
                self._process.kill()
                if fixed or "Address already in use" not in self.log.text():
                    raise
                self.port = 0
        raise AssertionError("no port for sshd")

    def stop(self):
        """Ends the listener and every session, without a word to the clients beyond what the kernel says."""
        if self._process is None:
            return
        sessions = self.session_pids()
        self._process.kill()
        for pid in sessions:
            _kill(pid, signal.SIGKILL)
        for pid in sessions:
            wait_until(lambda pid=pid: state_of(pid) in (None, "Z"), 5, f"sshd session {pid} has ended")

    def restart(self):
        """Stops it with its sessions and starts it on the same port."""
        self.stop()
        return self.start()

    def session_pids(self):
        """The processes that serve connections: everything below the listener but the children that take part in the
        login alone and may outlive it for a moment. One session has one or two of them."""
        below = [pid for pid in descendants_of(self._listener_pid()) if state_of(pid) not in (None, "Z")]
        return [pid for pid in below if not command_of(pid).endswith(("[net]", "[preauth]"))]

    def _listener_pid(self):
        # `ip netns exec` replaces itself, so the process we started is the listener with a prefix as well.
        return self._process.pid

    def kill_sessions(self):
        """Kills what serves connections (the listener stays) and waits until it is gone. Returns how many there were."""
        pids = self.session_pids()
        for pid in pids:
            _kill(pid, signal.SIGKILL)
        for pid in pids:
            wait_until(lambda pid=pid: state_of(pid) in (None, "Z"), 5, f"sshd session {pid} has ended")
        return len(pids)

    def sigstop(self):
        """Freezes listener and sessions: the kernel still takes bytes, nobody answers."""
        for pid in [self._listener_pid(), *self.session_pids()]:
            _kill(pid, signal.SIGSTOP)

    def sigcont(self):
        for pid in [self._listener_pid(), *self.session_pids()]:
            _kill(pid, signal.SIGCONT)


def _kill(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
