/* One channel: its stream side, its windows, and what is owed to its owner (RFC 4254 sections 5 and 7). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/container.h"
#include "session/mux_internal.h"

enum {
    INPUT_BUFS = 32,          /* packets offered in one on_input */
    TURN_BYTES = 1024 * 1024, /* what one channel may deliver before the others have their turn */
    SMALL_BYTES = 1024,       /* data of at most so much is gathered while its reader stands still */
    GATHER_BYTES = 4096,
    BULK_BYTES = 16 * 1024, /* one who sends so much at a time can wait */
    DATA_HEAD_BYTES = 9
};

static const struct stream_ops channel_ops;

struct channel *mux_channel_new(struct mux *mux, enum channel_state state)
{
    struct channel *channel = calloc(1, sizeof *channel);
    if (channel == NULL) {
        return NULL;
    }
    channel->stream.ops = &channel_ops;
    channel->mux = mux;
    channel->state = state;
    channel->frozen = true;
    window_open(&channel->window, &mux->windows);
    list_init(&channel->ready);
    list_init(&channel->waiting);
    list_init(&channel->borrowing);
    mux->channel_count++;
    return channel;
}

static void inbound_free(struct inbound *in)
{
    if (!in->borrowed) {
        free(in->packet);
    }
    free(in);
}

static void drop_input(struct channel *channel)
{
    struct inbound *in = channel->in_head;
    while (in != NULL) {
        struct inbound *next = in->next;
        inbound_free(in);
        in = next;
    }
    channel->in_head = channel->in_tail = NULL;
}

void mux_channel_free(struct channel *channel)
{
    list_remove(&channel->ready);
    list_remove(&channel->waiting);
    list_remove(&channel->borrowing);
    window_close(&channel->window, &channel->mux->windows);
    drop_input(channel);
    mux_open_settled(channel, false);
    wire_writer_deinit(&channel->unsent_open);
    free(channel->why);
    free(channel->exec);
    free(channel->offer_host);
    free(channel->offer_originator);
    channel->mux->channel_count--;
    if (channel->counted) {
        channel->mux->unended--;
    }
    free(channel);
}

void mux_channel_set_why(struct channel *channel, enum err code, const char *format, ...)
{
    char message[sizeof((struct err_info *)0)->message];
    if (channel->why == NULL) {
        channel->why = malloc(sizeof *channel->why);
    }
    if (channel->why != NULL) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(message, sizeof message, format, args);
        va_end(args);
        (void)err_set(channel->why, code, "%s", message);
    }
}

static const struct err_info *why_of(const struct channel *channel)
{
    static const struct err_info unknown = {.code = ERR_CLOSED, .message = "the session ended"};
    return channel->why != NULL ? channel->why : &unknown;
}

/* Tells the peer how much of what it sent has been read (RFC 4254 section 5.2). */
static void grant(struct channel *channel)
{
    struct mux *mux = channel->mux;
    struct wire_writer packet;
    if (channel->eof_received || channel->close_sent || channel->dead || !window_grant_is_due(&channel->window)) {
        return;
    }
    uint32_t bytes = window_grant(&channel->window, &mux->windows, mux->link.now_us(mux->link.arg));
    if (bytes == 0) {
        return;
    }
    wire_writer_init(&packet);
    wire_write_u8(&packet, MSG_CHANNEL_WINDOW_ADJUST);
    wire_write_u32(&packet, channel->remote_id);
    wire_write_u32(&packet, bytes);
    mux_queue(mux, &packet);
    wire_writer_deinit(&packet);
}

static struct inbound *append(struct channel *channel, uint8_t *packet, size_t cap_bytes)
{
    struct inbound *in = malloc(sizeof *in);
    if (in == NULL) {
        return NULL;
    }
    *in = (struct inbound){.packet = packet, .cap_bytes = cap_bytes};
    if (channel->in_tail != NULL) {
        channel->in_tail->next = in;
    } else {
        channel->in_head = in;
    }
    channel->in_tail = in;
    return in;
}

/* Small data behind other data that waits is copied together, since a packet of its own costs many times its length.
 * False when it is not that, or there is no memory for it. */
static bool gather(struct channel *channel, struct wire_slice data)
{
    struct inbound *tail = channel->in_tail;
    if (data.len > SMALL_BYTES || tail == NULL) {
        return false;
    }
    if (tail->cap_bytes == 0 || tail->cap_bytes - tail->end < data.len) {
        uint8_t *packet = malloc(GATHER_BYTES);
        tail = packet != NULL ? append(channel, packet, GATHER_BYTES) : NULL;
        if (tail == NULL) {
            free(packet);
            return false;
        }
    }
    memcpy(tail->packet + tail->end, data.data, data.len);
    tail->end += data.len;
    return true;
}

/* Queues the data of a packet. True when the packet itself was kept. */
static bool keep(struct channel *channel, uint8_t *packet, struct wire_slice data)
{
    if (gather(channel, data)) {
        return false;
    }
    struct inbound *in = append(channel, packet, 0);
    if (in == NULL) {
        channel->mux->link.violation(channel->mux->link.arg, "out of memory");
        return false;
    }
    in->offset = (size_t)(data.data - packet);
    in->end = in->offset + data.len;
    in->borrowed = channel->mux->packet_is_borrowed;
    if (in->borrowed && list_is_empty(&channel->borrowing)) {
        list_append(&channel->mux->borrowing, &channel->borrowing);
    }
    return true;
}

void mux_channel_settle(struct channel *channel)
{
    for (struct inbound *in = channel->in_head; in != NULL; in = in->next) {
        if (!in->borrowed) {
            continue;
        }
        size_t len = in->end - in->offset;
        uint8_t *copy = malloc(len);
        if (copy == NULL) {
            channel->mux->link.violation(channel->mux->link.arg, "out of memory");
            drop_input(channel);
            return;
        }
        memcpy(copy, in->packet + in->offset, len);
        *in = (struct inbound){.next = in->next, .packet = copy, .end = len, .cap_bytes = len};
    }
}

bool mux_channel_data(struct channel *channel, uint8_t *packet, struct wire_reader *reader)
{
    struct mux *mux = channel->mux;
    bool extended = packet[0] == MSG_CHANNEL_EXTENDED_DATA;
    bool kept = false;
    if (extended) {
        (void)wire_read_u32(reader);
    }
    struct wire_slice data = wire_read_string(reader);
    if (reader->bad || data.len > UINT32_MAX ||
        !window_receive(&channel->window, &mux->windows, (uint32_t)data.len, mux->link.now_us(mux->link.arg))) {
        mux->link.violation(mux->link.arg,
                            reader->bad ? "malformed data packet" : "the peer sent more than its window allows");
        return false;
    }
    if (extended || data.len == 0 || channel->closing || channel->eof_received) {
        window_consume(&channel->window, (uint32_t)data.len);
    } else {
        kept = keep(channel, packet, data);
        if (!channel->frozen) {
            mux_make_ready(channel);
        }
    }
    grant(channel);
    return kept;
}

static void consume(struct channel *channel, size_t bytes)
{
    window_consume(&channel->window, (uint32_t)bytes);
    while (bytes > 0 && channel->in_head != NULL) {
        struct inbound *in = channel->in_head;
        size_t part = in->end - in->offset;
        if (part > bytes) {
            in->offset += bytes;
            return;
        }
        bytes -= part;
        channel->in_head = in->next;
        if (channel->in_head == NULL) {
            channel->in_tail = NULL;
        }
        inbound_free(in);
    }
}

/* Offers queued packets to the owner until it takes less, the queue is empty or the turn's share is used. */
static void deliver(struct channel *channel)
{
    size_t delivered = 0;
    while (channel->in_head != NULL && !channel->frozen && !channel->closing) {
        uv_buf_t bufs[INPUT_BUFS];
        unsigned count = 0;
        size_t total = 0;
        if (delivered >= TURN_BYTES) {
            mux_make_ready(channel);
            return;
        }
        for (struct inbound *in = channel->in_head; in != NULL && count < INPUT_BUFS; in = in->next) {
            bufs[count] = uv_buf_init((char *)in->packet + in->offset, (unsigned)(in->end - in->offset));
            total += bufs[count].len;
            count++;
        }
        size_t taken = channel->stream.events->on_input(channel->stream.owner, bufs, count);
        if (channel->closing) {
            return;
        }
        channel->read_since_end = channel->read_since_end || (channel->eof_sent && taken > 0);
        consume(channel, taken);
        delivered += taken;
        if (taken < total) {
            channel->frozen = true;
        }
    }
    grant(channel);
}

static void turn_opening(struct channel *channel)
{
    channel_open_cb *on_open = channel->on_open;
    void *arg = channel->arg;
    if (channel->cancelled || channel->dead || channel->why != NULL) {
        struct err_info why = *why_of(channel);
        if (channel->in_table) {
            mux_detach(channel, channel->open_answered ? SLOT_FREE : SLOT_ORPHAN);
        }
        on_open(arg, channel, why.code, &why);
        mux_channel_free(channel);
        return;
    }
    if (channel->open_answered) {
        channel->state = CHANNEL_OPEN;
        on_open(arg, channel, OK, NULL);
    }
}

static void turn_offered(struct channel *channel)
{
    struct mux *mux = channel->mux;
    if (channel->closing || (channel->dead && !channel->offer_told)) { /* it was rejected, or came too late */
        mux_channel_free(channel);
    } else if (!channel->offer_told) {
        channel->offer_told = true;
        mux->events.on_offer(mux->events.arg, channel, &channel->offer);
    }
}

bool mux_channel_is_complete(const struct channel *channel)
{
    return channel->close_received || (channel->eof_received && channel->eof_sent);
}

bool mux_channel_is_over(const struct channel *channel)
{
    return channel->close_received && channel->eof_sent && !channel->read_since_end && channel->in_head == NULL &&
           !channel->gone_told && !channel->closing && channel->exec == NULL && channel->stream.events != NULL;
}

static void turn_open(struct channel *channel)
{
    if (channel->closing) {
        const struct stream_events *events = channel->stream.events;
        void *owner = channel->stream.owner;
        mux_channel_free(channel);
        if (events != NULL) {
            events->on_closed(owner);
        }
        return;
    }
    if (channel->stream.events == NULL) {
        return; /* nobody has taken it over yet; resume makes it ready again */
    }
    mux_exec_turn(channel);
    if (!channel->closing && channel->eof_sent && !channel->eof_sent_told) {
        channel->eof_sent_told = true;
        channel->stream.events->on_output_end(channel->stream.owner);
    }
    deliver(channel);
    if (!channel->closing && channel->in_head == NULL && channel->eof_received && !channel->eof_told) {
        channel->eof_told = true;
        channel->stream.events->on_input_end(channel->stream.owner);
    }
    if (!channel->closing && channel->in_head == NULL && channel->close_received && !channel->gone_told) {
        static const struct err_info in_order = {.code = OK, .message = "closed by the peer"};
        channel->gone_told = true;
        channel->stream.events->on_failed(channel->stream.owner, &in_order);
    }
    if (!channel->closing && channel->dead && !channel->dead_told) {
        channel->dead_told = true;
        channel->stream.events->on_failed(channel->stream.owner, why_of(channel));
    }
}

void mux_channel_turn(struct channel *channel)
{
    switch (channel->state) {
    case CHANNEL_OPENING: turn_opening(channel); break;
    case CHANNEL_OFFERED: turn_offered(channel); break;
    case CHANNEL_OPEN: turn_open(channel); break;
    }
}

void mux_channel_writable(struct channel *channel)
{
    if (!channel->closing && channel->stream.events != NULL) {
        channel->stream.events->on_writable(channel->stream.owner);
    }
}

static struct channel *from_stream(struct stream *stream)
{
    return container_of(stream, struct channel, stream);
}

/* Nothing more may be sent on it, or nobody reads it any more. */
static bool takes_no_more(const struct channel *channel)
{
    return channel->close_sent || channel->close_received || channel->eof_sent;
}

/* How much the next data packet may carry: what channel_place() lends must go out in one. */
static uint32_t packet_most(const struct channel *channel)
{
    return channel->send_window < channel->send_packet_max ? channel->send_window : channel->send_packet_max;
}

static size_t send_data(struct channel *channel, const uint8_t *data, size_t len)
{
    struct mux *mux = channel->mux;
    size_t done = 0;
    while (done < len) {
        uint8_t head[DATA_HEAD_BYTES];
        size_t part = len - done, most = packet_most(channel);
        part = part < most ? part : most;
        if (part == 0 || mux->link.data_room(mux->link.arg) == 0) {
            break;
        }
        head[0] = MSG_CHANNEL_DATA;
        wire_store_u32(head + 1, channel->remote_id);
        wire_store_u32(head + 5, (uint32_t)part);
        if (!mux->link.send(mux->link.arg, head, sizeof head, data + done, part)) {
            break;
        }
        channel->send_window -= (uint32_t)part;
        channel->served = true;
        done += part;
    }
    return done;
}

/* on_writable comes once there is room. */
static void await_room(struct channel *channel)
{
    list_remove(&channel->waiting);
    channel->wants_window = channel->send_window == 0; /* packet_window() puts it among those who wait */
    if (!channel->wants_window) {
        list_append(channel->served ? &channel->mux->waiting : &channel->mux->unserved, &channel->waiting);
    }
}

static size_t channel_write(struct stream *stream, const uv_buf_t *bufs, unsigned buf_count)
{
    struct channel *channel = from_stream(stream);
    struct mux *mux = channel->mux;
    bool gone = takes_no_more(channel);
    bool may_send = !channel->dead && (gone || mux_flush(mux));
    size_t taken = 0;
    for (unsigned i = 0; i < buf_count && (gone || may_send); i++) {
        size_t part = gone ? bufs[i].len : send_data(channel, (const uint8_t *)bufs[i].base, bufs[i].len);
        taken += part;
        if (part < bufs[i].len) {
            may_send = false;
        }
    }
    channel->is_bulk = taken > 0 ? taken >= BULK_BYTES : channel->is_bulk;
    if (!gone && !may_send && !channel->dead) {
        await_room(channel);
    }
    return taken;
}

static void channel_end(struct stream *stream)
{
    struct channel *channel = from_stream(stream);
    if (channel->eof_sent || channel->closing) {
        return;
    }
    channel->eof_sent = true;
    if (!channel->close_sent && !channel->dead) {
        mux_queue_id(channel->mux, MSG_CHANNEL_EOF, channel->remote_id);
    }
    mux_make_ready(channel);
}

static void channel_resume(struct stream *stream)
{
    struct channel *channel = from_stream(stream);
    channel->frozen = false;
    mux_make_ready(channel);
}

static void channel_freeze(struct stream *stream)
{
    from_stream(stream)->frozen = true;
}

void mux_send_close(struct channel *channel)
{
    struct mux *mux = channel->mux;
    if (!channel->close_sent && !channel->dead) {
        bool is_late = mux_channel_is_over(channel) && (mux->control_is_late || mux_control_bytes(mux) == 0);
        channel->close_sent = true;
        mux_queue_id(mux, MSG_CHANNEL_CLOSE, channel->remote_id);
        mux->control_is_late = is_late;
    }
}

static void channel_close(struct stream *stream)
{
    struct channel *channel = from_stream(stream);
    if (channel->closing) {
        return;
    }
    channel->closing = true;
    mux_send_close(channel);
    if (channel->in_table) {
        mux_detach(channel, channel->dead ? SLOT_FREE : SLOT_CLOSED);
    }
    list_remove(&channel->waiting);
    channel->wants_window = false;
    drop_input(channel);
    mux_make_ready(channel);
}

static size_t channel_room(struct stream *stream)
{
    struct channel *channel = from_stream(stream);
    if (channel->dead) {
        return 0;
    }
    if (takes_no_more(channel)) {
        return SIZE_MAX; /* it is thrown away */
    }
    size_t room = channel->mux->link.data_room(channel->mux->link.arg);
    room = room < channel->send_window ? room : channel->send_window;
    if (room == 0 && !channel->is_bulk) {
        return 1; /* a keystroke is read now, to go out first when there is room */
    }
    if (room == 0) {
        await_room(channel);
    }
    return room;
}

/* Where one data packet's bytes will be sealed; nothing may go out before it. */
static uint8_t *channel_place(struct stream *stream, size_t *out_cap_bytes)
{
    const struct channel *channel = from_stream(stream);
    const struct mux *mux = channel->mux;
    if (mux->link.place == NULL || channel->dead || takes_no_more(channel) || mux_control_bytes(mux) > 0 ||
        mux->link.data_room(mux->link.arg) == 0) {
        return NULL;
    }
    *out_cap_bytes = packet_most(channel);
    return mux->link.place(mux->link.arg, DATA_HEAD_BYTES);
}

static size_t channel_unsent(const struct stream *stream)
{
    (void)stream;
    return 0; /* what the channel takes is the transport's */
}

static const struct stream_ops channel_ops = {
    .write = channel_write,
    .end = channel_end,
    .resume = channel_resume,
    .freeze = channel_freeze,
    .close = channel_close,
    .room = channel_room,
    .place = channel_place,
    .unsent = channel_unsent,
    .abort = channel_close, /* SSH has no reset: an abort is an immediate CLOSE */
};

struct stream *channel_stream(struct channel *channel)
{
    return &channel->stream;
}

void channel_drop(struct channel *channel)
{
    channel->stream.events = NULL;
    channel->stream.ops->close(&channel->stream);
}

bool channel_is_prohibited(const struct channel *channel)
{
    return channel->prohibited;
}

void channel_cancel_open(struct channel *channel)
{
    if (channel->state != CHANNEL_OPENING || channel->cancelled) {
        return;
    }
    channel->cancelled = true;
    if (channel->in_table && mux_open_is_unsent(channel)) {
        mux_open_withdraw(channel);
    }
    if (channel->open_answered && channel->why == NULL) { /* it was confirmed, nobody wants it */
        mux_send_close(channel);
        if (channel->in_table) {
            mux_detach(channel, SLOT_CLOSED);
        }
    }
    mux_channel_set_why(channel, ERR_CANCELLED, "given up");
    mux_make_ready(channel);
}

void channel_accept(struct channel *channel)
{
    struct mux *mux = channel->mux;
    struct wire_writer packet;
    channel->state = CHANNEL_OPEN;
    if (!channel->dead) {
        wire_writer_init(&packet);
        wire_write_u8(&packet, MSG_CHANNEL_OPEN_CONFIRMATION);
        wire_write_u32(&packet, channel->remote_id);
        wire_write_u32(&packet, channel->local_id);
        wire_write_u32(&packet, channel->window.left);
        wire_write_u32(&packet, PACKET_BYTES);
        mux_queue(mux, &packet);
        wire_writer_deinit(&packet);
    }
    mux_make_ready(channel);
}

static uint32_t failure_reason(enum err reason)
{
    switch (reason) {
    case ERR_UNSUPPORTED: return OPEN_UNKNOWN_TYPE;
    case ERR_BUSY:
    case ERR_MEMORY: return OPEN_RESOURCE_SHORTAGE;
    case ERR_BIND: return OPEN_PROHIBITED;
    default: return OPEN_CONNECT_FAILED;
    }
}

void channel_reject(struct channel *channel, enum err reason, const char *message)
{
    struct wire_writer packet;
    if (!channel->dead) {
        wire_writer_init(&packet);
        wire_write_u8(&packet, MSG_CHANNEL_OPEN_FAILURE);
        wire_write_u32(&packet, channel->remote_id);
        wire_write_u32(&packet, failure_reason(reason));
        mux_write_text(&packet, message);
        mux_write_text(&packet, "");
        mux_queue(channel->mux, &packet);
        wire_writer_deinit(&packet);
    }
    if (channel->in_table) {
        mux_detach(channel, SLOT_FREE);
    }
    channel->closing = true;
    mux_make_ready(channel);
}
