/* The run/ready/stop contract: one process that keeps tunnels until it is asked to stop. posix/: SIGTERM, SIGINT,
 * SIGHUP, sd_notify. win/: console events (the Service Control Manager comes later). */
#ifndef HOLDFAST_SERVICE_SERVICE_H
#define HOLDFAST_SERVICE_SERVICE_H

#include "supervisor/supervisor.h"

/* Runs the tunnels in the foreground on a loop of its own until they are stopped (SIGTERM/SIGINT: graceful, a second
 * one: at once) or until a one-line tunnel ended by itself. Returns the process's exit code (DESIGN section 5). */
int service_run(const struct tunnel_spec *specs, size_t count, const struct supervisor_options *options);

#endif
