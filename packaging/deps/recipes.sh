# shellcheck shell=bash
# recipes.sh: how each library is built. Sourced by deps.sh.
#
# recipe_NAME SRC OUT builds the source tree SRC (scratch, it may be written to) and installs into
# OUT, for $target; it ends at its first failing command by way of &&, since `set -e` does not hold
# where its result is asked for. The text of a recipe is part of its library's key. It is sourced when
# $target is known, and says here what differs between targets.
# shellcheck disable=SC2034,SC2154 # shared with deps.sh

linux_cflags="-O2 -g -fstack-protector-strong"
# Windows 7 is the oldest system supported; the headers then offer nothing that it lacks.
windows_cflags="-O2 -g -D_WIN32_WINNT=0x0601 -DWINVER=0x0601 -fstack-protector-strong"
case $target in
linux)
    mingw='' openssl_target=''
    target_cflags=$linux_cflags
    ;;
windows)
    mingw=x86_64-w64-mingw32 openssl_target=mingw64
    toolchain=$here/cmake/mingw-x86_64.cmake
    target_cflags=$windows_cflags
    ;;
windows-x86)
    mingw=i686-w64-mingw32 openssl_target=mingw
    toolchain=$here/cmake/mingw-i686.cmake
    # As in the toolchain's file, which says why.
    windows_cflags="$windows_cflags -march=pentium4 -mfpmath=sse -mstackrealign -D__MINGW_USE_VC2005_COMPAT"
    target_cflags=$windows_cflags
    ;;
esac

# cmake_build SRC OUT ARG...
cmake_build() {
    local src=$1 out=$2 cflags
    shift 2
    local -a args=(-DCMAKE_BUILD_TYPE=None -DCMAKE_INSTALL_PREFIX="$out" -DCMAKE_INSTALL_LIBDIR=lib
        -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DBUILD_SHARED_LIBS=OFF)
    if [ -n "$mingw" ]; then
        args+=(-DCMAKE_TOOLCHAIN_FILE="$toolchain")
    else
        args+=(-DCMAKE_C_COMPILER=cc)
    fi
    ! command -v ninja >/dev/null 2>&1 || args+=(-G Ninja)
    cflags="$target_cflags -ffile-prefix-map=$src=."
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
    if [ -n "$mingw" ]; then
        args+=(-DCMAKE_PREFIX_PATH="$(library_dir openssl);$(library_dir zlib)"
            -DOPENSSL_USE_STATIC_LIBS=ON)
    fi
    cmake_build "$1" "$2" "${args[@]}"
}

# Debian's archive of zlib has no win32 folder; the static library needs nothing from it.
recipe_zlib() {
    (cd "$1" &&
        CROSS_PREFIX="$mingw-" CFLAGS="$windows_cflags -ffile-prefix-map=$1=." \
            ./configure --static --prefix="$2" &&
        make libz.a &&
        mkdir -p "$2/include" "$2/lib/pkgconfig" &&
        cp zlib.h zconf.h "$2/include/" &&
        cp libz.a "$2/lib/" &&
        cp zlib.pc "$2/lib/pkgconfig/")
}

# No configuration file is ever looked for, and if one were, it would be in a folder that only an administrator can
# make: the default of a cross build is a folder that any user can. make has to be told, since Configure takes a path
# with a drive for one below the prefix. Debian's pic.patch is for ELF: 32-bit x86 cannot be assembled for Windows with
# it, and 64-bit x86 has none of its files.
recipe_openssl() {
    local ssl=C:/Windows/ssl
    local -a places=(OPENSSLDIR="$ssl" ENGINESDIR="$ssl/engines" MODULESDIR="$ssl/modules")
    # shellcheck disable=SC2086 # a list of flags
    (cd "$1" &&
        if [ -f debian/patches/pic.patch ]; then patch -R -p1 --batch <debian/patches/pic.patch; fi &&
        ./Configure $openssl_target --cross-compile-prefix="$mingw-" --prefix="$2" --libdir=lib \
            no-shared no-module no-dso no-engine no-legacy no-tests \
            no-apps no-docs no-autoload-config no-quic no-ssl3 no-comp \
            $windows_cflags -ffile-prefix-map="$1=." &&
        make -j "$(getconf _NPROCESSORS_ONLN)" "${places[@]}" build_libs &&
        make "${places[@]}" install_dev)
}

recipe_libuv() {
    cmake_build "$1" "$2" -DLIBUV_BUILD_TESTS=OFF -DLIBUV_BUILD_BENCH=OFF &&
        if [ ! -f "$2/lib/libuv.a" ]; then mv "$2/lib/libuv_a.a" "$2/lib/libuv.a"; fi
}

recipe_libyaml() {
    cmake_build "$1" "$2" -DBUILD_TESTING=OFF -DYAML_STATIC_LIB_NAME=yaml &&
        if [ ! -f "$2/lib/libyaml.a" ]; then mv "$2/lib/libyaml_static.a" "$2/lib/libyaml.a"; fi
}

recipe_jansson() {
    cmake_build "$1" "$2" -DJANSSON_BUILD_DOCS=OFF -DJANSSON_WITHOUT_TESTS=ON \
        -DJANSSON_EXAMPLES=OFF -DJANSSON_BUILD_SHARED_LIBS=OFF
}

recipe_cmocka() {
    cmake_build "$1" "$2" -DWITH_STATIC_LIB=ON -DWITH_EXAMPLES=OFF -DUNIT_TESTING=OFF &&
        if [ ! -f "$2/lib/libcmocka.a" ]; then mv "$2/lib/libcmocka-static.a" "$2/lib/libcmocka.a"; fi
}
