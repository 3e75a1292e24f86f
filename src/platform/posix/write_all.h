/* Files written as a whole. For platform/posix and service/posix. */
#ifndef HOLDFAST_PLATFORM_POSIX_WRITE_ALL_H
#define HOLDFAST_PLATFORM_POSIX_WRITE_ALL_H

#include <stddef.h>

/* Writes all of it, and waits until the disk has it. 0 or an errno; blocking. */
int posix_write_all(int fd, const void *data, size_t len);

#endif
