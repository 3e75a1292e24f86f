#include <stdio.h>
#include <uv.h>

#include "base_generated/version.h"
#include "cli/cli.h"
#include "config/yaml_tree.h"
#include "session/version.h"

int cmd_version(void)
{
    (void)printf("holdfast %s\n", HOLDFAST_VERSION);
    (void)printf("libssh2 %s", session_library_version());
    if (HOLDFAST_LIBSSH2_REVISION[0] != '\0') {
        (void)printf(" (%s)", HOLDFAST_LIBSSH2_REVISION);
    }
    if (HOLDFAST_LIBSSH2_PATCHES[0] != '\0') {
        (void)printf(", patches: %s", HOLDFAST_LIBSSH2_PATCHES);
    }
    (void)printf("\n%s\n", session_crypto_version());
    (void)printf("libuv %s\n", uv_version_string());
    (void)printf("libyaml %s\n", yaml_tree_library_version());
    return CLI_OK;
}
