/* One session of ours with the small SSH server of ssh_peer.h, both on one loop: what each test of such a session
 * begins and ends with. */
#ifndef HOLDFAST_TESTS_PEER_SESSION_H
#define HOLDFAST_TESTS_PEER_SESSION_H

#include <stdbool.h>
#include <uv.h>

#include "peer/ssh_peer.h"
#include "session/session.h"

struct peer_session {
    uv_loop_t loop;
    uv_timer_t ticks; /* stops by itself with the session */
    struct ssh_peer peer;
    struct host_spec spec; /* a test may change it before peer_session_start */
    struct session *session;
    bool ready;
    void (*on_end)(void); /* closes further handles of the test's; may be NULL */
    int closed;           /* how often on_closed came, and with what */
    enum err code;
    char message[600];
};

/* The peer listens; nothing has been connected. */
void peer_session_set_up(struct peer_session *net);
void peer_session_tick(struct peer_session *net, uv_timer_cb on_tick, uint64_t tick_ms);
void peer_session_start(struct peer_session *net);
/* Starts it and runs it until it has ended. */
void peer_session_run(struct peer_session *net);
/* Runs the loop until `done` says so; the session must live on. */
void peer_session_run_until(struct peer_session *net, bool (*done)(void), uint64_t limit_s);
/* It has ended with `code`, for a reason in which there is `says`. */
void peer_session_expect_end(const struct peer_session *net, enum err code, const char *says);
/* After the session's end, or before its start. Returns what uv_loop_close does. */
int peer_session_tear_down(struct peer_session *net);

#endif
