"""Windows tests: holdfast.exe under Wine against the real sshd of this machine, with the harness of tests/integration.

HOLDFAST_BIN=build/windows-x64/holdfast.exe HOLDFAST_RUN=packaging/windows/wine.sh HOLDFAST_WINEPREFIX=/tmp/wine \\
    python3 -m pytest tests/windows
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "integration"))

from harness.fixtures import *  # noqa: E402,F401,F403
from harness.holdfast import binary, runner  # noqa: E402


def wine(*words, **more):
    """Runs the runner with these words to its end."""
    return subprocess.run([*runner(), *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=120, **more)


@pytest.fixture(scope="session", autouse=True)
def wine_of_our_own(adopts_orphans):  # noqa: F405
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


@pytest.fixture
def run_program():
    """run(*words) -> the finished program, as subprocess has it."""

    def run(*words, **more):
        return wine(binary(), *[str(word) for word in words], **more)

    return run
