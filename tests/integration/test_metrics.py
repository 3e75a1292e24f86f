"""The status in Prometheus' text format, on request and in a file; and the log of a running holdfast, on request."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from harness import clients, servers
from harness.holdfast import binary, definition, native, runner
from harness.ports import free_port
from harness.proc import Process, wait_until

CACHE = Path(os.environ.get("HOLDFAST_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "holdfast")
PROMTOOL = shutil.which("promtool") or shutil.which(CACHE / "promtool/promtool")
SAMPLE = re.compile(r'([a-z_]+)((?:\{(?:[a-z]+="(?:[^"\\]|\\["\\n])*",?)+\})?) (-?\d+(?:\.\d+)?)')


def samples(text):
    """{(name, labels): value} of a text, every line of which is a sample or a comment of its kind."""
    found = {}
    for line in text.splitlines():
        if re.fullmatch(r"# (?:HELP [a-z_]+ \S.*|TYPE [a-z_]+ (?:gauge|counter))", line):
            continue
        match = SAMPLE.fullmatch(line)
        assert match, f"this is no sample: {line}"
        name, labels, value = match.groups()
        key = (name, tuple(sorted(re.findall(r'([a-z]+)="((?:[^"\\]|\\.)*)"', labels))))
        assert key not in found, f"twice: {line}"
        found[key] = float(value)
    return found


def value(found, name, **labels):
    return found.get((f"holdfast_{name}", tuple(sorted(labels.items()))))


def assert_promtool_takes(text):
    if PROMTOOL is None:
        pytest.skip("promtool is missing: packaging/deps.sh linux test fetches it")
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


class Kept:
    """A running service with one tunnel that is up and one that waits."""

    def __init__(self, holdfast, sshd, serve, top=""):
        self.holdfast, self.port = holdfast, free_port()
        self.echo = serve(servers.echo)
        forwards = [
            {"local": f"127.0.0.1:{self.port}", "to": self.echo.address},
            {"remote": "127.0.0.1:0", "to": self.echo.address},
            {"remote": "127.0.0.1:0", "to": self.echo.address},
        ]
        down = {"host": "nobody@127.0.0.1:1", "forwards": [{"remote": 14444, "to": "10.0.0.1:80"}]}
        tunnels = {"works": {"host": "peer", "forwards": forwards, "backoff": {"max": "1s"}}, "waits": down}
        holdfast.run(top + definition({"peer": sshd}, tunnels))
        holdfast.wait_up()
        holdfast.wait_log("waits: waiting")

    def words(self, *words):
        return [*runner(), binary(), *words]

    def call(self, *words):
        return subprocess.run(
            self.words(*words), env=self.holdfast.environment(), capture_output=True, text=True, timeout=30
        )


def test_what_prometheus_is_told(holdfast, sshd, serve):
    kept = Kept(holdfast, sshd, serve)
    assert clients.exchange(kept.port, b"x" * 1000) == b"x" * 1000
    with clients.connect(kept.port) as sock:
        sock.sendall(b"x")
        assert clients.read_exactly(sock, 1) == b"x"
        done = kept.call("status", "--prometheus")
    assert (done.returncode, done.stderr) == (0, "")
    found = samples(done.stdout)
    assert value(found, "tunnel_up", tunnel="works") == 1 and value(found, "tunnel_up", tunnel="waits") == 0
    states = {labels["state"]: number for (name, pairs), number in found.items() if name == "holdfast_tunnel_state"
              for labels in [dict(pairs)] if labels["tunnel"] == "works"}  # fmt: skip
    assert states["up"] == 1 and sum(states.values()) == 1 and {"waiting", "failed", "degraded"} <= set(states)
    here = {"tunnel": "works", "forward": f"127.0.0.1:{kept.port}", "type": "local"}
    assert value(found, "forward_up", **here) == 1
    assert value(found, "forward_open_channels", **here) == 1
    assert value(found, "forward_channels_total", **here) == 2
    assert value(found, "forward_sent_bytes_total", **here) == 1001
    assert value(found, "forward_received_bytes_total", **here) == 1001
    assert value(found, "tunnel_sent_bytes_total", tunnel="works") > 1001
    assert 0 <= value(found, "tunnel_rtt_seconds", tunnel="works") < 10
    assert value(found, "tunnel_rtt_seconds", tunnel="waits") is None
    assert value(found, "forward_up", tunnel="works", forward="127.0.0.1:0#2", type="remote") == 1
    assert_promtool_takes(done.stdout)
    assert samples(kept.call("status", "--prometheus", "waits").stdout).keys().isdisjoint({("holdfast_tunnel_up", (("tunnel", "works"),))})


def test_the_file_follows_the_tunnels(new_holdfast, sshd, serve, tmp_path):
    holdfast = new_holdfast(["sh", "-c", 'umask 077; exec "$@"', "sh"])  # as systemd's UMask= does
    path = tmp_path / "holdfast.prom"
    kept = Kept(holdfast, sshd, serve, f'metrics_file: "{native(path)}"\n'.replace("\\", "\\\\"))
    wait_until(lambda: path.exists() and value(samples(path.read_text()), "tunnel_up", tunnel="works") == 1, 10, "it tells of it")
    assert_same_families(path.read_text(), kept.call("status", "--prometheus").stdout)
    assert path.stat().st_mode & 0o444 == 0o444, "node_exporter is another user"
    sshd.stop()
    # Well before the usual 15 s: a change of state is written at once.
    wait_until(lambda: value(samples(path.read_text()), "tunnel_up", tunnel="works") == 0, 10, "it tells of the end")
    assert not list(tmp_path.glob("*.tmp")) or wait_until(lambda: not list(tmp_path.glob("*.tmp")), 5, "no half file stays")
    text = path.read_text()
    assert holdfast.stop() == 0
    assert not list(tmp_path.glob("holdfast.prom*"))
    assert_promtool_takes(text)


def assert_same_families(one, other):
    families = [set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)) for text in (one, other)]
    assert families[0] == families[1] and len(families[0]) > 12


def test_a_place_that_cannot_be_written_is_told_once(holdfast, sshd, serve, tmp_path):
    place = tmp_path / "later" / "holdfast.prom"
    Kept(holdfast, sshd, serve, f'metrics_file: "{native(place)}"\n'.replace("\\", "\\\\"))
    holdfast.wait_log(r"warning\s+holdfast: metrics_file: .*trying again")
    assert len(holdfast.err.matching("metrics_file")) == 1
    assert holdfast.stop() == 0


def test_a_new_place_after_a_reload(holdfast, sshd, serve, tmp_path):
    old, new = tmp_path / "old.prom", tmp_path / "new.prom"
    kept = Kept(holdfast, sshd, serve, f'metrics_file: "{native(old)}"\n'.replace("\\", "\\\\"))
    wait_until(old.exists, 10, "the first is written")
    definitions = holdfast.folder / "tunnels.yaml"
    definitions.write_text(definitions.read_text().replace("old.prom", "new.prom"))
    assert kept.call("reload").returncode == 0
    wait_until(lambda: new.exists() and not old.exists(), 10, "the second has taken its place")
    assert clients.exchange(kept.port, b"x") == b"x"


def behind_the_time(lines, part):
    return [line.split(" ", 1)[1] for line in lines if part in line]


def test_logs_of_one_tunnel_and_of_all(holdfast, sshd, serve):
    kept = Kept(holdfast, sshd, serve)
    done = kept.call("logs")
    assert (done.returncode, done.stderr) == (0, "")
    shown = done.stdout.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\S+Z (?:error|warning|info |debug) \S+: ", line) for line in shown)
    said = behind_the_time(holdfast.err.since(), " works: ")
    assert said and behind_the_time(shown, " works: ")[: len(said)] == said, "as the log itself has it"
    alone = kept.call("logs", "waits").stdout.splitlines()
    assert alone and all(" waits: " in line for line in alone)
    assert kept.call("logs", "nobody").returncode == 2


def test_logs_that_are_followed(holdfast, sshd, serve):
    kept = Kept(holdfast, sshd, serve)
    follow = Process(kept.words("logs", "-f", "works"), env=holdfast.environment())
    try:
        follow.out.wait_for("works: up ", 20)
        mark = follow.out.mark()
        sshd.kill_sessions()
        follow.out.wait_for("works: waiting ", 20, mark=mark)
        follow.out.wait_for("works: up ", 20, mark=mark)
        assert holdfast.stop() == 0
        assert follow.wait(20) == 1
        follow.err.wait_for("^holdfast: the service at .* went away; .*starts it", 5)
    finally:
        follow.kill()


@pytest.mark.parametrize("words", [["status", "--prometheus"], ["status", "--watch"], ["logs"], ["logs", "-f"]])
def test_nothing_runs(holdfast, words):
    done = subprocess.run(
        [*runner(), binary(), *words], env=holdfast.environment(), capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("holdfast: no holdfast is running to ask")
