#include "session/mux.h"

#include <stdlib.h>
#include <string.h>

#include "base/container.h"
#include "session/mux_internal.h"

enum {
    TEXT_MAX = 1024,                /* longest host name or path that a peer may name */
    CONTROL_KEEP_BYTES = 16 * 1024, /* a control queue larger than this is given back when empty */
    LATE_TURNS = 8,                 /* for so many calls of mux_turn what is late makes way for all else */
    LATE_CHANNELS = 8               /* closed before the loop looks for something better again */
};

struct mux *mux_new(const struct mux_link *link, const struct mux_events *events)
{
    struct mux *mux = calloc(1, sizeof *mux);
    if (mux == NULL) {
        return NULL;
    }
    mux->link = *link;
    mux->events = *events;
    mux->requests_tail = &mux->requests;
    list_init(&mux->ready);
    list_init(&mux->waiting);
    list_init(&mux->unserved);
    list_init(&mux->borrowing);
    list_init(&mux->over);
    list_init(&mux->unsent_opens);
    window_pool_init(&mux->windows);
    wire_writer_init(&mux->control);
    return mux;
}

void mux_note_trip(struct mux *mux, uint64_t trip_us)
{
    window_pool_note_trip(&mux->windows, trip_us);
}

void mux_forget_path(struct mux *mux)
{
    window_pool_forget_path(&mux->windows);
}

void mux_free(struct mux *mux)
{
    if (mux == NULL) {
        return;
    }
    free(mux->slots);
    wire_writer_deinit(&mux->control);
    free(mux);
}

/* ---- control messages ---- */

void mux_queue(struct mux *mux, const struct wire_writer *packet)
{
    size_t before = mux->control.len;
    if (mux->failed) {
        return;
    }
    mux->control_is_late = false;
    wire_write_u32(&mux->control, (uint32_t)packet->len);
    wire_write_bytes(&mux->control, packet->data, packet->len);
    if (packet->failed || mux->control.failed) {
        mux->control.len = before;
        mux->link.violation(mux->link.arg, "out of memory");
    }
    mux->link.wake(mux->link.arg);
}

void mux_write_text(struct wire_writer *packet, const char *text)
{
    wire_write_string(packet, text, strlen(text));
}

void mux_queue_id(struct mux *mux, uint8_t type, uint32_t remote_id)
{
    uint8_t bytes[5] = {type};
    struct wire_writer packet = {.data = bytes, .len = sizeof bytes, .cap_bytes = sizeof bytes};
    wire_store_u32(bytes + 1, remote_id);
    mux_queue(mux, &packet);
}

/* What has been sent makes room, also when the queue is never quite empty. */
static void compact(struct mux *mux)
{
    struct wire_writer *control = &mux->control;
    if (mux->control_offset > CONTROL_KEEP_BYTES && mux->control_offset > control->len / 2) {
        control->len -= mux->control_offset;
        memmove(control->data, control->data + mux->control_offset, control->len);
        mux->control_offset = 0;
    }
}

bool mux_flush(struct mux *mux)
{
    struct wire_writer *control = &mux->control;
    while (mux->control_offset < control->len) {
        struct wire_reader reader;
        if (!mux->link.control_room(mux->link.arg)) {
            compact(mux);
            return false;
        }
        wire_reader_init(&reader, control->data + mux->control_offset, control->len - mux->control_offset);
        struct wire_slice packet = wire_read_string(&reader);
        mux->control_offset += 4 + packet.len;
        if (!mux->link.send(mux->link.arg, packet.data, packet.len, NULL, 0)) {
            return false;
        }
    }
    control->len = 0;
    mux->control_offset = 0;
    mux->control_is_late = false;
    if (control->cap_bytes > CONTROL_KEEP_BYTES) {
        wire_writer_deinit(control);
    }
    return true;
}

size_t mux_control_bytes(const struct mux *mux)
{
    return mux->control.len - mux->control_offset;
}

/* ---- the table of channels ---- */

void mux_make_ready(struct channel *channel)
{
    if (list_is_empty(&channel->ready)) {
        list_append(&channel->mux->ready, &channel->ready);
        channel->mux->link.wake(channel->mux->link.arg);
    }
}

bool mux_attach(struct mux *mux, struct channel *channel)
{
    size_t id = mux->slot_hint;
    while (id < mux->slot_count && mux->slots[id].use != SLOT_FREE) {
        id++;
    }
    if (id >= CHANNELS_MAX) {
        return false;
    }
    if (id == mux->slot_count) {
        size_t count = mux->slot_count == 0 ? 64 : mux->slot_count * 2;
        struct slot *grown = realloc(mux->slots, count * sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        memset(grown + mux->slot_count, 0, (count - mux->slot_count) * sizeof *grown);
        mux->slots = grown;
        mux->slot_count = count;
    }
    mux->slots[id] = (struct slot){.channel = channel, .use = SLOT_LIVE};
    mux->slot_hint = id + 1;
    channel->local_id = (uint32_t)id;
    channel->in_table = true;
    return true;
}

static void set_slot(struct mux *mux, uint32_t id, enum slot_use use)
{
    mux->slots[id] = (struct slot){.channel = NULL, .use = use};
    if (use == SLOT_FREE && id < mux->slot_hint) {
        mux->slot_hint = id;
    }
}

void mux_detach(struct channel *channel, enum slot_use use)
{
    channel->in_table = false;
    set_slot(channel->mux, channel->local_id, use);
}

/* ---- packets ---- */

static void refuse_open(struct mux *mux, uint32_t remote_id, uint32_t reason, const char *message)
{
    struct wire_writer packet;
    wire_writer_init(&packet);
    wire_write_u8(&packet, MSG_CHANNEL_OPEN_FAILURE);
    wire_write_u32(&packet, remote_id);
    wire_write_u32(&packet, reason);
    mux_write_text(&packet, message);
    mux_write_text(&packet, "");
    mux_queue(mux, &packet);
    wire_writer_deinit(&packet);
}

/* A string as heap text; NULL when it is malformed, too long, or holds a NUL byte (the reader turns bad). */
static char *read_text(struct wire_reader *reader, size_t max_len)
{
    struct wire_slice slice = wire_read_string(reader);
    char *text = NULL;
    if (!reader->bad && slice.len <= max_len && (slice.len == 0 || memchr(slice.data, 0, slice.len) == NULL)) {
        text = calloc(1, slice.len + 1);
    }
    if (text == NULL) {
        reader->bad = true;
    } else if (slice.len > 0) {
        memcpy(text, slice.data, slice.len);
    }
    return text;
}

/* Reads the part of an offered open that depends on its type. False when the type is unknown or the packet malformed.
 */
static bool read_offer(struct channel *channel, bool is_tcp, bool is_unix, struct wire_reader *reader)
{
    if (!is_tcp && !is_unix) {
        return false;
    }
    channel->offer_host = read_text(reader, TEXT_MAX);
    channel->offer.is_unix = is_unix;
    if (is_tcp) {
        channel->offer.listen_port = (uint16_t)wire_read_u32(reader);
        channel->offer_originator = read_text(reader, TEXT_MAX);
        channel->offer.originator_port = (uint16_t)wire_read_u32(reader);
    }
    channel->offer.listen_host = channel->offer_host;
    channel->offer.originator_host = channel->offer_originator != NULL ? channel->offer_originator : "";
    return !reader->bad;
}

static void packet_open(struct mux *mux, struct wire_reader *reader)
{
    struct wire_slice type = wire_read_string(reader);
    uint32_t remote_id = wire_read_u32(reader);
    uint32_t window = wire_read_u32(reader);
    uint32_t packet_max = wire_read_u32(reader);
    if (reader->bad) {
        mux->link.violation(mux->link.arg, "malformed channel open");
        return;
    }
    if (packet_max == 0) {
        refuse_open(mux, remote_id, OPEN_RESOURCE_SHORTAGE, "a largest packet of 0 bytes carries nothing");
        return;
    }
    struct channel *channel = mux_channel_new(mux, CHANNEL_OFFERED);
    if (channel == NULL) {
        refuse_open(mux, remote_id, OPEN_RESOURCE_SHORTAGE, "out of memory");
        return;
    }
    if (!read_offer(channel, wire_slice_is(type, "forwarded-tcpip"),
                    wire_slice_is(type, "forwarded-streamlocal@openssh.com"), reader)) {
        mux_channel_free(channel);
        refuse_open(mux, remote_id, OPEN_UNKNOWN_TYPE, "only forwarded connections are taken here");
        return;
    }
    if (!mux_attach(mux, channel)) {
        mux_channel_free(channel);
        refuse_open(mux, remote_id, OPEN_RESOURCE_SHORTAGE, "too many channels");
        return;
    }
    channel->remote_id = remote_id;
    channel->send_window = window;
    channel->send_packet_max = packet_max < PACKET_BYTES ? packet_max : PACKET_BYTES;
    mux_make_ready(channel);
}

static void packet_confirmation(struct mux *mux, struct channel *channel, enum slot_use use, uint32_t id,
                                struct wire_reader *reader)
{
    uint32_t remote_id = wire_read_u32(reader);
    uint32_t window = wire_read_u32(reader);
    uint32_t packet_max = wire_read_u32(reader);
    if (reader->bad) {
        mux->link.violation(mux->link.arg, "malformed open confirmation");
    } else if (use == SLOT_ORPHAN) {
        mux_queue_id(mux, MSG_CHANNEL_CLOSE, remote_id);
        set_slot(mux, id, SLOT_CLOSED);
    } else if (channel == NULL || channel->state != CHANNEL_OPENING || channel->open_answered) {
        mux->link.violation(mux->link.arg, "a confirmation for no open of ours");
    } else if (packet_max == 0) {
        mux->link.violation(mux->link.arg, "a channel whose largest packet is of 0 bytes");
    } else {
        channel->remote_id = remote_id;
        channel->send_window = window;
        channel->send_packet_max = packet_max < PACKET_BYTES ? packet_max : PACKET_BYTES;
        channel->open_answered = true;
        mux_open_settled(channel, true);
        mux_make_ready(channel);
        if (channel->cancelled) { /* given up in this very turn: the owner is not told yet, the peer must be */
            mux_send_close(channel);
            mux_detach(channel, SLOT_CLOSED);
        }
    }
}

static void packet_failure(struct mux *mux, struct channel *channel, enum slot_use use, uint32_t id,
                           struct wire_reader *reader)
{
    static const char *const reasons[] = {"refused by the peer", "administratively prohibited by the peer",
                                          "connect failed at the peer", "unknown channel type at the peer",
                                          "resource shortage at the peer"};
    uint32_t reason = wire_read_u32(reader);
    struct wire_slice text = wire_read_string(reader);
    if (use == SLOT_ORPHAN) {
        set_slot(mux, id, SLOT_FREE);
    } else if (channel != NULL && channel->state == CHANNEL_OPENING && !channel->open_answered) {
        if (reason >= sizeof reasons / sizeof reasons[0]) {
            reason = 0;
        }
        channel->open_answered = true;
        mux_open_settled(channel, true);
        channel->prohibited = reason == OPEN_PROHIBITED;
        mux_make_ready(channel);
        if (channel->cancelled) {
            return; /* it was given up before */
        }
        mux_channel_set_why(channel, ERR_REFUSED, "%s%s%.*s", reasons[reason], text.len > 0 ? ": " : "",
                            (int)(text.len < 200 ? text.len : 200), text.len > 0 ? (const char *)text.data : "");
    }
}

static void packet_window(struct mux *mux, struct channel *channel, struct wire_reader *reader)
{
    uint32_t more = wire_read_u32(reader);
    if (channel == NULL || reader->bad) {
        return;
    }
    if (more > UINT32_MAX - channel->send_window) {
        mux->link.violation(mux->link.arg, "window over 4 GiB");
        return;
    }
    channel->send_window += more;
    if (channel->wants_window && channel->send_window > 0) {
        channel->wants_window = false;
        list_append(&mux->waiting, &channel->waiting);
        mux->link.wake(mux->link.arg);
    }
}

static void packet_close(struct mux *mux, struct channel *channel, enum slot_use use, uint32_t id)
{
    if (use == SLOT_CLOSED || use == SLOT_ORPHAN) {
        set_slot(mux, id, SLOT_FREE);
    } else if (channel != NULL &&
               (channel->state == CHANNEL_OPEN || (channel->state == CHANNEL_OPENING && channel->open_answered))) {
        channel->close_received = true;
        channel->eof_received = true;
        mux_send_close(channel);
        mux_detach(channel, SLOT_FREE);
        mux_make_ready(channel);
    } else if (channel != NULL) { /* closed before it was open: no other answer comes */
        channel->dead = true;
        mux_channel_set_why(channel, channel->state == CHANNEL_OPENING ? ERR_REFUSED : ERR_CLOSED,
                            "closed by the peer before it was open");
        mux_detach(channel, SLOT_FREE);
        mux_make_ready(channel);
    }
}

/* Packets that name a channel of ours. True when the packet was kept. */
static bool packet_for_channel(struct mux *mux, uint8_t *packet, struct wire_reader *reader)
{
    uint32_t id = wire_read_u32(reader);
    if (reader->bad || id >= mux->slot_count || mux->slots[id].use == SLOT_FREE ||
        (mux->slots[id].channel != NULL && mux_open_is_unsent(mux->slots[id].channel))) {
        mux->link.violation(mux->link.arg, "a packet for a channel that is not open");
        return false;
    }
    struct channel *channel = mux->slots[id].channel;
    enum slot_use use = mux->slots[id].use;
    switch (packet[0]) {
    case MSG_CHANNEL_OPEN_CONFIRMATION: packet_confirmation(mux, channel, use, id, reader); break;
    case MSG_CHANNEL_OPEN_FAILURE: packet_failure(mux, channel, use, id, reader); break;
    case MSG_CHANNEL_WINDOW_ADJUST: packet_window(mux, channel, reader); break;
    case MSG_CHANNEL_DATA:
    case MSG_CHANNEL_EXTENDED_DATA: return channel != NULL && mux_channel_data(channel, packet, reader);
    case MSG_CHANNEL_EOF:
        if (channel != NULL) {
            channel->eof_received = true;
            mux_make_ready(channel);
        }
        break;
    case MSG_CHANNEL_CLOSE: packet_close(mux, channel, use, id); break;
    case MSG_CHANNEL_REQUEST: mux_exec_incoming(mux, channel, reader); break;
    case MSG_CHANNEL_SUCCESS:
    case MSG_CHANNEL_FAILURE: mux_exec_reply(channel, packet[0] == MSG_CHANNEL_SUCCESS); break;
    default: break;
    }
    return false;
}

/* True when the packet was kept. */
static bool take_packet(struct mux *mux, uint8_t *packet, size_t len)
{
    struct wire_reader reader;
    wire_reader_init(&reader, packet, len);
    uint8_t type = wire_read_u8(&reader);
    if (mux->failed) {
        return false;
    }
    switch (type) {
    case MSG_GLOBAL_REQUEST: mux_request_incoming(mux, &reader); break;
    case MSG_REQUEST_SUCCESS:
    case MSG_REQUEST_FAILURE: mux_request_reply(mux, type == MSG_REQUEST_SUCCESS, &reader); break;
    case MSG_CHANNEL_OPEN: packet_open(mux, &reader); break;
    default:
        if (type > MSG_CHANNEL_OPEN && type <= MSG_CHANNEL_FAILURE) {
            return packet_for_channel(mux, packet, &reader);
        }
        break;
    }
    return false;
}

void mux_packet(struct mux *mux, uint8_t *packet, size_t len)
{
    if (!take_packet(mux, packet, len)) {
        free(packet);
    }
}

void mux_packet_borrowed(struct mux *mux, uint8_t *packet, size_t len)
{
    mux->packet_is_borrowed = true;
    (void)take_packet(mux, packet, len);
    mux->packet_is_borrowed = false;
}

bool mux_borrows(const struct mux *mux)
{
    return !list_is_empty(&mux->borrowing);
}

void mux_settle(struct mux *mux)
{
    struct list *link;
    while ((link = list_pop(&mux->borrowing)) != NULL) {
        mux_channel_settle(container_of(link, struct channel, borrowing));
    }
}

/* ---- turns ---- */

/* Lets each of these channels write once, in the order in which they ran dry. */
static bool turn_some(struct mux *mux, struct list *waiting)
{
    struct list round;
    struct list *link;
    bool any = false;
    list_init(&round);
    list_move(&round, waiting);
    while ((link = list_pop(&round)) != NULL) {
        struct channel *channel = container_of(link, struct channel, waiting);
        if (mux->link.data_room(mux->link.arg) == 0) {
            list_append(waiting, link);
            continue;
        }
        any = true;
        channel->served = false;
        mux_channel_writable(channel);
    }
    return any;
}

/* One that is told of room reads its socket only when the loop comes to it, and others may have taken the room by then:
 * it is told first the next time, else those that always have something would always be first. */
static bool turn_waiting(struct mux *mux)
{
    if (mux->link.data_room(mux->link.arg) == 0) {
        return false;
    }
    bool any = turn_some(mux, &mux->unserved);
    return turn_some(mux, &mux->waiting) || any;
}

bool mux_is_late(const struct mux *mux)
{
    return mux->control_is_late || !list_is_empty(&mux->over);
}

static bool turn_late(struct mux *mux, size_t most)
{
    struct list *link;
    bool any = mux_is_late(mux);
    mux->late_turns = 0;
    mux->control_is_late = false; /* from here on it waits for room only */
    for (size_t i = 0; i < most && (link = list_pop(&mux->over)) != NULL; i++) {
        mux_channel_turn(container_of(link, struct channel, ready));
    }
    return any;
}

bool mux_turn_late(struct mux *mux)
{
    return turn_late(mux, LATE_CHANNELS);
}

bool mux_turn(struct mux *mux)
{
    struct list round;
    struct list *link;
    bool any = mux_request_turn(mux);
    mux->late_turns = mux_is_late(mux) ? mux->late_turns + 1 : 0;
    if (mux->late_turns > (mux->failed ? 0 : LATE_TURNS)) {
        any = turn_late(mux, SIZE_MAX) || any;
    }
    list_init(&round);
    list_move(&round, &mux->ready);
    while ((link = list_pop(&round)) != NULL) {
        struct channel *channel = container_of(link, struct channel, ready);
        any = true;
        if (!mux->failed && mux_channel_is_over(channel)) {
            list_append(&mux->over, link);
        } else {
            mux_channel_turn(channel);
        }
    }
    if (!mux->failed) {
        any = mux_open_turn(mux) || any;
        size_t before = mux_control_bytes(mux);
        if (!mux->control_is_late) {
            (void)mux_flush(mux);
        }
        any = turn_waiting(mux) || any || mux_control_bytes(mux) < before;
    }
    return any;
}

static void fail_channel(struct mux *mux, struct channel *channel)
{
    channel->dead = !mux_channel_is_complete(channel);
    if (channel->dead && channel->why == NULL) {
        mux_channel_set_why(channel, mux->why.code == ERR_CANCELLED ? ERR_CLOSED : mux->why.code, "%s",
                            mux->why.message);
    }
    if (channel->dead && channel->state != CHANNEL_OFFERED) {
        channel->counted = true;
        mux->unended++;
    }
    list_remove(&channel->waiting);
    channel->wants_window = false;
    mux_detach(channel, SLOT_FREE);
    mux_make_ready(channel);
}

void mux_fail(struct mux *mux, const struct err_info *why)
{
    if (mux->failed) {
        return;
    }
    mux->failed = true;
    mux->why = *why;
    mux->control.len = mux->control_offset = 0;
    mux_request_fail_all(mux);
    for (size_t id = 0; id < mux->slot_count; id++) {
        if (mux->slots[id].channel != NULL) {
            fail_channel(mux, mux->slots[id].channel);
        }
    }
    mux->link.wake(mux->link.arg);
}

bool mux_is_idle(const struct mux *mux)
{
    return mux->unended == 0 && mux->requests == NULL;
}

size_t mux_channel_count(const struct mux *mux)
{
    return mux->channel_count;
}
