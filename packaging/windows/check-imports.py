#!/usr/bin/env python3
"""check-imports.py EXE...: will it load on Windows 7 SP1 of as many bits?

Fails (exit 1) on every import that win7-exports/ does not list: Windows would refuse to start the program. Fails as well on
every string that is the name of a function newer than that, in any DLL, unless win7-exports/asked-for.list says why it is
harmless: it may be asked of GetProcAddress. Newer functions are those that MinGW-w64's import libraries know and
win7-exports/ does not. Exit 2 when a file cannot be read.
"""

import re
import struct
import sys
from pathlib import Path

from pe import Image, NotAnImage

PLACE = Path(__file__).resolve().parent / "win7-exports"
MINGW = {64: Path("/usr/x86_64-w64-mingw32/lib"), 32: Path("/usr/i686-w64-mingw32/lib")}
TARGETS = {64: "windows", 32: "windows-x86"}  # of packaging/deps.sh
# Where a program asks for functions by name: besides the DLLs that have a list, those of the newer console and
# network interfaces.
ALSO_ASKED = ("kernelbase", "winhttp", "bcryptprimitives", "synchronization", "shcore", "ncrypt", "fwpuclnt", "wlanapi")


class Trouble(Exception):
    """What is needed for the check is not there, or not as it has to be."""


def lists(bits):
    """{DLL: names} of what Windows 7 of so many bits exports."""
    found = {}
    for file in sorted(PLACE.glob("*.txt")):
        rows = [line.split() for line in file.read_text().splitlines()]
        found[file.stem] = {row[0] for row in rows if row[2:] in ([], [str(bits)])}
    if not found:
        raise Trouble(f"{PLACE}: no lists")
    return found


def asked_for():
    """The names that asked-for.list allows."""
    found = set()
    for number, line in enumerate((PLACE / "asked-for.list").read_text().splitlines(), 1):
        fields = line.split(None, 2)
        if not fields or fields[0].startswith("#"):
            continue
        if len(fields) < 3:
            raise Trouble(f"asked-for.list:{number}: a DLL, a name and a reason are wanted")
        found.add(fields[1])
    return found


def library_names(dll, bits):
    """What MinGW's import library of a DLL offers; empty when there is none."""
    file = MINGW[bits] / f"lib{dll}.a"
    if not file.exists():
        return set()
    data = file.read_bytes()
    if data[:8] != b"!<arch>\n" or data[8:24].rstrip() != b"/":
        raise Trouble(f"{file}: not an archive with an index")
    (count,) = struct.unpack_from(">I", data, 68)
    index = data[72 + 4 * count : 68 + int(data[56:66])]
    words = (word.decode("ascii", "replace") for word in index.split(b"\0"))
    names = {word[6:] for word in words if word.startswith("__imp_")}
    # On 32 bits the linker's name of a function says how it is called: _name, _name@12 or @name@12.
    return names if bits == 64 else {re.sub(r"@\d+$", "", name[1:]) for name in names}


def newer_names(known, bits):
    """{name: DLL} of what some Windows exports, and Windows 7 does not as far as the lists say."""
    everywhere = set().union(*known.values())
    found = {}
    for dll in (*known, *ALSO_ASKED):
        if dll == "msvcrt":
            continue  # part of the system in one version; its names are words of every program
        for name in library_names(dll, bits) - everywhere:
            found.setdefault(name, dll)
    if not found:
        raise Trouble(f"no import libraries in {MINGW[bits]}: run packaging/deps.sh {TARGETS[bits]}")
    return found


def faults(image, known, newer, allowed):
    """One line for each thing that is wrong."""
    for dll, name in image.imports():
        if dll not in known:
            yield f"imports {name} of {dll}.dll, which has no list: Windows 7 may not have that DLL"
        elif name not in known[dll]:
            yield f"imports {name} of {dll}.dll, which Windows 7 SP1 is not known to export"
    for name in sorted(image.words()):
        if name in newer and name not in allowed:
            yield f"holds the name {name} of {newer[name]}.dll, which Windows 7 SP1 is not known to export; if it is asked"\
                " for and may be missing, say so in asked-for.list"


def main(paths):
    if not paths or any(path.startswith("-") for path in paths):
        print(__doc__, file=sys.stderr)
        return 2
    worst = 0
    try:
        allowed = asked_for()
        for path in paths:
            image = Image(path)
            bits = 64 if image.is_64 else 32
            known = lists(bits)
            newer = newer_names(known, bits)
            lines = list(faults(image, known, newer, allowed))
            for line in lines:
                print(f"{path}: {line}")
            if lines:
                worst = 1
            else:
                print(f"{path}: Windows 7 SP1 has all of its {len(image.imports())} imports")
    except (OSError, NotAnImage, Trouble) as error:
        print(f"check-imports.py: {error}", file=sys.stderr)
        return 2
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
