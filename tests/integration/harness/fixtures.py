"""The fixtures of all suites that run the program; a suite's conftest.py imports them."""

import ctypes
import os
import resource
import signal
import subprocess

import pytest

from . import holdfast as holdfast_module
from .ports import free_port
from .proc import Process, children_of, command_of, state_of
from .servers import Server
from .sshd import Sshd, make_key

PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture(scope="session", autouse=True)
def adopts_orphans():
    """What a test's processes leave behind becomes our child instead of init's, so that no leak goes unseen."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    yield
    left = living_children()
    assert not left, f"processes left at the end of the run: {left}"


def living_children():
    """Reaps children that have ended and names those that have not."""
    left = []
    for pid in children_of(os.getpid()):
        if state_of(pid) == "Z":
            os.waitpid(pid, 0)
        else:
            left.append((pid, command_of(pid)))
    if holdfast_module.runner():
        # Wine's own servers serve the whole prefix and end by themselves; only what was run in it counts.
        left = [(pid, words) for pid, words in left if "holdfast.exe" in words]
    return left


@pytest.fixture(autouse=True)
def leaves_nothing(adopts_orphans):
    """Every test ends what it starts. Set up first, so checked last."""
    yield
    left = living_children()
    for pid, _ in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, f"the test left processes behind: {left}"


SHOWN_LINES = 120


def show(title, output):
    """Prints the end of what a program said; pytest shows it with a test that fails."""
    if output is not None:
        lines = output.text().splitlines()
        print("\n".join([f"{title}:", *lines[-SHOWN_LINES:]]))


@pytest.fixture(scope="session")
def key_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="session")
def host_key(key_folder):
    """make(kind) -> a host key of that kind, made once per run."""
    made = {}

    def make(kind="ed25519"):
        if kind not in made:
            made[kind] = make_key(key_folder / f"host_{kind}", kind)
        return made[kind]

    return make


@pytest.fixture(scope="session")
def user_key(key_folder):
    return make_key(key_folder / "user_ed25519")


@pytest.fixture
def start_sshd(tmp_path, host_key, user_key):
    """start(options={}, **Sshd arguments) -> a running Sshd; all are ended with the test."""
    started = []

    def start(options=None, host_keys=None, **more):
        keys = host_keys or [host_key()]
        server = Sshd(tmp_path / f"sshd{len(started)}", keys, more.pop("user_key", user_key), options, **more)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        show(f"{server.folder.name} said", server.log)
        server.stop()


@pytest.fixture
def sshd(start_sshd):
    return start_sshd()


@pytest.fixture
def serve():
    """serve(handler) -> a Server whose connections go to handler; see servers.py."""
    started = []

    def start(handler, host="127.0.0.1"):
        server = Server(handler, host)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def new_holdfast(tmp_path):
    """new() -> a Holdfast that is not running yet, with a home of its own; killed with the test."""
    holdfast_module.binary()
    made = []

    def new(prefix=()):
        program = holdfast_module.Holdfast(tmp_path / f"holdfast{len(made)}", prefix)
        made.append(program)
        return program

    yield new
    for program in made:
        show(f"{program.folder.name} said", program.err)
        program.end()


@pytest.fixture
def holdfast(new_holdfast):
    """A Holdfast that is not running yet."""
    return new_holdfast()


@pytest.fixture
def tool():
    """tool(name, *words) -> a started program of tests/tools (HOLDFAST_TOOLS names where they were built)."""
    folder = os.environ.get("HOLDFAST_TOOLS")
    assert folder, "set HOLDFAST_TOOLS to the folder with the programs of tests/tools"
    started = []

    def start(name, *words, prefix=(), stdin=subprocess.DEVNULL):
        process = Process([*prefix, os.path.join(folder, name), *words], stdin=stdin)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def open_forward(holdfast, sshd):
    """open("local" or "remote", server) -> the port where a client reaches the server through a running holdfast."""

    def start(direction, server, *more_flags, peer=None):
        peer = peer or sshd
        port = free_port()
        flag = {"local": "-L", "remote": "-R"}[direction]
        holdfast.start(*holdfast_module.flags(peer, *more_flags, flag, f"127.0.0.1:{port}:{server.address}"))
        holdfast.wait_up()
        return port

    return start


@pytest.fixture
def many_descriptors():
    """Room for two thousand connections in each program that a test starts: here, in the sshd, in client and target."""
    needed = 4096
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard == resource.RLIM_INFINITY or hard >= needed, f"this test needs {needed} descriptors (ulimit -Hn)"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
