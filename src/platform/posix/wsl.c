#include "platform/platform.h"

bool platform_has_wsl(void)
{
    return false;
}

bool platform_wsl_is_of_another(void)
{
    return false;
}

char *platform_wsl_program(void)
{
    return NULL;
}
