#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/common.h"
#include "config/text.h"

static void print_tunnel(const struct tunnel_spec *tunnel)
{
    const struct host_spec *host = &tunnel->host;
    const char *name = host->hostnames.items[0];
    bool ipv6 = false;
    for (const char *at = name; *at != '\0'; at++) {
        ipv6 = ipv6 || *at == ':';
    }
    (void)printf("%s: %s@%s%s%s", tunnel->name, host->user, ipv6 ? "[" : "", name, ipv6 ? "]" : "");
    if (host->port != 22) {
        (void)printf(":%u", (unsigned)host->port);
    }
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        char text[700];
        char shown[700];
        (void)forward_spec_text(&tunnel->forwards[i], 0, text, sizeof text);
        (void)printf("%s %s", i == 0 ? ":" : ",", text_shown(text, shown, sizeof shown));
    }
    (void)printf("\n");
}

int cmd_check(int argc, char **argv)
{
    struct config config = {.tunnels = NULL};
    const char **paths = NULL;
    size_t path_count = 0;
    size_t forwards = 0;
    int code = cli_take_definitions(argc, argv, NULL, &paths, &path_count);
    if (code < 0) {
        code = cli_load(paths, path_count, &config);
    } else {
        goto out;
    }
    for (size_t i = 0; i < config.tunnel_count; i++) {
        print_tunnel(&config.tunnels[i]);
        forwards += config.tunnels[i].forward_count;
    }
    if (code == CLI_OK) {
        (void)printf("valid: %zu tunnel%s, %zu forward%s\n", config.tunnel_count, config.tunnel_count == 1 ? "" : "s",
                     forwards, forwards == 1 ? "" : "s");
    }
out:
    config_deinit(&config);
    free((void *)paths);
    return code;
}
