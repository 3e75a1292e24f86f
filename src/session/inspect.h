/* A session under a glass: what is seen on its way to the peer, kept for who explains a connection rather than uses it
 * (`holdfast doctor`). */
#ifndef HOLDFAST_SESSION_INSPECT_H
#define HOLDFAST_SESSION_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "session/opening.h"
#include "session/session.h"

enum { INSPECT_OPENING_BYTES = 8192, INSPECT_HOST_KEY_BYTES = 4096, INSPECT_PADDING_MAX_BYTES = 32 * 1024 };

/* Zero but for the callbacks. Filled by the session, and to be read from its callbacks or once it has closed. */
struct inspect {
    /* `host`, one of the spec's hostnames, has these addresses; `by_multicast`: the local network told them. May come
     * from inside session_start. */
    void (*on_addresses)(void *arg, const char *host, const struct sockaddr_storage *addresses, size_t count,
                         bool by_multicast);
    /* `address` did not take the connection, with libuv's `status`; NULL: `host` has no address, or none in time. May
     * come from inside session_start. */
    void (*on_no_connection)(void *arg, const char *host, const struct sockaddr *address, int status);
    void *arg;

    uint8_t opening[INSPECT_OPENING_BYTES]; /* the first bytes that the peer sent: greeting and offer of algorithms */
    size_t opening_len;
    uint8_t host_key[INSPECT_HOST_KEY_BYTES];
    size_t host_key_len;    /* 0: it has shown none */
    char hostname[256];     /* which of the spec's hostnames answered */
    char auth_methods[256]; /* what the peer offered last as ways to be let in; "" when it was not asked */
    char auth_tried[300];   /* what was tried and did not do, with the reasons */
};

/* Before session_start. `inspect` is the caller's, and lives until on_closed. */
void inspect_session(struct session *session, struct inspect *inspect);

/* Of a peer that offers nothing in common with us: what kind of algorithm it is ("cipher", "MAC", "key exchange",
 * "host key algorithm"; static text), with both offers as comma lists, cut to what fits. NULL when each kind has one in
 * common, or the peer's offer is not known. Reads known_hosts, as a connection does. */
const char *inspect_missing(const struct opening *opening, const struct host_spec *spec, const char *hostname,
                            char *theirs, char *ours, size_t cap_bytes);

/* Sends a request of at least `padding_bytes` (at most INSPECT_PADDING_MAX_BYTES) that no peer knows, and that each
 * answers: large packets go through when the answer comes. `on_reply` as in session_listen; ERR_REFUSED is the answer
 * to be expected. Only of a session that is ready. */
void inspect_send_large(struct session *session, size_t padding_bytes, session_reply_cb *on_reply, void *arg);

#endif
