#include "control/protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/json_text.h"

static const char *const command_names[CONTROL_COMMANDS] = {
    [CONTROL_STATUS] = "status",   [CONTROL_START] = "start",   [CONTROL_STOP] = "stop",
    [CONTROL_RESTART] = "restart", [CONTROL_RELOAD] = "reload", [CONTROL_LOGS] = "logs",
};

const char *control_command_name(enum control_command command)
{
    return command_names[command];
}

/* ---- requests ---- */

static enum err take_version(const json_t *root, struct err_info *info)
{
    const json_t *version = json_object_get(root, "v");
    if (!json_is_integer(version))
        return err_set(info, ERR_USAGE, "'v', the version of the protocol, is missing; this is version %d",
                       CONTROL_VERSION);
    if (json_integer_value(version) != CONTROL_VERSION)
        return err_set(info, ERR_UNSUPPORTED,
                       "version %lld of the protocol is asked for, and this is version %d; use the "
                       "'holdfast' that the service runs",
                       (long long)json_integer_value(version), CONTROL_VERSION);
    return OK;
}

static enum err take_command(const json_t *root, enum control_command *out, struct err_info *info)
{
    const char *name = json_string_value(json_object_get(root, "command"));
    if (name == NULL)
        return err_set(info, ERR_USAGE, "'command' is missing, or no text");
    for (int i = 0; i < CONTROL_COMMANDS; i++) {
        if (strcmp(name, command_names[i]) == 0) {
            *out = (enum control_command)i;
            return OK;
        }
    }
    return err_set(info, ERR_UNSUPPORTED, "there is no command '%.64s'", name);
}

static enum err take_names(const json_t *root, struct control_request *out, struct err_info *info)
{
    const json_t *names = json_object_get(root, "names");
    if (names == NULL)
        return OK;
    if (!json_is_array(names))
        return err_set(info, ERR_USAGE, "'names' is not a list of names");
    out->names = calloc(json_array_size(names) + 1, sizeof *out->names);
    if (out->names == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (name == NULL)
            return err_set(info, ERR_USAGE, "'names' is not a list of names");
        out->names[i] = strdup(name);
        if (out->names[i] == NULL)
            return err_set(info, ERR_MEMORY, "out of memory");
        out->name_count++;
    }
    return OK;
}

static enum err take_follow(const json_t *root, bool *out, struct err_info *info)
{
    const json_t *follow = json_object_get(root, "follow");
    *out = json_is_true(follow);
    return follow == NULL || json_is_boolean(follow) ? OK : err_set(info, ERR_USAGE, "'follow' is not true or false");
}

static enum err check_names(const struct control_request *request, struct err_info *info)
{
    bool needs =
        request->command == CONTROL_START || request->command == CONTROL_STOP || request->command == CONTROL_RESTART;
    if (needs && request->name_count == 0)
        return err_set(info, ERR_USAGE, "%s: 'names' says which tunnels", command_names[request->command]);
    return OK;
}

enum err control_request_decode(const char *line, size_t len, struct control_request *out, struct err_info *info)
{
    json_error_t error;
    memset(out, 0, sizeof *out);
    json_t *root = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        return err_set(info, ERR_USAGE, "a request is one JSON object on one line: %.160s", error.text);
    enum err result = json_is_object(root) ? OK : err_set(info, ERR_USAGE, "a request is one JSON object on one line");
    if (result == OK)
        result = take_version(root, info);
    if (result == OK)
        result = take_command(root, &out->command, info);
    if (result == OK)
        result = take_names(root, out, info);
    if (result == OK)
        result = take_follow(root, &out->follow, info);
    if (result == OK)
        result = check_names(out, info);
    if (result != OK)
        control_request_deinit(out);
    json_decref(root);
    return result;
}

void control_request_deinit(struct control_request *request)
{
    for (size_t i = 0; i < request->name_count; i++)
        free(request->names[i]);
    free((void *)request->names);
    memset(request, 0, sizeof *request);
}

/* ---- making lines ---- */

/* Takes over `root`. */
static char *line_of(json_t *root)
{
    char *line = NULL;
    char *text = root != NULL ? json_dumps(root, JSON_COMPACT) : NULL;
    if (text != NULL) {
        size_t len = strlen(text);
        line = realloc(text, len + 2);
        if (line == NULL)
            free(text);
        else
            memcpy(line + len, "\n", 2);
    }
    json_decref(root);
    return line;
}

char *control_request_encode(const struct control_request *request)
{
    json_t *root = json_pack("{s:i, s:s}", "v", CONTROL_VERSION, "command", command_names[request->command]);
    if (root != NULL && request->name_count > 0) {
        json_t *names = json_array();
        for (size_t i = 0; i < request->name_count; i++)
            (void)json_array_append_new(names, json_of_text(request->names[i]));
        (void)json_object_set_new(root, "names", names);
    }
    if (root != NULL && request->follow)
        (void)json_object_set_new(root, "follow", json_true());
    return line_of(root);
}

char *control_reply_ok(const char *message)
{
    return line_of(json_pack("{s:i, s:b, s:o}", "v", CONTROL_VERSION, "ok", 1, "message", json_of_text(message)));
}

char *control_reply_error(const struct err_info *why)
{
    return line_of(json_pack("{s:i, s:b, s:{s:s, s:o}}", "v", CONTROL_VERSION, "ok", 0, "error", "code",
                             err_name(why->code), "message", json_of_text(why->message)));
}

char *control_reply_status(json_t *status)
{
    struct err_info why;
    char *line = line_of(json_pack("{s:i, s:b, s:o}", "v", CONTROL_VERSION, "ok", 1, "status", status));
    if (line == NULL || strlen(line) <= CONTROL_REPLY_CAP_BYTES)
        return line;
    (void)err_set(&why, ERR_BUSY, "the status takes %zu bytes, and a reply at most %d; ask for single tunnels by name",
                  strlen(line), CONTROL_REPLY_CAP_BYTES);
    free(line);
    return control_reply_error(&why);
}

char *control_reply_log(const char *json)
{
    size_t cap_bytes = strlen(json) + 32;
    char *line = malloc(cap_bytes);
    if (line != NULL)
        (void)snprintf(line, cap_bytes, "{\"v\":%d,\"log\":%s}\n", CONTROL_VERSION, json);
    return line;
}

char *control_reply_dropped(uint64_t count)
{
    return line_of(json_pack("{s:i, s:I}", "v", CONTROL_VERSION, "dropped", (json_int_t)count));
}

/* ---- replies ---- */

static enum err code_of(const char *name)
{
    for (int code = OK + 1; code <= ERR_INTERNAL; code++) {
        if (name != NULL && strcmp(name, err_name((enum err)code)) == 0)
            return (enum err)code;
    }
    return ERR_INTERNAL; /* one of a later version */
}

/* What the object says; false when it says nothing that we know. */
static bool sort_out(struct control_reply *reply)
{
    const json_t *ok = json_object_get(reply->body, "ok");
    const json_t *dropped = json_object_get(reply->body, "dropped");
    const json_t *error = json_object_get(reply->body, "error");
    const char *message = json_string_value(json_object_get(error, "message"));
    reply->status = json_object_get(reply->body, "status");
    reply->log = json_object_get(reply->body, "log");
    reply->message = json_string_value(json_object_get(reply->body, "message"));
    if (json_is_true(ok)) {
        reply->kind = CONTROL_REPLY_OK;
        return reply->status == NULL || json_is_object(reply->status);
    }
    if (json_is_false(ok)) {
        reply->kind = CONTROL_REPLY_ERROR;
        (void)err_set(&reply->error, code_of(json_string_value(json_object_get(error, "code"))), "%s",
                      message != NULL ? message : "the service gave no reason");
        return true;
    }
    reply->kind = dropped != NULL ? CONTROL_REPLY_DROPPED : CONTROL_REPLY_LOG;
    if (dropped != NULL)
        reply->dropped = (uint64_t)json_integer_value(dropped);
    return dropped != NULL ? json_is_integer(dropped) && json_integer_value(dropped) >= 0 : json_is_object(reply->log);
}

enum err control_reply_decode(const char *line, size_t len, struct control_reply *out, struct err_info *info)
{
    json_error_t error;
    memset(out, 0, sizeof *out);
    out->body = json_loadb(line, len, 0, &error);
    if (out->body == NULL)
        return err_set(info, ERR_PROTOCOL, "what the service answered is not JSON: %.160s", error.text);
    const json_t *version = json_object_get(out->body, "v");
    if (json_is_integer(version) && json_integer_value(version) == CONTROL_VERSION && sort_out(out))
        return OK;
    control_reply_deinit(out);
    return err_set(info, ERR_PROTOCOL,
                   "what the service answered is not of version %d of the protocol; use the "
                   "'holdfast' that the service runs",
                   CONTROL_VERSION);
}

void control_reply_deinit(struct control_reply *reply)
{
    json_decref(reply->body);
    memset(reply, 0, sizeof *reply);
}
