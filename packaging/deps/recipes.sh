# shellcheck shell=bash
# recipes.sh: how each library is built. Sourced by deps.sh.
#
# recipe_NAME SRC OUT builds the source tree SRC (scratch, it may be written to) and installs into
# OUT, for $target; it ends at its first failing command by way of &&, since `set -e` does not hold
# where its result is asked for. The text of a recipe is part of its library's key.
# shellcheck disable=SC2034,SC2154 # shared with deps.sh

mingw=x86_64-w64-mingw32

# Windows 7 is the oldest system supported; the headers then offer nothing that it lacks.
windows_cflags="-O2 -g -D_WIN32_WINNT=0x0601 -DWINVER=0x0601 -fstack-protector-strong"
linux_cflags="-O2 -g -fstack-protector-strong"

# cmake_build SRC OUT ARG...
cmake_build() {
    local src=$1 out=$2 cflags=$linux_cflags
    shift 2
    local -a args=(-DCMAKE_BUILD_TYPE=None -DCMAKE_INSTALL_PREFIX="$out" -DCMAKE_INSTALL_LIBDIR=lib
        -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DBUILD_SHARED_LIBS=OFF)
    [ "$target" = windows ] || args+=(-DCMAKE_C_COMPILER=cc)
    if [ "$target" = windows ]; then
        cflags=$windows_cflags
        args+=(-DCMAKE_TOOLCHAIN_FILE="$here/cmake/mingw-x86_64.cmake")
    fi
    ! command -v ninja >/dev/null 2>&1 || args+=(-G Ninja)
    cflags="$cflags -ffile-prefix-map=$src=."
    # No tree of the machine's user may leak in.
    args+=(-DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF -DCMAKE_C_FLAGS="$cflags")
    env -u CFLAGS -u LDFLAGS cmake -S "$src" -B "$src/build-holdfast" "${args[@]}" "$@" &&
        cmake --build "$src/build-holdfast" &&
        cmake --install "$src/build-holdfast"
}

recipe_libssh2() {
    local -a args=(-DBUILD_STATIC_LIBS=ON -DBUILD_EXAMPLES=OFF -DBUILD_TESTING=OFF
        -DCRYPTO_BACKEND=OpenSSL -DENABLE_ZLIB_COMPRESSION=ON -DLIBSSH2_NO_DEPRECATED=OFF
        -DENABLE_DEBUG_LOGGING=OFF)
    if [ "$target" = windows ]; then
        args+=(-DCMAKE_PREFIX_PATH="$(library_dir openssl);$(library_dir zlib)"
            -DOPENSSL_USE_STATIC_LIBS=ON)
    fi
    cmake_build "$1" "$2" "${args[@]}"
}
