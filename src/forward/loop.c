#include "forward/loop.h"

#include <stdlib.h>
#include <string.h>

#include "base/container.h"
#include "relay/stream.h"

struct loop {
    struct channel *channel;
    loop_ended_cb *on_ended; /* NULL: it was given up before it was open */
    void *arg;
    uv_loop_t *clock;
    uint64_t begun_ms, opened_ms;
    bool is_open;
    char token[LOOP_TOKEN_BYTES];
    size_t sent;
};

/* ---- the way out: we are a client at the peer ---- */

/* The end of an open one, from inside its stream's events. */
static void fail(struct loop *loop, const char *reason)
{
    loop_ended_cb *on_ended = loop->on_ended;
    void *arg = loop->arg;
    channel_drop(loop->channel);
    free(loop);
    on_ended(arg, LOOP_CLOSED, reason);
}

static size_t out_room(void *owner)
{
    (void)owner;
    return LOOP_TOKEN_BYTES;
}

static size_t total_of(const uv_buf_t *bufs, unsigned count)
{
    size_t total = 0;
    for (unsigned i = 0; i < count; i++) {
        total += bufs[i].len;
    }
    return total;
}

/* Whoever listens there says something: that is not us. The token's way back is all that counts. */
static size_t out_input(void *owner, const uv_buf_t *bufs, unsigned count)
{
    (void)owner;
    return total_of(bufs, count);
}

static void out_input_end(void *owner)
{
    fail(owner, "who listens there ended it");
}

static void out_failed(void *owner, const struct err_info *why)
{
    fail(owner, why->code == OK ? "who listens there ended it" : why->message);
}

static void out_write(void *owner)
{
    struct loop *loop = owner;
    struct stream *stream = channel_stream(loop->channel);
    if (loop->sent < LOOP_TOKEN_BYTES) {
        uv_buf_t buf = uv_buf_init(loop->token + loop->sent, (unsigned)(LOOP_TOKEN_BYTES - loop->sent));
        loop->sent += stream->ops->write(stream, &buf, 1);
    }
}

static void nothing(void *owner)
{
    (void)owner;
}

static const struct stream_events out_events = {.room = out_room,
                                                .on_input = out_input,
                                                .on_input_end = out_input_end,
                                                .on_writable = out_write,
                                                .on_output_end = nothing,
                                                .on_failed = out_failed,
                                                .on_closed = nothing};

static void on_open(void *arg, struct channel *channel, enum err result, const struct err_info *why)
{
    struct loop *loop = arg;
    if (result == OK && loop->on_ended != NULL) {
        struct stream *stream = channel_stream(channel);
        loop->channel = channel;
        loop->is_open = true;
        loop->opened_ms = uv_now(loop->clock);
        stream->events = &out_events;
        stream->owner = loop;
        out_write(loop);
        stream->ops->resume(stream);
        return;
    }
    if (result == OK) {
        channel_drop(channel);
    } else if (loop->on_ended != NULL) {
        loop->on_ended(loop->arg,
                       result != ERR_REFUSED            ? LOOP_GONE
                       : channel_is_prohibited(channel) ? LOOP_PROHIBITED
                                                        : LOOP_CLOSED,
                       why->message);
    }
    free(loop);
}

struct loop *loop_begin(struct forward *forward, loop_ended_cb *on_ended, void *arg)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL) {
        return NULL;
    }
    loop->on_ended = on_ended;
    loop->arg = arg;
    loop->clock = forward->loop;
    loop->begun_ms = uv_now(loop->clock);
    if (uv_random(NULL, NULL, loop->token, sizeof loop->token, 0, NULL) == 0) {
        loop->channel = forward->spec->listen.kind == ENDPOINT_UNIX
                            ? session_open_unix(forward->session, forward->spec->listen.path, on_open, loop)
                            : session_open_tcp(forward->session, forward_loop_host(forward->spec), forward->bound_port,
                                               "127.0.0.1", 0, on_open, loop);
    }
    if (loop->channel == NULL) {
        free(loop);
        return NULL;
    }
    return loop;
}

void loop_end(struct loop *loop)
{
    loop->on_ended = NULL;
    if (loop->is_open) {
        channel_drop(loop->channel);
        free(loop);
    } else {
        channel_cancel_open(loop->channel); /* on_open frees it */
    }
}

/* ---- the way back: one of those that come from the peer itself ---- */

/* An address in the form of IPv6, in which those of IPv4 have a place. False: the text is none. */
static bool read_address(const char *text, uint8_t out[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    memcpy(out, mapped, sizeof mapped);
    return uv_inet_pton(AF_INET, text, out + sizeof mapped) == 0 || uv_inet_pton(AF_INET6, text, out) == 0;
}

static bool is_loopback(const uint8_t address[16])
{
    static const uint8_t six[16] = {[15] = 1};
    static const uint8_t mapped[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};
    return memcmp(address, six, sizeof six) == 0 || memcmp(address, mapped, sizeof mapped) == 0;
}

bool loop_may_be(const struct forward *forward, const struct channel_offer *offer)
{
    uint8_t from[16];
    uint8_t to[16];
    const char *host = forward_loop_host(forward->spec);
    if (offer->is_unix || !read_address(offer->originator_host, from) || is_loopback(from)) {
        return true;
    }
    return read_address(host, to) ? memcmp(from, to, sizeof from) == 0 : strcmp(host, "localhost") != 0;
}

static void go_on(struct connection *connection)
{
    struct stream *stream = channel_stream(connection->channel);
    stream->ops->freeze(stream); /* what it said is kept for its target */
    connection_told_apart(connection);
}

static size_t apart_room(void *owner)
{
    (void)owner;
    return LOOP_TOKEN_BYTES;
}

/* Takes nothing but the whole token: what a client says is left where it is. */
static size_t apart_input(void *owner, const uv_buf_t *bufs, unsigned count)
{
    struct connection *connection = owner;
    char said[LOOP_TOKEN_BYTES];
    size_t len = 0;
    if (connection->state != CONNECTION_APART) {
        return 0;
    }
    for (unsigned i = 0; i < count && len < sizeof said; i++) {
        size_t part = bufs[i].len < sizeof said - len ? bufs[i].len : sizeof said - len;
        memcpy(said + len, bufs[i].base, part);
        len += part;
    }
    if (memcmp(said, connection->token, len) != 0) {
        go_on(connection);
        return 0;
    }
    if (len < sizeof said) {
        return 0; /* the rest may come; loop_release has it offered again */
    }
    channel_drop(connection->channel);
    connection->channel = NULL;
    probe_came_back(connection);
    return len;
}

/* The relay is told of it when it begins. */
static void apart_input_end(void *owner)
{
    struct connection *connection = owner;
    connection->input_ended = true;
    if (connection->state == CONNECTION_APART) {
        go_on(connection);
    }
}

static void apart_failed(void *owner, const struct err_info *why)
{
    (void)why;
    connection_cancel(owner, "its client went");
}

static const struct stream_events apart_events = {.room = apart_room,
                                                  .on_input = apart_input,
                                                  .on_input_end = apart_input_end,
                                                  .on_writable = nothing,
                                                  .on_output_end = nothing,
                                                  .on_failed = apart_failed,
                                                  .on_closed = nothing};

void loop_tell_apart(struct connection *connection, const struct loop *loop)
{
    struct stream *stream = channel_stream(connection->channel);
    memcpy(connection->token, loop->token, sizeof connection->token);
    connection->state = CONNECTION_APART;
    connection->is_accepted = true;
    channel_accept(connection->channel);
    stream->events = &apart_events;
    stream->owner = connection;
    stream->ops->resume(stream);
}

/* The token left when the peer had taken the loop's channel, and comes back a round trip later, as that answer did.
 * Not a tick too late for LOOP_APART_MS. */
static bool has_waited(const struct connection *connection, const struct loop *loop, uint64_t now)
{
    uint64_t waited_ms = now - connection->since_ms;
    uint64_t way_ms = loop->is_open ? loop->opened_ms - loop->begun_ms : 0;
    bool may_come = loop->is_open && now - loop->opened_ms < 2 * way_ms;
    return waited_ms + LOOP_TICK_MS > (may_come ? LOOP_APART_MAX_MS : LOOP_APART_MS);
}

bool loop_release(struct forward *forward, const struct loop *loop)
{
    uint64_t now = uv_now(forward->loop);
    bool some_wait = false;
    struct list *link = forward->connections.next;
    while (link != &forward->connections) {
        struct connection *connection = container_of(link, struct connection, link);
        link = link->next;
        if (connection->state != CONNECTION_APART) {
            continue;
        }
        if (loop == NULL || has_waited(connection, loop, now)) {
            go_on(connection);
        } else {
            struct stream *stream = channel_stream(connection->channel);
            some_wait = true;
            stream->ops->resume(stream);
        }
    }
    return some_wait;
}
