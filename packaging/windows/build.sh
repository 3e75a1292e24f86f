#!/usr/bin/env bash
# build.sh [windows-x64|windows-x86]...: from a fresh clone to dist/holdfast-VERSION-PRESET.zip and
# dist/holdfast-VERSION-PRESET-setup.exe, for 64-bit Windows (when nothing is said) or 32-bit Windows.
# It installs what it needs (packaging/deps.sh), builds, strips, checks that Windows 7 can load the program, packs.
# SOURCE_DATE_EPOCH is the time of what is packed (the commit's by default).
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
largest=$((12 << 20))

die() {
    printf 'build.sh: %s\n' "$*" >&2
    exit 1
}

# Texts for Windows 7's Notepad: with the line ends of Windows, and a name that opens it.
text() { sed 's/\r*$/\r/' "$1" >"$2"; }

version=$(sed -n 's/^project(holdfast VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
[ -n "$version" ] || die "CMakeLists.txt names no version"
dots=${version//[!.]/}
version4=$version
while [ ${#dots} -lt 3 ]; do
    version4=$version4.0
    dots=$dots.
done
# pack PRESET: build, check and pack one of them.
pack() {
    local preset=$1 target tools debian bits name stage files size file epoch zip setup
    case $preset in
    windows-x64) target=windows tools=x86_64-w64-mingw32 debian=x86-64 bits=64 ;;
    windows-x86) target=windows-x86 tools=i686-w64-mingw32 debian=i686 bits=32 ;;
    esac
    packaging/deps.sh "$target" build
    cmake --preset "$preset" >/dev/null
    cmake --build --preset "$preset" --target holdfast -j "$(nproc)"

    name=holdfast-$version-$preset
    stage=build/$preset/dist
    files=$stage/$name
    rm -rf "$stage"
    mkdir -p "$files/tunnels" "$files/licences" dist

    "$tools-strip" -o "$files/holdfast.exe" "build/$preset/holdfast.exe"
    size=$(wc -c <"$files/holdfast.exe")
    [ "$size" -lt "$largest" ] || die "holdfast.exe has $size bytes; it must stay under $largest"
    packaging/windows/check-imports.py "$files/holdfast.exe"

    text README.md "$files/README.txt"
    text LICENSE "$files/LICENSE.txt"
    for file in tunnels/*.yaml; do text "$file" "$files/$file"; done
    [ ! -f packaging/windows/CHECKLIST.md ] || text packaging/windows/CHECKLIST.md "$files/CHECKLIST.txt"
    packaging/deps.sh licences "$target" "$stage/licences"
    # The compiler's own run-time library is in the program too.
    for file in "/usr/share/doc/mingw-w64-$debian-dev/copyright" /usr/share/doc/gcc-mingw-w64-base/copyright; do
        [ ! -f "$file" ] || cp "$file" "$stage/licences/$(basename "$(dirname "$file")")"
    done
    for file in "$stage/licences"/*; do text "$file" "$files/licences/$(basename "$file").txt"; done

    # One time for all files. cmake makes the zip, so that no further tool is needed.
    epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 1735689600)}
    find "$files" -exec touch -h -d "@$epoch" {} +
    zip=$PWD/dist/$name.zip setup=$PWD/dist/$name-setup.exe
    rm -f "$zip" "$setup"
    (cd "$stage" && find "$name" -type f | LC_ALL=C sort >files.list &&
        TZ=UTC cmake -E tar cf "$zip" --format=zip --files-from=files.list)
    SOURCE_DATE_EPOCH=$epoch makensis -V2 -NOCD -WX "-DVERSION=$version" "-DVERSION4=$version4" "-DFILES=$PWD/$files" \
        "-DOUT=$setup" "-DBITS=$bits" packaging/windows/holdfast.nsi
    ls -l "$zip" "$setup"
}

[ $# -gt 0 ] || set -- windows-x64
for preset in "$@"; do
    case $preset in
    windows-x64 | windows-x86) ;;
    *) die "usage: packaging/windows/build.sh [windows-x64|windows-x86]..." ;;
    esac
done
for preset in "$@"; do pack "$preset"; done
