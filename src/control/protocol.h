/* The control protocol: one JSON object per line, ended by "\n", in UTF-8. Pure: bytes in, plain data out, and back.
 *
 * requests  {"v":1,"command":"status","names":["a"]}     names may be missing: all
 *           {"v":1,"command":"start","names":["a","b"]}  also stop, restart; at least one name
 *           {"v":1,"command":"reload"}
 *           {"v":1,"command":"logs","follow":true}       follow may be missing: what is remembered, no more
 * replies   {"v":1,"ok":true,"status":{...}}             docs/status.schema.json
 *           {"v":1,"ok":true,"message":"..."}
 *           {"v":1,"ok":false,"error":{"code":"usage","message":"..."}}
 *           {"v":1,"log":{"time":"...","level":"info","tunnel":"a","message":"..."}}   after logs, one per line
 *           {"v":1,"dropped":12}                         so many lines of the log went by while the client did not read
 *
 * A connection takes one request after the other, each answered before the next is read; logs with follow is the last
 * one of its connection. Keys that are not known are passed over. */
#ifndef HOLDFAST_CONTROL_PROTOCOL_H
#define HOLDFAST_CONTROL_PROTOCOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    CONTROL_VERSION = 1,
    CONTROL_REQUEST_CAP_BYTES = 64 * 1024,    /* of a line, its end included */
    CONTROL_REPLY_CAP_BYTES = 8 * 1024 * 1024 /* likewise */
};

enum control_command {
    CONTROL_STATUS = 0,
    CONTROL_START,
    CONTROL_STOP,
    CONTROL_RESTART,
    CONTROL_RELOAD,
    CONTROL_LOGS,
    CONTROL_COMMANDS /* how many there are */
};

struct control_request {
    enum control_command command;
    char **names;
    size_t name_count;
    bool follow;
};

enum control_reply_kind { CONTROL_REPLY_OK = 0, CONTROL_REPLY_ERROR, CONTROL_REPLY_LOG, CONTROL_REPLY_DROPPED };

struct control_reply {
    enum control_reply_kind kind;
    json_t *body;          /* the whole object */
    json_t *status;        /* within `body`; NULL: there is none */
    json_t *log;           /* likewise */
    const char *message;   /* likewise, of a success */
    struct err_info error; /* of CONTROL_REPLY_ERROR */
    uint64_t dropped;
};

/* Takes a request apart. `line` has no "\n". ERR_USAGE (or ERR_UNSUPPORTED for another version or an unknown command)
 * with a sentence that may be told to the client; then `out` is empty. */
enum err control_request_decode(const char *line, size_t len, struct control_request *out, struct err_info *info);
void control_request_deinit(struct control_request *request);
const char *control_command_name(enum control_command command);

/* Lines with their "\n", as heap strings; NULL when out of memory. */
char *control_request_encode(const struct control_request *request);
char *control_reply_ok(const char *message);
char *control_reply_error(const struct err_info *why);
/* Takes over `status`. One that does not fit a reply becomes an error that says so. */
char *control_reply_status(json_t *status);
/* `json`: the object of one line of the log. */
char *control_reply_log(const char *json);
char *control_reply_dropped(uint64_t count);

/* Takes a reply apart. ERR_PROTOCOL when it is none of this version. */
enum err control_reply_decode(const char *line, size_t len, struct control_reply *out, struct err_info *info);
void control_reply_deinit(struct control_reply *reply);

#endif
