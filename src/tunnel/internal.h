/* Shared by tunnel.c (a tunnel's life) and slots.c (its forwards). Room-internal. */
#ifndef HOLDFAST_TUNNEL_INTERNAL_H
#define HOLDFAST_TUNNEL_INTERNAL_H

#include "base/backoff.h"
#include "forward/forward.h"
#include "session/session.h"
#include "tunnel/file_watch.h"
#include "tunnel/reclaim.h"
#include "tunnel/tunnel.h"

struct forward_slot;

struct tunnel {
    uv_loop_t *loop;
    struct tunnel_spec spec;
    struct tunnel_events events;
    enum tunnel_state state;
    struct session *session;
    bool session_ready;
    struct forward_slot *slots; /* one per forward of the spec, in its order */
    size_t forward_count;       /* slots that hold a forward: 0 before tunnel_start */
    struct forward **leaving;   /* cancelled ones whose connections go on */
    size_t leaving_count;
    bool slots_changed;    /* to be looked at by the next tick of forward_timer */
    size_t forwards_alive; /* forwards that have not told on_stopped */
    struct backoff backoff;
    uv_timer_t retry_timer, forward_timer, stop_timer;
    struct reclaim *reclaim;       /* NULL before tunnel_start */
    char *record_path;             /* NULL: none */
    struct file_watch trust_watch; /* while failed for a host key: the known_hosts files may be mended */
    size_t handles;
    struct hooks *hooks;  /* NULL before tunnel_start, and where the tunnel has had none */
    uint64_t up_since_ms; /* 0: not up in this session */
    uint64_t since_unix_ms, last_error_unix_ms;
    uint64_t attempts, sessions_up;
    uint64_t past_bytes_in, past_bytes_out; /* of the sessions that ended */
    bool has_been_up;
    bool hurried; /* tunnel_wake cut an attempt short, and none has come to a session since */
    uint64_t hurried_ms;
    bool is_told_up; /* the last hook that was due is on_up */
    bool stopping, draining, ended, stopped_told;
    struct err_info last_error;
    struct err_info fault; /* why the session is being ended by us; code OK: it is not */
};

/* The state has changed: runs on_up if the tunnel has come up, and on_down if it is up no more. */
void tunnel_run_hooks(struct tunnel *tunnel, const char *reason);
/* From 0 to below 1, evenly. */
double tunnel_chance(void);
/* Whether one forward that cannot be bound ends the session, so that it need not be tried again by itself. */
bool tunnel_ends_by_forward(const struct tunnel *tunnel);
/* All forwards have answered, or some are still asked: what does it make of the tunnel? */
void tunnel_evaluate(struct tunnel *tunnel);
/* A forward's probes show that the session does not carry it: it is ended, and a new one begun. */
void tunnel_session_broken(struct tunnel *tunnel, const struct err_info *why);
/* A tunnel that drains has no connection left. */
void tunnel_drained(struct tunnel *tunnel);
/* on_stopped when nothing is left. */
void tunnel_check_stopped(struct tunnel *tunnel);

#endif
