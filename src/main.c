/* holdfast: dispatch only. */
#include "cli/cli.h"
#include "platform/platform.h"

int main(int argc, char **argv)
{
    platform_init();
    argv = uv_setup_args(argc, argv);
    return cli_main(argc, platform_arguments(argc, argv));
}
