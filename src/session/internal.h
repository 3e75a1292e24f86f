/* Shared by session.c (life), transport.c (bytes), rekey.c and alive.c (keepalive, deadlines). */
#ifndef HOLDFAST_SESSION_INTERNAL_H
#define HOLDFAST_SESSION_INTERNAL_H

#include <libssh2.h>

#include "session/algorithms.h"
#include "session/auth.h"
#include "session/busy_poll.h"
#include "session/dial.h"
#include "session/host_key.h"
#include "session/inspect.h"
#include "session/mux.h"
#include "session/session.h"

enum {
    INBOUND_BYTES = 256 * 1024,
    OUT_SOFT_BYTES = 256 * 1024, /* channel data waits beyond this */
    OUT_HARD_BYTES = 1024 * 1024 /* beyond this even control messages wait, and input stops */
};

/* A growing buffer of outbound bytes. */
struct outbound {
    uint8_t *data;
    size_t len, cap;
};

struct session {
    uv_loop_t *loop;
    struct host_spec spec;
    struct session_events events;
    char *log_name;
    bool interactive;
    bool unsafe_key; /* the host key is not the pinned one, taken by strict_host_key_checking: no */
    enum session_phase phase;

    /* Set by key_scan.c: takes the host key instead of the check; the session then ends with ERR_CANCELLED. */
    void (*on_host_key)(void *arg, const uint8_t *key, size_t len);
    void *on_host_key_arg;

    struct inspect *inspect; /* NULL: nobody looks */

    /* while connecting */
    struct dial *dial;
    struct host_key_check *key_check;
    struct auth *auth;

    /* the transport */
    uv_tcp_t *tcp; /* from malloc; NULL before it is connected and after it is closed */
    char address[64];
    uint64_t auth_written_us, auth_read_us; /* while we are let in: of the last of each; 0: none since */
    const char *hostname; /* the one of spec.hostnames that answered: what known_hosts is asked for, as ssh does */
    LIBSSH2_SESSION *ssh;
    uint8_t *inbound;
    size_t in_start, in_end;
    bool reading;
    bool greeted;      /* of a key exchange that failed: the peer had said that it speaks SSH */
    bool shares_ports; /* greeting.h */
    int in_over;       /* libuv status (UV_EOF or an error) after which nothing more comes; 0 while open */
    uint64_t bytes_delivered, bytes_at_hold; /* the bytes_in when input was last passed on, and last held */
    size_t unacked;      /* bytes read since something of ours went out, or the system was asked to acknowledge them */
    struct outbound out; /* being filled */
    struct outbound flight; /* being written by write_req */
    bool writing;
    uv_write_t write_req;
    char disconnect_text[256]; /* what the peer said with its DISCONNECT */

    struct mux *mux;
    bool lent; /* a worker owns ssh, inbound and out */
    uv_idle_t turn;
    uv_idle_t awake; /* runs while the loop is to look again instead of sleeping */
    struct busy_poll busy_poll;
    uv_timer_t timer;
    uv_timer_t pace;           /* runs while opens wait: see mux_opens_wait() */
    uv_prepare_t before_sleep; /* runs while something is unacked */
    size_t handles;

    /* alive */
    uint64_t last_received_ms, phase_started_ms;
    uint64_t timer_due_ms; /* when `timer` was to fire */
    bool looking;          /* something is due, and the loop looks at the socket a last time before it is decided */
    unsigned probes;       /* keepalives asked since the last received byte */
    uint64_t probe_due_ms; /* session_probe was called: nothing having come by then, and nothing of ours that is ahead
                              of the question having been acknowledged, the session ends; 0: it was not */
    uint64_t probe_behind; /* bytes of ours that go out before that question */
    uint64_t probe_acknowledged; /* transport_acknowledged when that was last looked at */
    uint64_t asked_ms;           /* the last keepalive */
    unsigned unanswered;         /* keepalives without an answer */
    bool rtt_pending;            /* the next answer tells the round trip time of what was asked at rtt_asked_ms */
    uint64_t rtt_asked_ms;
    int64_t rtt_ms;

    uint64_t bytes_in, bytes_out, packets_in; /* packets: of the connection layer */
    uint64_t rekey_at_bytes, last_rekey_ms, rekeys;
    bool was_rekeying;
    uint64_t rekey_since_ms; /* while was_rekeying */
    uint8_t *host_key;       /* heap: the blob that was found trusted; a key exchange later must show the same */
    size_t host_key_len;

    bool stopping; /* a disconnect is on its way out */
    bool ending;   /* the end is decided, `why` says it */
    bool handles_closing;
    bool closed_told;
    bool free_wanted;
    bool in_turn;
    struct err_info why;
    char *facts_host_key; /* heap */
};

/* ---- transport.c ---- */
/* Microseconds of a clock that never goes back: the mux_link's, and of all that is counted finer than by the loop. */
uint64_t session_now_us(void);
/* Makes the LIBSSH2_SESSION over the connected tcp. */
enum err transport_open(struct session *session, struct err_info *info);
void transport_start_reading(struct session *session);
void transport_stop_reading(struct session *session);
/* Hands what was collected to the socket. */
void transport_flush(struct session *session);
/* Has the system acknowledge now what nothing of ours acknowledged on its way. */
void transport_before_sleep(uv_prepare_t *prepare);
size_t transport_unsent(const struct session *session);
/* We have been let in: the last answer tells a round trip too. */
void transport_note_trip(struct session *session);
/* Bytes of ours that the peer's system has acknowledged; 0 where this one does not say. */
uint64_t transport_acknowledged(const struct session *session);
/* So many control messages wait that nothing more may come in that could add to them. Not so during a key exchange:
 * they wait for that, and it goes on only with input. */
bool transport_input_waits(const struct session *session);
/* Reads packets from the inbound buffer while it makes progress. False: the session broke, and is ending. */
bool transport_pump(struct session *session);
void transport_free(struct session *session);
/* The mux_link over this transport; its argument is the session. */
const struct mux_link *transport_link(void);

/* ---- methods.c ---- */
/* Sets the algorithms that session->ssh offers: those of the spec, else the best for this processor. ERR_DEFINITION
 * when a list of the spec has none that we have; names in it that we do not have are logged and passed over. */
enum err methods_set(struct session *session, struct err_info *info);
enum method_kind { METHOD_KEX, METHOD_HOST_KEY, METHOD_CIPHER, METHOD_MAC };
/* What a session of this spec offers of a kind, to the peer that is called `hostname`: a comma list on the heap, NULL
 * when out of memory. */
char *methods_offer(enum method_kind kind, const struct host_spec *spec, const char *hostname);

/* ---- inspect.c: for a session that is inspected ---- */
void inspect_received(struct session *session, const uint8_t *bytes, size_t len);
void inspect_host_key(struct session *session, const uint8_t *key, size_t len);
void inspect_auth(struct session *session, const struct auth *auth);

/* ---- session.c ---- */
/* Decides the end of the session; the first reason stays. */
void session_end(struct session *session, enum err code, const char *format, ...) PRINTF_LIKE(3, 4);
void session_wake(struct session *session);
/* Goes on with whatever the phase needs, after input came or the session was given back. */
void session_step(struct session *session);

/* ---- rekey.c ---- */
/* New keys are in use, the first or further ones: the next are due a limit later. */
void rekey_done(struct session *session);
/* Goes on with a key exchange, and begins one that is due. After each portion of input. */
void rekey_step(struct session *session);
/* Ends the session when the peer's host key is no longer the one that was found trusted. */
void rekey_check_host_key(struct session *session);

/* ---- alive.c ---- */
/* The phase began: its deadline, or for SESSION_READY the keepalive. */
void alive_phase(struct session *session);
void alive_received(struct session *session);
/* A key exchange has begun (rekey_since_ms): it has a deadline, whatever the interval is. */
void alive_rekeying(struct session *session);
/* A disconnect is on its way; the session ends after `ms` even if it cannot leave. */
void alive_stop_within(struct session *session, uint64_t ms);

/* ---- ssh2_err.c: the one place where libssh2's codes become ours ---- */
enum err err_from_ssh2(int code);
/* The library's sentence for its last error. Static or the session's storage. */
const char *ssh2_err_text(LIBSSH2_SESSION *ssh);

#endif
