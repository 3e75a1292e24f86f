#!/usr/bin/env bash
# build.sh: from a fresh clone to dist/holdfast-VERSION-windows-x64.zip and dist/holdfast-VERSION-windows-x64-setup.exe.
# It installs what it needs (packaging/deps.sh windows), builds, strips, checks that Windows 7 can load the program, packs.
# SOURCE_DATE_EPOCH is the time of what is packed (the commit's by default).
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
preset=windows-x64
tools=x86_64-w64-mingw32
largest=$((12 << 20))

die() {
    printf 'build.sh: %s\n' "$*" >&2
    exit 1
}
[ $# -eq 0 ] || die "usage: packaging/windows/build.sh"

packaging/deps.sh windows build
cmake --preset "$preset" >/dev/null
cmake --build --preset "$preset" --target holdfast -j "$(nproc)"

version=$(sed -n 's/^project(holdfast VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
[ -n "$version" ] || die "CMakeLists.txt names no version"
dots=${version//[!.]/}
version4=$version
while [ ${#dots} -lt 3 ]; do
    version4=$version4.0
    dots=$dots.
done
name=holdfast-$version-$preset
stage=build/$preset/dist
files=$stage/$name
rm -rf "$stage"
mkdir -p "$files/tunnels" "$files/licences" dist

"$tools-strip" -o "$files/holdfast.exe" "build/$preset/holdfast.exe"
size=$(wc -c <"$files/holdfast.exe")
[ "$size" -lt "$largest" ] || die "holdfast.exe has $size bytes; it must stay under $largest"
packaging/windows/check-imports.py "$files/holdfast.exe"

# Texts for Windows 7's Notepad: with the line ends of Windows, and a name that opens it.
text() { sed 's/\r*$/\r/' "$1" >"$2"; }
text README.md "$files/README.txt"
text LICENSE "$files/LICENSE.txt"
for file in tunnels/*.yaml; do text "$file" "$files/$file"; done
[ ! -f packaging/windows/CHECKLIST.md ] || text packaging/windows/CHECKLIST.md "$files/CHECKLIST.txt"
packaging/deps.sh licences windows "$stage/licences"
# The compiler's own run-time library is in the program too.
for file in /usr/share/doc/mingw-w64-x86-64-dev/copyright /usr/share/doc/gcc-mingw-w64-base/copyright; do
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
    "-DOUT=$setup" packaging/windows/holdfast.nsi
ls -l "$zip" "$setup"
