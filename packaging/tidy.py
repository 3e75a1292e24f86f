#!/usr/bin/env python3
"""tidy.py BUILD JOBS [FILE]...: clang-tidy over these sources, as far as BUILD/compile_commands.json compiles them.

A source that passed is not looked at again until it, what it includes, its flags, .clang-tidy or clang-tidy itself
change: the cache that deps.sh uses has a digest of all that for each. Exit code 1 if any has a finding."""

import hashlib
import json
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("HOLDFAST_CACHE") or Path(base) / "holdfast") / "tidy"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def output_of(words, folder="."):
    done = subprocess.run(words, cwd=folder, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None


def digest_of(entry, rules):
    """Of what clang-tidy would see, comments (NOLINT) and macros included. None if it does not even compile."""
    words = shlex.split(entry["command"])
    words = [word for at, word in enumerate(words) if word not in ("-c", "-o") and words[at - 1] != "-o"]
    seen = output_of([*words, "-E", "-C", "-P", "-dD"], entry["directory"])
    if seen is None:
        return None
    flags = " ".join(words[1:]).replace(os.getcwd(), "")  # a clone elsewhere is the same
    return hashlib.sha256(rules + flags.encode() + seen).hexdigest()


def look_at(path, entry, build, rules, folder):
    """What clang-tidy says of it; "" if nothing, or if that is known."""
    digest = digest_of(entry, rules)
    marker = folder / path.replace("/", "-")
    if digest and marker.exists() and marker.read_text() == digest:
        return ""
    done = subprocess.run(["clang-tidy", "-p", build, "--quiet", path], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return done.stdout + done.stderr
    if digest:
        new = marker.with_suffix(f".{os.getpid()}")
        new.write_text(digest)
        new.replace(marker)
    return ""


def main(build, jobs, *files):
    entries = {os.path.relpath(entry["file"]): entry for entry in json.loads((Path(build) / "compile_commands.json").read_text())}
    rules = Path(".clang-tidy").read_bytes() + (output_of(["clang-tidy", "--version"]) or b"")
    folder = cache_folder()
    wanted = [file for file in files if file in entries]
    with ThreadPoolExecutor(int(jobs)) as pool:
        said = list(pool.map(lambda file: look_at(file, entries[file], build, rules, folder), wanted))
    print("".join(said), end="")
    print(f"{len(wanted)} sources, {sum(map(bool, said))} with findings")
    return 1 if any(said) or not wanted else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
