#include "service/posix/own_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/posix/write_all.h"

#define HEAD_CAP_BYTES 512

enum own_file own_file_look(const char *path, const char *mark)
{
    char head[HEAD_CAP_BYTES];
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return errno == ENOENT ? OWN_FILE_ABSENT : OWN_FILE_OF_OTHERS;
    size_t len = fread(head, 1, sizeof head - 1, file);
    head[len] = 0;
    (void)fclose(file);
    return strstr(head, mark) != NULL ? OWN_FILE_OURS : OWN_FILE_OF_OTHERS;
}

enum err own_file_may_write(const char *path, const char *mark, struct err_info *info)
{
    if (path == NULL)
        return err_set(info, ERR_IO, "the home directory is unknown");
    if (own_file_look(path, mark) == OWN_FILE_OF_OTHERS)
        return err_set(info, ERR_BUSY, "%s was not written by holdfast; move it away, or take another --name", path);
    return OK;
}

enum err own_file_may_remove(const char *path, const char *mark, const char *service, struct err_info *info)
{
    enum own_file found = path != NULL ? own_file_look(path, mark) : OWN_FILE_ABSENT;
    if (found == OWN_FILE_ABSENT)
        return err_set(info, ERR_USAGE, "there is no service '%s'; 'holdfast service install' makes one", service);
    if (found == OWN_FILE_OF_OTHERS)
        return err_set(info, ERR_BUSY, "%s was not written by holdfast, and is left alone", path);
    return OK;
}

static void make_folders(char *path)
{
    for (char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = 0;
        (void)mkdir(path, 0755);
        *at = '/';
    }
}

enum err own_file_write(const char *path, const char *text, struct err_info *info)
{
    char new_path[PATH_MAX];
    int len = snprintf(new_path, sizeof new_path, "%s.new", path);
    if (len < 0 || (size_t)len >= sizeof new_path)
        return err_set(info, ERR_IO, "%s: the path is too long", path);
    make_folders(new_path);
    (void)unlink(new_path);
    int fd = open(new_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return err_set(info, ERR_IO, "%s cannot be written: %s", new_path, strerror(errno));
    int failed = fchmod(fd, 0644) == 0 ? posix_write_all(fd, text, strlen(text)) : errno;
    if (close(fd) != 0 && failed == 0)
        failed = errno;
    if (failed == 0 && rename(new_path, path) != 0)
        failed = errno;
    if (failed == 0)
        return OK;
    (void)unlink(new_path);
    return err_set(info, ERR_IO, "%s cannot be written: %s", path, strerror(failed));
}
