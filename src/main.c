/* holdfast: dispatch only. */
#include "cli/cli.h"
#include "platform/platform.h"
#include "service/service.h"

int main(int argc, char **argv)
{
    platform_init();
    argv = uv_setup_args(argc, argv);
    int code = cli_main(argc, platform_arguments(argc, argv));
    if (service_left_work()) {
        platform_exit(code);
    }
    return code;
}
