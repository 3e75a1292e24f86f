/* A probe through the peer back to us: the peer connects to its own listener of a -R, and 16 bytes that nobody else
 * knows come back with that connection. Connections from the peer itself that come meanwhile are told apart from it by
 * what they say first, and wait for that 200 ms at most, or for as long as a slow path needs. Room-internal, on the
 * loop's thread. */
#ifndef HOLDFAST_FORWARD_LOOP_H
#define HOLDFAST_FORWARD_LOOP_H

#include "forward/internal.h"

enum {
    LOOP_TOKEN_BYTES = 16,
    LOOP_APART_MS = 200,
    LOOP_APART_MAX_MS = 2000, /* where the path is so slow that the token cannot be back within LOOP_APART_MS */
    LOOP_TICK_MS = 50         /* between two calls of loop_release */
};

struct loop;

enum loop_end {
    LOOP_CLOSED,     /* the peer's listener did not take the connection, or ended it */
    LOOP_PROHIBITED, /* the peer does not permit us to connect there, so that nothing can be found out */
    LOOP_GONE        /* the session went */
};

/* It has ended without the token, and is freed: never from inside loop_begin. */
typedef void loop_ended_cb(void *arg, enum loop_end end, const char *reason);

/* Has the peer connect to the listener of a bound -R and say the token. NULL: out of memory, or of channels. */
struct loop *loop_begin(struct forward *forward, loop_ended_cb *on_ended, void *arg);
/* It came back, or it is given up: ends and frees it, without a call of on_ended. */
void loop_end(struct loop *loop);

/* Whether the offered connection comes from the peer itself, so that it could be the probe's. Each one could where the
 * peer listens on a name, whose address is not known here. */
bool loop_may_be(const struct forward *forward, const struct channel_offer *offer);
/* Accepts the connection's channel and waits for what it says first. The probe's own ends in probe_came_back; each
 * other one goes on in connection_told_apart. */
void loop_tell_apart(struct connection *connection, const struct loop *loop);
/* Lets the connections go on that have waited for `loop` long enough; all of them where it is NULL. True: some still
 * wait. */
bool loop_release(struct forward *forward, const struct loop *loop);

#endif
