/* A loop through the peer back to us: the peer connects to its own listener of a -R, and 16 bytes that nobody else
 * knows come back with that connection. This is the way out; apart.h has the way back. A forward has one at a time.
 * Room-internal, on the loop's thread. */
#ifndef HOLDFAST_FORWARD_LOOP_H
#define HOLDFAST_FORWARD_LOOP_H

#include "forward/internal.h"
#include "forward/tokens.h"

enum loop_end {
    LOOP_CAME_BACK,
    LOOP_CLOSED,     /* who took the connection ended it */
    LOOP_REFUSED,    /* the peer could not connect to its listener */
    LOOP_PROHIBITED, /* the peer does not permit us to connect there, so that nothing can be found out */
    LOOP_GONE        /* the session went */
};

/* It has ended, and is freed: never from inside loop_begin. */
typedef void loop_ended_cb(void *arg, enum loop_end end, const char *reason);

/* How long it is waited for where nothing else is said. */
uint64_t loop_limit_ms(const struct forward *forward);
/* Has the peer connect to the listener of a bound -R and say the token. NULL: out of memory, or of channels. */
struct loop *loop_begin(struct forward *forward, loop_ended_cb *on_ended, void *arg);
/* It is given up: ends and frees it, without a call of on_ended. */
void loop_end(struct loop *loop);
/* Whether the peer has connected to its listener, so that the token was sent. */
bool loop_is_open(const struct loop *loop);
/* Whether its token may be back within a round trip. */
bool loop_is_on_its_way(const struct loop *loop);

/* ---- for apart.c ---- */
bool loop_has_token(const struct loop *loop, const struct token *token);
/* Its token came back: ends it. */
void loop_came_back(struct loop *loop);

#endif
