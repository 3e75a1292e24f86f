"""A program at a terminal of its own, and somebody who answers its questions."""

import os
import pty
import re
import select
import time


def at_terminal(words, answers, env, timeout=20):
    """Runs words on a pty. `answers` are (pattern, answer): when the pattern has been shown, after the answer before it, a
    text is typed, or a function is called with the pid. Returns the exit code and all that was shown."""
    pid, fd = pty.fork()
    if pid == 0:
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
            shown += data
        if answers and re.search(answers[0][0], shown[seen:]):
            answer = answers.pop(0)[1]
            seen = len(shown)
            if callable(answer):
                answer(pid)
            else:
                os.write(fd, answer.encode() + b"\n")
    else:
        os.kill(pid, 9)
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    return os.waitstatus_to_exitcode(status), shown.decode("utf-8", "replace")
