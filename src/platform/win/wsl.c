#include <stdlib.h>

#include "platform/platform.h"
#include "platform/win/common.h"

/* For tests alone, which have no wsl.exe and are no service: a program that stands for it, and any value at all. */
#define TEST_PROGRAM L"HOLDFAST_TEST_WSL"
#define TEST_SERVICE L"HOLDFAST_TEST_WSL_SERVICE"

bool platform_has_wsl(void)
{
    return true;
}

bool platform_wsl_is_of_another(void)
{
    char *test = win_environment(TEST_SERVICE);
    bool is_test = test != NULL;
    free(test);
    return is_test || platform_is_service();
}

char *platform_wsl_program(void)
{
    char *test = win_environment(TEST_PROGRAM);
    return test != NULL ? test : win_system_program("wsl.exe");
}
