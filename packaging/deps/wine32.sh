# shellcheck shell=bash
# wine32.sh: lets the machine's 64-bit Wine run 32-bit programs. Sourced by deps.sh.
#
# Wine 8 runs a 32-bit program of Windows inside a 64-bit process once it finds its own DLLs for 32-bit Windows. Debian
# packs these with its 32-bit Wine, a package of the architecture i386. It is fetched into the cache and those DLLs are
# taken out; nothing of it is installed, and the machine stays one of a single architecture. Beside them Wine looks for
# the parts of it that are programs of this system, and finds those of the 64-bit Wine.
# shellcheck disable=SC2154 # shared with deps.sh

# fetch_wine32: have $cache/wine-i386/i386-windows, of the version of the Wine that is installed.
fetch_wine32() {
    local dir=$cache/wine-i386 version suite conf tmp
    version=$(dpkg-query -W -f='${Version}' libwine)
    [ "$(cat "$dir/version" 2>/dev/null)" != "$version" ] || return 0
    mkdir -p "$cache"
    lock
    # shellcheck disable=SC1091 # the system's file
    suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
    conf=$(private_apt "$suite" i386)
    note "fetching the 32-bit DLLs of Wine $version"
    apt-get -c "$conf" -qq update >&2 || note "apt-get update of $suite for i386 had errors"
    tmp=$(mktemp -d "$cache/tmp/wine.XXXXXX")
    (cd "$tmp" && apt-get -c "$conf" -qq download "libwine:i386=$version" >&2) ||
        die "libwine:i386 $version could not be fetched (apt's words are above): 32-bit programs cannot be run"
    dpkg-deb --fsys-tarfile "$tmp"/*.deb | tar -x -C "$tmp" --strip-components=5 --wildcards '*/wine/i386-windows'
    mkdir "$tmp/new"
    mv "$tmp/i386-windows" "$tmp/new/"
    ln -s "$(dpkg-query -L libwine | grep '/x86_64-unix$')" "$tmp/new/x86_64-unix"
    printf '%s\n' "$version" >"$tmp/new/version"
    replace_dir "$tmp/new" "$dir"
    rm -rf "$tmp"
}
