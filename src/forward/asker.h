/* The address of a target that moves: asked from a command when a connection comes, and kept while it answers. One per
 * forward; connections that come while the command runs share its answer. On the loop's thread. */
#ifndef HOLDFAST_FORWARD_ASKER_H
#define HOLDFAST_FORWARD_ASKER_H

#include <uv.h>

#include "base/list.h"
#include "forward/answer.h"
#include "forward/spec.h"

struct asker;

/* One who waits for the address; embedded in what waits. */
struct asker_wait {
    /* Exactly once after asker_start, never inside it. `answer` (with its port) lives during the call; NULL: `why`. */
    void (*on_answer)(void *arg, const struct answer *answer, const struct err_info *why);
    void *arg;
    struct list link; /* these two are the asker's */
    bool cancelled;
};

struct asker_options {
    const struct endpoint *to; /* of a kind that endpoint_moves; outlives the asker */
    const char *log_name;      /* likewise */
    uint64_t timeout_ms;       /* of the command; 0: 10 s */
    /* Everything has been closed, and the asker is gone: after asker_close, never inside it. */
    void (*on_closed)(void *arg);
    void *arg;
};

/* NULL when out of memory. */
struct asker *asker_new(uv_loop_t *loop, const struct asker_options *options);
/* The address that answered last, NULL when it has to be asked for. */
const struct answer *asker_known(const struct asker *asker);
/* Asks, or joins those who wait already. `wait` stays where it is until its answer. */
void asker_start(struct asker *asker, struct asker_wait *wait);
/* Waits no longer: its on_answer comes with ERR_CANCELLED. */
void asker_cancel(struct asker *asker, struct asker_wait *wait);
/* There was no connecting to this address: it is asked for anew, unless another one is known by now. */
void asker_forget(struct asker *asker, const struct answer *answer);
/* Logs which way the target is reached, when it is another one than last time. */
void asker_note(struct asker *asker, const char *host, uint16_t port, const char *how);
/* Ends a command that runs. All waits have been cancelled. */
void asker_close(struct asker *asker);

#endif
