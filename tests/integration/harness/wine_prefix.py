"""The Wine prefix of a run of tests: HOLDFAST_WINEPREFIX, made anew and ended with the run."""

import os
import subprocess

import pytest

from .holdfast import runner


def wine(*words, **more):
    """Runs the runner with these words to its end."""
    return subprocess.run([*runner(), *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=120, **more)


@pytest.fixture(scope="session", autouse=True)
def wine_of_our_own(adopts_orphans):
    """A prefix of our own with Wine's services running. Those would otherwise be started by each program anew, and keep
    its output open after its end."""
    assert runner() and os.environ.get("HOLDFAST_WINEPREFIX"), "set HOLDFAST_RUN and HOLDFAST_WINEPREFIX"
    assert wine("--new").returncode == 0
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    keeper = subprocess.Popen([*runner(), "cmd"], stdin=subprocess.PIPE, **silent)
    assert subprocess.run([*runner(), "cmd", "/c", "exit 7"], stdin=subprocess.DEVNULL, **silent).returncode == 7
    yield
    assert wine("--end").returncode == 0
    keeper.communicate(timeout=10)
