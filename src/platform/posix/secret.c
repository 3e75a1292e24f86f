#include "platform/secret.h"

#include <stddef.h>

static enum err unsupported(struct err_info *info)
{
    return err_set(
        info, ERR_UNSUPPORTED,
        "secrets are not in this version on this system; load the key into ssh-agent, or use a key without a "
        "passphrase and with least rights (holdfast keygen)");
}

bool platform_has_secrets(void)
{
    return false;
}

enum err platform_secret_set(enum platform_secret_place place, const char *account, const char *name, const char *text,
                             struct err_info *info)
{
    (void)place;
    (void)account;
    (void)name;
    (void)text;
    return unsupported(info);
}

enum err platform_secret_get(const char *name, char **out, struct err_info *info)
{
    (void)name;
    *out = NULL;
    return unsupported(info);
}

bool platform_secret_exists(enum platform_secret_place place, const char *name)
{
    (void)place;
    (void)name;
    return false;
}

enum err platform_secret_remove(enum platform_secret_place place, const char *name, struct err_info *info)
{
    (void)place;
    (void)name;
    return unsupported(info);
}

enum err platform_secret_list(enum platform_secret_place place, void (*each)(void *arg, const char *name), void *arg,
                              struct err_info *info)
{
    (void)place;
    (void)each;
    (void)arg;
    return unsupported(info);
}
