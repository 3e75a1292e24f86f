/* Owns the tunnels of one process: starts them, stops them in order, tells when all is over. One loop thread. */
#ifndef HOLDFAST_SUPERVISOR_SUPERVISOR_H
#define HOLDFAST_SUPERVISOR_SUPERVISOR_H

#include <stdbool.h>
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
/* What a reload did, in tunnels. */
struct supervisor_summary {
    size_t unchanged;
    size_t updated;   /* changed without touching their session */
    size_t restarted; /* changed by ending their session */
    size_t added, removed;
    size_t retried; /* of those above, the ones that had failed and are tried again */
};

/* Makes the tunnels those of `specs` (borrowed; a whole new set). All that can fail is done before anything moves:
 * locks of new names (ERR_BUSY when another process has one), memory. Then
 * - a tunnel whose definition is the same is left alone; one that has failed is tried again;
 * - forwards alone, backoff and the like change on the live session (tunnel_update);
 * - any other change ends its session as `restart` does; connections may finish for grace_ms;
 * - a name that is gone is stopped in the same way and then given up with its lock; a new name is started.
 * A tunnel that was stopped by hand takes over its new definition and stays stopped. `summary` may be NULL.
 * ERR_UNSUPPORTED for tunnels of a command line, ERR_CANCELLED while stopping. */
enum err supervisor_reload(struct supervisor *supervisor, const struct tunnel_spec *specs, size_t count,
                           struct supervisor_summary *summary, struct err_info *info);
/* "nothing changed", or "2 changed, 1 restarted, 1 added, 3 removed; 10 unchanged". Returns `out`. */
const char *supervisor_summary_text(const struct supervisor_summary *summary, char *out, size_t cap_bytes);

/* For a person, by the name of a tunnel. They return before it is done. Unknown names are ERR_USAGE with a sentence;
 * ERR_CANCELLED while stopping.
 * start: one that was stopped runs again; one that has failed tries again; one that runs is left alone.
 * stop: connections may finish for grace_ms; a second call ends them at once. It stays stopped, also over a reload.
 * restart: stop and start; also of one that is stopped or has failed. */
enum err supervisor_tunnel_start(struct supervisor *supervisor, const char *name, struct err_info *info);
enum err supervisor_tunnel_stop(struct supervisor *supervisor, const char *name, struct err_info *info);
enum err supervisor_tunnel_restart(struct supervisor *supervisor, const char *name, struct err_info *info);

/* The system woke up, or its network changed; see tunnel_wake. */
void supervisor_wake(struct supervisor *supervisor);
/* First call: graceful (grace_ms). Second call: at once. When all are stopped the supervisor closes its own handles, so
 * that uv_run returns. */
void supervisor_stop(struct supervisor *supervisor);
/* `on_over` is called once, from inside the supervisor, when all tunnels have ended for good and its own handles with
 * them; at once when that is so already. What may still run are requests that nobody waits for, such as the lookup of a
 * name: those cannot be called back. One at a time. */
void supervisor_tell_over(struct supervisor *supervisor, void (*on_over)(void *arg), void *arg);
/* It has been asked to stop. */
bool supervisor_is_stopping(const struct supervisor *supervisor);
/* Who wants to hear of changes; embedded in whatever that is. */
struct supervisor_watcher {
    void (*on_change)(void *arg);
    void *arg;
    struct supervisor_watcher *next; /* the supervisor's */
};
/* `on_change` is called after each change of a tunnel's state and at a reload, from inside the supervisor: it only
 * makes a note. Until supervisor_unwatch, which a watcher that is none of its supervisor's may call too. */
void supervisor_watch(struct supervisor *supervisor, struct supervisor_watcher *watcher);
void supervisor_unwatch(struct supervisor *supervisor, const struct supervisor_watcher *watcher);
/* Its tunnels, in the order of their definitions, then those that a reload removed and that have not ended yet; and
 * when it was made: for the status. */
size_t supervisor_tunnel_count(const struct supervisor *supervisor);
const struct tunnel *supervisor_tunnel_at(const struct supervisor *supervisor, size_t index);
uint64_t supervisor_started_unix_ms(const struct supervisor *supervisor);
/* The process's exit code, valid after uv_run returned (DESIGN section 5). */
int supervisor_exit_code(const struct supervisor *supervisor);
/* After uv_run returned. */
void supervisor_free(struct supervisor *supervisor);

#endif
