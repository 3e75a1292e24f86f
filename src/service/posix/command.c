#include "service/posix/command.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/program.h"

enum { TIMEOUT_MS = 120000, SAID_CAP_BYTES = 300 };

struct run {
    const char *name;
    char **output;
    enum err result;
    struct err_info *info;
};

/* The first line of what it said, where that says something. */
static const char *said(const struct program_result *result, char *out, size_t cap_bytes)
{
    const char *text = result->errors[0] != 0 ? result->errors : result->output;
    size_t len = strcspn(text, "\n");
    if (len >= cap_bytes)
        len = cap_bytes - 1;
    memcpy(out, text, len);
    out[len] = 0;
    return out;
}

static void on_done(void *arg, const struct program_result *result)
{
    struct run *run = arg;
    char text[SAID_CAP_BYTES];
    if (run->output != NULL)
        *run->output = strdup(result->output);
    if (result->code == ERR_IO)
        run->result = err_set(run->info, ERR_IO, "%s: %s", run->name, err_uv_text(result->uv_status));
    else if (result->code != OK)
        run->result = err_set(run->info, result->code, "%s does not end within two minutes", run->name);
    else if (result->signal != 0)
        run->result = err_set(run->info, ERR_IO, "%s was ended by signal %d", run->name, result->signal);
    else if (result->exit_status != 0)
        run->result = err_set(run->info, ERR_IO, "%s ended with code %d: %s", run->name, (int)result->exit_status,
                              said(result, text, sizeof text));
}

enum err command_run(const char *const *words, char **output, struct err_info *info)
{
    uv_loop_t loop;
    struct run run = {.name = words[0], .output = output, .result = OK, .info = info};
    const struct program_options options = {.words = words, .timeout_ms = TIMEOUT_MS};
    if (output != NULL)
        *output = NULL;
    int status = uv_loop_init(&loop);
    if (status != 0)
        return err_set(info, err_from_uv(status), "cannot make an event loop: %s", err_uv_text(status));
    if (program_start(&loop, &options, on_done, &run) == NULL)
        run.result = err_set(info, ERR_MEMORY, "out of memory");
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
    if (run.result == OK && output != NULL && *output == NULL)
        run.result = err_set(info, ERR_MEMORY, "out of memory");
    return run.result;
}

const char *command_find(const char *const *paths)
{
    while (paths[1] != NULL && access(paths[0], X_OK) != 0)
        paths++;
    return paths[0];
}
