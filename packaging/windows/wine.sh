#!/usr/bin/env bash
# wine.sh PROGRAM ARGS...: run a Windows program under Wine set to Windows 7, with no display.
# wine.sh --new:  make HOLDFAST_WINEPREFIX anew, ending what still runs in it.
# wine.sh --end:  end everything that runs in HOLDFAST_WINEPREFIX, and wait until it is gone.
#
# The Wine prefix is made once, in the cache that deps.sh uses, and used again. HOLDFAST_WINEPREFIX names another
# one, such as a test's own; it begins as a copy of the first. With HOLDFAST_WINE32 set, a prefix that is made runs
# 32-bit programs too, as 64-bit Windows does. Exit code and standard streams are the program's.
set -euo pipefail

cache=${HOLDFAST_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/holdfast}
master=$cache/wine-win7-2${HOLDFAST_WINE32:+-32} # the number goes up with what make_prefix does
place=${HOLDFAST_WINEPREFIX:-$master}

die() {
    printf 'wine.sh: %s\n' "$*" >&2
    exit 1
}

[ $# -gt 0 ] || die "usage: wine.sh --new | --end | PROGRAM ARGS..."
command -v wine >/dev/null 2>&1 || die "wine is not installed: run packaging/deps.sh windows test"

unset DISPLAY WAYLAND_DISPLAY
export WINEARCH=win64 WINEDEBUG=${WINEDEBUG:--all}
# No dialogs about a browser engine or .NET, no desktop entries.
export WINEDLLOVERRIDES="mscoree=;mshtml=;winemenubuilder.exe=;${WINEDLLOVERRIDES:-}"

# Where the heap is at random, within a gibibyte, it is now and then where Wine wants a page that all programs share
# (0x7ffe0000), and one program in some thousands ended with 1 and without a word. Nothing is random where that is allowed.
unrandomized=(setarch -R)
"${unrandomized[@]}" true 2>/dev/null || unrandomized=()

run_wine() {
    "${unrandomized[@]}" wine "$@"
}

# use_own DIR: the prefix itself says where its 32-bit DLLs and early_unwind.c are, since who runs it later may have
# another cache.
use_own() {
    [ ! -e "$1/dlls32" ] || export WINEDLLPATH=$1/dlls32
    [ ! -e "$1/early_unwind.so" ] || export LD_PRELOAD=$1/early_unwind.so
}

# make_prefix DIR: a new prefix that says it is Windows 7 (6.1, build 7601).
make_prefix() {
    export WINEPREFIX=$1
    if [ -n "${HOLDFAST_WINE32:-}" ]; then
        [ -d "$cache/wine-i386" ] || die "no 32-bit DLLs of Wine: run packaging/deps.sh windows-x86 test"
        ln -s "$cache/wine-i386" "$1/dlls32"
    fi
    cc -shared -fPIC -O -o "$1/early_unwind.so" "$(dirname "${BASH_SOURCE[0]}")/early_unwind.c" ||
        die "early_unwind.c does not compile: run packaging/deps.sh windows test"
    (
        use_own "$1"
        run_wine wineboot --init >/dev/null 2>&1 </dev/null &&
            run_wine reg add 'HKCU\Software\Wine' /v Version /d win7 /f >/dev/null 2>&1 </dev/null &&
            wineserver_stop
    )
}

# Settings are written when the server of a prefix ends; it must not outlive a rename either.
wineserver_stop() {
    local server
    server=$(find_server)
    "$server" -k 2>/dev/null || true
    "$server" -w
}

keep_server() {
    "$(find_server)" -p >/dev/null 2>&1 </dev/null || die "Wine's server does not start"
}

find_server() {
    local server
    for server in wineserver /usr/lib/wine/wineserver64 /usr/lib/wine/wineserver; do
        if command -v "$server"; then
            return
        fi
    done
    die "wine is installed without its wineserver"
}

# copy_prefix DIR: a prefix like the first one. What Wine installed is shared by hard links, since nothing writes to
# it; the registry is a copy.
copy_prefix() {
    cp -al "$master/." "$1/" 2>/dev/null || cp -a "$master/." "$1/"
    local registry
    for registry in "$1"/*.reg; do
        cp -p "$registry" "$registry.own"
        mv -f "$registry.own" "$registry"
    done
}

# ensure DIR MAKER: makes the prefix DIR with MAKER unless it is there; of several at once, one does it.
ensure() {
    [ ! -d "$1" ] || return 0
    mkdir -p "$(dirname "$1")"
    exec 9>"$1.lock"
    flock 9
    if [ ! -d "$1" ]; then
        new=$(mktemp -d "$1.XXXXXX")
        trap 'rm -rf "$new"' EXIT
        "$2" "$new" || die "Wine could not make a prefix (WINEDEBUG=err+all shows why)"
        mv "$new" "$1"
        trap - EXIT
    fi
    exec 9>&-
}

# end_all: ends every program of the prefix.
end_all() {
    [ ! -d "$place" ] || WINEPREFIX=$place wineserver_stop
}

case $1 in
    --new | --end)
        [ -n "${HOLDFAST_WINEPREFIX:-}" ] || die "$1 is for a prefix that HOLDFAST_WINEPREFIX names"
        end_all
        [ "$1" = --new ] || exit 0
        rm -rf "$place"
        ;;
esac
# The home of who asks may be a test's, and then without a cache: the first one is looked for only to copy it.
if [ ! -d "$place" ]; then
    ensure "$master" make_prefix
    ensure "$place" copy_prefix
fi
export WINEPREFIX=$place
use_own "$place"
if [ "$1" = --new ]; then
    # The server of a prefix ends soon after the last program, and one that begins just then is turned away: a prefix
    # made for tests keeps its server until --end. So live on the services of Wine that its first program starts, with
    # the outputs of that program: a test would be waited for until they end.
    keep_server
    run_wine cmd /c exit >/dev/null 2>&1 </dev/null
    exit 0
fi
exec "${unrandomized[@]}" wine "$@"
