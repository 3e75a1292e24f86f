/* Services of Windows read their files themselves. */
#include "platform/platform.h"

char *platform_credential_name(const char *path)
{
    (void)path;
    return NULL;
}

bool platform_has_credentials(void)
{
    return false;
}

char *platform_credential(const char *path)
{
    (void)path;
    return NULL;
}
