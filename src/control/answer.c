#include "control/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/log.h"
#include "control/json_text.h"
#include "control/status_json.h"

/* ---- names ---- */

static bool has_tunnel(const struct status *status, const char *name)
{
    for (size_t i = 0; i < status->tunnel_count; i++) {
        if (strcmp(status->tunnels[i].name, name) == 0)
            return true;
    }
    return false;
}

/* "a, b and 3 more", as many as fit. */
static void list_tunnels(const struct status *status, char *out, size_t cap_bytes)
{
    size_t len = 0;
    out[0] = 0;
    for (size_t i = 0; i < status->tunnel_count; i++) {
        const char *name = status->tunnels[i].name;
        if (len + strlen(name) + 32 > cap_bytes) {
            (void)snprintf(out + len, cap_bytes - len, " and %zu more", status->tunnel_count - i);
            return;
        }
        len += (size_t)snprintf(out + len, cap_bytes - len, "%s%s", i > 0 ? ", " : "", name);
    }
}

static enum err check_names(const struct status *status, const struct control_request *request, struct err_info *info)
{
    char known[320];
    for (size_t i = 0; i < request->name_count; i++) {
        if (has_tunnel(status, request->names[i]))
            continue;
        if (status->tunnel_count == 0)
            return err_set(info, ERR_USAGE, "there is no tunnel '%.100s'; there is none at all", request->names[i]);
        list_tunnels(status, known, sizeof known);
        return err_set(info, ERR_USAGE, "there is no tunnel '%.100s'; there %s %s", request->names[i],
                       status->tunnel_count == 1 ? "is" : "are", known);
    }
    return OK;
}

enum err control_check_names(const struct control_handlers *handlers, const struct control_request *request,
                             struct err_info *info)
{
    struct status status;
    if (request->name_count == 0)
        return OK;
    if (handlers->status(handlers->arg, &status) != OK)
        return err_set(info, ERR_MEMORY, "out of memory");
    enum err result = check_names(&status, request, info);
    status_deinit(&status);
    return result;
}

/* ---- commands ---- */

static char *answer_status(const struct control_handlers *handlers, const struct control_request *request)
{
    struct status status;
    struct err_info why;
    char *line = NULL;
    if (handlers->status(handlers->arg, &status) != OK)
        return NULL;
    if (check_names(&status, request, &why) != OK) {
        line = control_reply_error(&why);
    } else {
        json_t *json = status_to_json(&status, request->names, request->name_count);
        line = json != NULL ? control_reply_status(json) : NULL;
    }
    status_deinit(&status);
    return line;
}

/* The same for each of several tunnels; what came before a failure stays done, and is said. */
static char *answer_tunnels(const struct control_handlers *handlers, const struct control_request *request,
                            enum err (*act)(void *arg, const char *name, struct err_info *info), const char *doing)
{
    struct err_info why;
    char message[256];
    if (control_check_names(handlers, request, &why) != OK)
        return control_reply_error(&why);
    for (size_t i = 0; i < request->name_count; i++) {
        struct err_info failure = {.code = OK};
        enum err result = act(handlers->arg, request->names[i], &failure);
        if (result == OK)
            continue;
        (void)err_set(&why, result, "tunnel '%.100s': %s%s", request->names[i], failure.message,
                      i > 0 ? " (those named before it are done)" : "");
        return control_reply_error(&why);
    }
    (void)snprintf(message, sizeof message, "%s %zu tunnel%s", doing, request->name_count,
                   request->name_count == 1 ? "" : "s");
    return control_reply_ok(message);
}

static char *answer_reload(const struct control_handlers *handlers)
{
    struct err_info info = {.code = OK};
    enum err result = handlers->reload(handlers->arg, &info);
    info.code = result;
    if (result != OK)
        return control_reply_error(&info);
    return control_reply_ok(info.message[0] != 0 ? info.message : "reloaded");
}

static bool has_handler(const struct control_handlers *handlers, enum control_command command)
{
    switch (command) {
    case CONTROL_STATUS: return handlers->status != NULL;
    case CONTROL_START: return handlers->start != NULL;
    case CONTROL_STOP: return handlers->stop != NULL;
    case CONTROL_RESTART: return handlers->restart != NULL;
    case CONTROL_RELOAD: return handlers->reload != NULL;
    case CONTROL_LOGS:
    case CONTROL_COMMANDS: break;
    }
    return false;
}

char *control_answer(const struct control_handlers *handlers, const struct control_request *request)
{
    struct err_info why;
    if (!has_handler(handlers, request->command)) {
        (void)err_set(&why, ERR_UNSUPPORTED, "%s: not in this version", control_command_name(request->command));
        return control_reply_error(&why);
    }
    switch (request->command) {
    case CONTROL_STATUS: return answer_status(handlers, request);
    case CONTROL_START: return answer_tunnels(handlers, request, handlers->start, "starting");
    case CONTROL_STOP: return answer_tunnels(handlers, request, handlers->stop, "stopping");
    case CONTROL_RESTART: return answer_tunnels(handlers, request, handlers->restart, "restarting");
    case CONTROL_RELOAD: return answer_reload(handlers);
    case CONTROL_LOGS:
    case CONTROL_COMMANDS: break;
    }
    return NULL;
}

char *control_answer_log(const struct log_ring_line *line)
{
    char time[32];
    char *reply = NULL;
    json_t *json = json_pack("{s:s, s:s, s:o, s:o}", "time", time_text(line->unix_ms, time, sizeof time), "level",
                             log_level_name(line->level), "tunnel", json_of_text(line->tunnel), "message",
                             json_of_text(line->message));
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    if (text != NULL)
        reply = control_reply_log(text);
    free(text);
    json_decref(json);
    return reply;
}
