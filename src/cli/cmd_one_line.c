/* One tunnel from flags, as with ssh. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/common.h"
#include "config/ssh_config.h"
#include "config/text.h"
#include "service/service.h"

struct one_line {
    struct args args;
    struct log_flags log;
    struct ssh_options options;
    const char *config_file; /* of -F */
    bool once;
    bool has_host;
};

/* Flags that are a word of ssh_config with the flag's value, or with a fixed one. */
static const struct {
    char flag;
    const char *word;
    const char *fixed; /* NULL: the flag takes a value */
} word_flags[] = {
    {'4', "AddressFamily", "inet"},
    {'6', "AddressFamily", "inet6"},
    {'C', "Compression", "yes"},
    {'g', "GatewayPorts", "yes"},
    {'b', "BindAddress", NULL},
    {'c', "Ciphers", NULL},
    {'m', "MACs", NULL},
    {'p', "Port", NULL},
    {'l', "User", NULL},
    {'i', "IdentityFile", NULL},
};

/* Flags that ask for what is always so: no shell, no terminal, no standard input, nothing forwarded but tunnels. */
static const char idle_flags[] = "NTnaxk2";

/* Flags of ssh that a tunnel keeper refuses, and why. */
static const struct {
    char flag;
    const char *reason;
} refused_flags[] = {
    {'f',
     "for the background there is 'holdfast service install', or until then any service manager with 'holdfast run'"},
    {'A', "no agent is forwarded, since no command runs on the peer"},
    {'B', "not in this version; -b ADDRESS binds to an address"},
    {'D', "not in this version"},
    {'G', "'-vv' shows what is used"},
    {'I', "keys on smartcards are not in this version; an ssh-agent can hold them"},
    {'J', "not in this version"},
    {'K', "GSSAPI is not in this version"},
    {'M', "sessions are not shared; one holdfast carries all its forwards over one session"},
    {'O', "sessions are not shared; end holdfast with SIGTERM or Ctrl-C"},
    {'P', "not in this version"},
    {'Q', "'holdfast --version' names the libraries"},
    {'S', "sessions are not shared; one holdfast carries all its forwards over one session"},
    {'W', "not in this version; -L does the same with a port"},
    {'X', "X11 is not forwarded"},
    {'Y', "X11 is not forwarded"},
    {'e', "there is no terminal session to escape from"},
    {'s', "no subsystem runs, only tunnels"},
    {'t', "no terminal is asked for, since no command runs on the peer"},
    {'w', "tunnel devices are not in this version; -L and -R forward ports"},
    {'y', "use -E FILE, or let the service manager take standard error"},
    {'1', "version 1 of the protocol is not spoken by anyone any more"},
};

static int complain(const char *of, const char *value, const struct err_info *info)
{
    return cli_usage("%s%s%s: %s", of, value == NULL ? "" : " ", value == NULL ? "" : value, info->message);
}

/* -1: go on; otherwise an exit code. */
static int take_word_flag(struct one_line *line, size_t which)
{
    struct err_info info;
    const char name[3] = {'-', word_flags[which].flag, '\0'};
    const char *value = word_flags[which].fixed;
    if (value == NULL) {
        value = args_value(&line->args);
    }
    if (value == NULL || *value == '\0') {
        return cli_usage("%s needs a value", name);
    }
    if (ssh_options_set(&line->options, word_flags[which].word, value, &info) != OK) {
        return complain(name, NULL, &info);
    }
    return -1;
}

static int take_forward(struct one_line *line, enum forward_type type, const char *name)
{
    struct err_info info;
    const char *value = args_value(&line->args);
    if (value == NULL || *value == '\0') {
        return cli_usage("%s needs a value", name);
    }
    if (ssh_options_add_forward(&line->options, type, value, &info) != OK) {
        return complain(name, info.code == ERR_UNSUPPORTED ? value : NULL, &info);
    }
    return -1;
}

static int take_flag(struct one_line *line)
{
    struct err_info info;
    const char *value = NULL;
    for (size_t i = 0; i < sizeof word_flags / sizeof word_flags[0]; i++) {
        if (line->args.flag == word_flags[i].flag) {
            return take_word_flag(line, i);
        }
    }
    for (size_t i = 0; i < sizeof refused_flags / sizeof refused_flags[0]; i++) {
        if (line->args.flag == refused_flags[i].flag) {
            return cli_usage("-%c: %s", line->args.flag, refused_flags[i].reason);
        }
    }
    if (strchr(idle_flags, line->args.flag) != NULL) {
        return -1;
    }
    switch (line->args.flag) {
    case 'L': return take_forward(line, FORWARD_LOCAL, "-L");
    case 'R': return take_forward(line, FORWARD_REMOTE, "-R");
    case 'F':
        line->config_file = args_value(&line->args);
        return line->config_file == NULL ? cli_usage("-F needs a file") : -1;
    case 'o':
        value = args_value(&line->args);
        if (value == NULL) {
            return cli_usage("-o needs Option=value");
        }
        return ssh_options_set_line(&line->options, value, &info) == OK ? -1 : complain("-o", NULL, &info);
    case 'V': return cmd_version();
    case 'h': (void)fputs(help_text(NULL), stdout); return CLI_OK;
    default: return cli_unknown(&line->args, NULL, NULL, 0);
    }
}

static int take_long(struct one_line *line)
{
    static const char *const names[] = {"once", "version", "help", "log-level", "log-format", "log-file"};
    const char *name = line->args.text;
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(name, names[i]) == 0 && args_has_joined(&line->args)) {
            return cli_usage("--%s takes no value", name);
        }
    }
    if (strcmp(name, "once") == 0) {
        line->once = true;
        return -1;
    }
    if (strcmp(name, "version") == 0) {
        return cmd_version();
    }
    if (strcmp(name, "help") == 0) {
        (void)fputs(help_text(NULL), stdout);
        return CLI_OK;
    }
    return cli_unknown(&line->args, NULL, names, sizeof names / sizeof names[0]);
}

static int take_operand(struct one_line *line)
{
    struct err_info info;
    if (line->has_host) {
        return cli_usage("'%s': holdfast runs no command on the peer; use ssh for that", line->args.text);
    }
    line->has_host = true;
    if (ssh_options_set_destination(&line->options, line->args.text, &info) != OK) {
        return cli_usage("%s", info.message);
    }
    return -1;
}

static int take_all(struct one_line *line)
{
    while (args_next(&line->args) != ARG_END) {
        int code = log_flags_take(&line->log, &line->args);
        if (code != 0) {
            code = code < 0 ? CLI_USAGE : -1;
        } else if (line->args.kind == ARG_FLAG) {
            code = take_flag(line);
        } else if (line->args.kind == ARG_LONG) {
            code = take_long(line);
        } else {
            code = take_operand(line);
        }
        if (code >= 0) {
            return code;
        }
    }
    return line->has_host ? -1 : cli_usage("a host is missing; see 'holdfast help'");
}

static int start(struct one_line *line, struct tunnel_spec *tunnel)
{
    int code = log_flags_open(&line->log, LOG_LEVEL_WARNING);
    if (code != CLI_OK) {
        return code;
    }
    for (size_t i = 0; i < line->options.warnings.count; i++) {
        log_warning(NULL, "%s", line->options.warnings.items[i]);
    }
    const struct supervisor_options options = {
        .up_lines = line->log.quiet ? NULL : stderr, .state_dir = NULL, .grace_ms = 5000};
    code = service_run(tunnel, 1, &options, NULL);
    log_close();
    return code;
}

int cmd_one_line(int argc, char **argv)
{
    struct one_line line;
    struct tunnel_spec tunnel;
    struct err_info info = {.code = OK};
    memset(&line, 0, sizeof line);
    memset(&tunnel, 0, sizeof tunnel);
    line.args = (struct args){.argc = argc, .argv = argv};
    ssh_options_init(&line.options);
    int code = take_all(&line);
    if (code >= 0) {
        goto out;
    }
    enum err result = ssh_config_read_default(&line.options, line.config_file, &info);
    if (result == OK) {
        result = ssh_options_complete(&line.options, &tunnel, &info);
    }
    if (result != OK) {
        code = cli_usage("%s", info.message);
        goto out;
    }
    /* Nothing to carry, and the first word is nearly a command: a slip, and no host to try for ever. */
    const char *nearest = tunnel.forward_count == 0 && argv[1][0] != '-' ? cli_nearest_command(argv[1]) : NULL;
    if (nearest != NULL) {
        code = cli_usage("there is no command '%s'; did you mean '%s'? For a host of that name: holdfast -N %s",
                         argv[1], nearest, argv[1]);
        goto out;
    }
    tunnel.once = line.once;
    code = start(&line, &tunnel);
out:
    tunnel_spec_deinit(&tunnel);
    ssh_options_deinit(&line.options);
    return code;
}
