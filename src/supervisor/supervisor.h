/* Owns the tunnels of one process: starts them, stops them in order, tells when all is over. One loop thread. */
#ifndef HOLDFAST_SUPERVISOR_SUPERVISOR_H
#define HOLDFAST_SUPERVISOR_SUPERVISOR_H

#include <stdio.h>
#include <uv.h>

#include "base/err.h"
#include "tunnel/tunnel.h"

struct supervisor;

struct supervisor_options {
    FILE *up_lines;        /* where "holdfast: up: ..." lines go; NULL: nowhere */
    const char *state_dir; /* for the locks (one per tunnel name); NULL: the default place */
    uint64_t grace_ms;     /* how long channels may finish at a stop; 5000 */
};

/* Creates it with a copy of each spec. Takes the lock of each tunnel name (skipped for one-line tunnels): ERR_BUSY and
 * a sentence saying which process holds it otherwise. */
enum err supervisor_new(uv_loop_t *loop, const struct tunnel_spec *specs, size_t count,
                        const struct supervisor_options *options, struct supervisor **out, struct err_info *info);
/* Starts all tunnels. */
void supervisor_start(struct supervisor *supervisor);
/* The system woke up, or its network changed; see tunnel_wake. */
void supervisor_wake(struct supervisor *supervisor);
/* First call: graceful (grace_ms). Second call: at once. When all are stopped the supervisor closes its own handles, so
 * that uv_run returns. */
void supervisor_stop(struct supervisor *supervisor);
/* Its tunnels, in the order of their definitions, and when it was made: for the status. */
size_t supervisor_tunnel_count(const struct supervisor *supervisor);
const struct tunnel *supervisor_tunnel_at(const struct supervisor *supervisor, size_t index);
uint64_t supervisor_started_unix_ms(const struct supervisor *supervisor);
/* The process's exit code, valid after uv_run returned (DESIGN section 5). */
int supervisor_exit_code(const struct supervisor *supervisor);
/* After uv_run returned. */
void supervisor_free(struct supervisor *supervisor);

#endif
