/* A port of the peer that was ours and is still held there by a dead session: who holds it, and the end of it where it
 * is provably ours. One per tunnel; loop thread only. Room-internal.
 *
 * Over each session that has remote forwards, one command asks the peer which sshd process serves us
 * (reclaim_script.h); it is remembered. When the peer refuses a port that had been ours, the processes remembered from
 * earlier sessions are ended there, each only if it is proven to be that very process. Whose port it is cannot be told
 * where the peer runs no command for us; then the words say what mends it. */
#ifndef HOLDFAST_TUNNEL_RECLAIM_H
#define HOLDFAST_TUNNEL_RECLAIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "session/session.h"

struct reclaim;

struct reclaim_options {
    uv_loop_t *loop;
    const char *tunnel;      /* its name */
    const char *host;        /* user@name:port */
    const char *record_path; /* where to remember; NULL: for the life of this process only */
    bool enabled;            /* false: no command is run, nothing is written */
    bool one_line;           /* from flags: never enabled, since nothing tells that another does not use the record */
    /* More is known about refused ports: ask reclaim_judge again; `try_again`: one may be free now. Never from inside a
     * call of this file. */
    void (*on_news)(void *arg, bool try_again);
    void *arg;
};

/* Copies its strings. NULL: out of memory. */
struct reclaim *reclaim_new(const struct reclaim_options *options);
/* Turns `enabled` on or off, from the next session or refused port on. */
void reclaim_enable(struct reclaim *reclaim, bool enabled);
/* Only while no session is up. */
void reclaim_free(struct reclaim *reclaim);

/* The session is ready, and `ports` (without 0) have been asked for over it. */
void reclaim_session_up(struct reclaim *reclaim, struct session *session, const uint16_t *ports, size_t port_count);
/* The session has told on_closed. */
void reclaim_session_down(struct reclaim *reclaim);
/* The peer listens on `port` for us. */
void reclaim_bound(struct reclaim *reclaim, uint16_t port);
/* The peer refused `port`. May set about ending what holds it. */
void reclaim_refused(struct reclaim *reclaim, uint16_t port);
/* Whether a refused port is taken, as far as is known; `why` then says by whom, and what mends it. */
bool reclaim_judge(const struct reclaim *reclaim, uint16_t port, struct err_info *why);
/* How long to wait before a taken port is asked for again; quickly at first, `max_ms` after half a minute. */
uint64_t reclaim_retry_ms(const struct reclaim *reclaim, uint16_t port, uint64_t max_ms);
/* An end that may free a port is under way; on_news follows within seconds. */
bool reclaim_is_working(const struct reclaim *reclaim);

#endif
