"""The C tools of tests/tools from the tests' side; see their usage texts for what the words mean."""

import json
import os
import re
import subprocess


def parse_size(text):
    found = re.fullmatch(r"(\d+)([KMG]?)", text)
    assert found, f"{text} is not a size such as 64M"
    return int(found.group(1)) << (10 * " KMG".index(found.group(2) or " "))


def big_size():
    """How much the big transfers move each way: a gibibyte, or what HOLDFAST_SIZE says."""
    return parse_size(os.environ.get("HOLDFAST_SIZE", "1G"))


class SinkSource:
    """A running hf_sinksource; looks like a Server to what opens forwards."""

    def __init__(self, tool, *words, prefix=(), host="127.0.0.1"):
        self.process = tool("hf_sinksource", "--listen", f"{host}:0", *words, prefix=prefix)
        self.port = int(self.process.out.wait_for(r"^listening (\d+)$", 10)[0].group(1))
        self.address = f"{host}:{self.port}"

    def reports(self, count, timeout=10):
        """What it says of the first `count` connections that have ended."""
        lines = self.process.out.wait_for(r'^\{"connection".*', timeout, count)
        return [json.loads(line.group(0)) for line in lines]


def blast(tool, address, *words, timeout=600, prefix=()):
    """Runs hf_blast to its end. Returns (reports, one per connection; the sum). A failed one shows in the sum."""
    process = tool("hf_blast", "--timeout", str(timeout), *[str(word) for word in words], address, prefix=prefix)
    process.wait(timeout + 30)
    assert not process.err.text(), process.err.text()
    lines = [json.loads(line) for line in process.out.since()]
    assert lines and "total" in lines[-1], f"hf_blast died; it said {lines}"
    return lines[:-1], lines[-1]


def assert_all_right(reports, total):
    wrong = [report for report in reports if not report["ok"]]
    assert not wrong and total["failed"] == 0, f"{len(wrong)} of {total['total']} went wrong, the first: {wrong[:3]}"


class Crowd:
    """A running `hf_crowd serve`: one server, or many with a number each. Looks like a Server to what opens forwards."""

    def __init__(self, tool, *words, prefix=(), host="127.0.0.1"):
        self.process = tool("hf_crowd", "serve", "--listen", host, *words, prefix=prefix)
        line = self.process.out.wait_for(r"^listening .*", 10)[0].string
        self.ports = [int(word) for word in line.split()[1:]]
        self.addresses = [f"{host}:{port}" for port in self.ports]
        self.port, self.address = self.ports[0], self.addresses[0]


def hold(tool, port, count, *words, timeout=60, prefix=(), host="127.0.0.1"):
    """`count` connections that stay as they are until the test's end, or until release(). Returns the process."""
    process = tool(
        "hf_crowd", "hold", "--total", str(count), *words, f"{host}:{port}", stdin=subprocess.PIPE, prefix=prefix
    )
    process.out.wait_for(r"^holding \d+$", timeout)
    return process


def release(process):
    """Ends what hold() began."""
    process.stdin.close()
    assert process.wait(30) == 0, process.err.text()
