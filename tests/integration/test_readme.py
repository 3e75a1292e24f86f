"""The README against the program: its console blocks run as shown, its flags and keys are the program's, and none is missing.

A ```console block is run: each line that begins with "$ " is a command, what follows it is all that it prints, with "..." for
any lines. The README's first ```yaml block is xp-mode.yaml there, and the same with `remote` misspelt is misspelt.yaml.
"""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from harness.holdfast import binary, runner

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands():
    """[(command, what it prints)] of the console blocks."""
    found = []
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def table(heading):
    """The rows of the table under a heading, as lists of cells."""
    section = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", README, re.MULTILINE | re.DOTALL)
    assert section, f"the README has no '{heading}'"
    rows = [line for line in section.group(1).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows[2:]]


def code(cell):
    return re.findall(r"`([^`]+)`", cell)


@pytest.fixture
def call(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    place = tmp_path / "place"
    place.mkdir()
    example = blocks("yaml")[0]
    (place / "xp-mode.yaml").write_text(example)
    (place / "misspelt.yaml").write_text(example.replace("remote:", "remot:"))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SSH_", "XDG_"))}

    def run(*words, text=None):
        if text is not None:
            (place / "t.yaml").write_text(text)
        return subprocess.run(
            [*runner(), binary(), *words],
            cwd=place,
            env={**clean, "HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
        )

    return run


@pytest.mark.parametrize("command, shown", commands(), ids=[command for command, _ in commands()])
def test_console_blocks_print_what_they_show(call, command, shown):
    words = shlex.split(command)
    assert words[0] == "holdfast", "only holdfast itself is run from a console block"
    done = call(*words[1:])
    pattern = "".join(r"(?:.*\n)*" if line == "...\n" else re.escape(line) for line in shown.splitlines(keepends=True))
    assert re.fullmatch(pattern, done.stdout + done.stderr), done.stdout + done.stderr


def test_there_are_console_blocks():
    assert len(commands()) >= 3


VALUES = {
    "-L": "1:a:1", "-R": "1:a:1", "-p": "22", "-l": "me", "-i": "key", "-b": "127.0.0.1", "-c": "aes128-ctr", "-m": "hmac-sha2-256",
    "-F": "none", "-o": "BatchMode=yes", "-E": "log", "--log-level": "debug", "--log-format": "json", "--log-file": "log",
    "--log-max-size": "10MiB",
}  # fmt: skip
FLAGS = [(flag, row[1]) for row in table("Flags, beside ssh") for flag in code(row[0])]


@pytest.mark.parametrize("flag, verdict", FLAGS, ids=[flag for flag, _ in FLAGS])
def test_flags_do_what_the_table_says(call, flag, verdict):
    if verdict == "refused":
        done = call(flag, "h")
        assert (done.returncode, done.stderr.startswith(f"holdfast: {flag}: ")) == (2, True), done.stderr
    elif flag in ("-V", "-h"):
        assert call(flag).returncode == 0
    else:
        # Words are taken in order, so that the complaint is about the last only if the first was taken.
        done = call(flag, *filter(None, [VALUES.get(flag)]), "--no-such-flag")
        assert done.stderr.startswith("holdfast: unknown flag --no-such-flag"), done.stderr


def test_every_flag_of_help_is_in_the_table(call):
    usage = call("help").stdout.split("Commands:")[0]
    known = set(re.findall(r"(?<![\w-])(?:--[a-z-]+|-[A-Za-z0-9])\b", usage)) - {"-vv", "-vvv"}
    assert len(known) > 15
    assert known <= {flag for flag, _ in FLAGS}


def test_every_flag_of_the_table_that_help_has_room_for_is_in_help(call):
    usage = call("help").stdout
    named = [flag for flag, verdict in FLAGS if verdict in ("same", "ours") and flag not in code("`-N` `-T` `-n` `-a` `-x` `-k` `-2`")]
    missing = [flag for flag in named if not re.search(rf"(?<![\w-]){flag}(?![\w-])", usage)]
    assert not missing


def test_every_command_of_the_table_is_in_help_and_the_other_way(call):
    listed = {word for row in table("Commands")[1:] for word in code(row[0])[0].split()[1].split("\\|")}
    lines = call("help").stdout.split("Commands:")[1].split("Example:")[0].splitlines()
    heads = [part for line in lines for part in re.findall(r"(?:^  |;  )(\S.*?)  ", line)]
    helped = {word for head in heads for word in re.findall(r"\b[a-z]+\b", head)}
    assert listed == helped


SESSION, TUNNEL, FORWARD, BACKOFF, FILE = (
    {code(row[0])[0]: row for row in table(f"Keys of {of}")} for of in ("a session", "a tunnel", "a forward", "backoff", "a file")
)


def definition(host="user: x", tunnel="", forward=("local: 8080", "to: a:80")):
    return (
        f"hosts:\n  h:\n    {host}\ntunnels:\n  t:\n    host: h\n"
        + (f"    {tunnel}\n" if tunnel else "")
        + "    forwards:\n      - "
        + "\n        ".join(forward)
        + "\n"
    )


def is_valid(call, text):
    done = call("check", "-c", "t.yaml", text=text)
    assert (done.returncode, done.stderr) == (0, ""), f"{text}\n{done.stderr}"


@pytest.mark.parametrize("key", SESSION)
def test_session_keys_are_taken_with_the_value_shown(call, key):
    value = code(SESSION[key][1])[0]
    is_valid(call, definition(host=f"{key}: {value}"))
    is_valid(call, definition(tunnel=f"{key}: {value}"))
    done = call("check", "-c", "t.yaml", text=f"defaults:\n  {key}: {value}\n" + definition())
    assert (done.returncode == 0) == ("not under `defaults`" not in SESSION[key][1]), done.stderr


@pytest.mark.parametrize("key", [key for key in FORWARD if key not in ("local", "remote", "to")])
def test_forward_keys_are_taken_with_the_value_shown(call, key):
    is_valid(call, definition(forward=("local: 8080", "to: a:80", f"{key}: {code(FORWARD[key][1])[0]}")))


@pytest.mark.parametrize("key", ["local", "remote"])
def test_each_listener_shown_is_taken(call, key):
    for value in code(FORWARD[key][1]):
        is_valid(call, definition(forward=(f"{key}: {value}" if value[0] != "[" else f'{key}: "{value}"', f"to: {code(FORWARD['to'][1])[0]}")))


@pytest.mark.parametrize("key", BACKOFF)
def test_backoff_keys_are_taken_with_the_value_shown(call, key):
    is_valid(call, definition(tunnel=f"backoff: {{{key}: {code(BACKOFF[key][1])[0]}}}"))


@pytest.mark.parametrize("key", FILE)
def test_file_keys_are_taken_with_the_values_shown(call, key):
    for value in code(FILE[key][1])[:2]:
        is_valid(call, f"{key}: {value}\n" + definition())


def source_keys():
    """The keys that the parser knows and takes, from its own tables."""
    settings = (ROOT / "src/config/settings.c").read_text()
    rules = (ROOT / "src/config/definitions.c").read_text()
    session = set(re.findall(r'^    \{(?:"[A-Za-z]+"|NULL), "([a-z_]+)", KIND_', settings, re.MULTILINE))
    taken = set(re.findall(r'\{"([a-z_]+)", (?!NULL)[a-z_]+\}', rules))
    return session, taken


def test_every_key_of_the_parser_is_in_the_reference():
    session, taken = source_keys()
    assert len(session) > 20 and len(taken) > 8, "the parser's tables look different now; mend source_keys()"
    assert session - {"passphrase_secret"} == set(SESSION)  # that one stands in the chapter on Windows
    assert taken - {"defaults", "hosts", "tunnels"} == set(TUNNEL) | set(FORWARD) | set(BACKOFF) | set(FILE)


def test_the_manual_page_names_every_key_and_flag():
    page = (ROOT / "docs/holdfast.yaml.5").read_text()
    missing = [key for key in {**SESSION, **TUNNEL, **FORWARD, **BACKOFF, **FILE} if not re.search(rf"^\.It Cm {key}\b", page, re.MULTILINE)]
    assert not missing
    page = (ROOT / "docs/holdfast.1").read_text()
    missing = [flag for flag, verdict in FLAGS if verdict != "refused" and not re.search(rf"\bFl {re.escape(flag[1:])}\b", page)]
    assert not missing


def test_files_that_the_readme_names_exist():
    places = re.findall(r"\]\(([^)#]+)\)", README)
    assert places and not [place for place in places if not (ROOT / place).exists()]
