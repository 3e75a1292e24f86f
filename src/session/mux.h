/* The connection layer of one session (RFC 4254): channels with their windows, global requests in one FIFO.
 * Room-internal.
 *
 * Packets come in through mux_packet (from inside libssh2, so nothing is called back from there) and leave through the
 * mux_link. Everything owed to owners is delivered in mux_turn and mux_turn_late. Many opens may be in flight; each
 * channel has its own state, found by its id in one step. */
#ifndef HOLDFAST_SESSION_MUX_H
#define HOLDFAST_SESSION_MUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "session/session.h"

struct mux;

/* How the mux reaches the transport below it. */
struct mux_link {
    /* Sends one packet, taking all of it. False: the session is broken (it ends by itself). */
    bool (*send)(void *arg, const uint8_t *head, size_t head_len, const uint8_t *body, size_t body_len);
    /* How many bytes of channel data may be sent now: 0 during a key exchange or while the outbound buffer is over its
     * mark. */
    size_t (*data_room)(void *arg);
    /* Where the body of the next packet will be sealed, if its head has so many bytes and nothing is sent before it:
     * what lies there is not copied by send. NULL: nowhere. May be missing. */
    uint8_t *(*place)(void *arg, size_t head_len);
    /* Whether control messages may be sent now (not during a key exchange, not over the hard mark). */
    bool (*control_room)(void *arg);
    /* Microseconds of a clock that never goes back. */
    uint64_t (*now_us)(void *arg);
    /* There is work for mux_turn. */
    void (*wake)(void *arg);
    /* The peer broke the protocol: the session must end. */
    void (*violation)(void *arg, const char *message);
    void *arg;
};

struct mux_events {
    void (*on_offer)(void *arg, struct channel *channel, const struct channel_offer *offer);
    void *arg;
};

struct mux *mux_new(const struct mux_link *link, const struct mux_events *events);
/* Only when mux_channel_count is 0. */
void mux_free(struct mux *mux);
/* A round trip was seen: the least one bounds how far windows grow. */
void mux_note_trip(struct mux *mux, uint64_t trip_us);
/* What was seen so far is forgotten. */
void mux_forget_path(struct mux *mux);

/* One packet numbered 80-127. Takes `packet` and frees it with `free`. */
void mux_packet(struct mux *mux, uint8_t *packet, size_t len);
/* The same with a packet that stays the caller's, and as it is until mux_settle, which must come before its memory is
 * moved or used again. */
void mux_packet_borrowed(struct mux *mux, uint8_t *packet, size_t len);
/* Whether mux_settle is due before that memory is touched. */
bool mux_borrows(const struct mux *mux);
/* Copies what is borrowed still: the data whose readers have not taken it yet. */
void mux_settle(struct mux *mux);
/* Delivers what came, sends what is owed, tells who may write again. Returns true when it did anything. What is late is
 * left, unless that has been so several times. */
bool mux_turn(struct mux *mux);
/* Whether something waits that nobody waits for: the closing of channels over which all is said. It takes as long as
 * all the rest of a short connection, so it is done when there is nothing else to do. */
bool mux_is_late(const struct mux *mux);
/* Does it, for a few channels at a time. Returns true when it did anything. */
bool mux_turn_late(struct mux *mux);
/* Whether opens of ours wait until others are answered, and a moment of that has passed. */
bool mux_opens_wait(const struct mux *mux);
void mux_opens_tick(struct mux *mux);
/* Those that are sent and unanswered; without those from before such a moment. */
unsigned mux_opens_out(const struct mux *mux);
/* The session is dead: every open, reply and channel fails with `why` at the next mux_turn. */
void mux_fail(struct mux *mux, const struct err_info *why);
/* After mux_fail: every owner has been told. A channel whose data is all here but not yet read, or whose offer is not
 * yet answered, may outlive that; mux_channel_count says when all are gone. */
bool mux_is_idle(const struct mux *mux);
size_t mux_channel_count(const struct mux *mux);
/* Bytes of control messages that wait; the session stops its input beyond a mark. */
size_t mux_control_bytes(const struct mux *mux);

/* Asks the peer for a sign of life; `on_reply` as in session.h. */
void mux_keepalive(struct mux *mux, session_reply_cb *on_reply, void *arg);
/* A request of `padding_bytes` and more that no peer knows, and so refuses: `on_reply` as in session.h. */
void mux_padded_request(struct mux *mux, size_t padding_bytes, session_reply_cb *on_reply, void *arg);
/* A tcpip-forward, cancel-tcpip-forward, streamlocal-forward@openssh.com or its cancel. `port` is ignored for paths. */
void mux_forward_request(struct mux *mux, const char *request, const char *host_or_path, bool has_port, uint16_t port,
                         session_reply_cb *on_reply, void *arg);
/* direct-tcpip or direct-streamlocal@openssh.com; NULL: out of memory or over the channel limit. */
struct channel *mux_open_tcp(struct mux *mux, const char *host, uint16_t port, const char *originator_host,
                             uint16_t originator_port, channel_open_cb *on_open, void *arg);
struct channel *mux_open_unix(struct mux *mux, const char *path, channel_open_cb *on_open, void *arg);
/* A channel of type "session", on which one command can be run; NULL as above. */
struct channel *mux_open_session(struct mux *mux, channel_open_cb *on_open, void *arg);

/* Runs `command` on an open channel of mux_open_session (RFC 4254 section 6.5), once. `on_answer` comes at most once,
 * from mux_turn, with whether the peer runs it; not when the channel ends first. False: out of memory. */
typedef void mux_exec_cb(void *arg, bool runs);
bool mux_exec(struct channel *channel, const char *command, mux_exec_cb *on_answer, void *arg);
/* The command's exit status; -1 while it is unknown, and when a signal ended it. */
int64_t mux_exec_status(const struct channel *channel);

#endif
