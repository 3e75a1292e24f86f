/* The forwards of one tunnel: each is tried again by itself when it cannot be bound, and they are added and cancelled
 * while the session lives. Room-internal. */
#ifndef HOLDFAST_TUNNEL_SLOTS_H
#define HOLDFAST_TUNNEL_SLOTS_H

#include "tunnel/internal.h"

/* A forward, and when it is tried again after it could not be bound. */
struct forward_slot {
    struct forward *forward;
    struct backoff backoff;
    uint64_t retry_at_ms; /* 0: not waiting */
    bool is_told;         /* that its port is taken, once */
    bool is_added;        /* to a tunnel that runs: its coming up is logged by itself */
};

/* Makes the forwards of tunnel->spec. False: out of memory; those that were made stay until slots_free. */
bool slots_make(struct tunnel *tunnel);
/* Makes tunnel->reclaim, unless there is one. */
bool slots_make_reclaim(struct tunnel *tunnel);
/* Makes the forwards those of `wanted`: see tunnel_update. tunnel->spec is the old one still. */
enum err slots_update(struct tunnel *tunnel, const struct tunnel_spec *wanted);
/* Binds the listeners on our own side. */
void slots_bind_own_side(struct tunnel *tunnel);
/* tunnel->session is ready: held connections go on, and what is not bound is. */
void slots_session_up(struct tunnel *tunnel);
void slots_session_down(struct tunnel *tunnel);
/* Tries those that wait at once. */
void slots_retry_now(struct tunnel *tunnel);
/* Whether none is still asked for; then *failed is the first failure among them, if there is one: of those that are not
 * bound, or else of those that are and do not carry. */
bool slots_have_answered(const struct tunnel *tunnel, const struct err_info **failed);
/* Whether all that failed are ports that the peer has no more to give. */
bool slots_only_busy(const struct tunnel *tunnel);
/* The forward that an offered connection belongs to, or NULL. */
struct forward *slots_match(const struct tunnel *tunnel, const struct channel_offer *offer);
bool slots_have_connections(const struct tunnel *tunnel);
/* No new connections; then: none at all, and each tells on_stopped. */
void slots_drain(struct tunnel *tunnel);
void slots_stop(struct tunnel *tunnel);
/* After all have stopped, or before any was started. */
void slots_free(struct tunnel *tunnel);

#endif
