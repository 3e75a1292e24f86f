#include <sched.h>

#include "platform/platform.h"

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

/* <asm/hwcap.h> has these for this architecture alone. */
#ifndef HWCAP_AES
#define HWCAP_AES (1UL << 3)
#endif
#ifndef HWCAP_PMULL
#define HWCAP_PMULL (1UL << 4)
#endif
#endif

bool platform_has_aes(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__) && defined(__APPLE__)
    return true; /* every Mac with this processor has them */
#elif defined(__aarch64__) && defined(__linux__)
    return (getauxval(AT_HWCAP) & (HWCAP_AES | HWCAP_PMULL)) == (HWCAP_AES | HWCAP_PMULL);
#else
    return false;
#endif
}

void platform_yield(void)
{
    (void)sched_yield();
}
