/* The run/ready/stop contract: one process that keeps tunnels until it is asked to stop. posix/: SIGTERM, SIGINT,
 * SIGHUP, sd_notify. win/: console events, or the Service Control Manager for a process that it has started. */
#ifndef HOLDFAST_SERVICE_SERVICE_H
#define HOLDFAST_SERVICE_SERVICE_H

#include <stdbool.h>

#include "supervisor/supervisor.h"

/* Where the tunnels of a process are defined. */
struct service_definitions {
    const char *const *paths; /* as config_load takes them; borrowed */
    size_t path_count;
    bool watch;               /* load them again whenever they change, until they say otherwise */
    uint64_t fingerprint;     /* config_fingerprint from before they were loaded */
    const char *metrics_file; /* where the status is written to, NULL: nowhere */
};

/* Runs the tunnels on a loop of its own until they are stopped (the first request: graceful, a second one: at once) or
 * until a one-line tunnel ended by itself. Returns the process's exit code (DESIGN section 5).
 * `definitions` says where `specs` come from, so that they can be loaded again; NULL for a command line. */
int service_run(const struct tunnel_spec *specs, size_t count, const struct supervisor_options *options,
                const struct service_definitions *definitions);

/* Whether service_run has left a worker thread behind, as it does with one that waits for a name server that is gone:
 * its request cannot be called back. The process has to end by _Exit(), as exit() would wait for the thread. */
bool service_left_work(void);

/* For a process that the system's service manager has started as its service `name`: connects to the manager and calls
 * `body`, which is to end in service_run and returns an exit code; meanwhile service_run listens to the manager and
 * tells it how far things are. Blocking, from the main thread; `body` may run in another. *out_code is what `body`
 * returned. ERR_USAGE when nobody but a person started this process, ERR_UNSUPPORTED on systems whose manager needs no
 * such connection. */
enum err service_host(const char *name, int (*body)(void *arg), void *arg, int *out_code, struct err_info *info);

/* Has the log go to the system's own where the service manager has given us that as standard error (systemd's journal,
 * with PRIORITY and HOLDFAST_TUNNEL as fields of their own). False: it is as log_open has it. A log with a file stays
 * in the file. */
bool service_log_begin(void);
void service_log_end(void);

#endif
