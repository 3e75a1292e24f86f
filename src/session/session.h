/* One SSH session over one TCP connection: dial, key exchange, host key, authentication, channels. This room is the
 * only one that includes libssh2.h. All calls and callbacks on the loop's thread. */
#ifndef HOLDFAST_SESSION_SESSION_H
#define HOLDFAST_SESSION_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "session/spec.h"

struct session;
struct channel;

enum session_phase {
    SESSION_RESOLVING = 0,
    SESSION_CONNECTING,
    SESSION_HANDSHAKING,
    SESSION_AUTHENTICATING,
    SESSION_READY,
    SESSION_CLOSED
};

/* A connection that the peer offers (forwarded-tcpip, forwarded-streamlocal@openssh.com). Answer with exactly one of
 * channel_accept and channel_reject, now or later. Strings live until then. */
struct channel_offer {
    const char *listen_host; /* as we asked for it; or the socket path */
    uint16_t listen_port;
    const char *originator_host;
    uint16_t originator_port;
    bool is_unix;
};

struct session_events {
    void (*on_phase)(void *arg, enum session_phase phase);
    /* The peer opened a channel; `channel` is pending until accepted or rejected. */
    void (*on_offer)(void *arg, struct channel *channel, const struct channel_offer *offer);
    /* Exactly once after session_start, also after session_stop; all channels have ended before it. */
    void (*on_closed)(void *arg, const struct err_info *why);
    void *arg;
};

/* The facts of a session for logs and status. Strings owned by the session. */
struct session_facts {
    const char *address; /* "192.168.1.3:22" */
    const char *banner;
    const char *kex;
    const char *cipher;
    const char *mac;
    const char *host_key; /* "ssh-ed25519 SHA256:..." */
    uint64_t bytes_in, bytes_out;
    int64_t rtt_ms; /* of the last keepalive that was measured; -1 unknown, as always without server_alive_interval */
    uint64_t rekeys;
};

/* `interactive`: prompts on the terminal are allowed. `log_name` is the tunnel's name for the log. NULL: out of memory.
 */
struct session *session_new(uv_loop_t *loop, const struct host_spec *spec, bool interactive, const char *log_name,
                            const struct session_events *events);
void session_start(struct session *session);
/* Something happened that connections often do not survive (a wake-up, a change of network): asks the peer at once
 * whether it is there, and ends the session when nothing came within 3 s, or within the keepalive's limit where that is
 * less, or within 3 s of the last acknowledgement of bulk that is ahead of the question. A session that is not ready
 * yet gets as long to connect or to hear from the peer; one that is being let in, where a person or an agent may be
 * asked, is left alone. */
void session_probe(struct session *session);
/* Sends a disconnect, flushes for at most `flush_ms`, closes. Completes by on_closed (ERR_CANCELLED). */
void session_stop(struct session *session, uint64_t flush_ms);
/* After on_closed only (may be called inside it). */
void session_free(struct session *session);
void session_get_facts(const struct session *session, struct session_facts *out);
/* Whether the peer, once its greeting is here, is one that may grant one port to two sessions, and then gives all
 * connections to the earlier one (greeting.h). */
bool session_shares_ports(const struct session *session);

/* Global requests (RFC 4254 section 7). `on_reply` comes exactly once: OK, ERR_REFUSED, or ERR_CLOSED when the session
 * ends first. `bound_port` is the port the peer allocated for 0. */
typedef void session_reply_cb(void *arg, enum err result, uint16_t bound_port);
void session_listen(struct session *session, const char *bind_host, uint16_t port, session_reply_cb *on_reply,
                    void *arg);
void session_listen_unix(struct session *session, const char *path, session_reply_cb *on_reply, void *arg);
/* `on_reply` may be NULL. */
void session_unlisten(struct session *session, const char *bind_host, uint16_t port, session_reply_cb *on_reply,
                      void *arg);
void session_unlisten_unix(struct session *session, const char *path, session_reply_cb *on_reply, void *arg);

/* Opens a channel to `host`:`port` at the peer's side. The channel is a stream (channel_stream) once `on_open` came
 * with OK; with an error the channel is gone after the callback, in which channel_is_prohibited may be asked.
 * channel_cancel_open gives up earlier; on_open then comes with ERR_CANCELLED. */
typedef void channel_open_cb(void *arg, struct channel *channel, enum err result, const struct err_info *why);
struct channel *session_open_tcp(struct session *session, const char *host, uint16_t port, const char *originator_host,
                                 uint16_t originator_port, channel_open_cb *on_open, void *arg);
struct channel *session_open_unix(struct session *session, const char *path, channel_open_cb *on_open, void *arg);
void channel_cancel_open(struct channel *channel);
/* Whether an open failed since the peer permits no such connection (RFC 4254 section 5.1), as against one that it could
 * not make. */
bool channel_is_prohibited(const struct channel *channel);

void channel_accept(struct channel *channel);
void channel_reject(struct channel *channel, enum err reason, const char *message);

/* libssh2's version as it runs ("1.11.1"). Static. */
const char *session_library_version(void);

struct stream;
/* The channel's stream side; valid after accept or a successful open. */
struct stream *channel_stream(struct channel *channel);
/* Closes an open channel of which nobody wants to hear any more; it goes by itself. */
void channel_drop(struct channel *channel);

#endif
