#include "forward/apart.h"

#include <stdlib.h>
#include <string.h>

#include "base/container.h"
#include "base/log.h"
#include "forward/loop.h"
#include "relay/stream.h"

struct apart {
    struct forward *forward;
    struct tokens tokens;
    uv_timer_t timer; /* while connections wait; made when the first does */
    bool has_timer;
};

static uint64_t now_of(const struct forward *forward)
{
    return uv_now(forward->loop);
}

struct tokens *apart_tokens(const struct forward *forward)
{
    return &forward->apart->tokens;
}

/* ---- who is told apart ---- */

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

bool apart_may_be(const struct forward *forward, const struct channel_offer *offer)
{
    uint8_t from[16];
    uint8_t to[16];
    const char *host = forward_loop_host(forward->spec);
    if (offer->is_unix || !read_address(offer->originator_host, from) || is_loopback(from)) {
        return true;
    }
    return read_address(host, to) ? memcmp(from, to, sizeof from) == 0 : strcmp(host, "localhost") != 0;
}

bool apart_is_due(const struct forward *forward, const struct channel_offer *offer)
{
    return forward->apart != NULL && tokens_are_awaited(&forward->apart->tokens, now_of(forward)) &&
           apart_may_be(forward, offer);
}

/* ---- what it says ---- */

/* The first bytes of these, TOKEN_BYTES at most. Returns how many. */
static size_t first_bytes(const uv_buf_t *bufs, unsigned count, char out[TOKEN_BYTES])
{
    size_t len = 0;
    for (unsigned i = 0; i < count && len < TOKEN_BYTES; i++) {
        size_t part = bufs[i].len < TOKEN_BYTES - len ? bufs[i].len : TOKEN_BYTES - len;
        memcpy(out + len, bufs[i].base, part);
        len += part;
    }
    return len;
}

/* A token is here, whole. */
static void came_back(struct forward *forward, struct token *token)
{
    struct loop *loop = forward->looping;
    if (loop != NULL && loop_has_token(loop, token)) {
        loop_came_back(loop);
        return;
    }
    log_debug(forward->log_name, "a probe came back %.3g s after it was given up",
              (double)(now_of(forward) - token->given_up_ms) / 1000.0);
    token_forget(token);
    apart_look(forward);
}

static void go_on(struct connection *connection, bool may_be_late)
{
    struct stream *stream = channel_stream(connection->channel);
    stream->ops->freeze(stream); /* what it said is kept for its target */
    connection->may_be_late = may_be_late;
    connection_told_apart(connection);
}

static size_t apart_room(void *owner)
{
    (void)owner;
    return TOKEN_BYTES;
}

/* Takes nothing but a whole token: what a client says is left where it is. */
static size_t apart_input(void *owner, const uv_buf_t *bufs, unsigned count)
{
    struct connection *connection = owner;
    struct forward *forward = connection->forward;
    char said[TOKEN_BYTES];
    if (connection->state != CONNECTION_APART) {
        return 0;
    }
    size_t len = first_bytes(bufs, count, said);
    struct token *token = tokens_find(&forward->apart->tokens, said, len, now_of(forward));
    if (token == NULL) {
        go_on(connection, false);
        return 0;
    }
    if (len < TOKEN_BYTES) {
        return 0; /* the rest may come; apart_look has it offered again */
    }
    channel_drop(connection->channel);
    connection->channel = NULL;
    connection_cancel(connection, "the probe is over");
    came_back(forward, token);
    return len;
}

/* The relay is told of it when it begins. */
static void apart_input_end(void *owner)
{
    struct connection *connection = owner;
    connection->input_ended = true;
    if (connection->state == CONNECTION_APART) {
        go_on(connection, false);
    }
}

static void apart_failed(void *owner, const struct err_info *why)
{
    (void)why;
    connection_cancel(owner, "its client went");
}

static void nothing(void *owner)
{
    (void)owner;
}

static const struct stream_events apart_events = {.room = apart_room,
                                                  .on_input = apart_input,
                                                  .on_input_end = apart_input_end,
                                                  .on_writable = nothing,
                                                  .on_output_end = nothing,
                                                  .on_failed = apart_failed,
                                                  .on_closed = nothing};

/* ---- how long it waits ---- */

/* Not a tick too late for APART_MS. */
static bool has_waited(const struct connection *connection, const struct tokens *tokens, uint64_t now)
{
    uint64_t waited_ms = now - connection->since_ms;
    return waited_ms + APART_TICK_MS > (tokens_are_on_their_way(tokens, now) ? APART_MAX_MS : APART_MS);
}

void apart_look(struct forward *forward)
{
    struct apart *apart = forward->apart;
    uint64_t now = now_of(forward);
    bool is_awaited = tokens_are_awaited(&apart->tokens, now);
    bool some_wait = false;
    struct list *link = forward->connections.next;
    while (link != &forward->connections) {
        struct connection *connection = container_of(link, struct connection, link);
        link = link->next;
        if (connection->state != CONNECTION_APART) {
            continue;
        }
        if (!is_awaited || has_waited(connection, &apart->tokens, now)) {
            go_on(connection, is_awaited);
        } else {
            struct stream *stream = channel_stream(connection->channel);
            some_wait = true;
            stream->ops->resume(stream);
        }
    }
    if (!some_wait && apart->has_timer) {
        (void)uv_timer_stop(&apart->timer);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct apart *apart = timer->data;
    apart_look(apart->forward);
}

void apart_begin(struct connection *connection)
{
    struct apart *apart = connection->forward->apart;
    struct stream *stream = channel_stream(connection->channel);
    if (!apart->has_timer) {
        (void)uv_timer_init(connection->forward->loop, &apart->timer);
        apart->timer.data = apart;
        apart->has_timer = true;
    }
    if (!uv_is_active((uv_handle_t *)&apart->timer)) { /* else it ticks for an earlier one */
        (void)uv_timer_start(&apart->timer, on_tick, APART_TICK_MS, APART_TICK_MS);
    }
    connection->state = CONNECTION_APART;
    connection->is_accepted = true;
    channel_accept(connection->channel);
    stream->events = &apart_events;
    stream->owner = connection;
    stream->ops->resume(stream);
}

/* ---- one that has waited, and said nothing: its relay hears of all but a token ---- */

static size_t late_room(void *owner)
{
    const struct connection *connection = owner;
    return connection->relay_events->room(connection->relay_owner);
}

/* Its first bytes. A loop says no more than its token, and ends then. */
static size_t late_input(void *owner, const uv_buf_t *bufs, unsigned count)
{
    struct connection *connection = owner;
    struct forward *forward = connection->forward;
    struct stream *stream = channel_stream(connection->channel);
    char said[TOKEN_BYTES];
    size_t len = first_bytes(bufs, count, said);
    stream->events = connection->relay_events;
    stream->owner = connection->relay_owner;
    struct token *token = len == TOKEN_BYTES && forward->apart != NULL
                              ? tokens_find(&forward->apart->tokens, said, len, now_of(forward))
                              : NULL;
    if (token == NULL) {
        return stream->events->on_input(stream->owner, bufs, count);
    }
    came_back(forward, token);
    return TOKEN_BYTES;
}

static void late_input_end(void *owner)
{
    const struct connection *connection = owner;
    connection->relay_events->on_input_end(connection->relay_owner);
}

static void late_writable(void *owner)
{
    const struct connection *connection = owner;
    connection->relay_events->on_writable(connection->relay_owner);
}

static void late_output_end(void *owner)
{
    const struct connection *connection = owner;
    connection->relay_events->on_output_end(connection->relay_owner);
}

static void late_failed(void *owner, const struct err_info *why)
{
    const struct connection *connection = owner;
    connection->relay_events->on_failed(connection->relay_owner, why);
}

static void late_closed(void *owner)
{
    const struct connection *connection = owner;
    connection->relay_events->on_closed(connection->relay_owner);
}

static const struct stream_events late_events = {.room = late_room,
                                                 .on_input = late_input,
                                                 .on_input_end = late_input_end,
                                                 .on_writable = late_writable,
                                                 .on_output_end = late_output_end,
                                                 .on_failed = late_failed,
                                                 .on_closed = late_closed};

void apart_watch(struct connection *connection)
{
    struct stream *stream = channel_stream(connection->channel);
    if (connection->may_be_late) {
        connection->relay_events = stream->events;
        connection->relay_owner = stream->owner;
        stream->events = &late_events;
        stream->owner = connection;
    }
}

/* ---- the beginning and the end ---- */

bool apart_make(struct forward *forward)
{
    if (forward->spec->type != FORWARD_REMOTE) {
        return true;
    }
    struct apart *apart = calloc(1, sizeof *apart);
    if (apart == NULL) {
        return false;
    }
    apart->forward = forward;
    forward->apart = apart;
    return true;
}

void apart_forget(struct forward *forward)
{
    if (forward->apart != NULL) {
        tokens_forget(&forward->apart->tokens);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct apart *apart = handle->data;
    struct forward *forward = apart->forward;
    forward->apart = NULL;
    free(apart);
    forward_check_stopped(forward);
}

void apart_close(struct forward *forward)
{
    struct apart *apart = forward->apart;
    if (apart != NULL && apart->has_timer) {
        uv_close((uv_handle_t *)&apart->timer, on_timer_closed);
    } else if (apart != NULL) {
        forward->apart = NULL;
        free(apart);
    }
}
