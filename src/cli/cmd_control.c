/* start, stop, restart and reload: one request to the holdfast that runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/common.h"
#include "cli/service_talk.h"

/* -1 to go on, or an exit code. */
static int take_words(int argc, char **argv, struct control_request *request)
{
    static const char *const names[] = {"help"};
    struct args args = {.argc = argc, .argv = argv};
    while (args_next(&args) != ARG_END) {
        if (cli_is_help(&args)) {
            (void)fputs(help_text(argv[0]), stdout);
            return CLI_OK;
        }
        if (args.kind != ARG_OPERAND)
            return cli_unknown(&args, argv[0], names, sizeof names / sizeof names[0]);
        request->names[request->name_count++] = args.argv[args.index];
    }
    if (request->command == CONTROL_RELOAD && request->name_count > 0)
        return cli_usage("reload: '%s' is too much; all definitions are read again", request->names[0]);
    if (request->command != CONTROL_RELOAD && request->name_count == 0)
        return cli_usage("%s: name a tunnel; 'holdfast status' lists those there are", argv[0]);
    return -1;
}

static int control(int argc, char **argv, enum control_command command)
{
    struct control_request request = {.command = command};
    struct control_client *client = NULL;
    struct control_reply reply = {.body = NULL};
    request.names = calloc((size_t)argc + 1, sizeof *request.names);
    if (request.names == NULL)
        return CLI_FAILED;
    int code = take_words(argc, argv, &request);
    if (code < 0)
        code = service_ask(&request, &client, &reply);
    if (reply.body != NULL && reply.message != NULL)
        (void)printf("%s\n", reply.message);
    control_reply_deinit(&reply);
    control_client_close(client);
    free((void *)request.names);
    return code;
}

int cmd_start(int argc, char **argv)
{
    return control(argc, argv, CONTROL_START);
}

int cmd_stop(int argc, char **argv)
{
    return control(argc, argv, CONTROL_STOP);
}

int cmd_restart(int argc, char **argv)
{
    return control(argc, argv, CONTROL_RESTART);
}

int cmd_reload(int argc, char **argv)
{
    return control(argc, argv, CONTROL_RELOAD);
}
