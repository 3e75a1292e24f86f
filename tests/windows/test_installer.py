"""The installer as an administrator runs it without a word: install, repair, uninstall, purge."""

import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from conftest import BITS, wine
from harness import clients, servers
from harness.holdfast import binary, definition, host_entry, native, runner
from harness.ports import free_port
from harness.proc import wait_until

ROOT = Path(__file__).resolve().parents[2]
VERSION = re.search(r"project\(holdfast VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text())[1]
PRESET = {64: "windows-x64", 32: "windows-x86"}[BITS]
NAME = f"holdfast-{VERSION}-{PRESET}"
SETUP = ROOT / "dist" / f"{NAME}-setup.exe"
ZIP = ROOT / "dist" / f"{NAME}.zip"
ENVIRONMENT = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment"
# The Windows is one of 64 bits, where 32-bit programs have places of their own.
SOFTWARE = {64: r"HKLM\Software", 32: r"HKLM\Software\Wow6432Node"}[BITS]
PROGRAMS = SOFTWARE + r"\Microsoft\Windows\CurrentVersion\Uninstall\holdfast"
PROGRAM_FILES = {64: "Program Files", 32: "Program Files (x86)"}[BITS]
FOLDER = rf"C:\{PROGRAM_FILES}\holdfast"


@pytest.fixture(scope="module", autouse=True)
def dist():
    """packaging/test.sh has made it; by itself, a missing or old one is made here."""
    built = os.path.getmtime(binary())
    if not all(file.exists() and file.stat().st_mtime >= built for file in (SETUP, ZIP)):
        subprocess.run([ROOT / "packaging/windows/build.sh", PRESET], check=True, capture_output=True, timeout=600)


@pytest.fixture
def drive(wine_of_our_own):
    """Drive C, without holdfast before and after."""
    drive = Path(os.environ["HOLDFAST_WINEPREFIX"]) / "drive_c"
    yield drive
    uninstall("/PURGE")
    shutil.rmtree(drive / "ProgramData/holdfast", ignore_errors=True)  # what an uninstaller of the test itself has left


def windowed(*words):
    """Runs a program with windows, though none is shown. With it Wine starts a desktop, which would keep a pipe open."""
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    assert subprocess.run([*runner(), *words], timeout=60, **silent).returncode == 0


def install(*words):
    windowed(str(SETUP), "/S", *words)


def uninstall(*words):
    """The uninstaller runs on as a copy of itself: wait for what it removes last."""
    program = Path(os.environ["HOLDFAST_WINEPREFIX"]) / "drive_c" / PROGRAM_FILES / "holdfast/uninstall.exe"
    if program.exists():
        windowed(str(program), "/S", *words)
        wait_until(lambda: not program.exists(), 60, "the end of the uninstaller")
        wait_until(lambda: registry(PROGRAMS, "DisplayName") is None, 60, "the end of its entry")


def registry(key, name):
    done = wine("reg", "query", key, "/v", name)
    match = re.search(rf"{name}\s+REG_\w+\s+(.*?)\r?\n", done.stdout.decode("utf-8", "replace"), re.IGNORECASE)
    return match[1] if done.returncode == 0 and match else None


def test_install_repair_uninstall(drive):
    program, data = drive / PROGRAM_FILES / "holdfast", drive / "ProgramData/holdfast"
    install()
    present = {str(file.relative_to(program)) for file in program.rglob("*") if file.is_file()}
    assert {"holdfast.exe", "uninstall.exe", "README.txt", "LICENSE.txt", "licences/openssl.txt"} <= present
    assert {f"tunnels/{file.name}" for file in (ROOT / "tunnels").glob("*.yaml")} <= present
    assert (data / "logs").is_dir() and (data / "state").is_dir()
    assert registry(PROGRAMS, "DisplayVersion") == VERSION
    assert registry(PROGRAMS, "InstallLocation") == FOLDER
    assert "holdfast" not in (registry(ENVIRONMENT, "Path") or ""), "only when asked"
    done = wine(FOLDER + r"\holdfast.exe", "--version")
    assert done.returncode == 0 and done.stdout.startswith(f"holdfast {VERSION}".encode())

    for name in ("macbook.yaml", "macbook.key"):
        (data / name).write_text("mine")
    (program / "holdfast.exe").write_bytes(b"broken")
    (program / "README.txt").unlink()
    install()
    assert wine(FOLDER + r"\holdfast.exe", "--version").returncode == 0
    assert (program / "README.txt").exists()
    assert (data / "macbook.yaml").read_text() == "mine"

    uninstall()
    assert not program.exists()
    assert registry(PROGRAMS, "DisplayName") is None
    assert registry(SOFTWARE + r"\holdfast", "InstallDir") is None
    assert {file.name for file in data.iterdir()} == {"logs", "state", "macbook.yaml", "macbook.key"}


def test_a_service_lives_through_it(drive, sshd, serve):
    """From a silent install to a tunnel, a repair under the running service, and an uninstall that takes it along."""
    program, data = FOLDER + r"\holdfast.exe", drive / "ProgramData/holdfast"
    port = free_port()

    def service(*words):
        done = wine(program, "service", *words)
        return done.returncode, (done.stdout + done.stderr).decode()

    def answers():
        try:
            return clients.exchange(port, b"anyone?", timeout=5) == b"anyone?"
        except OSError:
            return False

    install()
    (data / "known_hosts").write_bytes(sshd.known_hosts.read_bytes())
    host = {**host_entry(sshd), "known_hosts_file": "known_hosts"}
    forwards = [{"remote": f"127.0.0.1:{port}", "to": serve(servers.echo).address}]
    tunnel = {"host": "peer", "forwards": forwards, "backoff": {"first": "50ms", "max": "1s"}}
    (data / "t.yaml").write_text(definition({"peer": host}, {"t": tunnel}))
    code, said = service("install", "--account", "LocalSystem")
    assert code == 0, said
    assert service("start")[0] == 0
    wait_until(answers, 30, "the tunnel is up")
    big = clients.pattern(100 << 20)
    assert clients.exchange(port, big, timeout=240) == big
    sshd.restart()
    sshd.kill_sessions()
    wait_until(answers, 60, "the tunnel is up after a restart of sshd")

    install()
    wait_until(answers, 60, "the tunnel is up after the repair")
    assert service("status")[0] == 0, "it was stopped for the new file and started again"
    assert service("stop")[0] == 0 and not answers()
    assert service("start")[0] == 0
    wait_until(answers, 30, "the tunnel is up")

    uninstall()
    assert not answers()
    done = wine("sc", "query", "holdfast")
    assert done.returncode != 0, "the service is gone"
    assert {file.name for file in data.iterdir()} <= {"known_hosts", "t.yaml", "logs", "state"}


def test_purge_removes_definitions(drive):
    install()
    data = drive / "ProgramData/holdfast"
    (data / "macbook.key").write_text("mine")
    uninstall("/PURGE")
    wait_until(lambda: not data.exists(), 60, "the end of the data")
    assert (drive / "ProgramData").exists()


@pytest.mark.parametrize("before", ["", r"C:\windows", r"%SystemRoot%\system32;" + ";".join(f"C:\\{i:040}" for i in range(60))], ids=["empty", "short", "long"])
def test_path(drive, before):
    """Added once, also to a long one, found from there, and taken out again with nothing else changed."""
    old = registry(ENVIRONMENT, "Path")
    try:
        assert wine("reg", "add", ENVIRONMENT, "/v", "Path", "/t", "REG_EXPAND_SZ", "/d", before, "/f").returncode == 0
        install("/PATH")
        wanted = f"{before};{FOLDER}" if before else FOLDER
        assert registry(ENVIRONMENT, "Path") == wanted
        install("/PATH")
        assert registry(ENVIRONMENT, "Path") == wanted, "once is enough"
        uninstall()
        assert (registry(ENVIRONMENT, "Path") or "") == before
    finally:
        wine("reg", "add", ENVIRONMENT, "/v", "Path", "/t", "REG_EXPAND_SZ", "/d", old or "", "/f")


def test_entries_that_begin_alike_stay(drive):
    old = registry(ENVIRONMENT, "Path")
    alike = FOLDER + r"-old;C:\x" + f";{FOLDER}" + r"\tunnels"
    try:
        wine("reg", "add", ENVIRONMENT, "/v", "Path", "/t", "REG_EXPAND_SZ", "/d", alike, "/f")
        install("/PATH")
        assert registry(ENVIRONMENT, "Path") == f"{alike};{FOLDER}"
        uninstall()
        assert registry(ENVIRONMENT, "Path") == alike
    finally:
        wine("reg", "add", ENVIRONMENT, "/v", "Path", "/t", "REG_EXPAND_SZ", "/d", old or "", "/f")


def test_zip(tmp_path):
    """Everything in one folder; the program runs from wherever it was unpacked to."""
    with zipfile.ZipFile(ZIP) as archive:
        assert archive.testzip() is None
        assert {name.split("/")[0] for name in archive.namelist()} == {NAME}
        archive.extractall(tmp_path)
    folder = tmp_path / NAME
    assert (folder / "holdfast.exe").stat().st_size < 12 << 20
    assert b"\r\n" in (folder / "README.txt").read_bytes()
    assert (folder / "licences/libssh2.txt").exists()
    done = wine(native(folder / "holdfast.exe"), "--version")
    assert done.returncode == 0, done.stderr
