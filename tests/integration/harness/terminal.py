"""A program at a terminal of its own, and somebody who answers its questions."""

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time

from .holdfast import runner


def plain(data):
    """What Wine paints, without its moves of the cursor; those to the right are its blanks."""
    if not runner():
        return data
    data = re.sub(rb"\x1b\[(\d+)C", lambda move: b" " * int(move.group(1)), data)
    return re.sub(rb"\x1b\[\??[0-9;]*[a-zA-Z]", b"", data)


def wait_for_reader(fd):
    """Wine's console takes keys once it has switched off the terminal's own echo; what comes before is shown."""
    deadline = time.monotonic() + 5
    while runner() and termios.tcgetattr(fd)[3] & termios.ECHO and time.monotonic() < deadline:
        time.sleep(0.01)


def at_terminal(words, answers, env, timeout=20):
    """Runs words on a pty. `answers` are (pattern, answer): when the pattern has been shown, after the answer before it, a
    text is typed, or a function is called with the pid. Returns the exit code and all that was shown."""
    pid, fd = pty.fork()
    if pid == 0:
        # Wine paints a console of the terminal's size, and breaks longer lines.
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 500, 0, 0))
        os.execvpe(words[0], words, env)
    shown = b""
    seen = 0
    answers = list(answers)
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if select.select([fd], [], [], 0.2)[0]:
            try:
                data = os.read(fd, 4096)
            except OSError:
                break
            if not data:
                break
            shown = plain(shown + data)
        if answers and re.search(answers[0][0], shown[seen:]):
            answer = answers.pop(0)[1]
            seen = len(shown)
            if callable(answer):
                answer(pid)
            else:
                wait_for_reader(fd)
                os.write(fd, answer.encode() + (b"\r" if runner() else b"\n"))
    else:
        os.kill(pid, 9)
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    return os.waitstatus_to_exitcode(status), shown.decode("utf-8", "replace")
