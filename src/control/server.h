/* The service's end of the control channel (control/protocol.h): a local endpoint, bounded in clients, sizes and times,
 * so that none of them can hold up the tunnels. On the loop's thread. */
#ifndef HOLDFAST_CONTROL_SERVER_H
#define HOLDFAST_CONTROL_SERVER_H

#include <uv.h>

#include "base/err.h"
#include "supervisor/status.h"

enum {
    CONTROL_CLIENTS_MAX = 16,
    CONTROL_REQUEST_TIMEOUT_MS = 10000, /* for a whole request, from the connection or the last reply on */
    CONTROL_REPLY_TIMEOUT_MS = 10000,   /* for taking a reply */
    CONTROL_FOLLOW_TIMEOUT_MS = 60000,  /* likewise, while it follows the log */
    CONTROL_LOG_CAP_BYTES = 256 * 1024  /* of the log that is remembered */
};

/* What the commands do. Each is called on the loop and answers at once; `info` is for the client. One that is NULL is
 * refused as not in this version. */
struct control_handlers {
    enum err (*status)(void *arg, struct status *out);
    /* `name` is a tunnel of `status`. */
    enum err (*start)(void *arg, const char *name, struct err_info *info);
    enum err (*stop)(void *arg, const char *name, struct err_info *info);
    enum err (*restart)(void *arg, const char *name, struct err_info *info);
    /* With OK `info->message` may say what changed. */
    enum err (*reload)(void *arg, struct err_info *info);
    void *arg;
};

struct control_server;

/* Opens the endpoint `path` and remembers the log from now on. Its handles do not keep the loop running. */
enum err control_server_start(uv_loop_t *loop, const char *path, const struct control_handlers *handlers,
                              struct control_server **out, struct err_info *info);
/* Closes all; the loop has to run once more for the memory to go. `server` may be NULL. */
void control_server_stop(struct control_server *server);

#endif
