/* The relay: the two copy loops of one channel, between any two streams. It holds no bytes itself: what one side does
 * not take stays at its source, which is frozen meanwhile, so that every buffer is bounded by the streams. */
#ifndef HOLDFAST_RELAY_RELAY_H
#define HOLDFAST_RELAY_RELAY_H

#include <stdint.h>
#include <uv.h>

#include "relay/half_close.h"
#include "relay/stream.h"

struct relay;

struct relay_result {
    uint64_t bytes_from_a, bytes_from_b;
    struct err_info why; /* OK: both directions ended in order; else what ended it */
};

/* `result` is the relay's; exactly once, after both streams are closed. The relay frees itself afterwards. */
typedef void relay_done_cb(void *arg, const struct relay_result *result);

/* Joins two streams that nobody else uses from now on, and starts them. `linger_ms`: how long a side may read nothing
 * of its last bytes once the other side is gone; then it is aborted. Returns NULL, with both streams untouched, when
 * out of memory. */
struct relay *relay_start(uv_loop_t *loop, struct stream *a, struct stream *b, uint64_t linger_ms, relay_done_cb *done,
                          void *arg);
/* Ends it now: both sides are aborted. Completes by `done`. */
void relay_cancel(struct relay *relay, const struct err_info *why);
/* Bytes carried so far. */
void relay_count(const struct relay *relay, uint64_t *from_a, uint64_t *from_b);

#endif
