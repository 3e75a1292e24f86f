"""holdfast.exe in the suites that were written for a program of this machine: its paths, and what it cannot do here."""

import os
import shutil
from pathlib import Path

import pytest

from .holdfast import runner

# Tests that mean nothing to holdfast.exe, by file and the beginning of their names. tests/windows has what takes their place.
ELSEWHERE = {
    "test_auth.py": {
        "test_agent_": "an agent is a pipe or a window on Windows, not a Unix socket: tests/windows/test_keys.py",
        "test_too_many_agent_keys": "see test_agent_",
        "test_refused_agent_keys": "see test_agent_",
        "test_identities_only_keeps": "see test_agent_",
    },
    "test_command_line.py": {
        "test_each_mistake_has_its_one_message[-R to a distribution": "Windows has WSL: tests/windows/test_addresses.py",
        "test_each_mistake_has_its_one_message[secret]": "Windows keeps secrets: tests/windows/test_keys.py",
        "test_each_mistake_has_its_one_message[service install]": "there are services on Windows: test_service.py",
        "test_lines_copied_from_ssh_are_taken[sockets]": "no Unix sockets on Windows: test_program.py has the refusal",
    },
    "test_definitions.py": {
        "test_each_fault_has_its_one_message[a stored secret": "Windows keeps secrets: tests/windows/test_keys.py",
        "test_each_fault_has_its_one_message[to wsl, where there is none": "Windows has WSL: tests/windows/test_addresses.py",
        "test_a_command_beside_the_file": "the command is a script of this machine: tests/windows/test_addresses.py",
        "test_valid_ones_are_shown[sockets]": "no Unix sockets on Windows: test_program.py has the refusal",
    },
    "test_doctor.py": {
        "test_fault[key rights": "Windows has access lists: tests/windows/test_keys.py has what is said of them",
        "test_fault[-R: no socket": "no Unix sockets on Windows",
    },
    "test_forwards.py": {
        "test_connections_that_the_peer_offers_wait": "Windows has no way to ask for an acknowledgement (TCP_QUICKACK)",
    },
    "test_reload.py": {
        "test_a_reload_while_stopping_is_none": "no SIGHUP on Windows",
        "test_the_service_manager_is_told_of_a_reload": "Windows' manager is told otherwise: test_service.py",
        "test_connections_of_a_removed_tunnel_may_finish": "processes have other numbers there: see test_a_name_has_one_keeper",
    },
    "test_process.py": {
        "test_log_is_appended_and_opened_again_on_sighup": "no SIGHUP on Windows; a service's log makes room by itself",
        "test_sighup_drops_no_byte": "no SIGHUP on Windows",
        "test_service_manager_is_told": "Windows' manager is told otherwise: test_service.py",
        "test_a_name_has_one_keeper": "processes have other numbers there: test_one_keeper_per_name of test_program.py",
        "test_ctrl_c_at_a_question_ends_it": "Wine makes no console of a terminal that is standard input alone: test_auth.py "
        "has test_ended_while_it_asks",
        "test_the_end_of_its_terminal_ends_it": "Wine tells no program that its terminal has gone: packaging/windows/CHECKLIST.md",
    },
    "test_stop.py": {
        "test_a_signal_at_any_moment_of_the_end": "SIGTERM ends any program of Wine at once; Windows gives no handlers back",
    },
    "test_watch.py": {
        "test_screenshot": "Wine paints its console by moves of its own, which tmux is not made for: test_a_console_shows_it",
        "test_its_size": "see test_screenshot",
        "test_a_long_list": "see test_screenshot",
        "test_the_terminal": "see test_screenshot",
        "test_it_can_be_suspended": "see test_screenshot",
        "test_it_goes_on": "see test_screenshot",
        "test_every_sentence": "see test_screenshot",
        "test_a_service_that": "see test_screenshot",
        "test_colours": "see test_screenshot",
        "test_one_name": "see test_screenshot",
    },
}


def shown(path):
    """A path of this machine as holdfast.exe prints it, but for the slant of its separators; unchanged without Wine."""
    if not runner():
        return str(path)
    drive = Path(os.environ["HOLDFAST_WINEPREFIX"]) / "drive_c"
    inside = Path(path).is_relative_to(drive)
    return f"C:/{Path(path).relative_to(drive)}" if inside else f"Z:{path}"


def upright(text):
    """Text of the program with all its separators as this machine has them."""
    return text.replace("\\", "/") if runner() else text


@pytest.fixture
def home_folder(tmp_path):
    """The home of the program, empty but for .ssh. On Windows it is the user's profile, which no variable moves."""
    if not runner():
        folder = tmp_path / "home"
        (folder / ".ssh").mkdir(parents=True)
        yield folder
        return
    folder = Path(os.environ["HOLDFAST_WINEPREFIX"]) / "drive_c" / "users" / os.environ.get("USER", "root")
    assert folder.is_dir(), f"Wine has no profile at {folder}"
    shutil.rmtree(folder / ".ssh", ignore_errors=True)
    (folder / ".ssh").mkdir()
    yield folder
    shutil.rmtree(folder / ".ssh")


def deselect(config, items):
    """pytest's pytest_collection_modifyitems for holdfast.exe. A name in the table that is none is a mistake of the table."""
    if not runner():
        return
    files = {}
    for item in items:
        files.setdefault(item.path.name, []).append(item)
    gone = []
    for file, names in ELSEWHERE.items():
        for name in names:
            hit = [item for item in files.get(file, []) if item.name.startswith(name)]
            whole = not any("::" in word for word in config.args) and not config.option.keyword
            assert hit or file not in files or not whole, f"{file} has no test like {name}"
            gone += hit
    items[:] = [item for item in items if item not in gone]
    if gone:
        config.hook.pytest_deselected(items=gone)
