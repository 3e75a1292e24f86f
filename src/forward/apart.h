/* The way back of a loop (loop.h): connections from the peer itself that come while a token may come are told apart
 * from it by what they say first. They wait for that 200 ms at most, or for as long as a slow path needs, and what a
 * client says is left where it is.
 *
 * A token that comes later than that, when its connection is with the target already, is still taken out of it: the
 * target has seen a connection that said nothing and ended. What cannot be caught, so that the target (or whoever has
 * the port instead of us) sees it:
 * - a token later than TOKEN_LIFE_MS after its loop was given up, or with TOKENS_MAX younger ones behind it;
 * - one that comes in pieces after the wait: no sshd makes pieces of the 16 bytes, but it may. Keeping back what begins
 *   as a token does would hold up one client in 256 that says a byte and waits;
 * - one that our own side sent in pieces, and that was given up before the last of them had left;
 * - one that does not come through this forward: the peer connects to an address and port, and if another session or
 *   program listens there, it has the 16 bytes.
 * Room-internal, on the loop's thread. */
#ifndef HOLDFAST_FORWARD_APART_H
#define HOLDFAST_FORWARD_APART_H

#include "forward/internal.h"
#include "forward/tokens.h"

enum {
    APART_MS = 200,
    APART_MAX_MS = 2000, /* where the path is so slow that the token cannot be back within APART_MS */
    APART_TICK_MS = 50   /* between two looks at those that wait */
};

/* Of a -R. */
struct tokens *apart_tokens(const struct forward *forward);
/* Whether the offered connection comes from the peer itself, so that it could be a loop's. Each one could where the
 * peer listens on a name, whose address is not known here. */
bool apart_may_be(const struct forward *forward, const struct channel_offer *offer);
/* Which tokens are awaited has changed: lets those go on that need not wait any more. */
void apart_look(struct forward *forward);

#endif
