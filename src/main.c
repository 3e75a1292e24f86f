/* holdfast: dispatch only. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "platform/platform.h"
#include "service/service.h"

int main(int argc, char **argv)
{
    platform_init();
    argv = uv_setup_args(argc, argv);
    int code = cli_main(argc, platform_arguments(argc, argv));
    if (service_left_work()) {
        (void)fflush(stdout);
        (void)fflush(stderr);
        _Exit(code);
    }
    return code;
}
