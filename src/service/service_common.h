/* What the service of each system has in common: the loop and the supervisor on it. Room-internal. */
#ifndef HOLDFAST_SERVICE_SERVICE_COMMON_H
#define HOLDFAST_SERVICE_SERVICE_COMMON_H

#include <uv.h>

#include "service/reloader.h"
#include "service/service.h"
#include "supervisor/supervisor.h"

/* How one system tells us to stop, and wants to be told how we are. `arg` goes to each. */
struct service_hooks {
    /* Begins to listen for requests on `loop`, with handles that do not keep the loop running (uv_unref). 0 or a libuv
     * status. `reloader` is NULL where there is nothing to load again. */
    int (*listen)(void *arg, uv_loop_t *loop, struct supervisor *supervisor, struct reloader *reloader);
    /* The tunnels have been started, or a reload that on_reloading told of is over. May be NULL. */
    void (*on_ready)(void *arg);
    /* A reload begins. May be NULL. */
    void (*on_reloading)(void *arg);
    /* Closes what `listen` opened, as far as it got. */
    void (*unlisten)(void *arg);
    /* Tells why it ends before it began. NULL: to standard error, as a command does. */
    void (*on_error)(void *arg, const char *message);
    void *arg;
};

/* service_run of service.h with the hooks of one system. */
int service_run_with(const struct tunnel_spec *specs, size_t count, const struct supervisor_options *options,
                     const struct service_definitions *definitions, const struct service_hooks *hooks);
/* A request to stop: the first is graceful, the second at once. On the loop. */
void service_request_stop(struct supervisor *supervisor);

#endif
