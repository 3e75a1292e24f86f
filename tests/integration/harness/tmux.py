"""A terminal that can be looked at: tmux with a server of its own, one window, nothing of the user's."""

import os
import shutil
import subprocess

from .proc import descendants_of, state_of, wait_until

TMUX = shutil.which("tmux")


class Tmux:
    """Runs a command of the shell in a window of so many columns and rows."""

    def __init__(self, folder, command, env, width=80, height=24):
        assert TMUX, "this test needs tmux"
        self._socket = str(folder / "tmux")
        self._env = {**env, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        self._env.pop("TMUX", None)
        self._call("-f", os.devnull, "new-session", "-d", "-x", width, "-y", height, command)

    def _call(self, *words):
        done = subprocess.run(
            [TMUX, "-S", self._socket, *map(str, words)], env=self._env, capture_output=True, text=True, timeout=20
        )
        return done.stdout

    def screen(self, *flags):
        """The rows as they are seen, without the blanks at their ends."""
        return [row.rstrip() for row in self._call("capture-pane", "-p", *flags).split("\n")[:-1]]

    def wait_for(self, predicate, what, timeout=20):
        """Waits until the screen is as it should be, and returns it."""
        seen = []

        def look():
            seen[:] = self.screen()
            return predicate(seen)

        try:
            wait_until(look, timeout, what)
        except AssertionError as late:
            raise AssertionError(f"{late}; the screen was:\n" + "\n".join(seen)) from None
        return seen

    def wait_text(self, text, timeout=20):
        return self.wait_for(lambda rows: any(text in row for row in rows), f"'{text}' is shown", timeout)

    def ask(self, what):
        """A fact about the window, by tmux's own word for it."""
        return self._call("display-message", "-p", f"#{{{what}}}").strip()

    def keys(self, *keys):
        self._call("send-keys", *keys)

    def resize(self, width, height):
        self._call("resize-window", "-x", width, "-y", height)

    def end(self):
        """With what runs in it, which may take a moment to give the terminal back."""
        pid = self.ask("pane_pid")
        below = [int(pid), *descendants_of(int(pid))] if pid else []
        self._call("kill-server")
        wait_until(lambda: all(state_of(pid) in (None, "Z") for pid in below), 10, "what ran in the terminal has ended")
