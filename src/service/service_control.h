/* The control channel of a process that keeps defined tunnels. Room-internal. */
#ifndef HOLDFAST_SERVICE_SERVICE_CONTROL_H
#define HOLDFAST_SERVICE_SERVICE_CONTROL_H

#include <uv.h>

#include "control/server.h"
#include "supervisor/supervisor.h"

/* Opens it. Where that fails the log says what is lost, and NULL is returned: the tunnels are kept all the same. */
struct control_server *service_control_open(uv_loop_t *loop, struct supervisor *supervisor);

#endif
