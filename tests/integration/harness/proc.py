"""Processes: started in their own session, their output collected by line, and facts about them from /proc."""

import ctypes
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path


def wait_until(predicate, timeout, what):
    """Polls `predicate` until it is true and returns its value. For facts that nothing announces (those of /proc)."""
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout:g} s still not so: {what}")
        time.sleep(0.02)


def children_of(pid):
    """The direct children of a process, zombies included."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            fields = Path(f"/proc/{name}/stat").read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue  # it ended while we looked
        if int(fields[1]) == pid:
            found.append(int(name))
    return found


def descendants_of(pid):
    """All processes below a process, parents before their children."""
    found = []
    queue = [pid]
    while queue:
        below = children_of(queue.pop(0))
        found += below
        queue += below
    return found


def state_of(pid):
    """The one-letter state of a process ("Z" zombie, "T" stopped), or None when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return None


def command_of(pid):
    """The words of its command line, or "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""


def descriptors_of(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def memory_kib_of(pid):
    """Resident memory of a process."""
    return int(re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M).group(1))


def own_kib_of(pid):
    """Resident memory that is its own: heap and stacks, not what it shares with others (which changes as those end)."""
    return int(re.search(r"^RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M).group(1))


def cpu_seconds_of(pid):
    """User and system time a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Lines:
    """The lines a process writes, awaited by pattern. A mark (a position) keeps an old line from answering for a new one."""

    def __init__(self, stream):
        self._stream = stream
        self._lines = []
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self):
        for raw in self._stream:
            with self._changed:
                self._lines.append(raw.decode("utf-8", "replace").rstrip("\r\n"))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def mark(self):
        with self._changed:
            return len(self._lines)

    def since(self, mark=0):
        with self._changed:
            return self._lines[mark:]

    def text(self):
        return "\n".join(self.since())

    def matching(self, pattern, mark=0):
        """The match objects of all lines so far that have the pattern."""
        return [found for found in (re.search(pattern, line) for line in self.since(mark)) if found]

    def wait_for(self, pattern, timeout, count=1, mark=0):
        """Waits until `count` lines since `mark` have the pattern; returns their match objects."""
        deadline = time.monotonic() + timeout
        while True:
            with self._changed:
                seen = len(self._lines)
                ended = self._ended
            matches = self.matching(pattern, mark)
            if len(matches) >= count:
                return matches
            left = deadline - time.monotonic()
            if left <= 0 or ended:
                why = "the output ended" if ended else f"{timeout:g} s passed"
                raise AssertionError(
                    f"{why} with {len(matches)} of {count} lines like /{pattern}/; the output was:\n{self.text()}"
                )
            with self._changed:
                if len(self._lines) == seen and not self._ended:
                    self._changed.wait(left)

    def join(self, timeout=10):
        """Waits for the end of the output. After this everything the process wrote is there."""
        self._thread.join(timeout)


_libc = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def _die_with_us():
    """Runs in the child: a test run that is killed (a time limit) takes what it started with it."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Process:
    """A child in a session of its own, so that nothing it starts can outlive kill()."""

    def __init__(self, argv, **popen):
        self.argv = [str(word) for word in argv]
        self._popen = subprocess.Popen(
            self.argv,
            stdin=popen.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=_die_with_us,
            **popen,
        )
        self.pid = self._popen.pid
        self.stdin = self._popen.stdin
        self.out = Lines(self._popen.stdout)
        self.err = Lines(self._popen.stderr)

    def is_running(self):
        return self._popen.poll() is None

    def signal(self, number):
        if self.is_running():
            self._popen.send_signal(number)

    def wait(self, timeout):
        """Waits for its end and returns the exit code (negative: the signal that ended it)."""
        try:
            code = self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.argv[0]} still runs after {timeout:g} s; its standard error was:\n{self.err.text()}"
            ) from None
        self.out.join()
        self.err.join()
        return code

    def kill(self):
        """Ends it and all it started, however it hangs."""
        below = descendants_of(self.pid) if self.is_running() else []
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        for pid in below:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._popen.wait(10)
        for stream in (self._popen.stdin,):
            if stream:
                stream.close()
