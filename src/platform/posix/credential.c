/* Files that systemd has read for us (LoadCredential=), since our account could not. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/platform.h"

#define NAME_CAP_BYTES 256

char *platform_credential_name(const char *path)
{
    char name[NAME_CAP_BYTES];
    size_t len = 0;
    while (*path == '/')
        path++;
    for (; *path != 0; path++) {
        unsigned char byte = (unsigned char)*path;
        bool is_plain = byte < 0x80 && (isalnum(byte) || (byte == '.' && len > 0));
        if (len + 4 > sizeof name)
            return NULL;
        if (byte == '/')
            name[len++] = '-';
        else if (is_plain)
            name[len++] = (char)byte;
        else
            len += (size_t)snprintf(name + len, sizeof name - len, "_%02x", byte);
    }
    name[len] = 0;
    return len > 0 ? strdup(name) : NULL;
}

bool platform_has_credentials(void)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    return folder != NULL && folder[0] == '/';
}

char *platform_credential(const char *path)
{
    char *name = platform_has_credentials() ? platform_credential_name(path) : NULL;
    char *copy = name != NULL ? platform_path_resolve(getenv("CREDENTIALS_DIRECTORY"), name) : NULL;
    free(name);
    if (copy != NULL && access(copy, R_OK) != 0) {
        free(copy);
        copy = NULL;
    }
    return copy;
}
