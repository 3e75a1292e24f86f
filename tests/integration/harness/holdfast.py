"""The program under test as a process: a definition or flags in, `up:` lines and an exit code out."""

import json
import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

from .proc import Process, descendants_of, descriptors_of, memory_kib_of, wait_until


def binary():
    path = os.environ.get("HOLDFAST_BIN")
    assert path, "set HOLDFAST_BIN to the holdfast binary that is to be tested"
    assert Path(path).exists(), f"HOLDFAST_BIN names {path}, which does not exist"
    return path


def runner():
    """The command that a foreign binary is run through (HOLDFAST_RUN), as words."""
    return shlex.split(os.environ.get("HOLDFAST_RUN", ""))


def native(path):
    """A path as the program takes it: Wine shows this machine's root as drive Z."""
    return "Z:" + str(path).replace("/", "\\") if runner() else str(path)


def _block(value, indent=0):
    """Plain YAML of nested dicts, lists and scalars, as a person would write it."""
    pad = "  " * indent
    if isinstance(value, dict):
        lines = []
        for key, item in value.items():
            nested = isinstance(item, (dict, list)) and item
            lines.append(f"{pad}{key}:\n{_block(item, indent + 1)}" if nested else f"{pad}{key}: {_scalar(item)}\n")
        return "".join(lines)
    lines = []
    for item in value:
        body = _block(item, indent + 1) if isinstance(item, dict) else f"{_scalar(item)}\n"
        lines.append(f"{pad}- {body.lstrip()}")
    return "".join(lines)


def _scalar(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    return text if re.fullmatch(r"[\w./@+-][\w./@:+-]*", text) else json.dumps(text)


def host_entry(sshd, **more):
    """The entry under `hosts:` that reaches an Sshd."""
    return {
        "hostname": sshd.host,
        "port": sshd.port,
        "user": sshd.user,
        "identity_file": native(sshd.user_key),
        "known_hosts_file": native(sshd.known_hosts),
        **more,
    }


def definition(hosts, tunnels, defaults=None, reclaim="no"):
    """YAML text. hosts: {name: Sshd or dict}; tunnels: {name: {"host": ..., "forwards": [...]}}. reclaim: for tunnels that
    do not say it; by "no" nothing is run at the peer, so that a sshd's processes are those of its sessions. None: the
    program's default."""
    if reclaim is not None:
        tunnels = {name: {**tunnel, "reclaim": tunnel.get("reclaim", reclaim)} for name, tunnel in tunnels.items()}
    entries = {name: host if isinstance(host, dict) else host_entry(host) for name, host in hosts.items()}
    top = {"defaults": defaults} if defaults else {}
    return _block({**top, "hosts": entries, "tunnels": tunnels})


def flags(sshd, *more):
    """The one-line form's words for an Sshd: `more` goes before the destination."""
    return [
        "-p", sshd.port,
        "-i", native(sshd.user_key),
        "-o", f"UserKnownHostsFile={native(sshd.known_hosts)}",
        "-o", "StrictHostKeyChecking=yes",
        *more,
        sshd.destination,
    ]  # fmt: skip


class Holdfast:
    """One running holdfast with a home of its own. start() takes flags, run() a definition."""

    def __init__(self, folder, prefix=()):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._prefix = list(prefix)
        self._process = None
        self._up_pattern = ""
        self._mark = 0

    def environment(self):
        """Nothing of the person who runs the tests reaches the program: no agent, no keys, no definitions."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("SSH_", "XDG_"))}
        home = self.folder / "home"
        runtime = self.folder / "runtime"
        home.mkdir(exist_ok=True)
        runtime.mkdir(mode=0o700, exist_ok=True)
        return {
            **clean,
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "XDG_STATE_HOME": str(home / ".local/state"),
            "XDG_RUNTIME_DIR": str(runtime),
            "STATE_DIRECTORY": str(home / ".local/state/holdfast"),  # root's default place is the machine's
        }

    def _start(self, words):
        assert self._process is None or not self._process.is_running(), "it runs already"
        self._process = Process([*self._prefix, *runner(), binary(), *words], env=self.environment(), cwd=self.folder)
        self._mark = 0
        return self

    def start(self, *words):
        """Runs it with these words as its command line (the one-line form, or a subcommand)."""
        self._up_pattern = r"^holdfast: up: (?P<flag>-[LRD]) (?P<listen>\S+)(?: -> (?P<to>\S+))? via (?P<via>\S+)"
        return self._start(words)

    def run(self, text, *words):
        """Runs `holdfast run` on a definition given as text."""
        path = self.folder / "tunnels.yaml"
        path.write_text(text)
        self._up_pattern = r"\binfo\s+(?P<tunnel>[^\s:]+): up\b"
        return self._start(["run", "-c", native(path), *words])

    def call(self, *words, timeout=30):
        """Runs a command of the program beside it, with the same home, to its end: what it said is text."""
        words = [*self._prefix, *runner(), binary(), *[str(word) for word in words]]
        return subprocess.run(
            words, env=self.environment(), cwd=self.folder, timeout=timeout, capture_output=True, text=True,
            stdin=subprocess.DEVNULL)  # fmt: skip

    def status(self, *names):
        """What `status --json` says."""
        done = self.call("status", "--json", *names)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    @property
    def control_socket(self):
        return self.folder / "runtime" / "holdfast" / "control.sock"

    def wait_up(self, count=1, timeout=15):
        """Waits for `count` more signs of being up since the last call: `holdfast: up:` lines (one per forward) after
        start(), lines of the log (one per tunnel) after run(). Returns the matches."""
        matches = self.err.wait_for(self._up_pattern, timeout, count, self._mark)
        self._mark = self.err.mark()
        return matches

    def wait_down(self, timeout=15, mark=0):
        """Waits for a line of the log that says a session was up and is no more."""
        return self.wait_log(r"\b(?:waiting|failed) \(was (?:up|degraded|port_busy)\)|\bsession ended\b", timeout, mark)

    def wait_log(self, pattern, timeout=15, mark=0):
        return self.err.wait_for(pattern, timeout, mark=mark)[0]

    def bound_port(self, match):
        """The port of an `up:` line's listening side."""
        return int(match.group("listen").rsplit(":", 1)[1])

    @property
    def pid(self):
        """The process of the program itself (what a wrapper starts lies below it)."""
        return self._process.pid

    @property
    def err(self):
        return self._process.err if self._process is not None else None

    @property
    def out(self):
        return self._process.out

    def is_running(self):
        return self._process.is_running()

    def descriptors(self):
        return descriptors_of(self.pid)

    def memory_kib(self):
        return memory_kib_of(self.pid)

    def signal(self, number):
        """To Wine, SIGINT is Ctrl-C and SIGTERM a death at once, which Windows has no polite form of."""
        self._process.signal(signal.SIGINT if runner() and number == signal.SIGTERM else number)

    def wait(self, timeout=15):
        return self._process.wait(timeout)

    def stop(self, timeout=15):
        """SIGTERM (Ctrl-C on Windows); returns the exit code. Nothing it started may be left."""
        below = descendants_of(self.pid)
        self.signal(signal.SIGTERM)
        code = self.wait(timeout)
        left = [pid for pid in below if Path(f"/proc/{pid}").exists()]
        assert not left or runner(), f"holdfast left processes behind: {left}"
        return code

    def end(self):
        """Ends it after a test, in its own way where it can (a sanitizer looks for leaks then), and by force."""
        if self._process is None:
            return
        try:
            if self._process.is_running():
                self.signal(signal.SIGTERM)
                self.signal(signal.SIGTERM)  # twice: the test's connections may still be open
                code = self.wait(10)
                assert code == 0, f"stopped, it ended with {code}; it said:\n{self.err.text()}"
        finally:
            self._process.kill()
        found = re.search(r"(?:Address|Leak|UndefinedBehavior)Sanitizer|runtime error:|left on the loop", self.err.text())
        assert not found, f"{found.group(0)}; it said:\n{self.err.text()}"

    def wait_descriptors(self, baseline, timeout=5):
        """Waits until it has no more descriptors open than at `baseline`."""
        wait_until(
            lambda: self.descriptors() <= baseline,
            timeout,
            f"holdfast is back to {baseline} descriptors (has {self.descriptors()})",
        )
