#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "cli/cli.h"
#include "cli/common.h"
#include "cli/service_talk.h"
#include "control/status_read.h"

/* -1 to go on, or an exit code. */
static int take_flags(int argc, char **argv, struct control_request *request)
{
    static const char *const names[] = {"help", "follow"};
    struct args args = {.argc = argc, .argv = argv};
    while (args_next(&args) != ARG_END) {
        if (cli_is_help(&args)) {
            (void)fputs(help_text("logs"), stdout);
            return CLI_OK;
        }
        if (args.kind == ARG_OPERAND)
            request->names[request->name_count++] = args.argv[args.index];
        else if ((args.kind == ARG_FLAG && args.flag == 'f') ||
                 (args.kind == ARG_LONG && strcmp(args.text, "follow") == 0 && !args_has_joined(&args)))
            request->follow = true;
        else
            return cli_unknown(&args, "logs", names, sizeof names / sizeof names[0]);
    }
    return -1;
}

/* As the log itself has it. False when nobody reads it any more. */
static bool print_line(const json_t *log)
{
    struct text_buffer out = {.text = NULL};
    text_buffer_add_shown(&out, status_text_or(log, "time", "?"));
    text_buffer_format(&out, " %-5.7s ", status_text_or(log, "level", "?"));
    text_buffer_add_shown(&out, status_text_or(log, "tunnel", "holdfast"));
    text_buffer_add(&out, ": ");
    text_buffer_add_shown(&out, status_text_or(log, "message", ""));
    text_buffer_add(&out, "\n");
    char *line = text_buffer_take(&out);
    bool is_read = line != NULL && fputs(line, stdout) >= 0 && fflush(stdout) == 0;
    free(line);
    return is_read;
}

/* Prints what comes until the service has said that it was all. */
static int print_all(struct control_client *client, bool follow)
{
    for (;;) {
        struct control_reply reply = {.body = NULL};
        struct err_info why = {.code = OK};
        bool goes_on = true;
        enum err result = control_client_next(client, follow ? 0 : CONTROL_ANSWER_TIMEOUT_MS, &reply, &why);
        if (result == OK && reply.kind == CONTROL_REPLY_ERROR) {
            why = reply.error;
            result = why.code;
        }
        if (result == OK && reply.kind == CONTROL_REPLY_LOG)
            goes_on = print_line(reply.log);
        else if (result == OK && reply.kind == CONTROL_REPLY_DROPPED)
            (void)fprintf(stderr, "holdfast: %" PRIu64 " lines went by unseen\n", reply.dropped);
        else
            goes_on = false;
        control_reply_deinit(&reply);
        if (result != OK)
            return service_complain(&why);
        if (!goes_on)
            return CLI_OK;
    }
}

int cmd_logs(int argc, char **argv)
{
    struct control_request request = {.command = CONTROL_LOGS};
    struct control_client *client = NULL;
    struct err_info why = {.code = OK};
    request.names = calloc((size_t)argc + 1, sizeof *request.names);
    if (request.names == NULL)
        return CLI_FAILED;
    int code = take_flags(argc, argv, &request);
    if (code < 0) {
        enum err result = control_client_open(&client, &why);
        if (result == OK)
            result = control_client_send(client, &request, &why);
        code = result == OK ? print_all(client, request.follow) : service_complain(&why);
    }
    control_client_close(client);
    free((void *)request.names);
    return code;
}
