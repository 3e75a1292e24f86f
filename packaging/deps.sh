#!/usr/bin/env bash
# deps.sh: everything holdfast is built on.
#
#   deps.sh TARGET [build|test]           install packages, build the libraries that are ours to build
#   deps.sh refresh TARGET                look for newer revisions of the sources, then the same
#   deps.sh prefix TARGET                 print where the libraries are; fails if they are not built
#   deps.sh packages TARGET [build|test]  print the Debian packages, one a line
#   deps.sh licences TARGET DIR           put the licence texts of the libraries that holdfast links into DIR
#
# TARGET is linux, windows (64-bit) or windows-x86 (32-bit).
#
# HOLDFAST_CACHE            where everything is kept ($XDG_CACHE_HOME/holdfast or ~/.cache/holdfast)
# HOLDFAST_LIBSSH2_SOURCE   an unpacked libssh2 1.11.1 to use in place of Debian's source package
#
# Each library is kept under a key made of all that goes into it (its rows of deps.lock, its recipe,
# our patches, the compiler, the keys of what it is built on), so a second run finds it and ends.
# Nothing but finished trees is ever renamed into place. What Debian revision was taken is written
# beside the library; it is not in the key, so that computing a key needs no network.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${HOLDFAST_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/holdfast}
fetched_suites=
target=
scratch=

note() { printf 'deps: %s\n' "$*" >&2; }
die() {
    printf 'deps: %s\n' "$*" >&2
    exit 1
}
usage() {
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}" >&2
    exit 2
}

sha256() {
    if command -v sha256sum >/dev/null 2>&1; then sha256sum; else shasum -a 256; fi |
        cut -d ' ' -f 1
}

# replace_dir NEW PLACE: rename NEW into PLACE; what was there is put aside first and then deleted.
replace_dir() {
    local aside
    mkdir -p "$(dirname "$2")"
    if [ -e "$2" ]; then
        aside=$(mktemp -d "$cache/tmp/old.XXXXXX")
        mv "$2" "$aside/old"
        mv "$1" "$2"
        rm -rf "$aside"
    else
        mv "$1" "$2"
    fi
}

# shellcheck source=packaging/deps/packages.sh
. "$here/deps/packages.sh"
# shellcheck source=packaging/deps/source.sh
. "$here/deps/source.sh"
# shellcheck source=packaging/deps/wine32.sh
. "$here/deps/wine32.sh"
# shellcheck source=packaging/deps/promtool.sh
. "$here/deps/promtool.sh"

# libraries: what is built for $target, in order of building.
libraries() {
    case $target in
    linux) echo libssh2 ;;
    windows*) echo zlib openssl libssh2 libuv libyaml jansson cmocka ;;
    esac
}

# needs NAME: the libraries of ours that it is built on.
needs() {
    case $target-$1 in
    windows-libssh2 | windows-x86-libssh2) echo zlib openssl ;;
    esac
}

compiler_id() {
    case $target in
    linux)
        cc --version | head -n 1
        cc -dumpmachine
        # libssh2 is compiled against these headers.
        pkg-config --modversion libcrypto zlib
        ;;
    windows*) "$mingw-gcc" --version | head -n 1 ;;
    esac
}

# libssh2_header_version DIR: the version of an unpacked libssh2.
libssh2_header_version() {
    sed -n 's/^#define LIBSSH2_VERSION  *"\([0-9.]*\).*"/\1/p' "$1/include/libssh2.h" 2>/dev/null
}

# tree_hash DIR: over names and contents.
tree_hash() {
    (cd "$1" && find . -type f ! -path './.git/*' -print0 | LC_ALL=C sort -z |
        while IFS= read -r -d '' file; do
            printf '%s\n' "$file"
            cat "$file"
        done) | sha256
}

# key_of NAME: the key of one library for $target.
key_of() {
    local other file recipe
    recipe=$(declare -f "recipe_$1")
    {
        printf '%s\n' 3 "$target" "$openssl_target" "$1" "$target_compiler" "$target_cflags" "$recipe"
        case $recipe in
        *cmake_build*)
            declare -f cmake_build
            [ -z "$mingw" ] || cat "$here/cmake/mingw.cmake" "$toolchain"
            ;;
        esac
        if [ "$1" = libssh2 ] && [ -n "${HOLDFAST_LIBSSH2_SOURCE:-}" ]; then
            printf '%s\n' "$source_tree_hash"
        else
            lock_rows "$1"
        fi
        while read -r file; do
            printf '%s\n' "${file##*/}"
            cat "$file"
        done < <(patches_of "$1")
        for other in $(needs "$1"); do key_of "$other"; done
    } | sha256 | cut -c 1-20
}

library_dir() { printf '%s/library/%s/%s-%s\n' "$cache" "$target" "$1" "$(key_of "$1")"; }

prefix_dir() {
    local name
    for name in $(libraries); do key_of "$name"; done | cat - "$here/deps.sh" | sha256 | cut -c 1-20 |
        sed "s|^|$cache/prefix/$target-|"
}

# build_library NAME: into the cache, unless it is there.
build_library() {
    local name=$1 out log file source_version='' source_revision=''
    out=$(library_dir "$name")
    [ ! -d "$out" ] || return 0
    scratch=$(mktemp -d "$cache/tmp/build.XXXXXX")
    unpack_source "$name" "$scratch/source"
    note "building $name $source_version ($source_revision) for $target"
    log=$scratch/log
    ("recipe_$name" "$scratch/source" "$scratch/out") >"$log" 2>&1 </dev/null || {
        tail -n 40 "$log" >&2
        die "$name $source_version ($source_revision) does not build; the end of its log is above"
    }
    mkdir -p "$scratch/out/share/holdfast-deps"
    {
        printf '%s\n%s\n%s\n' "$name" "$source_version" "$source_revision"
        while read -r file; do
            file=${file##*/}
            printf '%s\n' "${file%.patch}"
        done < <(patches_of "$name")
    } >"$scratch/out/share/holdfast-deps/$name.source"
    # What was installed names the scratch place; make it say where it is instead.
    # shellcheck disable=SC2016 # pkg-config's variables
    for file in "$scratch/out/lib/pkgconfig"/*.pc; do
        [ ! -f "$file" ] || sed -i.bak -e 's|^prefix=.*|prefix=${pcfiledir}/../..|' \
            -e "s|$scratch/out|\${prefix}|g" "$file"
    done
    rm -rf "$scratch/out/lib/pkgconfig"/*.bak "$scratch/out/share/man" "$scratch/out/share/doc"
    [ "$out" = "$(library_dir "$name")" ] || die "what $name is made of changed meanwhile: run again"
    replace_dir "$scratch/out" "$out"
    rm -rf "$scratch"
    scratch=
}

# assemble DIR: one prefix of all libraries, with what was taken in deps.cmake and manifest.json.
assemble() {
    local name version revision patch upper patches json list comma=
    mkdir -p "$1/share/holdfast-deps"
    for name in $(libraries); do
        cp -R "$(library_dir "$name")/." "$1/"
    done
    # Some build a shared one too, unasked. Nothing may link it.
    rm -rf "$1/lib"/*.dll.a "${1:?}/bin"
    json=$1/share/holdfast-deps/manifest.json
    printf '{\n  "target": "%s",\n  "libraries": [' "$target" >"$json"
    printf '# Written by packaging/deps.sh.\n' >"$1/deps.cmake"
    for name in $(libraries); do
        patches='' list=''
        {
            read -r _
            read -r version
            read -r revision
            while read -r patch; do
                patches="${patches:+$patches;}$patch"
                list="${list:+$list, }\"$patch\""
            done
        } <"$1/share/holdfast-deps/$name.source"
        upper=$(printf '%s' "$name" | tr '[:lower:]' '[:upper:]')
        printf 'set(HOLDFAST_%s_VERSION "%s")\nset(HOLDFAST_%s_REVISION "%s")\nset(HOLDFAST_%s_PATCHES "%s")\n' \
            "$upper" "$version" "$upper" "$revision" "$upper" "$patches" >>"$1/deps.cmake"
        printf '%s\n    {"name": "%s", "version": "%s", "revision": "%s", "patches": [%s]}' \
            "$comma" "$name" "$version" "$revision" "$list" >>"$json"
        comma=,
    done
    printf '\n  ]\n}\n' >>"$json"
}

# lock: until this process ends, no other builds in this cache. What lies in tmp after that was left
# by a run that was killed.
lock() {
    [ -z "$locked" ] || return 0
    take_lock
    locked=yes
    rm -rf "$cache/tmp"
    mkdir "$cache/tmp"
}

take_lock() {
    if command -v flock >/dev/null 2>&1; then
        exec 9>"$cache/lock"
        flock 9
        return
    fi
    until mkdir "$cache/lock.d" 2>/dev/null; do
        kill -0 "$(cat "$cache/lock.d/pid" 2>/dev/null || echo $$)" 2>/dev/null ||
            rm -rf "$cache/lock.d"
        sleep 1
    done
    echo $$ >"$cache/lock.d/pid"
    lock_dir=$cache/lock.d
}
lock_dir=
locked=

cleanup() {
    [ -z "$scratch" ] || rm -rf "$scratch"
    [ -z "$lock_dir" ] || rm -rf "$lock_dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# know_inputs: what keys are computed from, once per run.
know_inputs() {
    case $target in
    linux) command -v cc >/dev/null 2>&1 || die "no C compiler: run deps.sh linux first" ;;
    windows*) command -v "$mingw-gcc" >/dev/null 2>&1 || die "no $mingw-gcc: run deps.sh $target first" ;;
    esac
    target_compiler=$(compiler_id)
    if [ -n "${HOLDFAST_LIBSSH2_SOURCE:-}" ]; then
        [ "$(libssh2_header_version "$HOLDFAST_LIBSSH2_SOURCE")" = "$(lock_field libssh2 4)" ] ||
            die "HOLDFAST_LIBSSH2_SOURCE: $HOLDFAST_LIBSSH2_SOURCE is not an unpacked libssh2 $(lock_field libssh2 4)"
        source_tree_hash=$(tree_hash "$HOLDFAST_LIBSSH2_SOURCE")
    fi
}

# build_all: the prefix of $target, unless it is there.
build_all() {
    local prefix name new
    prefix=$(prefix_dir)
    [ ! -d "$prefix" ] || return 0
    mkdir -p "$cache"
    lock
    [ ! -d "$prefix" ] || return 0
    for name in $(libraries); do build_library "$name"; done
    scratch=$(mktemp -d "$cache/tmp/prefix.XXXXXX")
    new=$scratch/prefix
    [ "$prefix" = "$(prefix_dir)" ] || die "what the libraries are made of changed meanwhile: run again"
    assemble "$new"
    replace_dir "$new" "$prefix"
    rm -rf "$scratch"
    scratch=
    note "built $prefix"
}

# refresh_sources: fetch anew; a library whose source has changed is then built anew.
refresh_sources() {
    local name before after
    mkdir -p "$cache"
    lock
    for name in $(libraries); do
        [ "$name" != libssh2 ] || [ -z "${HOLDFAST_LIBSSH2_SOURCE:-}" ] || continue
        before=$(cat "$cache/source/$name/version" 2>/dev/null || true)
        # Kept until the new one is there: without a network nothing is lost.
        [ ! -d "$cache/source/$name" ] || mv "$cache/source/$name" "$cache/source/$name.before"
        if ! (fetch_source "$name"); then
            [ ! -d "$cache/source/$name.before" ] ||
                replace_dir "$cache/source/$name.before" "$cache/source/$name"
            die "$name could not be fetched anew; what was there stays"
        fi
        rm -rf "$cache/source/$name.before"
        after=$(cat "$cache/source/$name/version")
        [ "$before" != "$after" ] || continue
        note "$name: ${before:-none} -> $after"
        rm -rf "$(library_dir "$name")" "$(prefix_dir)"
    done
}

# collect_licences DIR: DIR/NAME for each library that is linked into the program, from its source.
collect_licences() {
    local name file files source_version='' source_revision=''
    mkdir -p "$1" "$cache"
    lock
    for name in $(libraries); do
        [ "$name" != cmocka ] || continue # for tests only
        scratch=$(mktemp -d "$cache/tmp/licence.XXXXXX")
        unpack_source "$name" "$scratch/source"
        files=()
        for file in LICENSE LICENSE.txt COPYING License README; do
            [ "${#files[@]}" -gt 0 ] || [ ! -f "$scratch/source/$file" ] || files=("$scratch/source/$file")
        done
        [ "${#files[@]}" -gt 0 ] || die "$name $source_version has no licence text that is known here"
        { printf '%s %s\n\n' "$name" "$source_version" && cat "${files[@]}"; } >"$1/$name"
        rm -rf "$scratch"
        scratch=
    done
}

action=build
place=
case ${1:-} in
refresh | prefix | packages) action=$1 && shift ;;
licences)
    [ $# -eq 3 ] || usage
    action=licences place=$3
    set -- "$2"
    ;;
esac
target=${1:-linux}
purpose=${2:-build}
case $target-$purpose in
linux-build | linux-test | windows-build | windows-test | windows-x86-build | windows-x86-test) ;;
*) usage ;;
esac
[ $# -le 2 ] || usage
# shellcheck source=packaging/deps/recipes.sh
. "$here/deps/recipes.sh"

case $action in
packages) packages_for "$target" "$purpose" ;;
licences)
    know_inputs
    collect_licences "$place"
    ;;
prefix)
    know_inputs
    prefix=$(prefix_dir)
    [ -d "$prefix" ] || die "the libraries for $target are not built: run packaging/deps.sh $target"
    printf '%s\n' "$prefix"
    ;;
build | refresh)
    install_packages "$target" "$purpose"
    know_inputs
    [ "$action" = build ] || refresh_sources
    build_all
    [ "$target-$purpose" != windows-x86-test ] || fetch_wine32
    [ "$target-$purpose" != linux-test ] || fetch_promtool
    ;;
esac
