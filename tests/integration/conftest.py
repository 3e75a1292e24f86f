"""Integration tests: the built program against a real sshd on loopback.

HOLDFAST_BIN=build/release/holdfast HOLDFAST_TOOLS=build/release/tests/tools python3 -m pytest tests/integration
HOLDFAST_RUN   a command to run the binary through (packaging/windows/wine.sh for holdfast.exe; tests/windows says how)
HOLDFAST_SIZE  bytes of the big transfers, such as 64M (default 1G)
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from harness.fixtures import *  # noqa: E402,F401,F403
from harness.holdfast import runner  # noqa: E402
from harness.wine import deselect, home_folder  # noqa: E402,F401

if runner():
    from harness.wine_prefix import wine_of_our_own  # noqa: F401


def pytest_collection_modifyitems(config, items):
    deselect(config, items)
