#include "forward/loop.h"

#include <stdlib.h>

#include "forward/apart.h"
#include "relay/stream.h"

enum { DEFAULT_LIMIT_MS = 10000 };

struct loop {
    struct forward *forward;
    struct channel *channel;
    loop_ended_cb *on_ended; /* NULL: it was given up before it was open */
    void *arg;
    struct token *token; /* NULL likewise */
    bool is_open;
    size_t sent;
};

/* No token of it is awaited any more, but for a late one. */
static void leave(struct loop *loop)
{
    loop->forward->looping = NULL;
    token_give_up(loop->token, uv_now(loop->forward->loop));
    apart_look(loop->forward);
}

/* The end of an open one. */
static void finish(struct loop *loop, enum loop_end end, const char *reason)
{
    loop_ended_cb *on_ended = loop->on_ended;
    void *arg = loop->arg;
    leave(loop);
    channel_drop(loop->channel);
    free(loop);
    on_ended(arg, end, reason);
}

static size_t room(void *owner)
{
    (void)owner;
    return TOKEN_BYTES;
}

/* Whoever listens there says something: that is not us, or the target of a connection that was not waited for. The
 * token's way back is all that counts. */
static size_t on_input(void *owner, const uv_buf_t *bufs, unsigned count)
{
    size_t total = 0;
    (void)owner;
    for (unsigned i = 0; i < count; i++) {
        total += bufs[i].len;
    }
    return total;
}

static void on_input_end(void *owner)
{
    finish(owner, LOOP_CLOSED, "who listens there ended it");
}

static void on_failed(void *owner, const struct err_info *why)
{
    if (why->code == OK) {
        on_input_end(owner);
    } else {
        finish(owner, LOOP_GONE, why->message);
    }
}

static void on_writable(void *owner)
{
    struct loop *loop = owner;
    struct stream *stream = channel_stream(loop->channel);
    if (loop->sent < TOKEN_BYTES) {
        uv_buf_t buf = uv_buf_init(loop->token->bytes + loop->sent, (unsigned)(TOKEN_BYTES - loop->sent));
        loop->sent += stream->ops->write(stream, &buf, 1);
    }
}

static void nothing(void *owner)
{
    (void)owner;
}

static const struct stream_events out_events = {.room = room,
                                                .on_input = on_input,
                                                .on_input_end = on_input_end,
                                                .on_writable = on_writable,
                                                .on_output_end = nothing,
                                                .on_failed = on_failed,
                                                .on_closed = nothing};

static void begin_saying(struct loop *loop, struct channel *channel)
{
    struct stream *stream = channel_stream(channel);
    loop->channel = channel;
    loop->is_open = true;
    token_sent(loop->token, uv_now(loop->forward->loop));
    stream->events = &out_events;
    stream->owner = loop;
    on_writable(loop);
    stream->ops->resume(stream);
}

static void on_open(void *arg, struct channel *channel, enum err result, const struct err_info *why)
{
    struct loop *loop = arg;
    if (loop->on_ended == NULL) {
        if (result == OK) {
            channel_drop(channel);
        }
        free(loop);
    } else if (result == OK) {
        begin_saying(loop, channel);
    } else {
        loop_ended_cb *on_ended = loop->on_ended;
        void *on_ended_arg = loop->arg;
        leave(loop);
        free(loop);
        on_ended(on_ended_arg,
                 result != ERR_REFUSED            ? LOOP_GONE
                 : channel_is_prohibited(channel) ? LOOP_PROHIBITED
                                                  : LOOP_REFUSED,
                 why->message);
    }
}

uint64_t loop_limit_ms(const struct forward *forward)
{
    return forward->connect_timeout_ms != 0 ? forward->connect_timeout_ms : DEFAULT_LIMIT_MS;
}

struct loop *loop_begin(struct forward *forward, loop_ended_cb *on_ended, void *arg)
{
    char bytes[TOKEN_BYTES];
    struct loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL || uv_random(NULL, NULL, bytes, sizeof bytes, 0, NULL) != 0) {
        free(loop);
        return NULL;
    }
    loop->forward = forward;
    loop->on_ended = on_ended;
    loop->arg = arg;
    loop->token = tokens_add(apart_tokens(forward), bytes, uv_now(forward->loop));
    if (loop->token != NULL) {
        loop->channel = forward->spec->listen.kind == ENDPOINT_UNIX
                            ? session_open_unix(forward->session, forward->spec->listen.path, on_open, loop)
                            : session_open_tcp(forward->session, forward_loop_host(forward->spec), forward->bound_port,
                                               "127.0.0.1", 0, on_open, loop);
    }
    if (loop->channel == NULL) {
        if (loop->token != NULL) {
            token_forget(loop->token);
        }
        free(loop);
        return NULL;
    }
    forward->looping = loop;
    return loop;
}

void loop_end(struct loop *loop)
{
    leave(loop);
    loop->on_ended = NULL;
    loop->token = NULL;
    if (loop->is_open) {
        channel_drop(loop->channel);
        free(loop);
    } else {
        channel_cancel_open(loop->channel); /* on_open frees it */
    }
}

bool loop_is_open(const struct loop *loop)
{
    return loop->is_open;
}

bool loop_is_on_its_way(const struct loop *loop)
{
    return token_is_on_its_way(loop->token, uv_now(loop->forward->loop));
}

bool loop_has_token(const struct loop *loop, const struct token *token)
{
    return loop->token == token;
}

void loop_came_back(struct loop *loop)
{
    token_forget(loop->token);
    finish(loop, LOOP_CAME_BACK, "");
}
