#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "cli/cli.h"
#include "cli/common.h"
#include "cli/service_talk.h"
#include "cli/status_table.h"
#include "cli/status_watch.h"
#include "control/prometheus.h"

struct status_flags {
    bool json, prometheus, watch;
    struct control_request request;
};

static int take_long(struct args *args, struct status_flags *flags)
{
    static const char *const names[] = {"help", "json", "prometheus", "watch"};
    struct {
        const char *name;
        bool *flag;
    } const known[] = {{"json", &flags->json}, {"prometheus", &flags->prometheus}, {"watch", &flags->watch}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(args->text, known[i].name) != 0 || args_has_joined(args))
            continue;
        *known[i].flag = true;
        return flags->json + flags->prometheus + flags->watch > 1
                   ? cli_usage("status: --json, --prometheus and --watch are three ways to show it; name one")
                   : -1;
    }
    return cli_unknown(args, "status", names, sizeof names / sizeof names[0]);
}

/* -1 to go on, or an exit code. */
static int take_flags(int argc, char **argv, struct status_flags *flags)
{
    struct args args = {.argc = argc, .argv = argv};
    while (args_next(&args) != ARG_END) {
        int code = -1;
        if (cli_is_help(&args)) {
            (void)fputs(help_text("status"), stdout);
            return CLI_OK;
        }
        if (args.kind == ARG_OPERAND)
            flags->request.names[flags->request.name_count++] = args.argv[args.index];
        else if (args.kind == ARG_LONG)
            code = take_long(&args, flags);
        else
            code = cli_unknown(&args, "status", NULL, 0);
        if (code >= 0)
            return code;
    }
    return -1;
}

static int show_json(const json_t *status)
{
    char *text = json_dumps(status, JSON_INDENT(2));
    if (text == NULL)
        return CLI_FAILED;
    (void)printf("%s\n", text);
    free(text);
    return CLI_OK;
}

static int show_prometheus(const json_t *status)
{
    char *text = prometheus_text(status);
    if (text == NULL)
        return CLI_FAILED;
    (void)fputs(text, stdout);
    free(text);
    return CLI_OK;
}

static int show_table(const json_t *status)
{
    char *text = status_table(status, time_unix_ms());
    if (text == NULL)
        return CLI_FAILED;
    (void)fputs(text, stdout);
    free(text);
    return CLI_OK;
}

int cmd_status(int argc, char **argv)
{
    struct status_flags flags = {.request = {.command = CONTROL_STATUS}};
    struct control_client *client = NULL;
    struct control_reply reply = {.body = NULL};
    flags.request.names = calloc((size_t)argc + 1, sizeof *flags.request.names);
    if (flags.request.names == NULL)
        return CLI_FAILED;
    int code = take_flags(argc, argv, &flags);
    if (code >= 0)
        goto out;
    code = service_ask(&flags.request, &client, &reply);
    if (code != CLI_OK)
        goto out;
    if (flags.watch) {
        code = status_watch(client, &flags.request, reply.status);
        client = NULL;
        goto out;
    }
    code = flags.json         ? show_json(reply.status)
           : flags.prometheus ? show_prometheus(reply.status)
                              : show_table(reply.status);
    if (fflush(stdout) != 0 && code == CLI_OK)
        code = CLI_FAILED;
out:
    control_reply_deinit(&reply);
    control_client_close(client);
    free((void *)flags.request.names);
    return code;
}
