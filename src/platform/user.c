/* Who we are, where libuv knows it for every system. */
#include <stdlib.h>
#include <string.h>

#include "platform/platform.h"

#define HOME_CAP_BYTES 4096

/* An environment variable as a heap string, UTF-8 on every system; NULL when unset or empty. */
static char *environment(const char *name)
{
    char probe[1];
    size_t size = sizeof probe;
    if (uv_os_getenv(name, probe, &size) != UV_ENOBUFS)
        return NULL;
    char *value = malloc(size);
    if (value != NULL && uv_os_getenv(name, value, &size) != 0) {
        free(value);
        value = NULL;
    }
    return value;
}

char *platform_home_dir(void)
{
    char home[HOME_CAP_BYTES];
    size_t size = sizeof home;
    if (uv_os_homedir(home, &size) == 0 && platform_path_is_absolute(home))
        return strdup(home);
    uv_passwd_t passwd;
    if (uv_os_get_passwd(&passwd) != 0)
        return NULL;
    char *copy = passwd.homedir != NULL ? strdup(passwd.homedir) : NULL;
    uv_os_free_passwd(&passwd);
    return copy;
}

char *platform_user_name(void)
{
    uv_passwd_t passwd;
    if (uv_os_get_passwd(&passwd) == 0) {
        char *copy = passwd.username != NULL ? strdup(passwd.username) : NULL;
        uv_os_free_passwd(&passwd);
        return copy;
    }
    char *name = environment("USER"); /* a container may run us under a number that has no entry */
    return name != NULL ? name : environment("LOGNAME");
}
