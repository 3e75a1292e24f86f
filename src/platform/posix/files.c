/* Key files, private files and lock files. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/lock_text.h"
#include "platform/platform.h"
#include "platform/posix/write_all.h"

struct platform_lock {
    char *path;
    int fd;
};

enum err platform_key_file_check(const char *path, struct err_info *info)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return err_set(info, ERR_IO, "%s: %s", path, strerror(errno));
    if (S_ISDIR(status.st_mode))
        return err_set(info, ERR_IO, "%s is a directory, not a private key", path);
    if (status.st_uid == getuid() && (status.st_mode & 077) != 0)
        return err_set(info, ERR_IO,
                       "private key %s has mode %04o, which lets others at it, so it is not used; run: chmod 600 %s",
                       path, (unsigned)status.st_mode & 07777U, path);
    return OK;
}

enum err platform_key_file_check_for(const char *path, const char *account, bool fix, struct err_info *info)
{
    struct stat status;
    (void)account;
    if (stat(path, &status) != 0)
        return err_set(info, ERR_IO, "%s: %s%s", path, strerror(errno),
                       errno == ENOENT ? "; 'holdfast keygen' makes it" : "");
    if (S_ISDIR(status.st_mode))
        return err_set(info, ERR_IO, "%s is a directory, not a private key", path);
    if ((status.st_mode & 077) != 0 && fix && chmod(path, 0600) == 0)
        status.st_mode &= (mode_t)~077;
    if ((status.st_mode & 077) != 0)
        return err_set(info, ERR_IO, "private key %s has mode %04o, which lets others at it; run: chmod 600 %s", path,
                       (unsigned)status.st_mode & 07777U, path);
    if (access(path, R_OK) != 0)
        return err_set(info, ERR_REFUSED, "%s: %s", path, strerror(errno));
    return OK;
}

enum err platform_private_file_new(const char *path, const void *data, size_t len, struct err_info *info)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return err_set(info, ERR_IO, "%s cannot be made: %s", path, strerror(errno));
    }
    int failed = posix_write_all(fd, data, len);
    if (close(fd) != 0 && failed == 0) {
        failed = errno;
    }
    if (failed != 0) {
        (void)unlink(path);
        return err_set(info, ERR_IO, "%s cannot be written: %s", path, strerror(failed));
    }
    return OK;
}

/* The process that wrote the lock file, 0 when that cannot be read. */
static unsigned long lock_holder(int fd)
{
    char text[LOCK_TEXT_CAP_BYTES];
    ssize_t len = pread(fd, text, sizeof text - 1, 0);
    if (len <= 0)
        return 0;
    text[len] = 0;
    return lock_text_holder(text);
}

/* Whether holdfast made the file: it says so, or it is one without its words that nobody else can have made. */
static bool is_lock_of_ours(int fd)
{
    char text[LOCK_TEXT_CAP_BYTES];
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size >= LOCK_TEXT_CAP_BYTES)
        return false;
    ssize_t len = pread(fd, text, sizeof text - 1, 0);
    if (len < 0)
        return false;
    text[len] = 0;
    enum lock_text kind = lock_text_look(text, (size_t)len);
    return kind == LOCK_TEXT_OURS ||
           (kind == LOCK_TEXT_BARE && status.st_uid == geteuid() && (status.st_mode & 07777U) == 0600);
}

/* True when `path` is still the file that `fd` has open: its last holder may have removed it while we waited. */
static bool is_same_file(const char *path, int fd)
{
    struct stat by_path;
    struct stat by_fd;
    return lstat(path, &by_path) == 0 && fstat(fd, &by_fd) == 0 && by_path.st_dev == by_fd.st_dev &&
           by_path.st_ino == by_fd.st_ino;
}

/* Opens and locks the file, and leaves its descriptor in `out_fd`. */
static enum err open_locked(const char *path, int *out_fd, struct err_info *info)
{
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        if (fd < 0 && errno == ELOOP)
            return err_set(info, ERR_IO, "the lock file %s is a link, which is not followed; remove it", path);
        if (fd < 0)
            return err_set(info, ERR_IO, "cannot open the lock file %s: %s", path, strerror(errno));
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
            if (is_same_file(path, fd)) {
                *out_fd = fd;
                return OK;
            }
            (void)close(fd);
            continue;
        }
        int failed = errno;
        unsigned long holder = lock_holder(fd);
        (void)close(fd);
        if (failed == EINTR)
            continue;
        if (failed != EWOULDBLOCK)
            return err_set(info, ERR_IO, "cannot lock %s: %s", path, strerror(failed));
        if (holder == 0)
            return err_set(info, ERR_BUSY, "already kept by another process");
        return err_set(info, ERR_BUSY, "already kept by process %lu", holder);
    }
}

enum err platform_lock_take(const char *path, struct platform_lock **out, struct err_info *info)
{
    int fd = -1;
    char text[LOCK_TEXT_CAP_BYTES];
    *out = NULL;
    struct platform_lock *lock = malloc(sizeof *lock);
    char *copy = strdup(path);
    enum err result = ERR_MEMORY;
    if (lock == NULL || copy == NULL) {
        (void)err_set(info, ERR_MEMORY, "out of memory");
        goto out;
    }
    result = open_locked(path, &fd, info);
    if (result != OK)
        goto out;
    if (!is_lock_of_ours(fd)) {
        result = err_set(info, ERR_IO, "%s is there and is no lock of holdfast's; move it away, or remove it", path);
        goto out;
    }
    size_t len = lock_text_make((unsigned long)getpid(), text);
    errno = ENOSPC; /* of a write that is cut short */
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, len, 0) != (ssize_t)len) {
        result = err_set(info, ERR_IO, "cannot write the lock file %s: %s", path, strerror(errno));
        (void)unlink(path);
        goto out;
    }
    lock->path = copy;
    lock->fd = fd;
    *out = lock;
    return OK;
out:
    if (fd >= 0)
        (void)close(fd);
    free(copy);
    free(lock);
    return result;
}

void platform_lock_release(struct platform_lock *lock)
{
    if (lock == NULL)
        return;
    if (is_same_file(lock->path, lock->fd))
        (void)unlink(lock->path); /* before the lock goes, so that it is ours that is removed */
    (void)close(lock->fd);
    free(lock->path);
    free(lock);
}
