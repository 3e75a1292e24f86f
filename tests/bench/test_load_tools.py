"""The load tools against servers whose behaviour is known: a tool that counts wrongly would praise anything."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from bench_lib import MIB, Process, end_process
from harness import servers
from harness.proc import wait_until


@pytest.fixture
def tool():
    started = []

    def start(name, *words, **popen):
        started.append(Process([Path(os.environ["HOLDFAST_TOOLS"]) / name, *map(str, words)], **popen))
        return started[-1]

    yield start
    for process in started:
        end_process(process)


@pytest.fixture
def serve():
    started = []

    def start(handler):
        started.append(servers.Server(handler))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def echo(tool):
    """HOST:PORT of an hf_echo."""
    return "127.0.0.1:" + tool("hf_echo").out.wait_for(r"^listening (\d+)$", 10)[0].group(1)


def ended(process, code):
    """What it printed, after it has ended with this code."""
    assert process.wait(30) == code, process.err.text()
    return json.loads(process.out.since()[-1])


@pytest.mark.parametrize(
    "words",
    [
        ("hf_rate",),
        ("hf_rate", "--total", "0", "127.0.0.1:9"),
        ("hf_rate", "--at-once", "-1", "127.0.0.1:9"),
        ("hf_rate", "--bytes", "1G", "127.0.0.1:9"),
        ("hf_rate", "127.0.0.1"),
        ("hf_ping", "--count", "none", "127.0.0.1:9"),
        ("hf_ping", "--bytes", "0", "127.0.0.1:9"),
        ("hf_echo", "more"),
        ("hf_blast", "--flowing", "1X", "127.0.0.1:9"),
    ],
)
def test_wrong_words(tool, words):
    assert tool(*words).wait(10) == 2


@pytest.mark.parametrize("at_once, ramp", [(1, 1), (8, 100), (64, 10)])
def test_rate_counts_what_was_answered(tool, echo, at_once, ramp):
    found = ended(tool("hf_rate", "--total", 300, "--at-once", at_once, "--ramp", ramp, echo), 0)
    assert (found["total"], found["ok"], found["failed"]) == (300, 300, 0)
    assert found["per_second"] == pytest.approx(300 / found["seconds"], rel=0.01)


def test_rate_ends_after_its_time(tool, echo):
    found = ended(tool("hf_rate", "--total", 1000000, "--for", 200, echo), 0)
    assert 0 < found["ok"] == found["total"] < 1000000
    assert found["seconds"] >= 0.2


def test_rate_counts_what_failed(tool, serve):
    found = ended(tool("hf_rate", "--total", 20, "--at-once", 4, serve(servers.resets(1)).address), 1)
    assert (found["ok"], found["failed"]) == (0, 20) and found["failure"]
    nobody = serve(servers.echo)
    nobody.stop()
    found = ended(tool("hf_rate", "--total", 20, "--at-once", 4, nobody.address), 1)
    assert (found["ok"], found["failed"], found["failure"]) == (0, 20, "Connection refused")
    found = ended(tool("hf_rate", "--total", 3, "--timeout", 1, serve(servers.blackhole).address), 1)
    assert (found["ok"], found["failed"]) == (0, 3)


def test_rate_takes_no_other_answer(tool, serve):
    found = ended(tool("hf_rate", "--total", 2, serve(servers.speaks_first).address), 1)
    assert found["failed"] == 2 and "another answer" in found["failure"]


def test_held_connections_stay_until_the_end_of_input(tool, serve):
    server = serve(servers.echo)
    holder = tool("hf_rate", "--hold", "--total", 30, "--ramp", 7, server.address, stdin=subprocess.PIPE)
    holder.out.wait_for(r'"ok": 30, "failed": 0', 10)
    assert len(server.connections) == 30 and not any(one.how for one in server.connections)
    holder.stdin.close()
    assert holder.wait(10) == 0
    wait_until(lambda: all(one.how for one in server.connections), 10, "all have ended")


def test_ping_measures_a_known_delay(tool, serve):
    def slow(connection):
        while data := connection.read():
            time.sleep(0.02)
            connection.write(data)

    found = ended(tool("hf_ping", "--count", 20, "--warm", 2, "--interval", 0, serve(slow).address), 0)
    assert found["samples"] == 20
    assert 20000 <= found["p50_us"] <= found["p99_us"] <= found["max_us"]


def test_ping_says_when_nobody_answers(tool, serve):
    process = tool("hf_ping", "--timeout", 1, serve(servers.blackhole).address)
    assert process.wait(10) == 2 and "no answer" in process.err.text()


def test_blast_tells_that_it_flows_and_what_it_moved(tool):
    sink = tool("hf_sinksource").out.wait_for(r"^listening (\d+)$", 10)[0].group(1)
    words = ["--mode", "up", "--bytes", "1000G", "--check", "count", "--flowing", "8M"]
    process = tool("hf_blast", *words, f"127.0.0.1:{sink}")
    process.out.wait_for('"flowing"', 10)
    process.signal(signal.SIGTERM)
    assert ended(process, 1)["sent"] >= 8 * MIB
