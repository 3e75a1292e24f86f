# Cross build for 64-bit Windows, 7 and newer, with Debian's MinGW-w64 (win32 threads, msvcrt: an executable needs
# nothing that a bare Windows 7 lacks). The C standard library and the flags that make an executable hard to attack are
# not set here: packaging/cmake/flags.cmake is expected to pass -D_WIN32_WINNT=0x0601 -DWINVER=0x0601 to the compiler,
# and -static -Wl,--dynamicbase -Wl,--nxcompat -Wl,--high-entropy-va to the linker.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_VERSION 6.1)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)

# Programs come from this machine, libraries and headers from MinGW or from what CMAKE_PREFIX_PATH names.
set(CMAKE_FIND_ROOT_PATH /usr/x86_64-w64-mingw32)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY BOTH)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE BOTH)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE BOTH)
# Nothing of this machine's own libraries.
set(CMAKE_FIND_USE_CMAKE_SYSTEM_PATH OFF)
