#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#ifdef __APPLE__
#include <sys/sysctl.h>
#endif
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "platform/platform.h"

/* A socket that got the number 2 would receive the log. */
static void open_standard_descriptors(void)
{
    int fd = 0;
    do {
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        (void)close(fd);
}

/* The most that setrlimit will take: macOS calls its hard limit infinite and then refuses more than the kernel's own.
 */
static rlim_t descriptor_ceiling(rlim_t hard)
{
#ifdef __APPLE__
    int per_process = 0;
    size_t size = sizeof per_process;
    rlim_t ceiling = OPEN_MAX;
    if (sysctlbyname("kern.maxfilesperproc", &per_process, &size, NULL, 0) == 0 && per_process > 0)
        ceiling = (rlim_t)per_process;
    return hard < ceiling ? hard : ceiling;
#else
    return hard;
#endif
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    rlim_t ceiling = descriptor_ceiling(limit.rlim_max);
    if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= ceiling)
        return;
    limit.rlim_cur = ceiling;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

enum { HEAP_KEEP_BYTES = 2 * 1024 * 1024, HEAP_MAP_BYTES = 8 * 1024 * 1024 };

void platform_init(void)
{
    struct sigaction ignore;
    memset(&ignore, 0, sizeof ignore);
    ignore.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &ignore, NULL);
    open_standard_descriptors();
    raise_descriptor_limit();
#ifdef __GLIBC__
    /* Packets come and go by the hundred kilobytes: without this the top of the heap is given to the system and faulted
     * in again with every burst, a twentieth of the processor time of a download. */
    (void)mallopt(M_TRIM_THRESHOLD, HEAP_KEEP_BYTES);
    /* Setting one fixes the other at 128 KiB, and buffers above that would be mapped and faulted in each time. */
    (void)mallopt(M_MMAP_THRESHOLD, HEAP_MAP_BYTES);
    /* Workers allocate next to nothing: a heap for each would be kept for that. */
    (void)mallopt(M_ARENA_MAX, 1);
#endif
}

bool platform_has_local_sockets(void)
{
    return true;
}

unsigned long platform_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > ULONG_MAX)
        return 0;
    return (unsigned long)limit.rlim_cur;
}

void platform_wipe(void *data, size_t len)
{
    if (len == 0)
        return;
    memset(data, 0, len);
    __asm__ __volatile__("" : : "r"(data) : "memory"); /* says that the zeros are read */
}

char **platform_arguments(int argc, char **argv)
{
    (void)argc;
    return argv;
}
