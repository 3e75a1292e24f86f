"""What the tests look at the machine with."""

import os
from pathlib import Path

import pytest
from harness.ports import free_port
from harness.proc import Process, children_of


@pytest.fixture
def two_children():
    made = [Process(["sleep", "600"]), Process(["sleep", "600"])]
    yield made
    for process in made:
        process.kill()


def test_a_process_that_ends_while_proc_is_read_is_no_child(two_children, monkeypatch):
    """Between the list and the look: then whatever asks for its files fails, as by ESRCH, which is no 'not found'."""
    ended, lives = two_children
    assert {ended.pid, lives.pid} <= set(children_of(os.getpid()))

    def is_gone(method):
        def call(path, *args, **named):
            if str(path).startswith(f"/proc/{ended.pid}/"):
                raise ProcessLookupError(3, "No such process", str(path))
            return method(path, *args, **named)

        return call

    for name in ("stat", "open"):
        monkeypatch.setattr(Path, name, is_gone(getattr(Path, name)))
    found = children_of(os.getpid())
    assert lives.pid in found and ended.pid not in found


def test_no_port_is_given_twice():
    assert len({free_port() for _ in range(2000)}) == 2000
