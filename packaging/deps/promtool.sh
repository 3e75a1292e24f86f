# shellcheck shell=bash
# promtool.sh: the checker of Prometheus' text format, for a test. Sourced by deps.sh.
#
# Debian packs it with the server, whose package would start a service and bring five libraries for web pages along. So
# the package is fetched into the cache and that one program is taken out; nothing of it is installed.
# shellcheck disable=SC2154 # shared with deps.sh

# fetch_promtool: have $cache/promtool/promtool.
fetch_promtool() {
    local dir=$cache/promtool suite conf tmp
    [ ! -x "$dir/promtool" ] || return 0
    ! command -v promtool >/dev/null 2>&1 || return 0
    command -v apt-get >/dev/null 2>&1 || return 0 # the test says that it is missing
    mkdir -p "$cache"
    lock
    # shellcheck disable=SC1091 # the system's file
    suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
    conf=$(private_apt "$suite" "$(dpkg --print-architecture)")
    note "fetching promtool"
    apt-get -c "$conf" -qq update >&2 || note "apt-get update of $suite had errors"
    tmp=$(mktemp -d "$cache/tmp/promtool.XXXXXX")
    (cd "$tmp" && apt-get -c "$conf" -qq download prometheus >&2) ||
        die "the package prometheus could not be fetched (apt's words are above): promtool is missing"
    mkdir "$tmp/new"
    dpkg-deb --fsys-tarfile "$tmp"/*.deb | tar -x -C "$tmp/new" --strip-components=3 ./usr/bin/promtool
    replace_dir "$tmp/new" "$dir"
    rm -rf "$tmp"
}
