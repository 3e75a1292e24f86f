/* One forward: its listener (here or on the peer) and its connections. All on the loop's thread. */
#ifndef HOLDFAST_FORWARD_FORWARD_H
#define HOLDFAST_FORWARD_FORWARD_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "forward/spec.h"
#include "session/session.h"

enum forward_state {
    FORWARD_IDLE = 0, /* nothing asked for: not started, or no session for a -R */
    FORWARD_BINDING,  /* asked for, no answer yet */
    FORWARD_UP,
    FORWARD_FAILED,   /* could not be bound; forward_bind tries again */
    FORWARD_DEGRADED, /* bound, and its probe fails */
    FORWARD_PORT_BUSY /* as FORWARD_FAILED, and it is known why: somebody else has the peer's port (forward_set_busy) */
};

struct forward;

struct forward_events {
    /* The state changed to FORWARD_UP, FORWARD_FAILED or FORWARD_DEGRADED, never to FORWARD_PORT_BUSY (forward_error
     * says why). */
    void (*on_change)(void *arg, struct forward *forward);
    /* Exactly once after forward_stop: no listener and no connection is left. */
    void (*on_stopped)(void *arg, struct forward *forward);
    /* A connection ended (for draining). */
    void (*on_connection_end)(void *arg, struct forward *forward);
    /* Its probes show that the session does not carry it, and a new listener does not mend that. May be NULL. */
    void (*on_broken)(void *arg, struct forward *forward, const struct err_info *why);
    void *arg;
};

struct forward_counts {
    uint64_t channels, channels_total;
    uint64_t bytes_in;  /* from the peer's side to ours */
    uint64_t bytes_out; /* from our side to the peer's */
};

/* It has a copy of `spec`. `connect_timeout_ms` is for -R targets. NULL: out of memory. */
struct forward *forward_new(uv_loop_t *loop, const struct forward_spec *spec, const char *log_name,
                            uint64_t connect_timeout_ms, const struct forward_events *events);
/* Binds what is not bound: a local listener at any time, a remote one only while there is a session. Completes by
 * on_change, never from inside. Does nothing when it is up or binding. */
void forward_bind(struct forward *forward);
/* The session is there: held connections go on. It stays valid until forward_session_down. */
void forward_session_up(struct forward *forward, struct session *session);
/* The session is gone: a remote forward is idle again, new local connections wait. */
void forward_session_down(struct forward *forward);
/* Whether a connection that the peer offers belongs to this forward: 0 no, 1 by its port alone, 2 by address and port.
 */
int forward_matches(const struct forward *forward, const struct channel_offer *offer);
/* Takes the offered channel: connects to the target, then accepts or rejects. */
void forward_take(struct forward *forward, struct channel *channel, const struct channel_offer *offer);
/* Takes no new connection; a remote listener is cancelled. Running connections go on, those that wait end: `why` says
 * for what, in the log. */
void forward_drain(struct forward *forward, const char *why);
/* Ends everything. Completes by on_stopped, never from inside. */
void forward_stop(struct forward *forward);
/* After on_stopped, or before anything was started. */
void forward_free(struct forward *forward);

/* "idle", "binding", "up", "failed", "degraded". */
const char *forward_state_name(enum forward_state state);
enum forward_state forward_get_state(const struct forward *forward);
const struct forward_spec *forward_get_spec(const struct forward *forward);
const struct err_info *forward_error(const struct forward *forward);
/* Of a forward in FORWARD_FAILED or FORWARD_PORT_BUSY: the port of the peer that it refused to listen on, or granted
 * without giving us its connections; 0 when it is not that. */
uint16_t forward_refused_port(const struct forward *forward);
/* Whether it is the latter: somebody else has that port, and forward_error says so. */
bool forward_port_is_elsewhere(const struct forward *forward);
/* That port is taken, `why` says by whom. The state changes without on_change. */
void forward_set_busy(struct forward *forward, const struct err_info *why);
/* The port it is bound to, 0 when none. */
uint16_t forward_bound_port(const struct forward *forward);
void forward_get_counts(const struct forward *forward, struct forward_counts *out);

#endif
