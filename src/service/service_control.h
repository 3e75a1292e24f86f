/* The control channel of a process that keeps defined tunnels. Room-internal. */
#ifndef HOLDFAST_SERVICE_SERVICE_CONTROL_H
#define HOLDFAST_SERVICE_SERVICE_CONTROL_H

#include <uv.h>

#include "control/server.h"
#include "service/reloader.h"
#include "supervisor/supervisor.h"

struct service_control {
    struct supervisor *supervisor;
    struct reloader *reloader; /* NULL: no reload */
    struct control_server *server;
};

/* Opens it. Where that fails the log says what is lost, and the tunnels are kept all the same. */
void service_control_open(struct service_control *control, uv_loop_t *loop, struct supervisor *supervisor,
                          struct reloader *reloader);
/* Closes it, also one that is all zero; the loop has to run once more. */
void service_control_close(struct service_control *control);

#endif
