"""How many handles holdfast.exe has open."""

import os
from pathlib import Path

from harness.proc import wait_until
from harness.wine_prefix import wine


def handle_count():
    """Of the one holdfast.exe in our prefix. Wine's server keeps the handles, so /proc does not show them."""
    tool = Path(os.environ["HOLDFAST_BIN"]).parent / "tests" / "windows" / "handle_count.exe"
    done = wine(str(tool), "holdfast.exe")
    counts = done.stdout.split()
    assert len(counts) == 1, f"one holdfast.exe runs, not {len(counts)}: {done}"
    return int(counts[0])


def settled():
    """The count once two looks agree: what a fault has left closing is closed then."""
    seen = []

    def agrees():
        seen.append(handle_count())
        return len(seen) > 1 and seen[-1] == seen[-2]

    wait_until(agrees, 20, "the number of handles stays")
    return seen[-1]
