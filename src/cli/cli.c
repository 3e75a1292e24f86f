#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "cli/common.h"
#include "config/text.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"run", cmd_run},         {"status", cmd_status},     {"logs", cmd_logs},     {"start", cmd_start},
    {"stop", cmd_stop},       {"restart", cmd_restart},   {"reload", cmd_reload}, {"check", cmd_check},
    {"doctor", cmd_doctor},   {"trust", cmd_trust},       {"keygen", cmd_keygen}, {"secret", cmd_secret},
    {"service", cmd_service}, {"firewall", cmd_firewall}, {"help", cmd_help},
};

const char *cli_nearest_command(const char *word)
{
    const char *names[sizeof commands / sizeof commands[0]];
    size_t count = 0;
    if (strcmp(word, "version") == 0) {
        return "--version";
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        names[count++] = commands[i].name;
    }
    return text_nearest(word, names, count);
}

int cli_main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fputs(help_text(NULL), stderr);
        return CLI_USAGE;
    }
    const char *word = argv[1];
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(word, commands[i].name) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    return cmd_one_line(argc, argv);
}
