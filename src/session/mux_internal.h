/* Shared by mux.c (packets and turns), mux_open.c (opens of ours), mux_channel.c (the stream side), mux_exec.c
 * (commands) and mux_request.c (global requests). */
#ifndef HOLDFAST_SESSION_MUX_INTERNAL_H
#define HOLDFAST_SESSION_MUX_INTERNAL_H

#include "base/list.h"
#include "relay/stream.h"
#include "session/mux.h"
#include "session/window.h"
#include "session/wire.h"

/* Message numbers (RFC 4250 section 4.1.2). */
enum {
    MSG_GLOBAL_REQUEST = 80,
    MSG_REQUEST_SUCCESS = 81,
    MSG_REQUEST_FAILURE = 82,
    MSG_CHANNEL_OPEN = 90,
    MSG_CHANNEL_OPEN_CONFIRMATION = 91,
    MSG_CHANNEL_OPEN_FAILURE = 92,
    MSG_CHANNEL_WINDOW_ADJUST = 93,
    MSG_CHANNEL_DATA = 94,
    MSG_CHANNEL_EXTENDED_DATA = 95,
    MSG_CHANNEL_EOF = 96,
    MSG_CHANNEL_CLOSE = 97,
    MSG_CHANNEL_REQUEST = 98,
    MSG_CHANNEL_SUCCESS = 99,
    MSG_CHANNEL_FAILURE = 100
};

/* Reasons of MSG_CHANNEL_OPEN_FAILURE (RFC 4254 section 5.1). */
enum { OPEN_PROHIBITED = 1, OPEN_CONNECT_FAILED = 2, OPEN_UNKNOWN_TYPE = 3, OPEN_RESOURCE_SHORTAGE = 4 };

enum {
    PACKET_BYTES = 32 * 1024, /* largest data packet, both ways */
    CHANNELS_MAX = 16384
};

enum channel_state { CHANNEL_OPENING = 0, CHANNEL_OFFERED, CHANNEL_OPEN };

/* One received data packet, or several small ones, waiting for their reader. */
struct inbound {
    struct inbound *next;
    uint8_t *packet;
    size_t offset, end;
    size_t cap_bytes; /* of a packet of ours, to which more may be added; 0: it is the transport's */
    bool borrowed;    /* it is not ours to free, and must be copied before its owner moves it */
};

struct channel {
    struct stream stream;
    struct mux *mux;
    struct list ready;   /* in mux->ready or mux->over: something is owed to the owner */
    struct list waiting; /* in mux->waiting or unserved: the owner wants to write, and the peer's window lets it; of an
                            open that is not sent yet, in mux->unsent_opens */
    struct list borrowing; /* in mux->borrowing: some of its input may be borrowed */
    enum channel_state state;
    uint32_t local_id, remote_id;
    uint32_t send_window, send_packet_max;
    struct window window;
    bool wants_window; /* the owner wants to write, and has used up the peer's window */
    bool served;       /* it has sent something since it was last told of room */
    bool is_bulk;      /* what it sent last was large */
    struct inbound *in_head, *in_tail;
    bool in_table;
    bool frozen;
    bool eof_received, eof_told;
    bool close_received, gone_told;
    bool eof_sent, eof_sent_told, close_sent;
    bool read_since_end;            /* the owner has taken data after its own end */
    struct wire_writer unsent_open; /* its packet; empty once it is sent */
    bool open_is_out;               /* it counts in mux->opens_out, if open_round is still the mux's */
    unsigned open_round;
    bool open_answered; /* the peer's answer to our open is here, or its failure */
    bool prohibited;    /* such a failure, since the peer permits no such connection */
    bool cancelled;     /* our open was given up */
    bool offer_told;
    bool dead, dead_told; /* the session ended under it, with something still to come */
    bool counted;         /* in mux->unended */
    bool closing;         /* the owner called close or abort */
    struct err_info *why; /* heap: of a failed open or a dead session */
    channel_open_cb *on_open;
    void *arg;
    struct channel_exec *exec; /* heap: the command that runs on it; NULL: none */
    struct channel_offer offer;
    char *offer_host, *offer_originator; /* heap, what `offer` points to */
};

/* A command at the peer. */
struct channel_exec {
    mux_exec_cb *on_answer;
    void *arg;
    bool answered, runs, told;
    int64_t exit_status; /* -1: unknown */
};

enum slot_use {
    SLOT_FREE = 0,
    SLOT_LIVE,
    SLOT_ORPHAN, /* an open that was given up; the peer's answer is to come */
    SLOT_CLOSED  /* our CLOSE is sent; the peer's is to come */
};

struct slot {
    struct channel *channel;
    enum slot_use use;
};

struct request {
    struct request *next;
    session_reply_cb *on_reply;
    void *arg;
    bool answered;
    enum err result;
    uint16_t bound_port;
};

struct mux {
    struct mux_link link;
    struct mux_events events;
    struct slot *slots;
    size_t slot_count, slot_hint;
    size_t channel_count; /* structs alive */
    size_t unended;       /* of a failed mux: channels whose owner must still be told */
    struct list ready, waiting, borrowing;
    struct list unserved; /* as `waiting`, and before it: those that were told of room and found none */
    struct list over;     /* channels with nothing more to bring or to take, by `ready` */
    unsigned late_turns;  /* while there was something late */
    struct list unsent_opens;
    unsigned opens_out, open_round; /* sent and unanswered, as counted since that round began */
    unsigned open_ticks;            /* while some are unsent */
    bool open_was_answered;         /* since the last of them */
    bool packet_is_borrowed;        /* the one that is being taken apart */
    struct window_pool windows;
    struct wire_writer control; /* packets as length and bytes */
    size_t control_offset;
    bool control_is_late;                      /* nobody waits for any of it */
    struct request *requests, **requests_tail; /* sent, in order; unanswered ones wait for their reply */
    bool failed;
    struct err_info why;
};

/* Queues one packet made by the caller and wakes the session. */
void mux_queue(struct mux *mux, const struct wire_writer *packet);
void mux_write_text(struct wire_writer *packet, const char *text);
void mux_queue_id(struct mux *mux, uint8_t type, uint32_t remote_id);
/* Sends queued control messages as far as there is room. True when none is left. */
bool mux_flush(struct mux *mux);
void mux_make_ready(struct channel *channel);
/* Gives the channel an id. False: there are too many, or no memory. */
bool mux_attach(struct mux *mux, struct channel *channel);
/* Takes the channel out of the table, leaving `use` behind. */
void mux_detach(struct channel *channel, enum slot_use use);
struct channel *mux_channel_new(struct mux *mux, enum channel_state state);
void mux_channel_free(struct channel *channel);
/* Carries out everything owed to the channel's owner; may free it. */
void mux_channel_turn(struct channel *channel);
/* The owner may write again, if it wanted to. */
void mux_channel_writable(struct channel *channel);
void mux_channel_set_why(struct channel *channel, enum err code, const char *format, ...) PRINTF_LIKE(3, 4);
/* The channel side of packets; `reader` stands after the recipient's id. True when `packet` was kept. */
bool mux_channel_data(struct channel *channel, uint8_t *packet, struct wire_reader *reader);
void mux_send_close(struct channel *channel);
/* Makes copies of the input that is borrowed. */
void mux_channel_settle(struct channel *channel);
/* Whether all that the channel had to bring is here, so that a session's end no longer concerns it. */
bool mux_channel_is_complete(const struct channel *channel);
/* Whether both sides have said all, ours last: what is left is to close, and hardly anybody waits for that. (Who has
 * ended first and had the answer after that may well wait for its end.) */
bool mux_channel_is_over(const struct channel *channel);

/* ---- mux_open.c ---- */
/* Begins the packet of an open in `packet`, to which its type's own part is added, and sends it. NULL: out of memory or
 * over the channel limit. */
struct channel *mux_open_begin(struct mux *mux, const char *type, struct wire_writer *packet, channel_open_cb *on_open,
                               void *arg);
struct channel *mux_open_send(struct mux *mux, struct channel *channel, struct wire_writer *packet);

/* The peer has answered, or (not answered) nobody waits for that any more. */
void mux_open_settled(struct channel *channel, bool answered);
/* Sends those whose turn it is. True when there was one. */
bool mux_open_turn(struct mux *mux);
bool mux_open_is_unsent(const struct channel *channel);
/* An open that is unsent will not be sent. */
void mux_open_withdraw(struct channel *channel);

/* ---- mux_exec.c ---- */
/* A request that came for the channel; `reader` stands after the recipient's id. */
void mux_exec_incoming(struct mux *mux, struct channel *channel, struct wire_reader *reader);
/* CHANNEL_SUCCESS or CHANNEL_FAILURE. */
void mux_exec_reply(struct channel *channel, bool success);
/* Tells the answer that is here and not told. */
void mux_exec_turn(struct channel *channel);

void mux_request_reply(struct mux *mux, bool success, struct wire_reader *reader);
void mux_request_incoming(struct mux *mux, struct wire_reader *reader);
/* Calls back answered requests, in order. True when there was one. */
bool mux_request_turn(struct mux *mux);
void mux_request_fail_all(struct mux *mux);

#endif
