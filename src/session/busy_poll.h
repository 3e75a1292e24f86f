/* Busy polling: whether a session that has done all looks at its sockets again, for a moment, before it sleeps.
 * Room-internal.
 *
 * A short connection to a near peer is a chain of a dozen steps, in which one process waits for the next. To be put to
 * sleep and woken again costs about as much as such a step. So where questions and answers go back and forth, and one
 * wait after another has been short, the next is awaited awake: for 300 microseconds at most, the processor being
 * offered to whoever wants it. It is not so in bulk, however thinly it comes, nor in a crowd of connections, in which
 * there is nearly always something to do, nor on a longer path. */
#ifndef HOLDFAST_SESSION_BUSY_POLL_H
#define HOLDFAST_SESSION_BUSY_POLL_H

#include <stdbool.h>
#include <stdint.h>

/* What a session has moved since it began, and how many opens of ours have no answer. */
struct busy_poll_sums {
    uint64_t bytes_in, bytes_out, packets_in;
    unsigned opens_out;
};

/* All times are in microseconds of the caller's clock, which never goes back. All zero at first. */
struct busy_poll {
    unsigned score;               /* of the waits before */
    bool is_waiting;              /* since `since_us` */
    uint64_t since_us;            /* the last turn's end */
    uint64_t looked_us;           /* the last look at the sockets */
    struct busy_poll_sums sums;   /* at the last turn's end */
    uint64_t mean_bytes;          /* of a turn, both ways */
    unsigned since_in, since_out; /* turns since the last in which something came, or went out */
};

/* There is something to do at `now_us`. */
void busy_poll_end_wait(struct busy_poll *poll, uint64_t now_us);
/* All is done. Returns whether to look again, as long as busy_poll_goes_on says. */
bool busy_poll_begin_wait(struct busy_poll *poll, uint64_t now_us, const struct busy_poll_sums *sums);
bool busy_poll_goes_on(const struct busy_poll *poll, uint64_t now_us);
/* Whether to offer the processor before the next look: not where the last one found work for others of the same loop,
 * since who offers it may get it back late. */
bool busy_poll_may_yield(const struct busy_poll *poll, uint64_t now_us);
/* Right before each look. */
void busy_poll_look(struct busy_poll *poll, uint64_t now_us);

#endif
