# Cross build for Windows, 7 and newer, with Debian's MinGW-w64 (win32 threads, msvcrt: an executable needs nothing that
# a bare Windows 7 lacks). Included by mingw-x86_64.cmake and mingw-i686.cmake, which set CMAKE_SYSTEM_PROCESSOR. The C
# standard library and the flags that make an executable hard to attack are not set here: packaging/cmake/flags.cmake is
# expected to pass -D_WIN32_WINNT=0x0601 -DWINVER=0x0601 to the compiler, and -static -Wl,--dynamicbase -Wl,--nxcompat
# (for 64 bits -Wl,--high-entropy-va too) to the linker.
set(HOLDFAST_MINGW ${CMAKE_SYSTEM_PROCESSOR}-w64-mingw32) # how the names of its programs begin
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_VERSION 6.1)
set(CMAKE_C_COMPILER ${HOLDFAST_MINGW}-gcc)
set(CMAKE_RC_COMPILER ${HOLDFAST_MINGW}-windres)
# The libraries of deps.sh are built with the stack protector, whose code GCC links only when told here.
set(CMAKE_EXE_LINKER_FLAGS_INIT -fstack-protector-strong)

# Programs come from this machine, libraries and headers from MinGW or from what CMAKE_PREFIX_PATH names.
set(CMAKE_FIND_ROOT_PATH /usr/${HOLDFAST_MINGW})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY BOTH)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE BOTH)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE BOTH)
# Nothing of this machine's own libraries.
set(CMAKE_FIND_USE_CMAKE_SYSTEM_PATH OFF)
