#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/platform.h"

/* `left`/`right` as a heap string, with one slash between them. NULL when out of memory. */
static char *join(const char *left, const char *right)
{
    size_t left_len = strlen(left);
    size_t cap_bytes = left_len + 1 + strlen(right) + 1;
    char *path = malloc(cap_bytes);
    if (path != NULL)
        (void)snprintf(path, cap_bytes, "%s%s%s", left, left_len > 0 && left[left_len - 1] == '/' ? "" : "/", right);
    return path;
}

/* A place below the home directory. */
static char *in_home(const char *rest)
{
    char *home = platform_home_dir();
    char *path = home != NULL ? join(home, rest) : NULL;
    free(home);
    return path;
}

/* holdfast's folder in the place that `variable` names (the XDG rules ignore a relative path), else the `system` one
 * for root, else `fallback` in the home directory. */
static char *place(const char *variable, const char *system, const char *fallback)
{
    const char *base = getenv(variable);
    if (base != NULL && platform_path_is_absolute(base))
        return join(base, "holdfast");
    return geteuid() == 0 ? strdup(system) : in_home(fallback);
}

char *platform_ssh_dir(void)
{
    return in_home(".ssh");
}

char *platform_system_ssh_dir(void)
{
    return strdup("/etc/ssh");
}

const char *platform_null_device(void)
{
    return "/dev/null";
}

char *platform_default_definitions(void)
{
    return place("XDG_CONFIG_HOME", "/etc/holdfast", ".config/holdfast");
}

/* mkdir -p, all new ones with mode 0700. 0 or an errno. */
static int make_dirs(char *path)
{
    for (char *at = path + 1;; at++) {
        char held = *at;
        if (held != '/' && held != 0)
            continue;
        *at = 0;
        int failed = mkdir(path, 0700) != 0 && errno != EEXIST ? errno : 0;
        *at = held;
        if (held == 0 || (failed != 0 && failed != EROFS && failed != EACCES && failed != ENOENT && failed != ENOTDIR))
            return failed;
    }
}

char *platform_state_dir(struct err_info *info)
{
    const char *given = getenv("STATE_DIRECTORY"); /* systemd.exec(5): StateDirectory=, several separated by colons */
    char *path = given != NULL && given[0] == '/'
                     ? strndup(given, strcspn(given, ":"))
                     : place("XDG_STATE_HOME", "/var/lib/holdfast", ".local/state/holdfast");
    if (path == NULL) {
        (void)err_set(info, ERR_IO, "no place for the state: the home directory is unknown");
        return NULL;
    }
    int failed = make_dirs(path);
    if (failed != 0) {
        (void)err_set(info, ERR_IO, "cannot create the state directory %s: %s", path, strerror(failed));
        free(path);
        return NULL;
    }
    return path;
}

bool platform_path_is_absolute(const char *path)
{
    return path[0] == '/';
}

bool platform_path_is_below(const char *folder, const char *path)
{
    size_t len = strlen(folder);
    while (len > 0 && folder[len - 1] == '/')
        len--;
    return strncmp(path, folder, len) == 0 && path[len] == '/';
}

char *platform_path_folder(const char *path)
{
    const char *end = strrchr(path, '/');
    while (end != NULL && end > path && end[-1] == '/')
        end--;
    if (end == NULL)
        return strdup(".");
    return end == path ? strdup("/") : strndup(path, (size_t)(end - path));
}

char *platform_path_resolve(const char *dir, const char *path)
{
    if (path[0] == '~' && (path[1] == '/' || path[1] == 0))
        return path[1] == 0 ? platform_home_dir() : in_home(path + 2);
    if (platform_path_is_absolute(path) || dir == NULL || dir[0] == 0)
        return strdup(path);
    return join(dir, path);
}
