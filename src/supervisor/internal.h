/* Shared by supervisor.c (the life of the process's tunnels), kept.c (one of them) and reload.c (changing what is
 * wanted). Room-internal.
 *
 * What is wanted of a tunnel is is_wanted, is_held and `next`; what it is, is `tunnel` and is_running. kept_settle
 * makes the one the other, whenever either has changed. */
#ifndef HOLDFAST_SUPERVISOR_INTERNAL_H
#define HOLDFAST_SUPERVISOR_INTERNAL_H

#include <stdbool.h>

#include "platform/platform.h"
#include "supervisor/supervisor.h"

/* One tunnel that is kept. */
struct kept {
    struct supervisor *supervisor;
    struct tunnel *tunnel;
    struct tunnel *next;        /* what takes its place once it has stopped; NULL: it stays */
    struct platform_lock *lock; /* NULL for a one-line tunnel */
    uint16_t *allocated_ports;  /* per forward: the port last told of, for -R with port 0 */
    size_t allocated_count;
    struct err_info end_why; /* why it is to end by itself; OK while it is not */
    bool is_wanted;          /* the definitions have it */
    bool is_held;            /* stopped by hand: it stays so until it is started by hand */
    bool is_running;         /* from its start until it has stopped */
    bool is_stopping;
};

struct supervisor {
    uv_loop_t *loop;
    /* Holds the loop while all tunnels wait for nothing but a person, and carries out what a tunnel's callback asked
     * for, since a tunnel is neither stopped nor freed from inside its own callback. */
    uv_async_t wake;
    FILE *up_lines;
    uint64_t started_unix_ms;
    uint64_t grace_ms;
    char *state_dir;
    struct kept **kept; /* those that are wanted in the order of their definitions, then those that are going */
    size_t count;
    size_t running;
    bool has_started;
    bool was_asked_to_stop;
    int exit_code;
    struct supervisor_watcher *watchers; /* newest first */
    void (*on_over)(void *arg);
    void *on_over_arg;
};

/* Makes the tunnel of one spec, with the lock of its name, and starts nothing. *out is NULL on failure. */
enum err kept_new(struct supervisor *supervisor, const struct tunnel_spec *spec, struct kept **out,
                  struct err_info *info);
/* A tunnel like the ones of kept_new for `kept`, to be its `next`. NULL when out of memory. */
struct tunnel *kept_tunnel_new(struct kept *kept, const struct tunnel_spec *spec);
/* It does not run. */
void kept_free(struct kept *kept);
/* What is wanted of it, also when it is something else still. */
const struct tunnel_spec *kept_spec(const struct kept *kept);
/* Stops it if it runs; kept_settle follows when it has stopped. */
void kept_stop(struct kept *kept, uint64_t grace_ms);
/* Makes it what is wanted, as far as that can be done now. Not from inside a callback of its tunnel. */
void kept_settle(struct kept *kept);

/* ---- the callbacks of a tunnel, in supervisor.c ---- */
void supervisor_on_state(void *arg, struct tunnel *tunnel, enum tunnel_state state, const struct err_info *why);
void supervisor_on_up(void *arg, struct tunnel *tunnel);
void supervisor_on_stopped(void *arg, struct tunnel *tunnel);

#endif
