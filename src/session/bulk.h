/* A stream that comes in fast is read in large portions: the system wakes the loop once much of it is there, not for
 * each segment. The wake-ups are the dearest part of a receiver's work after the cipher, and those of the sender's host
 * come on top when both ends are near.
 *
 * Safe against a stream that ends in the middle of a portion: what is there after BULK_TICK_MS without a read is read.
 */
#ifndef HOLDFAST_SESSION_BULK_H
#define HOLDFAST_SESSION_BULK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum {
    BULK_TICK_MS = 2,
    BULK_SPAN_MS = 8,                /* over so long a rate is taken */
    BULK_SPAN_BYTES = 1024 * 1024,   /* so much in one span is a bulk stream */
    BULK_PORTION_BYTES = 192 * 1024, /* what the loop is woken for then */
};

struct bulk {
    uv_timer_t timer;
    uv_tcp_t *tcp; /* NULL unless `on` */
    uint64_t since_ms, bytes;
    bool on;
    bool read_lately; /* since the last tick */
    void (*look)(void *arg);
    void *arg;
};

/* loop: borrowed. look(arg): called from the loop when a portion stayed incomplete; it has to look at the socket anew,
 * by stopping and starting to read. One handle, `timer`, whose data is the owner's, who closes it. */
void bulk_init(struct bulk *bulk, uv_loop_t *loop, void (*look)(void *arg), void *arg);
/* `len` bytes were read from tcp now. */
void bulk_received(struct bulk *bulk, uv_tcp_t *tcp, size_t len);
/* The socket is as it was before; to be called before tcp is closed. */
void bulk_stop(struct bulk *bulk);

#endif
