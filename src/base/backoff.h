/* When to try again (DESIGN section 7). Pure: time and chance are arguments. One per tunnel. */
#ifndef HOLDFAST_BASE_BACKOFF_H
#define HOLDFAST_BASE_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define BACKOFF_STABLE_MS 30000          /* a session that was up this long was a success: begin anew */
#define BACKOFF_AT_ONCE_INTERVAL_MS 2000 /* at most one attempt without a wait in any such time */
#define BACKOFF_AUTH_FIRST_MS 60000      /* sshd and fail2ban penalise a source that keeps failing */
#define BACKOFF_AUTH_MAX_MS 600000

struct backoff {
    uint64_t first_ms;
    uint64_t max_ms;
    unsigned failures;      /* waits since the last success */
    unsigned auth_failures; /* refusals since the last session that was up */
    bool went_at_once;      /* an attempt has gone out without a wait, ... */
    uint64_t at_once_at_ms; /* ... the last one at this time */
};

/* How the last attempt ended. */
struct backoff_outcome {
    enum err_class class_;
    bool was_up;        /* the session had been up, ... */
    uint64_t up_for_ms; /* ... for this long */
    uint64_t now_ms;    /* any clock that never goes back */
    double random01;    /* from 0 to below 1, evenly */
};

/* `first_ms` and `max_ms` as the definition has them; a maximum below the first is raised to it. */
void backoff_init(struct backoff *backoff, uint64_t first_ms, uint64_t max_ms);
/* How long to wait before the next attempt, in milliseconds; 0: go at once.
 * - After a session that was up: 0, but only once in BACKOFF_AT_ONCE_INTERVAL_MS, else as after a transient failure.
 * - Transient: evenly from [0, ceiling), where the ceiling doubles from first_ms to max_ms with each such wait.
 * - Authentication: from BACKOFF_AUTH_FIRST_MS, doubling to BACKOFF_AUTH_MAX_MS (or max_ms where that is more), and up
 * to a quarter more by chance.
 * - Trust and definition failures are not to be retried; asked all the same, the answer is as for a transient one. */
uint64_t backoff_next_ms(struct backoff *backoff, const struct backoff_outcome *outcome);
/* Forgets the failures: a person, a wake-up or a network change asks for a new beginning. */
void backoff_reset(struct backoff *backoff);

#endif
