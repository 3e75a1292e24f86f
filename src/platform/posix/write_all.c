#include "platform/posix/write_all.h"

#include <errno.h>
#include <unistd.h>

/* A full disk takes a part first, and says why when asked to take the rest. */
int posix_write_all(int fd, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t written = write(fd, at, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? errno : ENOSPC;
        at += written;
        len -= (size_t)written;
    }
    return fsync(fd) == 0 ? 0 : errno;
}
