#include <stdio.h>

#include "cli/cli.h"

int cmd_trust(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    (void)fprintf(stderr, "holdfast: trust: not in this version\n");
    return CLI_USAGE;
}
