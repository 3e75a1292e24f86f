/* `holdfast firewall`: the inbound rule that a tunnel's own listeners need. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/common.h"
#include "config/text.h"
#include "platform/platform.h"

enum { PORTS_MAX = 200, RULE_BYTES = 128 };

struct firewall_words {
    const char *action, *name;
    const char **paths;
    size_t path_count;
};

static const struct tunnel_spec *find(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->tunnel_count; i++) {
        if (strcmp(config->tunnels[i].name, name) == 0) {
            return &config->tunnels[i];
        }
    }
    (void)cli_usage("firewall: the definitions have no tunnel '%s'; 'holdfast check' lists those they have", name);
    return NULL;
}

/* A listener of ours that other machines are to reach. */
static bool is_open_to_others(const struct forward_spec *forward)
{
    const char *host = forward->listen.host;
    if (forward->type != FORWARD_LOCAL || forward->listen.kind != ENDPOINT_TCP) {
        return false;
    }
    if (host == NULL) {
        return forward->gateway_ports;
    }
    return !text_equal_nocase(host, "localhost") && strcmp(host, "::1") != 0 && strncmp(host, "127.", 4) != 0;
}

static size_t ports_of(const struct tunnel_spec *tunnel, uint16_t *ports)
{
    size_t count = 0;
    for (size_t i = 0; i < tunnel->forward_count && count < PORTS_MAX; i++) {
        bool known = !is_open_to_others(&tunnel->forwards[i]);
        for (size_t j = 0; j < count && !known; j++) {
            known = ports[j] == tunnel->forwards[i].listen.port;
        }
        if (!known) {
            ports[count++] = tunnel->forwards[i].listen.port;
        }
    }
    return count;
}

static int answer(enum err result, const struct err_info *info)
{
    if (result == OK) {
        return CLI_OK;
    }
    (void)cli_usage("firewall: %s", info->message);
    return result == ERR_UNSUPPORTED ? CLI_USAGE : CLI_FAILED;
}

static int allow(const struct firewall_words *words, const char *rule)
{
    struct config config = {.tunnels = NULL};
    uint16_t ports[PORTS_MAX];
    struct err_info info;
    int code = cli_load(words->paths, words->path_count, &config);
    const struct tunnel_spec *tunnel = code == CLI_OK && words->name != NULL ? find(&config, words->name) : NULL;
    size_t count = tunnel == NULL ? 0 : ports_of(tunnel, ports);
    if (code == CLI_OK && tunnel == NULL) {
        code = CLI_USAGE;
    } else if (tunnel != NULL && count == 0) {
        (void)printf("%s: none is needed: no listener of it is open to other machines\n", words->name);
    } else if (tunnel != NULL) {
        code = answer(platform_firewall_allow(rule, ports, count, &info), &info);
        for (size_t i = 0; code == CLI_OK && i < count; i++) {
            (void)printf("%s: other machines may connect to port %u\n", words->name, (unsigned)ports[i]);
        }
    }
    config_deinit(&config);
    return code;
}

static int remove_rule(const struct firewall_words *words, const char *rule)
{
    struct err_info info;
    int code = answer(platform_firewall_remove(rule, &info), &info);
    if (code == CLI_OK) {
        (void)printf("%s: the rule '%s' is gone\n", words->name, rule);
    }
    return code;
}

/* Names of tunnels, as definitions have them: nothing in them means anything to the firewall's own command line. */
static bool is_name(const char *name)
{
    size_t len = strlen(name);
    bool good = len > 0 && len <= 64 && name[0] != '-' && name[0] != '.';
    for (size_t i = 0; good && i < len; i++) {
        unsigned char byte = (unsigned char)name[i];
        char lower = text_lower(name[i]);
        good = byte >= 0x80 || (byte >= '0' && byte <= '9') || (lower >= 'a' && lower <= 'z') ||
               strchr("._-", byte) != NULL;
    }
    return good;
}

/* -1: go on. */
static int take_all(int argc, char **argv, struct firewall_words *words)
{
    static const char *const names[] = {"help"};
    struct args args = {.argc = argc, .argv = argv};
    while (args_next(&args) != ARG_END) {
        bool flag = args.kind == ARG_FLAG;
        if ((flag && args.flag == 'h') || (args.kind == ARG_LONG && strcmp(args.text, "help") == 0)) {
            (void)fputs(help_text("firewall"), stdout);
            return CLI_OK;
        }
        if (flag && args.flag == 'c') {
            const char *value = args_value(&args);
            if (value == NULL || *value == '\0') {
                return cli_usage("-c needs a file or a folder");
            }
            words->paths[words->path_count++] = value;
        } else if (args.kind != ARG_OPERAND) {
            return cli_unknown(&args, "firewall", names, 1);
        } else if (words->action == NULL) {
            words->action = args.text;
        } else if (words->name == NULL) {
            words->name = args.text;
        } else {
            return cli_usage("firewall takes one tunnel, and '%s' is a second", args.text);
        }
    }
    if (words->action == NULL || (strcmp(words->action, "allow") != 0 && strcmp(words->action, "remove") != 0)) {
        return cli_usage("firewall: write holdfast firewall allow NAME, or holdfast firewall remove NAME");
    }
    if (words->name == NULL || !is_name(words->name)) {
        return cli_usage("firewall %s needs the name of a tunnel: holdfast firewall %s NAME", words->action,
                         words->action);
    }
    return -1;
}

int cmd_firewall(int argc, char **argv)
{
    char rule[RULE_BYTES];
    struct firewall_words words = {NULL, NULL, calloc((size_t)argc + 1, sizeof(const char *)), 0};
    if (words.paths == NULL) {
        (void)cli_usage("out of memory");
        return CLI_FAILED;
    }
    int code = take_all(argc, argv, &words);
    if (code < 0 && words.action != NULL) {
        (void)snprintf(rule, sizeof rule, "holdfast %s", words.name);
        code = strcmp(words.action, "allow") == 0 ? allow(&words, rule) : remove_rule(&words, rule);
    }
    free((void *)words.paths);
    return code;
}
