#!/usr/bin/env bash
# wine.sh PROGRAM ARGS...: run a Windows program under Wine set to Windows 7, with no display.
#
# The Wine prefix is made once, in HOLDFAST_WINEPREFIX or else in the cache that deps.sh uses, and used
# again. Exit code and standard streams are the program's.
set -euo pipefail

cache=${HOLDFAST_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/holdfast}
place=${HOLDFAST_WINEPREFIX:-$cache/wine-win7}

die() {
    printf 'wine.sh: %s\n' "$*" >&2
    exit 1
}

[ $# -gt 0 ] || die "usage: wine.sh PROGRAM ARGS..."
command -v wine >/dev/null 2>&1 || die "wine is not installed: run packaging/deps.sh windows test"

unset DISPLAY WAYLAND_DISPLAY
export WINEARCH=win64 WINEDEBUG=${WINEDEBUG:--all}
# No dialogs about a browser engine or .NET, no desktop entries.
export WINEDLLOVERRIDES="mscoree=;mshtml=;winemenubuilder.exe=;${WINEDLLOVERRIDES:-}"

# make_prefix DIR: a new prefix that says it is Windows 7 (6.1, build 7601).
make_prefix() {
    export WINEPREFIX=$1
    wine wineboot --init >/dev/null 2>&1 </dev/null &&
        wine reg add 'HKCU\Software\Wine' /v Version /d win7 /f >/dev/null 2>&1 </dev/null &&
        wineserver_stop
}

# Settings are written when the server of a prefix ends; it must not outlive a rename either.
wineserver_stop() {
    local server
    for server in wineserver /usr/lib/wine/wineserver64 /usr/lib/wine/wineserver; do
        if command -v "$server" >/dev/null 2>&1; then
            "$server" -k 2>/dev/null || true
            "$server" -w
            return
        fi
    done
    die "wine is installed without its wineserver"
}

if [ ! -d "$place" ]; then
    mkdir -p "$(dirname "$place")"
    exec 9>"$place.lock"
    flock 9
    if [ ! -d "$place" ]; then
        new=$(mktemp -d "$place.XXXXXX")
        trap 'rm -rf "$new"' EXIT
        make_prefix "$new" || die "Wine could not make a prefix (WINEDEBUG=err+all shows why)"
        mv "$new" "$place"
        trap - EXIT
    fi
    exec 9>&-
fi
export WINEPREFIX=$place
exec wine "$@"
