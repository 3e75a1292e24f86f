# shellcheck shell=bash
# packages.sh: the system's own packages, by target and purpose. Sourced by deps.sh.

# packages_for TARGET PURPOSE: the Debian packages needed, one a line.
packages_for() {
    case $1-$2 in
    linux-build)
        printf '%s\n' gcc libc6-dev cmake ninja-build pkg-config dpkg-dev patch xz-utils \
            libuv1-dev libssl-dev zlib1g-dev libyaml-dev libjansson-dev libcmocka-dev
        ;;
    linux-test)
        packages_for linux build
        printf '%s\n' clang clang-format clang-tidy libclang-rt-dev shellcheck \
            openssh-server openssh-client nftables iproute2 procps tmux autossh putty-tools \
            python3 python3-pytest python3-jsonschema systemd dbus
        ;;
    windows-build)
        printf '%s\n' gcc-mingw-w64-x86-64-win32
        packages_for_cross_builds
        ;;
    windows-x86-build)
        printf '%s\n' gcc-mingw-w64-i686-win32
        packages_for_cross_builds
        ;;
    windows-test)
        packages_for windows build
        packages_for_wine
        ;;
    windows-x86-test)
        packages_for windows-x86 build
        packages_for_wine
        ;;
    esac
}

packages_for_cross_builds() {
    printf '%s\n' make perl cmake ninja-build pkg-config dpkg-dev patch xz-utils bzip2 python3 nsis
}

packages_for_wine() {
    printf '%s\n' wine wine64 gcc libc6-dev openssh-server openssh-client procps python3 python3-pytest python3-jsonschema systemd dbus
}

# as_root CMD...: run CMD as root, never asking.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo -n "$@"
    else
        die "installing packages needs root, and there is no sudo"
    fi
}

# have_without_apt TARGET: true if all that a build needs is there, whoever brought it.
have_without_apt() {
    local what
    [ "$1" = linux ] || return 1
    for what in cmake patch pkg-config; do
        command -v "$what" >/dev/null 2>&1 || return 1
    done
    command -v cc >/dev/null 2>&1 || return 1
    for what in libuv libcrypto zlib yaml-0.1 jansson; do
        pkg-config --exists "$what" || return 1
    done
}

# install_packages TARGET PURPOSE: install what is missing. With nothing missing it calls no
# package client, so it is quick and needs no network.
install_packages() {
    local package
    local -a missing=()
    if [ -n "${HOLDFAST_LIBSSH2_SOURCE:-}" ] && [ "$2" = build ] && have_without_apt "$1"; then
        return 0
    fi
    if ! command -v apt-get >/dev/null 2>&1; then
        have_without_apt "$1" && return 0
        die "this system has no apt-get: install cmake, pkg-config, patch, libuv, OpenSSL, zlib," \
            "libyaml, jansson and cmocka by its own means, and set HOLDFAST_LIBSSH2_SOURCE"
    fi
    while read -r package; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            missing+=("$package")
    done < <(packages_for "$1" "$2")
    [ "${#missing[@]}" -gt 0 ] || return 0

    note "installing ${missing[*]}"
    local -a get=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends
        -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3)
    # A failing index of some unrelated source is no reason to stop: the install decides.
    as_root "${get[@]}" update >&2 || note "apt-get update had errors, going on with what it has"
    as_root "${get[@]}" install "${missing[@]}" >&2 ||
        die "apt-get could not install ${missing[*]} (its own words are above)"
}
