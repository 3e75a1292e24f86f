/* One tunnel: one SSH session to one host, its forwards, and the state machine that brings them back (DESIGN section
 * 7). All calls on the loop's thread. */
#ifndef HOLDFAST_TUNNEL_TUNNEL_H
#define HOLDFAST_TUNNEL_TUNNEL_H

#include <uv.h>

#include "base/err.h"
#include "forward/forward.h"
#include "session/session.h"
#include "tunnel/spec.h"

enum tunnel_state {
    TUNNEL_STOPPED = 0,
    TUNNEL_RESOLVING,
    TUNNEL_CONNECTING,
    TUNNEL_HANDSHAKING,
    TUNNEL_AUTHENTICATING,
    TUNNEL_BINDING,
    TUNNEL_UP,
    TUNNEL_DEGRADED,
    TUNNEL_WAITING,
    TUNNEL_FAILED,
    TUNNEL_PORT_BUSY /* as degraded, and all that is wrong is that ports of the peer are taken */
};

struct tunnel;

/* The facts of a tunnel for the status. What is pointed to is the tunnel's, valid until the loop goes on. */
struct tunnel_facts {
    enum tunnel_state state;
    uint64_t since_unix_ms; /* of the state */
    uint64_t attempts;      /* begun since it was made */
    uint64_t reconnects;    /* sessions that were up after the first one */
    int64_t next_retry_ms;  /* until the next attempt of the tunnel or of one of its forwards; -1: none waits */
    const struct err_info *last_error; /* NULL: none yet */
    uint64_t last_error_unix_ms;
    bool has_peer; /* there is a connection, and `session` is about it */
    struct session_facts session;
    uint64_t bytes_in, bytes_out; /* on the wire to the peer, over all sessions */
};
struct tunnel_events {
    /* After each change of state (already logged). `why` is NULL where nothing failed. */
    void (*on_state)(void *arg, struct tunnel *tunnel, enum tunnel_state state, const struct err_info *why);
    /* All forwards of this attempt are up, for the `up:` lines; called at each entry of TUNNEL_UP. */
    void (*on_up)(void *arg, struct tunnel *tunnel);
    /* Exactly once after tunnel_stop: the tunnel holds no handle any more and may be freed. */
    void (*on_stopped)(void *arg, struct tunnel *tunnel);
    void *arg;
};

/* Creates a stopped tunnel with its own copy of `spec`. Returns NULL when out of memory. */
struct tunnel *tunnel_new(uv_loop_t *loop, const struct tunnel_spec *spec, const struct tunnel_events *events);
/* Where the tunnel remembers which processes of the peer served it, so that one left over can be ended there when it
 * still holds our port (`reclaim`); without it that is remembered as long as the tunnel lives. Before tunnel_start, and
 * only for whom the lock of this tunnel's name is held. ERR_MEMORY. */
enum err tunnel_keep_record(struct tunnel *tunnel, const char *path);
/* Binds the -L listeners and begins connecting. Completes by on_state. */
void tunnel_start(struct tunnel *tunnel);
/* Stops: accepts nothing new, cancels remote forwards, lets channels finish for up to `grace_ms`, disconnects, then
 * on_stopped. A second call with a shorter grace shortens it; 0 ends at once. */
void tunnel_stop(struct tunnel *tunnel, uint64_t grace_ms);
/* The system woke up, or its network changed: a tunnel that waits tries at once, unless it waits because the peer
 * refused to let it in; one with a session asks the peer whether it is still there, and tries the forwards again that
 * could not be bound. A session that is being made has 3 s from then on, but not again within a minute. */
void tunnel_wake(struct tunnel *tunnel);
/* A tunnel that has failed tries again, as if it had just been started. Others: nothing. */
void tunnel_retry(struct tunnel *tunnel);
/* Takes over a definition that differs by no TUNNEL_DIFF_SESSION from the one it has. Forwards that are the same stay
 * as they are with all their connections. Those that are wanted no more are cancelled: nothing new is accepted, and
 * their connections go on until they end, as with ssh's ~C -KL and -KR. New ones are bound from the loop, so that what
 * other tunnels let go of in the same turn is free by then. ERR_MEMORY: nothing has changed. */
enum err tunnel_update(struct tunnel *tunnel, const struct tunnel_spec *wanted);
/* Only after on_stopped, or before tunnel_start. */
void tunnel_free(struct tunnel *tunnel);

enum tunnel_state tunnel_get_state(const struct tunnel *tunnel);
const char *tunnel_state_name(enum tunnel_state state);
const struct tunnel_spec *tunnel_get_spec(const struct tunnel *tunnel);
/* True once the tunnel has been up since tunnel_start. */
bool tunnel_has_been_up(const struct tunnel *tunnel);
/* How it is now. */
void tunnel_get_facts(const struct tunnel *tunnel, struct tunnel_facts *out);
/* Its forwards as they are now: none before tunnel_start. */
size_t tunnel_forward_count(const struct tunnel *tunnel);
const struct forward *tunnel_forward(const struct tunnel *tunnel, size_t index);
/* The last failure (code OK when there was none). Owned by the tunnel. */
const struct err_info *tunnel_last_error(const struct tunnel *tunnel);
/* True when the last failure makes further attempts pointless for a one-line tunnel that was never up. */
bool tunnel_is_hopeless(const struct tunnel *tunnel);
/* The port a remote or local forward really has, 0 when it is not bound. */
uint16_t tunnel_forward_bound_port(const struct tunnel *tunnel, size_t forward_index);

#endif
