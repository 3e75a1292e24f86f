"""What holdfast.exe tells Windows about itself, and that Windows 7 SP1 has all that it needs."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pe
import pytest
from conftest import BITS
from harness.holdfast import binary

ROOT = Path(__file__).resolve().parents[2]
WINDOWS = ROOT / "packaging/windows"
MINGW = {64: "x86_64-w64-mingw32", 32: "i686-w64-mingw32"}
CC = f"{MINGW[BITS]}-gcc"
HEADERS = (
    "winsock2.h ws2tcpip.h mswsock.h windows.h iphlpapi.h psapi.h userenv.h wincrypt.h bcrypt.h dpapi.h sddl.h aclapi.h"
    " ntsecapi.h shlobj.h shellapi.h lm.h wtsapi32.h windns.h powrprof.h tlhelp32.h evntprov.h timeapi.h winternl.h"
).split()


@pytest.fixture(scope="module")
def image():
    return pe.Image(binary())


@pytest.fixture(scope="module")
def listed():
    """[(DLL, name, which bits)] of win7-exports/."""
    found = []
    for file in sorted((WINDOWS / "win7-exports").glob("*.txt")):
        for line in file.read_text().splitlines():
            name, _, *only = line.split()
            found.append((file.stem, name, [int(bits) for bits in only] or [64, 32]))
    return found


def check_imports(*paths):
    words = [sys.executable, "-B", str(WINDOWS / "check-imports.py"), *map(str, paths)]
    return subprocess.run(words, capture_output=True, text=True)


def compiled(folder, source):
    (folder / "planted.c").write_text(source)
    program = folder / "planted.exe"
    subprocess.run([CC, "-D_WIN32_WINNT=0x0A00", "-o", program, folder / "planted.c"], check=True)
    return program


def test_hard_to_attack(image):
    for flag in (pe.DYNAMIC_BASE, pe.NX_COMPAT, *([pe.HIGH_ENTROPY_VA] if image.is_64 else [])):
        assert image.dll_characteristics & flag
    assert image.directory(pe.RELOCATIONS)[1] > 0, "without relocations it is always at the same place"
    assert not image.characteristics & pe.RELOCS_STRIPPED


def test_oldest_system_is_windows_7(image):
    assert image.subsystem_version == (6, 1)
    assert image.os_version == (6, 1)
    assert image.subsystem == 3, "a program of the console"


def test_manifest(image):
    manifest = next(data for key, data in image.resources().items() if key[0] == pe.RT_MANIFEST).decode()
    assert 'level="asInvoker"' in manifest
    assert re.search(r"<activeCodePage [^>]*>UTF-8</activeCodePage>", manifest)
    assert re.search(r"<longPathAware [^>]*>true</longPathAware>", manifest)
    for system in ("35138b9a-5d96-4fbd-8e2d-a2440225f93a", "8e0f7a12-bfb3-4fe8-b9a5-48fd50a15a9a"):
        assert system in manifest  # 7; 10 and 11


def test_version(image):
    version = re.search(r"project\(holdfast VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text())[1]
    data = next(data for key, data in image.resources().items() if key[0] == pe.RT_VERSION)
    text = data.decode("utf-16-le", "replace")
    for name in ("FileVersion", "ProductVersion"):
        assert re.search(rf"{name}\0+{re.escape(version)}\0", text)
    numbers = ([int(number) for number in version.split(".")] + [0, 0, 0])[:4]
    fixed = data.index(b"\xbd\x04\xef\xfe")
    high, low = (int.from_bytes(data[fixed + at : fixed + at + 4], "little") for at in (8, 12))
    assert [high >> 16, high & 0xFFFF, low >> 16, low & 0xFFFF] == numbers


def test_windows_7_has_all_imports(image):
    imports = image.imports()
    assert ("kernel32", "CloseHandle") in imports and ("ws2_32", "connect") in imports
    done = check_imports(binary())
    assert done.returncode == 0, done.stdout + done.stderr


def test_planted_import_is_found(tmp_path):
    program = compiled(
        tmp_path,
        "#include <windows.h>\nint main(void) { FILETIME now; GetSystemTimePreciseAsFileTime(&now);"
        " return now.dwLowDateTime == 0; }\n",
    )
    done = check_imports(program)
    assert done.returncode == 1
    assert "imports GetSystemTimePreciseAsFileTime of kernel32.dll" in done.stdout


def test_planted_lookup_is_found(tmp_path):
    program = compiled(
        tmp_path,
        "#include <windows.h>\nint main(void) {"
        ' return GetProcAddress(GetModuleHandleA("kernel32"), "SetThreadDescription") == NULL; }\n',
    )
    done = check_imports(program)
    assert done.returncode == 1
    assert "holds the name SetThreadDescription" in done.stdout
    assert "imports" not in done.stdout


def test_planted_dll_is_found(tmp_path):
    """A DLL that has no list, such as one of the API sets that Windows 7 lacks."""
    (tmp_path / "new.def").write_text("LIBRARY api-ms-win-core-synch-l1-2-0.dll\nEXPORTS\nWaitOnAddress\n")
    subprocess.run(
        [f"{MINGW[BITS]}-dlltool", "-k", "-d", tmp_path / "new.def", "-l", tmp_path / "libnew.a"], check=True
    )
    (tmp_path / "planted.c").write_text(
        "__declspec(dllimport) int WaitOnAddress(void);\nint main(void) { return WaitOnAddress(); }\n"
    )
    program = tmp_path / "planted.exe"
    subprocess.run([CC, "-o", program, tmp_path / "planted.c", tmp_path / "libnew.a"], check=True)
    done = check_imports(program)
    assert done.returncode == 1
    assert "imports WaitOnAddress of api-ms-win-core-synch-l1-2-0.dll" in done.stdout


def test_planted_import_of_other_bits_is_found(tmp_path):
    """A function that only the Windows of the other kind has, whatever import library was made up for it."""
    name = {64: "_ftol2", 32: "__C_specific_handler"}[BITS]
    (tmp_path / "other.def").write_text(f"LIBRARY msvcrt.dll\nEXPORTS\n{name}\n")
    subprocess.run(
        [f"{MINGW[BITS]}-dlltool", "-d", tmp_path / "other.def", "-l", tmp_path / "libother.a"], check=True
    )
    (tmp_path / "planted.c").write_text(
        f"__declspec(dllimport) int {name}(void);\nint main(void) {{ return {name}(); }}\n"
    )
    program = tmp_path / "planted.exe"
    subprocess.run([CC, "-fno-builtin", "-o", program, tmp_path / "planted.c", tmp_path / "libother.a"], check=True)
    done = check_imports(program)
    assert done.returncode == 1
    assert f"imports {name} of msvcrt.dll" in done.stdout


def test_what_is_no_program_is_said(tmp_path):
    (tmp_path / "text").write_text("MZ and no more")
    done = check_imports(tmp_path / "text")
    assert done.returncode == 2
    assert done.stderr.startswith("check-imports.py: ")


def test_lists_name_what_there_is(listed):
    """MinGW's import library of that DLL has each name, and of what only the other kind of Windows exports, none. There
    `I` of nm is an import; `D` is what MinGW makes up for a DLL that may lack it."""
    known = {}
    for dll, name, which in listed:
        if dll not in known:
            library = f"/usr/{MINGW[BITS]}/lib/lib{dll}.a"
            done = subprocess.run([f"{MINGW[BITS]}-nm", library], capture_output=True, text=True)
            words = re.findall(r" ([ID]) __imp_(\S+)", done.stdout)
            known[dll] = {(kind, word if BITS == 64 else re.sub(r"@\d+$", "", word[1:])) for kind, word in words}
        if BITS in which:
            assert {("I", name), ("D", name)} & known[dll], f"{dll}.txt: {name}"
        else:
            assert ("I", name) not in known[dll], f"{dll}.txt: {name}"


def test_lists_hold_nothing_newer(listed, tmp_path):
    """None is declared only for a Windows newer than 7, as far as MinGW's headers know."""
    assert shutil.which(CC)
    source = "".join(f"#include <{name}>\n" for name in HEADERS)

    def words(version):
        command = [CC, "-E", "-P", f"-D_WIN32_WINNT={version}", f"-DWINVER={version}", "-"]
        done = subprocess.run(command, input=source, capture_output=True, text=True, check=True)
        return set(re.findall(r"\w+", done.stdout))

    newer = words("0x0A00") - words("0x0601")
    assert "SetProcessMitigationPolicy" in newer, "the headers tell the versions apart"
    assert not {name for _, name, _ in listed} & newer
    names = {name for _, name, _ in listed}
    for name in ("GetSystemTimePreciseAsFileTime", "GetHostNameW", "WaitOnAddress", "AddDllDirectory"):
        assert name not in names
