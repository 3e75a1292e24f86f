"""Command lines: for each bad one its one message and exit code 2 with nothing started; help; what ssh's files say."""

import os
import subprocess

import pytest
from harness.holdfast import binary, runner
from harness.ports import free_port
from harness.wine import shown, upright

LOCAL = "is not [BIND:]PORT:HOST:HOSTPORT; an IPv6 address goes in brackets: [::1]"

# name: (words, the message behind "holdfast: ")
BAD = {
    "no host": (["-L", "80:a:80"], "a host is missing; see 'holdfast help'"),
    "a remote command": (["h", "uptime"], "'uptime': holdfast runs no command on the peer; use ssh for that"),
    "a host like a flag": (["--", "-oProxyCommand=x"], "the host '-oProxyCommand=x' begins with '-'"),
    "an empty host": ([""], "the host is missing"),
    "an empty user": (["@h"], "the user before '@' is missing"),
    "a path behind the address": (["ssh://h/x"], "an ssh:// address ends after the port; this one goes on with a path"),
    "a port too large in place": (["ssh://h:99999"], "port 99999 is not in 1-65535"),
    "a misspelt command": (
        ["chek", "-E", "log"],
        "there is no command 'chek'; did you mean 'check'? For a host of that name: holdfast -N chek"),
    "a flag without its dashes": (
        ["version", "-E", "log"],
        "there is no command 'version'; did you mean '--version'? For a host of that name: holdfast -N version"),
    "an unknown flag": (["-Z", "h"], "unknown flag -Z; see 'holdfast help'"),
    "an unknown long flag": (["--onec", "h"], "unknown flag --onec; did you mean --once?"),
    "an unknown long flag like no other": (["--frobnicate", "h"], "unknown flag --frobnicate; see 'holdfast help'"),
    "a value for --once": (["--once=yes", "h"], "--once takes no value"),
    "-L without a value": (["h", "-L"], "-L needs a value"),
    "-p without a value": (["h", "-p"], "-p needs a value"),
    "-o without a value": (["h", "-o"], "-o needs Option=value"),
    "-E without a value": (["h", "-E"], "-E needs a value"),
    "a port too large": (["-p", "70000", "h"], "-p: port 70000 is not in 1-65535"),
    "no port": (["-pssh", "h"], "-p: 'ssh' is not a port number"),
    "-L with a port only": (["-L", "80", "h"], f"-L: '80' {LOCAL}"),
    "-L with two fields": (["-L", "80:a", "h"], f"-L: '80:a' {LOCAL}"),
    "-L with five fields": (["-L", "a:1:b:2:c", "h"], f"-L: 'a:1:b:2:c' {LOCAL}"),
    "-L with port 0": (["-L", "0:a:80", "h"], "-L: port 0 is not in 1-65535"),
    "-L without a host": (["-L", "80::80", "h"], "-L: the host is missing"),
    "-L with a bad target port": (["-L", "80:a:http", "h"], "-L: 'http' is not a port number"),
    "-L with IPv6 in the open": (["-L", "80:::1:80", "h"], f"-L: '80:::1:80' {LOCAL}"),
    "-R with a bad port": (["-R", "65536:a:80", "h"], "-R: port 65536 is not in 0-65535"),
    "-R without a target": (["-R", "1080", "h"], "-R 1080: not in this version"),
    "-R with a bind address and no target": (["-R", "localhost:1080", "h"], "-R localhost:1080: not in this version"),
    "-R to a distribution, where there is none": (
        ["-R", "1:wsl:Debian:80", "h"],
        "-R 1:wsl:Debian:80: 'wsl:Debian:80' is a distribution of the Windows subsystem for Linux, which only Windows has; "
        "write its address, or a command that prints it"),
    "-L to a command without a name": (
        ["-L", "1:command::80", "h"], "-L: the command is missing; write command:PROGRAM:PORT"),
    "-D": (["-D", "1080", "h"], "-D: not in this version"),
    "-J": (["-J", "jump", "h"], "-J: not in this version"),
    "-W": (["-W", "a:80", "h"], "-W: not in this version; -L does the same with a port"),
    "-f": (
        ["-f", "-N", "h"],
        "-f: for the background there is 'holdfast service install', or until then any service manager with 'holdfast run'"),
    "-f in a cluster": (
        ["-fNL", "80:a:80", "h"],
        "-f: for the background there is 'holdfast service install', or until then any service manager with 'holdfast run'"),
    "-A": (["-A", "h"], "-A: no agent is forwarded, since no command runs on the peer"),
    "-X": (["-X", "h"], "-X: X11 is not forwarded"),
    "-Y": (["-Y", "h"], "-Y: X11 is not forwarded"),
    "-t": (["-t", "h"], "-t: no terminal is asked for, since no command runs on the peer"),
    "-w": (["-w", "0:0", "h"], "-w: tunnel devices are not in this version; -L and -R forward ports"),
    "-M": (["-M", "h"], "-M: sessions are not shared; one holdfast carries all its forwards over one session"),
    "-S": (["-S", "none", "h"], "-S: sessions are not shared; one holdfast carries all its forwards over one session"),
    "an unknown option": (["-o", "Hostnme=x", "h"], "-o: unknown option 'Hostnme'; did you mean 'HostName'?"),
    "an unknown option like no other": (["-o", "Frob=x", "h"], "-o: unknown option 'Frob'"),
    "an option without a value": (["-o", "Port", "h"], "-o: Port: a value is missing"),
    "an empty option": (["-o", "", "h"], "-o: an option is missing; write Option=value"),
    "an option with two values": (["-o", "Port 22 23", "h"], "-o: Port: '23' is too much; one value is expected"),
    "an option with a bad port": (["-oPort=0", "h"], "-o: Port: port 0 is not in 1-65535"),
    "an option with a bad boolean": (["-o", "BatchMode=maybe", "h"], "-o: BatchMode: 'maybe' is not yes or no"),
    "an option with a bad policy": (
        ["-o", "StrictHostKeyChecking=accept_new", "h"],
        "-o: StrictHostKeyChecking: 'accept_new' is not yes, no, ask or accept-new"),
    "an option with a bad time": (
        ["-o", "ServerAliveInterval=15x", "h"],
        "-o: ServerAliveInterval: '15x' is not a time such as 30, 30s, 10m or 1h30m"),
    "an option with a bad size": (
        ["-o", "RekeyLimit=1T", "h"], "-o: RekeyLimit: '1T' is not a size such as 4096, 64K, 512M or 1G"),
    "an option with a quote open": (["-o", 'User="me', "h"], "-o: a quotation mark is not closed"),
    "ProxyJump": (["-o", "ProxyJump=jump", "h"], "-o: ProxyJump: not in this version"),
    "ProxyCommand": (["-o", "ProxyCommand=nc %h %p", "h"], "-o: ProxyCommand: not in this version"),
    "DynamicForward": (["-o", "DynamicForward=1080", "h"], "-o: DynamicForward: not in this version"),
    "an option for something else": (["-o", "ForwardAgent=yes", "h"], "-o: ForwardAgent: not in this version"),
    "a token that is not ours": (
        ["-i", "key-%C", "h"],
        "%C: not in this version; %h %n %k %p %r %u %d %i %l %L %% are"),
    "a variable without a value": (["-i", "${NO_SUCH_NAME}", "h"], "${NO_SUCH_NAME} has no value in the environment"),
    "a missing file for -F": (["-F", "none.conf", "h"], "-F none.conf: no such file or directory"),
    "a log level": (
        ["--log-level", "loud", "h"], "--log-level: 'loud' is not error, warning, info, debug or trace"),
    "a log format": (["--log-format=xml", "h"], "--log-format: 'xml' is not text or json"),
    "run with a file": (["run", "a.yaml"], "run: 'a.yaml' is too much; name definitions with -c"),
    "run with ssh's flag": (["run", "-L", "80:a:80"], "unknown flag -L; see 'holdfast help run'"),
    "check with a log flag": (["check", "-v"], "unknown flag -v; see 'holdfast help check'"),
    "check -c without a value": (["check", "-c"], "-c needs a file or a folder"),
    "help for nothing": (["help", "chekc"], "help: there is no command 'chekc'; did you mean 'check'?"),
    "logs with an unknown flag": (["logs", "--folow"], "unknown flag --folow; did you mean --follow?"),
    "status in two ways": (
        ["status", "--json", "--watch"], "status: --json, --prometheus and --watch are three ways to show it; name one"),
    "a value for a flag of status": (["status", "--json=1"], "--json takes no value"),
    "a value for a flag of logs": (["logs", "--follow=yes"], "--follow takes no value"),
    "a value for a flag of service": (["service", "install", "--print=x"], "--print takes no value"),
    "status with an unknown flag": (["status", "--jsn"], "unknown flag --jsn; did you mean --json?"),
    "start without a name": (["start"], "start: name a tunnel; 'holdfast status' lists those there are"),
    "doctor with ssh's flag": (["doctor", "-L", "80:a:80"], "unknown flag -L; see 'holdfast help doctor'"),
    "doctor with a flag misspelt": (["doctor", "--jsn"], "unknown flag --jsn; did you mean --json?"),
    "service install": (
        ["service", "install", "--user", "--account", "me"],
        "--user and --account exclude each other: a service of yours runs as you"),
    "secret": (
        ["secret", "set", "a"],
        "secret: not in this version on this system; load the key into ssh-agent, or use a key without a passphrase and "
        "with least rights (holdfast keygen)"),
    "a control character": (["-p", "2\x1b[31m", "h"], "-p: '2?[31m' is not a port number"),
}  # fmt: skip


@pytest.fixture
def home(home_folder):
    return home_folder


@pytest.fixture
def call(tmp_path, home):
    """call(words) -> the finished program, with a home of its own."""

    def run(*words):
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("SSH_", "XDG_"))}
        env = {**clean, "HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "XDG_CONFIG_HOME": str(home / "config")}
        done = subprocess.run(
            [*runner(), binary(), *words], cwd=tmp_path, env=env, timeout=30, capture_output=True, stdin=subprocess.DEVNULL)
        done.stdout = done.stdout.decode("utf-8", "replace").replace("\r\n", "\n")
        done.stderr = upright(done.stderr.decode("utf-8", "replace").replace("\r\n", "\n"))
        return done

    return run


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_each_mistake_has_its_one_message(call, tmp_path, home, case):
    words, message = case
    log = tmp_path / "log"
    commands = ("run", "check", "help", "status", "start", "logs", "doctor", "service", "secret")
    one_line = words[0] not in commands and "-E" not in words
    done = call(*(["-E", str(log)] if one_line else []), *words)
    assert done.stderr == f"holdfast: {message}\n"
    assert (done.returncode, done.stdout) == (2, "")
    assert not log.exists(), "it had begun already"
    assert not list((home / ".ssh").iterdir())
    assert runner() or [path.name for path in home.rglob("*")] == [".ssh"], "a profile of Windows is never empty"


def test_there_are_enough_bad_ones():
    assert len(BAD) >= 25


def test_no_words_show_the_usage(call):
    done = call()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: holdfast ")


HELP = [["help"], ["-h"], ["--help"]] + [["help", name] for name in ("run", "check", "status", "stop", "trust", "config", "help")]


@pytest.mark.parametrize("words", HELP + [["run", "-h"], ["check", "--help"]], ids=" ".join)
def test_help_fits_a_screen(call, words):
    done = call(*words)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert 0 < len(lines) <= 24
    assert all(len(line) < 80 for line in lines)


def test_the_example_in_help_config_is_valid(call, tmp_path):
    text = call("help", "config").stdout.split("\n\n")[0]
    (tmp_path / "t.yaml").write_text(text + "\n")
    done = call("check", "-c", "t.yaml")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [["--version"], ["-V"]])
def test_version_names_all_libraries(call, words):
    done = call(*words)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "holdfast 0.1.0"
    for line, library in zip(lines[1:], ["libssh2 1.", "OpenSSL ", "libuv 1.", "libyaml 0."], strict=True):
        assert line.startswith(library)


@pytest.fixture
def dead_end(home):
    """The words that lead to a port where nobody listens: the program starts, fails to connect, and ends with 1."""
    return ["--once", "-p", str(free_port()), "127.0.0.1"]


def began(done):
    """It took the words: it ended because nobody was there, not because of them."""
    return done.returncode == 1 and "unknown" not in done.stderr and "not in this version" not in done.stderr


GOOD = {
    "idle flags of ssh": ["-N", "-T", "-n", "-a", "-x", "-k"],
    "a cluster": ["-NTnCgq4"],
    "a cluster that ends in a value": ["-NTL", "{free}:a:80"],
    "joined values": ["-lme", "-oBatchMode=yes", "-i/tmp/none"],
    "-o with a blank": ["-o", "BatchMode yes"],
    "-o without regard to case": ["-o", "batchmode=YES"],
    "-o with blanks around =": ["-o", "ServerAliveInterval = 10"],
    "-o with a quoted value": ["-o", 'UserKnownHostsFile="/tmp/a b" /tmp/c'],
    "-o that asks for nothing": ["-o", "ForwardAgent=no", "-o", "ControlPath=none", "-o", "ProxyJump=none"],
    "several forwards": ["-L", "{free}:a:80", "-R", "0:a:80", "-R", "[::1]:0:[2001:db8::1]:80"],
    "slashes for colons": ["-R", "::1/0/2001:db8::1/80"],
    "sockets": ["-R", "/tmp/x.sock:a:80", "-R", "0:/tmp/y.sock"],
    "a word of the file system's": ["-F", "none", "-F", "/dev/null"],
}


@pytest.mark.parametrize("words", GOOD.values(), ids=GOOD.keys())
def test_lines_copied_from_ssh_are_taken(call, dead_end, words):
    done = call(*(word.replace("{free}", str(free_port())) for word in words), *dead_end)
    assert began(done), done.stderr


def test_flags_may_follow_the_host(call, dead_end):
    assert began(call(dead_end[-1], *dead_end[:-1], "-vvv"))


def test_a_command_s_name_behind_two_dashes_is_a_host(call):
    done = call("--once", "-o", "HostName=127.0.0.1", "-p", str(free_port()), "--", "status")
    assert began(done), done.stderr


CONFIG_ERRORS = {
    "an unknown word": ("Host *\n  Hostnme x\n", "2: unknown option 'Hostnme'; did you mean 'HostName'?"),
    "an unknown word in another host's block": ("Host other\n  Frob x\n", "2: unknown option 'Frob'"),
    "a bad value": ("Port 0\n", "1: Port: port 0 is not in 1-65535"),
    "too many values": ("\nUser me you\n", "2: User: 'you' is too much; one value is expected"),
    "no value": ("User\n", "1: User: a value is missing"),
    "ProxyJump": ("Host h\n  ProxyJump jump\n", "2: ProxyJump: not in this version"),
    "ProxyCommand": ("Host h\n  ProxyCommand nc %h %p\n", "2: ProxyCommand: not in this version"),
    "DynamicForward": ("DynamicForward 1080\n", "1: DynamicForward: not in this version"),
    "a quote open": ('User "me\n', "1: a quotation mark is not closed"),
    "Host without a pattern": ("Host\n", "1: Host: a pattern is missing"),
    "Include of itself": ("Include config\n", "1: Include: more than 16 levels deep"),
}


@pytest.mark.parametrize("case", CONFIG_ERRORS.values(), ids=CONFIG_ERRORS.keys())
def test_errors_of_ssh_config_name_file_and_line(call, home, case):
    text, message = case
    (home / ".ssh/config").write_text(text)
    done = call("--once", "h")
    assert done.stderr == f"holdfast: {shown(home)}/.ssh/config:{message}\n"
    assert (done.returncode, done.stdout) == (2, "")


def test_ssh_config_leads_to_the_host(call, home):
    (home / ".ssh/conf.d").mkdir()
    (home / ".ssh/config").write_text(
        "IgnoreUnknown My*\nMyOwn yes\nInclude conf.d/*\nHost other\n  ProxyJump x\nHost *\n  HostName nowhere.invalid\n"
    )
    (home / ".ssh/conf.d/mac").write_text(
        f"# ours\nHost mac !mac2\n  HostName=127.0.0.1\n  Port {free_port()}\n  ForwardAgent yes\n"
    )
    done = call("--once", "mac")
    assert began(done), done.stderr
    assert "nowhere" not in done.stderr


def test_a_match_block_that_needs_a_command_is_skipped_with_a_warning(call, home):
    (home / ".ssh/config").write_text(
        f'Match exec "true"\n  ProxyCommand x\nMatch originalhost h\n  HostName 127.0.0.1\n  Port {free_port()}\n'
    )
    done = call("--once", "h")
    assert done.returncode == 1
    assert f"{shown(home)}/.ssh/config:1: Match exec: not in this version; the block is skipped" in done.stderr
