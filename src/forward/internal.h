/* Shared by forward.c, local.c (-L listeners), remote.c (-R listeners), connection.c and target.c. */
#ifndef HOLDFAST_FORWARD_INTERNAL_H
#define HOLDFAST_FORWARD_INTERNAL_H

#include "base/list.h"
#include "forward/asker.h"
#include "forward/forward.h"
#include "relay/relay.h"
#include "session/dial.h"

enum {
    LISTENERS_MAX = 8,
    LINGER_MS = 15 * 60 * 1000 /* a reader in a pager; ssh waits for ever */
};

struct apart;
struct connection;
struct loop;
struct probe;

struct listener {
    struct forward *forward;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } as;
    struct list paused; /* in the list of listeners that wait for descriptors */
    char text[128];     /* "127.0.0.1:8080" */
    bool open;
};

struct forward {
    uv_loop_t *loop;
    struct forward_spec own_spec;
    const struct forward_spec *spec; /* that one */
    char *log_name;
    uint64_t connect_timeout_ms;
    struct forward_events events;
    enum forward_state state;
    struct err_info error;
    struct session *session;
    uint16_t bound_port, last_port;
    uint16_t refused_port; /* that the peer refused to listen on; 0: it did not */
    struct list connections;
    struct forward_counts counts; /* bytes of ended connections */
    uint64_t refused;             /* connections beyond max_channels since it was full; 0: it has room */
    /* local */
    struct listener *listeners[LISTENERS_MAX];
    size_t listener_count, listeners_open;
    uv_getaddrinfo_t *lookup;
    uv_timer_t
        timer; /* the end of the oldest connection's wait, the peer's answer to a bind, a deferred answer of one */
    bool timer_open;
    bool answer_due;
    /* remote */
    struct list questions; /* requests to the peer that are not yet answered */
    unsigned request;      /* counts the requests, so that an answer to an older one is told apart */
    struct asker *asker;   /* where the target moves; NULL otherwise, and once it has been closed */
    struct probe *probe;   /* NULL: there is none, or it has been closed */
    struct apart *apart;   /* likewise */
    struct loop *looping;  /* the one that runs: the probe's, or */
    struct loop *check;    /* the one that shows whether a port that was granted is ours */
    bool is_elsewhere;     /* refused_port was granted, and is not ours */
    bool unchecked_told;   /* that this could not be found out, once */
    bool drained, stopping, stopped_told;
};

enum connection_state {
    CONNECTION_HELD = 0, /* -L: no session yet */
    CONNECTION_ASKING,   /* the target moves, and somebody is asked where it is */
    CONNECTION_OPENING,  /* -L: the peer connects */
    CONNECTION_APART,    /* -R: it may be a loop that comes back; see apart.h */
    CONNECTION_DIALING,  /* -R: we connect */
    CONNECTION_RELAYING,
    CONNECTION_CLOSING
};

struct connection {
    struct forward *forward;
    struct list link;
    enum connection_state state;
    uv_stream_t *socket; /* our side's socket, ours until the relay has it; NULL before -R's connect */
    struct channel *channel;
    struct relay *relay;
    struct dial *dial;
    uv_connect_t *pipe_connect;
    struct asker_wait wait;
    struct answer target; /* what a moving target's address was asked to be */
    bool target_is_fresh; /* it was asked for this connection: asking again would not help */
    uint64_t since_ms, opened_ms;
    bool cancelled;
    bool is_accepted; /* -R: the peer was told so before the target was asked */
    bool input_ended; /* and its client's end of stream has come since */
    bool is_probe;    /* ours, or not yet told apart from that: nobody's socket, and not counted */
    bool may_be_late; /* it has waited long enough, and may still be a loop's */
    const struct stream_events *relay_events; /* where that is watched: who hears of all else */
    void *relay_owner;
    char originator[64];
    uint16_t originator_port;
};

/* ---- forward.c ---- */
void forward_set_state(struct forward *forward, enum forward_state state, const struct err_info *why);
/* Whether as many connections are open as may be; then one more is refused, which is logged for the first. */
bool forward_refuses(struct forward *forward, const char *originator);
/* A connection has ended: there may be room again. */
void forward_has_room(struct forward *forward);
/* on_stopped when nothing is left. */
void forward_check_stopped(struct forward *forward);

/* ---- local.c ---- */
void local_bind(struct forward *forward);
void local_close(struct forward *forward);

/* ---- remote.c ---- */
void remote_bind(struct forward *forward);
void remote_cancel(struct forward *forward);
/* The forward goes away; the answer to this question of its list is nobody's. */
void remote_forget(struct list *question);

/* ---- connection.c ---- */
/* A client came: `socket` is an accepted handle from malloc. */
void connection_accept(struct forward *forward, uv_stream_t *socket);
/* Small messages go at once. Keepalives, but not to somebody on this machine: its system tells us of that end. */
void connection_tune(uv_tcp_t *tcp, const struct sockaddr *peer);
/* Begins one as a client's would be, which ends once the target answers or does not: in probe_result, perhaps from
 * inside. `*out` is NULL when there was nothing to begin it with, and after its end. */
void connection_probe(struct forward *forward, struct connection **out);
/* Opens the channel of a held connection. */
void connection_open(struct connection *connection);
void connection_take(struct forward *forward, struct channel *channel, const struct channel_offer *offer);
/* -L: has the peer connect. */
void connection_open_at(struct connection *connection, const char *host, uint16_t port);
/* -L: it could not be opened; it is logged and closed. */
void connection_open_failed(struct connection *connection, const char *reason);
/* -L: back to waiting for a session. */
void connection_hold(struct connection *connection);
/* -R: it is a client's, and goes on to the target, if there is room for one. */
void connection_told_apart(struct connection *connection);
/* -R: its socket is connected, or will not be. */
void connection_target_connected(struct connection *connection);
void connection_target_failed(struct connection *connection, enum err code, const char *reason);
/* Ends it soon, whatever it is doing. */
void connection_cancel(struct connection *connection, const char *why);
/* Closes those connections that waited too long for the session or for the peer's answer, and sets the timer for the
 * next. */
void connection_check_waiting(struct forward *forward);

/* ---- probe.c ---- */
/* Makes the probe that the spec wants, if any. False: out of memory. */
bool probe_make(struct forward *forward);
/* The state or the session has changed: begins to probe, or stops. */
void probe_look(struct forward *forward);
void probe_session_down(struct forward *forward);
/* Why the forward is degraded; NULL when it is not. */
const struct err_info *probe_complaint(const struct forward *forward);
/* A connection of connection_probe has ended. */
void probe_result(struct connection *connection, bool worked, const char *reason);
/* It is freed, with or without a result. */
void probe_gone(struct forward *forward, const struct connection *connection);
void probe_close(struct forward *forward);

/* ---- apart.c ---- */
/* What a -R needs. False: out of memory. */
bool apart_make(struct forward *forward);
/* Whether an offered connection may be a loop that comes back; then it is to be told apart. */
bool apart_is_due(const struct forward *forward, const struct channel_offer *offer);
/* Accepts the connection's channel and waits for what it says first. A loop's own ends in that loop; each other one
 * goes on in connection_told_apart. */
void apart_begin(struct connection *connection);
/* Its relay has just begun: takes a token out of it that comes late, if it may be one. */
void apart_watch(struct connection *connection);
/* The session has gone: a connection that brings a token is taken by the listener of the session that sent it, and
 * goes with that. */
void apart_forget(struct forward *forward);
void apart_close(struct forward *forward);

/* ---- traffic.c ---- */
/* Whether it is to be found out if a port that the peer has granted brings its connections to us. */
bool traffic_check_is_due(const struct forward *forward);
/* Finds it out; the forward is up then, or has failed. */
void traffic_check_begin(struct forward *forward);
/* It is given up. */
void traffic_check_end(struct forward *forward);

/* ---- target.c ---- */
void target_init(struct connection *connection);
/* -L: asks where the target is if it moves, and has the peer connect there. */
void target_open(struct connection *connection);
/* -L: the peer could not connect. True when the target is asked for anew and tried again. */
bool target_open_again(struct connection *connection);
/* -R: connects to a target that is no socket's path; ends in connection_target_connected or _failed. */
void target_dial(struct connection *connection);

/* ---- descriptors.c: accepting pauses before the process runs out of them ---- */
bool descriptors_take(void);
void descriptors_give(void);
/* Whether one may be taken; otherwise the listener is remembered and `local_accept` called once there are some again.
 */
bool descriptors_or_pause(struct listener *listener);
void descriptors_forget(struct listener *listener);
void local_accept(struct listener *listener);

#endif
