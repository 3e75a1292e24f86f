"""Windows tests: holdfast.exe under Wine against the real sshd of this machine, with the harness of tests/integration.

HOLDFAST_BIN=build/windows-x64/holdfast.exe HOLDFAST_RUN=packaging/windows/wine.sh HOLDFAST_WINEPREFIX=/tmp/wine \\
    python3 -m pytest tests/windows
With HOLDFAST_WINE32=1 as well, the same for build/windows-x86/holdfast.exe.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "integration"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "packaging/windows"))

import pe  # noqa: E402
from harness.fixtures import *  # noqa: E402,F401,F403
from harness.holdfast import binary  # noqa: E402
from harness.wine_prefix import wine, wine_of_our_own  # noqa: E402,F401

BITS = 64 if pe.Image(binary()).is_64 else 32  # of the program under test

@pytest.fixture
def run_program():
    """run(*words) -> the finished program, as subprocess has it."""

    def run(*words, **more):
        return wine(binary(), *[str(word) for word in words], **more)

    return run
