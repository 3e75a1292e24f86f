"""`status --watch`: the screen, looked at in tmux, and the lines where there is no screen."""

import os
import re
import shlex
import signal
import subprocess

import pytest
from harness import clients, servers
from harness.holdfast import binary, definition, host_entry, native, runner
from harness.ports import free_port
from harness.proc import Process, command_of, descendants_of, state_of, wait_until
from harness.terminal import at_terminal
from harness.tmux import Tmux

BACKOFF = {"first": "20s", "max": "60s"}


class Watched:
    """A running service with a tunnel that is up and one whose peer is not there."""

    def __init__(self, holdfast, sshd, echo, more=0, unknown=False):
        self.holdfast, self.port, self.nobody = holdfast, free_port(), free_port()
        up = {"host": "peer", "forwards": [{"local": f"127.0.0.1:{self.port}", "to": echo.address}]}
        tunnels = {"works": up, "waits": self.down(0)}
        for i in range(more):
            tunnels[f"more-{i:02}"] = self.down(i + 1)
        hosts = {"peer": sshd}
        self.lines = ["waits: waiting"]
        if unknown:
            hosts["stranger"] = host_entry(sshd, known_hosts_file=native(holdfast.folder / "nothing"))
            tunnels["unknown"] = {"host": "stranger", "forwards": [{"remote": 0, "to": echo.address}]}
            self.lines.append("unknown: failed")
        self.text = definition(hosts, tunnels)
        self.to = echo.address
        self.start()

    def down(self, number):
        forwards = [{"remote": f"127.0.0.1:{14444 + number}", "to": "192.168.200.2:4444"}]
        return {"host": f"nobody@127.0.0.1:{self.nobody}", "forwards": forwards, "backoff": BACKOFF}

    def start(self):
        self.holdfast.run(self.text)
        self.holdfast.wait_up()
        for line in self.lines:
            self.holdfast.wait_log(line)

    def words(self, *words):
        return [*runner(), binary(), "status", *words]


@pytest.fixture
def echo(serve):
    return serve(servers.echo)


@pytest.fixture
def watched(holdfast, sshd, echo):
    return Watched(holdfast, sshd, echo)


@pytest.fixture
def tmux(tmp_path):
    """tmux(command, env, width, height) -> a Tmux, ended with the test."""
    made = []

    def start(*args):
        made.append(Tmux(tmp_path, *args))
        return made[-1]

    yield start
    for terminal in made:
        terminal.end()


def assert_like(rows, patterns):
    """The first rows of a screenshot, each against its pattern."""
    for row, pattern in zip(rows, patterns, strict=False):
        assert re.fullmatch(pattern, row), "\n".join(["the screen was:", *rows, f"and this is not like /{pattern}/:", row])


def assert_screen(rows, watched, version, width):
    port, nobody, to = watched.port, watched.nobody, watched.to
    rate = r" *\d[\d.]* (?:B|KiB|MiB)"
    wide = width >= 120
    title = rf"holdfast {re.escape(version)}  pid \d+  up \d+s +2 tunnels: 1 up, 1 waiting"
    head = "NAME +HOST +STATE +IN/s +OUT/s +RTT +IN +OUT +RECON SINCE" if wide else "NAME +STATE +IN/s +OUT/s +RTT SINCE"
    totals = rf"{rate}{rate} +0" if wide else ""
    host = r" +(?:peer|127\.0\.0\.1)" if wide else ""
    counts = r" +{} open +{} in all" + rate + " in" + rate + " out" if wide else r" +{} open"
    assert_like(
        rows,
        [
            title,
            head,
            rf"works{host} +up +(?:-|{rate}) +(?:-|{rate}) +\d+ ms{totals} up \d+s",
            rf"  -L 127\.0\.0\.1:{port} -> {re.escape(to)} +up" + counts.format(1, 1),
            rf"waits{host} +waiting +(?:-|{rate}) +(?:-|{rate}) +-{totals} retry \d+s",
            rf"  127\.0\.0\.1:{nobody}: connection refused.*",
        ],
    )
    assert all(len(row) <= width for row in rows)
    # Columns stand under their heads: a text begins or ends where its head does.
    assert rows[1].index("STATE") == rows[2].index(" up ") + 1 == rows[4].index("waiting")
    assert rows[1].index("RTT") + 3 == rows[2].index(" ms") + 3
    assert rows[1].index("SINCE") == rows[2].rindex("up ") == rows[4].index("retry")
    assert re.fullmatch(r" q quit  Up Down PgUp PgDn scroll +lines 1-\d of \d", rows[-1])
    assert len(rows[-1]) == width - 1


@pytest.mark.parametrize(("width", "height"), [(80, 24), (160, 50)])
def test_screenshot(watched, tmux, holdfast, width, height):
    version = subprocess.run(
        [*runner(), binary(), "--version"], capture_output=True, text=True, env=holdfast.environment(), timeout=20
    ).stdout.split()[1]
    with clients.connect(watched.port) as sock:
        sock.sendall(b"x")
        assert clients.read_exactly(sock, 1) == b"x"
        terminal = tmux(shlex.join(watched.words("--watch")), holdfast.environment(), width, height)
        rows = terminal.wait_text(" 1 open")
        rows = terminal.wait_for(lambda rows: re.search(r"works.*\d B", rows[2]), "the second status is there")
    assert len(rows) == height
    assert_screen(rows, watched, version, width)
    assert terminal.ask("alternate_on") == "1" and terminal.ask("cursor_flag") == "0"


def test_its_size_changes_with_the_window(watched, tmux, holdfast):
    terminal = tmux(shlex.join(watched.words("--watch")), holdfast.environment(), 80, 24)
    terminal.wait_text("lines 1-")
    terminal.resize(160, 50)
    terminal.wait_for(lambda rows: len(rows) == 50 and "HOST" in rows[1] and "quit" in rows[49], "it is wide and high")
    terminal.resize(40, 6)
    terminal.wait_for(lambda rows: len(rows) == 6 and "quit" in rows[5], "it has six rows")


def test_a_long_list_scrolls(holdfast, sshd, echo, tmux):
    watched = Watched(holdfast, sshd, echo, more=20)
    terminal = tmux(shlex.join(watched.words("--watch")), holdfast.environment(), 80, 24)
    terminal.wait_text("lines 1-21 of ")
    terminal.keys("Down")
    terminal.wait_text("lines 2-22 of ")
    terminal.keys("NPage")
    terminal.wait_text("lines 22-42 of ")
    terminal.keys("PPage")
    terminal.wait_text("lines 2-22 of ")
    terminal.keys("End")
    rows = terminal.wait_for(lambda rows: re.search(r"lines (\d+)-(\d+) of \2", rows[-1]), "the end of the list")
    assert any("more-19" in row for row in rows) and not any("works" in row for row in rows)
    terminal.keys("Home", "Up")
    terminal.wait_text("lines 1-21 of ")


def shell(words):
    """What a person's shell shows before and after it."""
    return f"echo BEFORE; {shlex.join(words)}; echo code $?; stty -a; echo END; exec cat"


@pytest.mark.parametrize("way", ["q", "C-c", signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGSEGV])
def test_the_terminal_is_as_before(watched, tmux, holdfast, way):
    terminal = tmux(shell(watched.words("--watch")), holdfast.environment())
    terminal.wait_text("lines 1-")
    assert not any("BEFORE" in row for row in terminal.screen())
    if isinstance(way, str):
        terminal.keys(way)
    else:
        (pid,) = [p for p in descendants_of(int(terminal.ask("pane_pid"))) if "--watch" in command_of(p)]
        subprocess.run(["kill", f"-{way.value}", str(pid)], check=True)
    rows = terminal.wait_text("END")
    assert rows[0] == "BEFORE"
    assert f"code {0 if way != signal.SIGSEGV else 128 + way.value}" in "\n".join(rows)
    assert re.search(r"(?<!-)icanon", " ".join(rows)) and re.search(r"(?<!-)echo\b", " ".join(rows))
    assert terminal.ask("alternate_on") == "0" and terminal.ask("cursor_flag") == "1"


def test_it_can_be_suspended(watched, tmux, holdfast):
    terminal = tmux(shell(watched.words("--watch")), holdfast.environment())
    terminal.wait_text("lines 1-")
    (pid,) = [p for p in descendants_of(int(terminal.ask("pane_pid"))) if "--watch" in command_of(p)]
    os.kill(pid, signal.SIGTSTP)
    wait_until(lambda: state_of(pid) == "T", 10, "it stands")
    terminal.wait_for(lambda rows: rows[0] == "BEFORE" and terminal.ask("cursor_flag") == "1", "the terminal is as before")
    os.kill(pid, signal.SIGCONT)
    terminal.wait_text("lines 1-")
    assert terminal.ask("cursor_flag") == "0"
    terminal.keys("q")
    terminal.wait_text("END")


def test_it_goes_on_after_a_stop_that_it_was_not_asked_for(watched, tmux, holdfast):
    """SIGSTOP gives no time to hand the terminal back; what the shell and others make of it meanwhile is undone."""
    terminal = tmux(shell(watched.words("--watch")), holdfast.environment())
    before = terminal.wait_text("1 up, 1 waiting")
    (pid,) = [p for p in descendants_of(int(terminal.ask("pane_pid"))) if "--watch" in command_of(p)]
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: state_of(pid) == "T", 10, "it stands")
    tty = terminal.ask("pane_tty")
    subprocess.run(["stty", "-F", tty, "sane"], check=True)
    with open(tty, "w") as shared:
        shared.write("\x1b[?1049l\x1b[?25h\x1b[2J\x1b[HSTOPPED")
    terminal.wait_for(lambda rows: rows[0] == "STOPPED" and terminal.ask("cursor_flag") == "1", "others write there")
    os.kill(pid, signal.SIGCONT)
    rows = terminal.wait_text("1 up, 1 waiting")
    assert rows[1] == before[1] and rows[3] == before[3] and rows[-1] == before[-1]
    assert not any("STOPPED" in row for row in rows)
    assert terminal.ask("alternate_on") == "1" and terminal.ask("cursor_flag") == "0"
    terminal.keys("q")
    assert terminal.wait_text("END")[0] != "STOPPED"


def assert_read_to_its_end(rows, first, sentence):
    """A sentence that begins in that row, over as many rows as it takes."""
    text = " ".join(row.strip() for row in rows[first:])
    # A break takes the blank between two words, and is none where a word is longer than a row.
    assert sentence.replace(" ", "") in text.replace(" ", ""), "\n".join(rows)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (160, 50)])
def test_every_sentence_is_read_to_its_end(holdfast, sshd, echo, tmux, width, height):
    """What mends it is at the end of a sentence: of the tunnel's, and of why nothing newer is known."""
    watched = Watched(holdfast, sshd, echo, unknown=True)
    terminal = tmux(shlex.join(watched.words("--watch")), holdfast.environment(), width, height)
    rows = terminal.wait_text("--known-hosts")
    (first,) = [number for number, row in enumerate(rows) if "is not known" in row]
    place = holdfast.folder / "nothing"
    assert_read_to_its_end(rows, first, f"then run: holdfast trust 127.0.0.1:{sshd.port} --known-hosts {place} ")
    assert_read_to_its_end(rows, 0, "3 tunnels: 1 up, 1 waiting, 1 failed")
    assert holdfast.stop() == 0
    rows = terminal.wait_text("trying again")
    said = subprocess.run(watched.words(), capture_output=True, text=True, env=holdfast.environment(), timeout=20)
    assert_read_to_its_end(rows, 0, said.stderr.strip().replace("holdfast: ", "holdfast: trying again: ", 1))
    (head,) = [number for number, row in enumerate(rows) if row.startswith("NAME ")]
    assert head == rows.index(next(row for row in rows if row.startswith("works"))) - 1
    assert len(rows) == height and "q quit" in rows[-1]


def test_a_service_that_starts_again_is_found(watched, tmux, holdfast):
    terminal = tmux(shlex.join(watched.words("--watch")), holdfast.environment())
    terminal.wait_text("1 up, 1 waiting")
    pid = holdfast.pid
    assert holdfast.stop() == 0
    rows = terminal.wait_text("trying again")
    assert rows[0].startswith("holdfast: trying again: no holdfast is running")
    assert any(row.startswith("works") for row in rows), "what was last known stays"
    watched.start()
    rows = terminal.wait_text("1 up, 1 waiting")
    assert f"pid {holdfast.pid}" in rows[0] and holdfast.pid != pid


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colours_are_left_out_where_they_are_not_wanted(watched, tmux, holdfast, no_color):
    terminal = tmux(shlex.join(watched.words("--watch")), {**holdfast.environment(), "NO_COLOR": no_color})
    terminal.wait_text("1 up, 1 waiting")
    shown = "\n".join(terminal.screen("-e"))
    assert bool(re.search(r"\x1b\[[0-9;]*3[1236]m", shown)) == (no_color == "")


def test_lines_where_there_is_no_screen(watched, sshd, holdfast):
    lines = Process(watched.words("--watch"), env=holdfast.environment())
    try:
        stamp = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "
        lines.out.wait_for(stamp + "works: up$", 20)
        lines.out.wait_for(stamp + r"waits: waiting: 127\.0\.0\.1:\d+: connection refused", 20)
        mark = lines.out.mark()
        sshd.stop()
        lines.out.wait_for(stamp + r"works: waiting: .", 20, mark=mark)
        assert not [line for line in lines.out.since(mark) if "waits" in line], "only what has changed is told"
        assert not [line for line in lines.out.since() if "\x1b" in line]
        assert holdfast.stop() == 0
        lines.err.wait_for("^holdfast: trying again: no holdfast is running", 20)
    finally:
        lines.kill()


def test_one_name_alone(watched, holdfast, tmux):
    terminal = tmux(shlex.join(watched.words("--watch", "waits")), holdfast.environment())
    rows = terminal.wait_text("1 tunnel: 1 waiting")
    assert not any("works" in row for row in rows)


def test_a_console_shows_it_and_q_ends_it(watched, holdfast):
    code, shown = at_terminal(watched.words("--watch"), [(rb"(?s)works.*PgDn", "q")], holdfast.environment())
    assert code == 0 and "waiting" in shown


def test_a_console_follows_the_service_and_ctrl_c_ends_it(watched, holdfast):
    """What the screenshots show on this machine, as far as Wine's painting of a console lets it be read."""
    answers = [
        (rb"(?s)works.*PgDn", lambda pid: holdfast.stop()),
        (rb"trying again", lambda pid: watched.start()),
        (rb"1 up, 1 waiting", lambda pid: os.kill(pid, signal.SIGINT)),
    ]
    code, _ = at_terminal(watched.words("--watch"), answers, holdfast.environment(), timeout=40)
    assert code == 0
