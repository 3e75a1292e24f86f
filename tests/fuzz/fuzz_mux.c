/* The connection layer: packets, owners' actions and a link that stops and goes, all from the fuzzer's bytes. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "relay/stream.h"
#include "session/mux.h"

enum { OWNERS = 16, TURNS_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum owner_state { OWNER_NONE = 0, OWNER_OPENING, OWNER_OFFERED, OWNER_OPEN, OWNER_CLOSING };

struct owner {
    enum owner_state state;
    struct channel *channel;
    bool failed;
    bool takes; /* all that is offered, else a part */
    bool closes_at_input, ended;
};

static struct {
    struct mux *mux;
    struct owner owners[OWNERS];
    size_t replies_due;
    uint64_t now_us;
    bool data_room, control_room, broken, was_idle_told;
} net;

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* ---- the link ---- */

static bool link_send(void *arg, const uint8_t *head, size_t head_len, const uint8_t *body, size_t body_len)
{
    (void)arg;
    (void)body;
    check(!net.broken);
    check(head_len > 0 && head[0] >= 80 && head[0] <= 100);
    check(body_len == 0 ? net.control_room : net.data_room);
    return true;
}

static size_t link_data_room(void *arg)
{
    (void)arg;
    return net.data_room && !net.broken ? 100000 : 0;
}

static bool link_control_room(void *arg)
{
    (void)arg;
    return net.control_room && !net.broken;
}

static uint64_t link_now_us(void *arg)
{
    (void)arg;
    return net.now_us;
}

static void link_wake(void *arg)
{
    (void)arg;
}

static void fail(void)
{
    struct err_info why;
    (void)err_set(&why, ERR_PROTOCOL, "%s", "over");
    net.broken = true;
    mux_fail(net.mux, &why);
}

static void link_violation(void *arg, const char *message)
{
    (void)arg;
    check(message[0] != '\0');
    fail();
}

/* ---- owners ---- */

static struct owner *free_owner(void)
{
    for (size_t i = 0; i < OWNERS; i++) {
        if (net.owners[i].state == OWNER_NONE) {
            net.owners[i] = (struct owner){.takes = i % 2 == 0, .closes_at_input = i % 5 == 4};
            return &net.owners[i];
        }
    }
    return NULL;
}

static void close_owner(struct owner *owner, bool hard)
{
    struct stream *stream = channel_stream(owner->channel);
    owner->state = OWNER_CLOSING;
    if (hard) {
        stream->ops->abort(stream);
    } else {
        stream->ops->close(stream);
    }
}

static size_t on_input(void *arg, const uv_buf_t *bufs, unsigned count)
{
    struct owner *owner = arg;
    size_t total = 0;
    check(owner->state == OWNER_OPEN);
    for (unsigned i = 0; i < count; i++) {
        check(bufs[i].len > 0);
        total += bufs[i].len;
        for (size_t j = 0; j < bufs[i].len; j += 7) { /* every byte is there to be read */
            owner->takes ^= (bufs[i].base[j] & 64) != 0;
        }
    }
    if (owner->closes_at_input) {
        close_owner(owner, true);
    }
    return owner->takes ? total : total / 2;
}

static void on_input_end(void *arg)
{
    check(((struct owner *)arg)->state == OWNER_OPEN);
}

static void on_writable(void *arg)
{
    check(((struct owner *)arg)->state == OWNER_OPEN);
}

static void on_output_end(void *arg)
{
    struct owner *owner = arg;
    check(owner->state == OWNER_OPEN && owner->ended);
}

static void on_failed(void *arg, const struct err_info *why)
{
    struct owner *owner = arg;
    (void)why;
    check(owner->state == OWNER_OPEN);
    owner->failed = true;
    close_owner(owner, why->code != OK);
}

static void on_closed(void *arg)
{
    struct owner *owner = arg;
    check(owner->state == OWNER_CLOSING);
    owner->state = OWNER_NONE;
}

static const struct stream_events events = {.on_input = on_input,
                                            .on_input_end = on_input_end,
                                            .on_writable = on_writable,
                                            .on_output_end = on_output_end,
                                            .on_failed = on_failed,
                                            .on_closed = on_closed};

static void take_over(struct owner *owner, struct channel *channel)
{
    struct stream *stream = channel_stream(channel);
    owner->state = OWNER_OPEN;
    owner->channel = channel;
    stream->events = &events;
    stream->owner = owner;
    stream->ops->resume(stream);
}

static void on_open(void *arg, struct channel *channel, enum err result, const struct err_info *why)
{
    struct owner *owner = arg;
    check(owner->state == OWNER_OPENING);
    check((result == OK) == (why == NULL));
    owner->state = OWNER_NONE;
    if (result == OK) {
        take_over(owner, channel);
    }
}

static void on_offer(void *arg, struct channel *channel, const struct channel_offer *offer)
{
    struct owner *owner = free_owner();
    (void)arg;
    check(strlen(offer->listen_host) <= 1024 && strlen(offer->originator_host) <= 1024);
    if (owner == NULL) {
        channel_reject(channel, ERR_BUSY, "too many");
        return;
    }
    owner->state = OWNER_OFFERED;
    owner->channel = channel;
}

static void on_reply(void *arg, enum err result, uint16_t port)
{
    (void)arg;
    (void)result;
    (void)port;
    check(net.replies_due > 0);
    net.replies_due--;
}

/* ---- what the bytes mean ---- */

static void open_one(bool is_unix)
{
    struct owner *owner = free_owner();
    if (owner == NULL) {
        return;
    }
    owner->state = OWNER_OPENING;
    owner->channel =
        is_unix ? mux_open_unix(net.mux, "/x", on_open, owner) : mux_open_tcp(net.mux, "h", 1, "o", 2, on_open, owner);
    if (owner->channel == NULL) {
        owner->state = OWNER_NONE;
    }
}

static void write_some(struct owner *owner, size_t len)
{
    static char zeros[70000];
    struct stream *stream = channel_stream(owner->channel);
    uv_buf_t bufs[2] = {uv_buf_init(zeros, (unsigned)(len % 40000 + 1)), uv_buf_init(zeros, 5)};
    size_t taken = stream->ops->write(stream, bufs, 2);
    check(taken <= bufs[0].len + bufs[1].len);
}

static void act(struct owner *owner, uint8_t what, uint8_t much)
{
    struct stream *stream = owner->channel != NULL ? channel_stream(owner->channel) : NULL;
    switch (owner->state) {
    case OWNER_OPENING: channel_cancel_open(owner->channel); break;
    case OWNER_OFFERED:
        if (what % 2 == 0) {
            channel_accept(owner->channel);
            take_over(owner, owner->channel);
        } else {
            owner->state = OWNER_NONE;
            channel_reject(owner->channel, (enum err)(what % (ERR_INTERNAL + 1)), "no");
        }
        break;
    case OWNER_OPEN:
        switch (what % 6) {
        case 0: write_some(owner, (size_t)much * 300); break;
        case 1:
            owner->ended = true;
            stream->ops->end(stream);
            break;
        case 2: close_owner(owner, (much & 1) != 0); break;
        case 3: stream->ops->freeze(stream); break;
        default: stream->ops->resume(stream); break;
        }
        break;
    case OWNER_NONE:
    case OWNER_CLOSING: break;
    }
}

static void act_alone(uint8_t what)
{
    switch (what % 8) {
    case 0: open_one(false); break;
    case 1: open_one(true); break;
    case 2:
        net.replies_due++;
        mux_keepalive(net.mux, on_reply, NULL);
        break;
    case 3:
        net.replies_due++;
        mux_forward_request(net.mux, "tcpip-forward", "localhost", true, 0, on_reply, NULL);
        break;
    case 4: net.data_room = !net.data_room; break;
    case 5:
        net.control_room = !net.control_room;
        net.now_us += 1000;
        break;
    default: (void)mux_turn(net.mux); break;
    }
}

/* Turns come to rest: whatever the peer says, the session does not turn for ever. */
static void settle(void)
{
    int turns = 0;
    while (mux_turn(net.mux)) {
        check(++turns < TURNS_MAX);
    }
}

static void packet(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);
    check(copy != NULL);
    memcpy(copy, data, len);
    if (len % 2 == 0) {
        mux_packet(net.mux, copy, len);
        return;
    }
    mux_packet_borrowed(net.mux, copy, len);
    mux_settle(net.mux);
    check(!mux_borrows(net.mux));
    free(copy);
}

static void end_all(void)
{
    if (!net.broken) {
        fail();
    }
    settle();
    check(mux_is_idle(net.mux) && net.replies_due == 0);
    for (size_t i = 0; i < OWNERS; i++) {
        struct owner *owner = &net.owners[i];
        check(owner->state != OWNER_OPENING);
        if (owner->state == OWNER_OFFERED) {
            owner->state = OWNER_NONE;
            channel_reject(owner->channel, ERR_CONNECT, "late");
        } else if (owner->state == OWNER_OPEN) { /* all of it is here, but not yet read */
            close_owner(owner, false);
        }
    }
    settle();
    check(mux_channel_count(net.mux) == 0 && mux_is_idle(net.mux));
    for (size_t i = 0; i < OWNERS; i++) {
        check(net.owners[i].state == OWNER_NONE);
    }
    mux_free(net.mux);
}

/* Each step: a byte below 128 is an action of ours (and 1 or 2 more bytes), from 128 on a packet of (byte - 128) bytes.
 * A packet's number is brought into 80-101, so that few are wasted. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mux_link link = {.send = link_send,
                                  .data_room = link_data_room,
                                  .control_room = link_control_room,
                                  .now_us = link_now_us,
                                  .wake = link_wake,
                                  .violation = link_violation};
    const struct mux_events mux_events = {.on_offer = on_offer};
    memset(&net, 0, sizeof net);
    net.data_room = net.control_room = true;
    net.mux = mux_new(&link, &mux_events);
    check(net.mux != NULL);
    while (size >= 3) {
        uint8_t what = data[0];
        if (what >= 128) {
            uint8_t bytes[128];
            size_t len = (size_t)(what - 128);
            len = len < size - 1 ? len : size - 1;
            memcpy(bytes, data + 1, len);
            bytes[0] = (uint8_t)(80 + bytes[0] % 22);
            packet(bytes, len);
            data += 1 + len;
            size -= 1 + len;
        } else if (what >= 64) {
            act(&net.owners[what % OWNERS], data[1], data[2]);
            data += 3;
            size -= 3;
        } else {
            act_alone(what);
            data++;
            size--;
        }
    }
    settle();
    end_all();
    return 0;
}
