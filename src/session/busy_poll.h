/* Busy polling: whether a session that has done all looks at its sockets again, for a moment, before it sleeps.
 * Room-internal.
 *
 * A short connection to a near peer is a chain of a dozen steps, in which one process waits for the next. To be put to
 * sleep and woken again costs about as much as such a step. So where one wait after another has been short, the next is
 * awaited awake, the processor being offered to whoever wants it. It is not so in bulk or in a crowd of connections, in
 * which there is nearly always something to do, and not on a longer path. */
#ifndef HOLDFAST_SESSION_BUSY_POLL_H
#define HOLDFAST_SESSION_BUSY_POLL_H

#include <stdbool.h>
#include <stdint.h>

struct busy_poll {
    unsigned score;    /* of the waits before */
    bool is_waiting;   /* since `since_us` */
    uint64_t since_us; /* in microseconds of the caller's clock */
    uint64_t bytes, packets;
};

/* There is something to do at `now_us`, in microseconds of a clock that never goes back. */
void busy_poll_end_wait(struct busy_poll *poll, uint64_t now_us);
/* All is done. `bytes` both ways and `packets` from the peer are counted since the session began. Returns whether to
 * look again, as long as busy_poll_goes_on says. */
bool busy_poll_begin_wait(struct busy_poll *poll, uint64_t now_us, uint64_t bytes, uint64_t packets);
bool busy_poll_goes_on(const struct busy_poll *poll, uint64_t now_us);

#endif
