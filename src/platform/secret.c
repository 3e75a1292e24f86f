#include "platform/secret.h"

#include <string.h>

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
#define NAME_MAX_BYTES 64

enum err platform_secret_name_check(const char *name, struct err_info *info)
{
    size_t len = strlen(name);
    if (len == 0 || len > NAME_MAX_BYTES || strspn(name, NAME_CHARS) != len || name[0] == '.' || name[0] == '-') {
        return err_set(
            info, ERR_USAGE,
            "'%.100s' is not a name for a secret: letters, digits, '.', '_' and '-', 64 at most, and neither "
            "'.' nor '-' in front",
            name);
    }
    return OK;
}
