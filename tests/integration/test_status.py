"""status, start, stop, restart and reload: what they say of a running holdfast, and what they do to it."""

import json
import os
import signal
from pathlib import Path

import jsonschema
import pytest
from harness import clients, servers
from harness.holdfast import definition, host_entry, native, runner
from harness.ports import free_port
from harness.proc import wait_until

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "status.schema.json").read_text())


def checked(status):
    """The status, valid, as {name: tunnel}."""
    jsonschema.Draft202012Validator(SCHEMA).validate(status)
    return {tunnel["name"]: tunnel for tunnel in status["tunnels"]}


def wait_states(holdfast, timeout=20, **wanted):
    """Asks until the tunnels are in these states; each answer on the way is valid, too."""
    seen = {}

    def look():
        done = holdfast.call("status", "--json")
        if done.returncode == 1 and not seen:
            return False  # it has only just been started
        seen.update(checked(json.loads(done.stdout)))
        return all(seen[name]["state"] == state for name, state in wanted.items())

    try:
        wait_until(look, timeout, f"the tunnels are {wanted}")
    except AssertionError as error:
        raise AssertionError(f"{error}; they are {[(name, one['state']) for name, one in seen.items()]}") from None
    return seen


def forward(kind, port, to="127.0.0.1:9"):
    return {kind: f"127.0.0.1:{port}", "to": to}


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_each_state_is_told(holdfast, sshd, serve, tmp_path):
    """One tunnel in each of the states that last; JSON and table tell the same."""
    taken = serve(servers.echo)
    empty = tmp_path / "empty"
    empty.write_text("")
    hosts = {
        "desk": sshd,
        "stranger": host_entry(sshd, known_hosts_file=native(empty)),
        "off": host_entry(sshd, port=free_port()),
    }
    local, remote = free_port(), free_port()
    tunnels = {
        "good": {"host": "desk", "forwards": [forward("remote", remote), forward("local", local)]},
        "half": {"host": "desk", "forwards": [forward("local", taken.port), forward("local", free_port())]},
        "lost": {"host": "off", "forwards": [forward("remote", free_port())]},
        "wary": {"host": "stranger", "forwards": [forward("remote", free_port())]},
        "idle": {"host": "desk", "forwards": [forward("local", free_port())]},
    }
    holdfast.run(definition(hosts, tunnels))
    wait_states(holdfast, good="up", idle="up")
    done = holdfast.call("stop", "idle")
    assert (done.returncode, done.stdout, done.stderr) == (0, "stopping 1 tunnel\n", "")
    found = wait_states(holdfast, good="up", half="degraded", lost="waiting", wary="failed", idle="stopped")

    good = found["good"]
    assert (good["host"], good["attempts"], good["reconnects"], good["next_retry_ms"]) == ("desk", 1, 0, None)
    assert (good["last_error"], good["peer"]["address"]) == (None, f"127.0.0.1:{sshd.port}")
    assert good["peer"]["banner"].startswith("SSH-2.0-OpenSSH")
    assert good["peer"]["kex"] and good["peer"]["cipher"] and good["peer"]["host_key"].startswith("ssh-ed25519 SHA256:")
    assert good["bytes_in"] > 1000 and good["bytes_out"] > 1000
    assert [(one["type"], one["listen"], one["bound"], one["to"], one["state"]) for one in good["forwards"]] == [
        ("remote", f"127.0.0.1:{remote}", f"127.0.0.1:{remote}", "127.0.0.1:9", "up"),
        ("local", f"127.0.0.1:{local}", f"127.0.0.1:{local}", "127.0.0.1:9", "up"),
    ]
    half = found["half"]
    assert half["last_error"]["class"] == "transient" and half["next_retry_ms"] is not None
    assert [(one["state"], one["bound"] is None) for one in half["forwards"]] == [("failed", True), ("up", False)]
    assert "address already in use" in half["forwards"][0]["error"]
    lost = found["lost"]
    assert (lost["peer"], lost["rtt_ms"], lost["last_error"]["class"]) == (None, None, "transient")
    assert lost["attempts"] >= 1 and lost["next_retry_ms"] is not None and "refused" in lost["last_error"]["message"]
    assert found["wary"]["last_error"]["class"] == "trust" and found["wary"]["next_retry_ms"] is None
    assert [one["state"] for one in found["idle"]["forwards"]] == ["idle"]

    only = checked(holdfast.status("lost", "good"))
    assert list(only) == ["good", "lost"], "in the order of the definitions"
    table = holdfast.call("status").stdout
    for name, tunnel in found.items():
        assert [line for line in table.splitlines() if line.split()[:2] == [name, tunnel["state"]]], table
    assert "next try in" in table and "address already in use" in table and f"remote 127.0.0.1:{remote} -> 127.0.0.1:9: up" in table


def test_a_name_that_is_none(holdfast, sshd):
    tunnels = {name: {"host": "desk", "forwards": [forward("local", free_port())]} for name in ("one", "two")}
    holdfast.run(definition({"desk": sshd}, tunnels))
    holdfast.wait_up(2)
    for words in (["status", "one", "three"], ["status", "--json", "three"], ["stop", "one", "three"], ["restart", "three"]):
        done = holdfast.call(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "holdfast: there is no tunnel 'three'; there are one, two\n"
    assert {tunnel["state"] for tunnel in holdfast.status()["tunnels"]} == {"up"}, "nothing was done by half"


@pytest.mark.parametrize("words", [["status"], ["status", "--json"], ["start", "a"], ["stop", "a"], ["restart", "a"], ["reload"]],
                         ids=" ".join)  # fmt: skip
def test_with_nothing_running_each_says_so(holdfast, words):
    done = holdfast.call(*words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("holdfast: no holdfast is running to ask (none listens at ")
    assert done.stderr.endswith("; start one with 'holdfast run' or 'holdfast service start'\n") and done.stderr.count("\n") == 1


def test_bytes_of_open_connections_count_and_outlive_the_session(holdfast, sshd, serve):
    echo = serve(servers.echo)
    local, remote = free_port(), free_port()
    forwards = [forward("local", local, echo.address), forward("remote", remote, echo.address)]
    holdfast.run(definition({"desk": sshd}, {"t": {"host": "desk", "forwards": forwards}}))
    holdfast.wait_up()
    data = clients.pattern(300_000)

    def counts():
        tunnel = checked(holdfast.status("t"))["t"]
        names = ("channels", "channels_total", "bytes_in", "bytes_out")
        return tunnel, [[one[name] for name in names] for one in tunnel["forwards"]]

    with clients.connect(local) as one, clients.connect(remote) as two:
        for sock in (one, two):
            sock.sendall(data)
            assert clients.read_exactly(sock, len(data)) == data
        tunnel, now = counts()
        assert now == [[1, 1, len(data), len(data)]] * 2
        assert tunnel["bytes_in"] > 2 * len(data) and tunnel["bytes_out"] > 2 * len(data)
        sshd.kill_sessions()
        wait_until(lambda: counts()[0]["reconnects"] == 1, 15, "the tunnel is up again")
    wait_until(lambda: [one[0] for one in counts()[1]] == [0, 0], 10, "the old connections have ended")
    after, now = counts()
    assert now == [[0, 1, len(data), len(data)]] * 2
    assert after["bytes_in"] > tunnel["bytes_in"] and after["bytes_out"] > tunnel["bytes_out"]
    assert after["state"] == "up" and after["attempts"] >= 2 and after["last_error"]["class"] == "transient"


def test_stop_start_and_restart(holdfast, sshd, serve):
    echo = serve(servers.echo)
    ports = {"one": free_port(), "two": free_port()}
    tunnels = {name: {"host": "desk", "forwards": [forward("remote", port, echo.address)]} for name, port in ports.items()}
    holdfast.run(definition({"desk": sshd}, tunnels))
    before = wait_states(holdfast, one="up", two="up")
    with clients.connect(ports["two"]) as kept:
        kept.sendall(b"x")
        assert clients.read_exactly(kept, 1) == b"x"
        assert holdfast.call("stop", "one").stdout == "stopping 1 tunnel\n"
        wait_states(holdfast, one="stopped", two="up")
        with pytest.raises(ConnectionRefusedError):
            clients.connect(ports["one"])
        assert holdfast.call("start", "one").stdout == "starting 1 tunnel\n"
        wait_states(holdfast, one="up")
        assert clients.exchange(ports["one"], b"hello") == b"hello"
        kept.sendall(b"y")
        assert clients.read_exactly(kept, 1) == b"y"
    assert holdfast.call("restart", "one", "two").stdout == "restarting 2 tunnels\n"
    wait_until(lambda: all(one["state"] == "up" and one["since"] > before[name]["since"]
                                       for name, one in checked(holdfast.status()).items()), 20, "both are up anew")  # fmt: skip


def test_reload_tells_what_changed(holdfast, sshd):
    ports = {name: free_port() for name in ("one", "two", "three")}

    def text(*names):
        tunnels = {name: {"host": "desk", "forwards": [forward("local", ports[name])]} for name in names}
        return definition({"desk": sshd}, tunnels)

    holdfast.run(text("one", "two"))
    holdfast.wait_up(2)
    path = holdfast.folder / "tunnels.yaml"
    path.write_text(text("one", "three"))
    done = holdfast.call("reload")
    assert (done.returncode, done.stderr) == (0, "") and "1 added, 1 removed; 1 unchanged" in done.stdout
    wait_until(lambda: set(checked(holdfast.status())) == {"one", "three"}, 15, "the removed one is gone")
    path.write_text(text("one", "three") + "nonsense: 1\n")
    done = holdfast.call("reload")
    assert (done.returncode, done.stdout) == (2, "") and "unknown key 'nonsense'" in done.stderr
    assert set(checked(holdfast.status())) == {"one", "three"}


@pytest.mark.skipif(bool(runner()), reason="a Unix socket is a file; a pipe of Windows goes with its process")
def test_the_socket_is_private_and_one_left_behind_is_taken_over(new_holdfast, sshd):
    text = definition({"desk": sshd}, {"t": {"host": "desk", "forwards": [forward("local", free_port())]}})
    holdfast = new_holdfast()
    holdfast.run(text)
    holdfast.wait_up()
    path = holdfast.control_socket
    assert (path.stat().st_mode & 0o7777, path.parent.stat().st_mode & 0o7777) == (0o600, 0o700)
    holdfast.signal(signal.SIGKILL)
    holdfast.wait()
    assert path.exists()
    assert holdfast.call("status").returncode == 1
    holdfast.run(text)
    holdfast.wait_up()
    assert holdfast.status()["pid"] == holdfast.pid
    holdfast.stop()
    assert not path.exists()
    path.write_text("precious")
    holdfast.run(text)
    holdfast.wait_log(r"warning holdfast: no control channel: .* is no socket, and is left alone; move it away, or name another place in HOLDFAST_CONTROL; 'holdfast status' and")
    holdfast.wait_up()
    assert path.read_text() == "precious"


@pytest.mark.skipif(bool(runner()), reason="a pipe of Windows has no path: its one keeper is seen in unit.test_local_server")
def test_a_second_one_does_without(new_holdfast, sshd):
    one, two = new_holdfast(), new_holdfast()

    def text():
        return definition({"desk": sshd}, {"t": {"host": "desk", "forwards": [forward("local", free_port())]}})

    os.environ["HOLDFAST_CONTROL"] = path = str(one.folder / "c.sock")
    try:
        one.run(text())
        one.wait_up()
        two.run(text())
        two.wait_log(rf"warning holdfast: no control channel: {path} is already kept by process {one.pid};")
        two.wait_up()
        assert two.status()["pid"] == one.pid
        assert one.call("status").returncode == 0
    finally:
        del os.environ["HOLDFAST_CONTROL"]
