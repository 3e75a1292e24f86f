# Warnings, hardening and sanitizers for all of our own code, as interface target holdfast_flags.
add_library(holdfast_flags INTERFACE)
target_compile_options(holdfast_flags INTERFACE -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes
    -Wmissing-prototypes -Wpointer-arith -Wformat=2 -fno-common -fno-strict-aliasing)
if(HOLDFAST_WERROR)
    target_compile_options(holdfast_flags INTERFACE -Werror)
endif()
if(HOLDFAST_SANITIZE)
    target_compile_options(holdfast_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined
        -fno-omit-frame-pointer)
    target_link_options(holdfast_flags INTERFACE -fsanitize=address,undefined)
endif()
if(WIN32)
    target_compile_definitions(holdfast_flags INTERFACE _WIN32_WINNT=0x0601 WINVER=0x0601 WIN32_LEAN_AND_MEAN
        UNICODE _UNICODE __USE_MINGW_ANSI_STDIO=1)
    # No time goes into the image, so that the same sources make the same file.
    target_link_options(holdfast_flags INTERFACE -static -Wl,--dynamicbase -Wl,--nxcompat
        -Wl,--major-os-version,6 -Wl,--minor-os-version,1 -Wl,--major-subsystem-version,6
        -Wl,--minor-subsystem-version,1 -Wl,--no-insert-timestamp)
    if(CMAKE_SIZEOF_VOID_P EQUAL 8)
        target_link_options(holdfast_flags INTERFACE -Wl,--high-entropy-va)
    endif()
else()
    target_compile_definitions(holdfast_flags INTERFACE _GNU_SOURCE)
    target_compile_options(holdfast_flags INTERFACE -fPIE -fstack-protector-strong)
    if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT HOLDFAST_SANITIZE)
        target_compile_options(holdfast_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
    endif()
    if(NOT APPLE)
        target_link_options(holdfast_flags INTERFACE -pie -Wl,-z,relro,-z,now)
    endif()
endif()
