/* The walk of `doctor` over the hops of one tunnel. The rooms below are asked as `run` asks them; each step starts
 * something on the walk's own loop and waits for it, so that the hops read from top to bottom. */
#ifndef HOLDFAST_CLI_DOCTOR_H
#define HOLDFAST_CLI_DOCTOR_H

#include <uv.h>

#include "cli/doctor_report.h"
#include "cli/doctor_situation.h"
#include "forward/answer.h"
#include "session/inspect.h"
#include "tunnel/spec.h"

enum { DOCTOR_NETWORKS_MAX = 64 };

/* What became of connecting to the peer, as the dial told it. */
struct doctor_dialed {
    char addresses[500];  /* "macbook.local: 192.168.1.3, fe80::1 (by multicast DNS)" */
    char unresolved[300]; /* "nas: unknown node or service" */
    char refusals[600];   /* "192.168.1.3:22: connection refused" */
    char last_address[80];
    size_t address_count;
    int name_status, address_status; /* libuv's, of the last failure of each kind */
};

struct doctor {
    const struct tunnel_spec *tunnel;
    struct host_spec host; /* as the tunnel has it, but that nothing is pinned and no password is asked for */
    struct doctor_report *report;
    uv_loop_t loop;
    uv_timer_t timer; /* of doctor_wait */
    bool is_late;
    bool may_ask;    /* a person may be asked for passphrases */
    char keeper[80]; /* who keeps this tunnel now: "process 1234"; "" when nobody does */
    uv_interface_address_t *interfaces;
    int interface_count;
    struct doctor_network networks[DOCTOR_NETWORKS_MAX];
    size_t network_count;

    struct session *session;  /* NULL before it is begun and after it is freed */
    enum session_phase phase; /* the last one reached */
    bool is_settled;          /* ready or closed */
    bool is_closed;
    bool is_auth_late;
    struct err_info why; /* of is_closed */
    uv_timer_t auth_timer;
    struct inspect inspect;
    struct doctor_dialed dialed;
    char address[80]; /* of the peer, without its port */
    /* Takes a connection that the peer offers; NULL: it is declined. */
    void (*on_offer)(void *arg, struct channel *channel, const struct channel_offer *offer);
    void *on_offer_arg;
};

/* Walks all hops of `tunnel` into `report`, which is initialised. Blocking. False: out of memory. */
bool doctor_walk(const struct tunnel_spec *tunnel, bool may_ask, struct doctor_report *report);

/* ---- doctor.c ---- */
/* Runs the loop until *done or for `limit_ms`. Returns *done. */
bool doctor_wait(struct doctor *doctor, const bool *done, uint64_t limit_ms);
/* The limit of each hop: connect_timeout. */
uint64_t doctor_limit_ms(const struct doctor *doctor);
/* Whether a hop failed so far. */
bool doctor_has_failed(const struct doctor *doctor);
enum doctor_situation doctor_situation(const struct doctor *doctor, const char *host);
/* Parts a sentence of the rooms below, "what happened; what to do", where one of the marks begins. `seen` and `mend`
 * are filled, `mend` with `otherwise` when there is no mark. */
void doctor_split(const char *message, const char *const *marks, size_t mark_count, const char *otherwise, char *seen,
                  char *mend, size_t cap_bytes);
/* Appends to a text, with ", " or another separator before it unless it is the first. */
void doctor_append(char *text, size_t cap_bytes, const char *separator, const char *format, ...) PRINTF_LIKE(4, 5);
/* What a status of connecting means, in a sentence: "connection refused (it answers, and nothing listens there)". */
const char *doctor_refusal_text(int uv_status);

/* ---- doctor_keys.c: definition, key file, agent ---- */
void doctor_keys(struct doctor *doctor);

/* ---- doctor_connect.c: name, connect ---- */
void doctor_connect_observe(struct doctor *doctor);
/* Adds the hops; false when there is no connection. */
bool doctor_connect_judge(struct doctor *doctor);

/* ---- doctor_handshake.c: banner, algorithms, host key, authentication ---- */
void doctor_handshake_judge(struct doctor *doctor);

/* ---- doctor_session.c: the session's life, packet size ---- */
void doctor_session_begin(struct doctor *doctor);
void doctor_session_packets(struct doctor *doctor);
void doctor_session_end(struct doctor *doctor);

/* ---- doctor_look.c: what a server says by itself ---- */
enum { DOCTOR_LOOK_BYTES = 64 };
/* What came from a target to which nothing was sent. */
struct doctor_look {
    size_t bytes;
    bool has_ended;                /* it ended the connection by itself */
    char first[DOCTOR_LOOK_BYTES]; /* the beginning of what it said, for messages */
};
/* A connection at the peer's side, of which the walk needs to know whether it comes and what it says by itself. */
struct doctor_opened {
    enum err result; /* ERR_TIMEOUT: no answer */
    struct err_info why;
    bool is_prohibited; /* the peer does not permit it, whether or not the target answers */
    struct doctor_look look;
};
/* Opens a channel to `to` (its port `port`), a host and port or a path, looks, and closes it again. */
void doctor_open(struct doctor *doctor, const char *host, uint16_t port, struct doctor_opened *out);
void doctor_open_unix(struct doctor *doctor, const char *path, struct doctor_opened *out);
/* Opens a channel to the peer's own `host`:`port`, where it listens for us, and passes bytes both ways between that
 * channel and the connection that it then offers. */
bool doctor_open_loop(struct doctor *doctor, const char *host, uint16_t port, struct doctor_opened *out);
/* Reads from a connected handle from malloc for a moment, and closes and frees it. */
void doctor_look_at(struct doctor *doctor, uv_stream_t *stream, struct doctor_look *out);
/* Adds a hop about a target that took a connection. */
void doctor_look_judge(struct doctor *doctor, const char *hop, const char *who, enum doctor_situation situation,
                       const struct doctor_look *look);

/* ---- doctor_local.c, doctor_remote.c: one forward ---- */
void doctor_local(struct doctor *doctor, const struct forward_spec *forward);
void doctor_remote(struct doctor *doctor, const struct forward_spec *forward);

/* ---- doctor_target.c: the target of a forward ---- */
/* Adds the hop "target" of a -R, as it is seen from here. */
void doctor_target(struct doctor *doctor, const struct forward_spec *forward);
/* Asks where a target is that moves; false when that is not told, and the hop "target" has been added. */
bool doctor_target_ask(struct doctor *doctor, const struct endpoint *to, struct answer *out);
/* Connects to `host`:`port` from here. 0, with a connected handle from malloc in `out` (may be NULL: it is closed
 * again), or libuv's status of the last address. `tried` tells each address that did not do. */
int doctor_target_dial(struct doctor *doctor, const char *host, uint16_t port, uv_stream_t **out, char *tried,
                       size_t cap_bytes);

#endif
