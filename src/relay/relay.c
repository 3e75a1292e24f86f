#include "relay/relay.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/container.h"

struct side {
    struct relay *relay;
    struct stream *stream;
    uint64_t bytes_in;
    bool discard; /* what it sends goes nowhere */
    bool closed;
};

struct relay {
    uv_loop_t *loop;
    struct side sides[2];
    struct half_close table;
    uv_timer_t *linger; /* from malloc, made when first needed */
    enum relay_side lingering;
    uint64_t linger_ms;
    size_t linger_unsent; /* what the lingering side had not read when the timer was set */
    relay_done_cb *done;
    void *arg;
    struct relay_result result;
    bool finished;
};

static void step(struct relay *relay, enum relay_side side, enum half_close_event event);

static enum relay_side which(const struct side *side)
{
    return side == &side->relay->sides[SIDE_A] ? SIDE_A : SIDE_B;
}

static struct side *opposite(struct side *side)
{
    return &side->relay->sides[1 - (int)which(side)];
}

static void finish(struct relay *relay)
{
    relay->result.bytes_from_a = relay->sides[SIDE_A].bytes_in;
    relay->result.bytes_from_b = relay->sides[SIDE_B].bytes_in;
    relay->done(relay->arg, &relay->result);
    free(relay);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct relay *relay = handle->data;
    free(handle);
    finish(relay);
}

static size_t room(void *owner)
{
    struct side *side = owner;
    struct stream *other = opposite(side)->stream;
    return side->discard ? SIZE_MAX : other->ops->room(other);
}

static uint8_t *place(void *owner, size_t *out_cap_bytes)
{
    struct side *side = owner;
    struct stream *other = opposite(side)->stream;
    return side->discard || other->ops->place == NULL ? NULL : other->ops->place(other, out_cap_bytes);
}

static size_t on_input(void *owner, const uv_buf_t *bufs, unsigned buf_count)
{
    struct side *side = owner;
    struct side *other = opposite(side);
    size_t taken = 0;
    if (side->discard) {
        for (unsigned i = 0; i < buf_count; i++) {
            taken += bufs[i].len;
        }
        return taken;
    }
    taken = other->stream->ops->write(other->stream, bufs, buf_count);
    side->bytes_in += taken;
    return taken;
}

static void on_input_end(void *owner)
{
    struct side *side = owner;
    step(side->relay, which(side), EVENT_INPUT_END);
}

static void on_writable(void *owner)
{
    struct side *side = owner;
    struct side *other = opposite(side);
    if (!other->closed && !side->relay->table.over[which(other)]) {
        other->stream->ops->resume(other->stream);
    }
}

static void on_output_end(void *owner)
{
    struct side *side = owner;
    step(side->relay, which(side), EVENT_OUTPUT_END);
}

static void on_failed(void *owner, const struct err_info *why)
{
    struct side *side = owner;
    if (why->code != OK && side->relay->result.why.code == OK) {
        side->relay->result.why = *why;
    }
    step(side->relay, which(side), why->code == OK ? EVENT_GONE : EVENT_RESET);
}

static void on_closed(void *owner)
{
    struct side *side = owner;
    struct relay *relay = side->relay;
    side->closed = true;
    if (!opposite(side)->closed || relay->finished) {
        return;
    }
    relay->finished = true;
    if (relay->linger != NULL) {
        uv_close((uv_handle_t *)relay->linger, on_timer_closed);
    } else {
        finish(relay);
    }
}

static const struct stream_events relay_events = {
    .room = room,
    .place = place,
    .on_input = on_input,
    .on_input_end = on_input_end,
    .on_writable = on_writable,
    .on_output_end = on_output_end,
    .on_failed = on_failed,
    .on_closed = on_closed,
};

static void on_linger(uv_timer_t *timer)
{
    struct relay *relay = timer->data;
    if (relay->table.over[relay->lingering]) {
        return;
    }
    const struct stream *stream = relay->sides[relay->lingering].stream;
    size_t unsent = stream->ops->unsent(stream);
    if (unsent < relay->linger_unsent) { /* slow, but it reads */
        relay->linger_unsent = unsent;
        (void)uv_timer_start(timer, on_linger, relay->linger_ms, 0);
        return;
    }
    if (relay->result.why.code == OK) {
        (void)err_set(&relay->result.why, ERR_TIMEOUT, "the other side was closed, and its last bytes were not read");
    }
    step(relay, relay->lingering, EVENT_LINGER_OVER);
}

/* The other side is gone: this one may still read what is on its way, while what it sends is thrown away. */
static void discard(struct relay *relay, enum relay_side which_side)
{
    struct side *side = &relay->sides[which_side];
    if (relay->finished || relay->table.over[which_side]) {
        return;
    }
    side->discard = true;
    side->stream->ops->resume(side->stream);
    if (relay->linger == NULL) {
        relay->linger = malloc(sizeof *relay->linger);
        if (relay->linger == NULL || uv_timer_init(relay->loop, relay->linger) != 0) {
            free(relay->linger);
            relay->linger = NULL;
            step(relay, which_side, EVENT_LINGER_OVER);
            return;
        }
        relay->linger->data = relay;
    }
    relay->lingering = which_side;
    relay->linger_unsent = side->stream->ops->unsent(side->stream);
    (void)uv_timer_start(relay->linger, on_linger, relay->linger_ms, 0);
}

static void step(struct relay *relay, enum relay_side side, enum half_close_event event)
{
    unsigned actions = half_close_step(&relay->table, side, event);
    struct stream *a = relay->sides[SIDE_A].stream;
    struct stream *b = relay->sides[SIDE_B].stream;
    if ((actions & ACTION_END_A) != 0) {
        a->ops->end(a);
    }
    if ((actions & ACTION_END_B) != 0) {
        b->ops->end(b);
    }
    if ((actions & ACTION_DISCARD_A) != 0) {
        discard(relay, SIDE_A);
    }
    if ((actions & ACTION_DISCARD_B) != 0) {
        discard(relay, SIDE_B);
    }
    if ((actions & ACTION_CLOSE_A) != 0) {
        a->ops->close(a);
    }
    if ((actions & ACTION_CLOSE_B) != 0) {
        b->ops->close(b);
    }
    if ((actions & ACTION_ABORT_A) != 0) {
        a->ops->abort(a);
    }
    if ((actions & ACTION_ABORT_B) != 0) {
        b->ops->abort(b);
    }
}

struct relay *relay_start(uv_loop_t *loop, struct stream *a, struct stream *b, uint64_t linger_ms, relay_done_cb *done,
                          void *arg)
{
    struct relay *relay = calloc(1, sizeof *relay);
    if (relay == NULL) {
        return NULL;
    }
    relay->loop = loop;
    relay->linger_ms = linger_ms;
    relay->done = done;
    relay->arg = arg;
    half_close_init(&relay->table);
    struct stream *streams[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        relay->sides[i] = (struct side){.relay = relay, .stream = streams[i]};
        streams[i]->events = &relay_events;
        streams[i]->owner = &relay->sides[i];
    }
    a->ops->resume(a);
    if (!relay->table.over[SIDE_B]) {
        b->ops->resume(b);
    }
    return relay;
}

void relay_cancel(struct relay *relay, const struct err_info *why)
{
    if (relay->result.why.code == OK) {
        relay->result.why = *why;
    }
    for (int i = 0; i < 2; i++) {
        if (!relay->table.over[i]) {
            relay->table.over[i] = true;
            relay->sides[i].stream->ops->abort(relay->sides[i].stream);
        }
    }
}

void relay_count(const struct relay *relay, uint64_t *from_a, uint64_t *from_b)
{
    *from_a = relay->sides[SIDE_A].bytes_in;
    *from_b = relay->sides[SIDE_B].bytes_in;
}
