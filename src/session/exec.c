#include "session/exec.h"

#include <stdlib.h>
#include <string.h>

#include "base/container.h"
#include "relay/stream.h"
#include "session/internal.h"

struct session_exec {
    uv_timer_t deadline;
    struct channel *channel;
    bool open;
    char *command;
    session_exec_cb *on_done;
    void *arg;
    char *output;
    size_t len, cap_bytes;
    bool cut;
    int64_t exit_status;
    struct err_info why; /* the first reason to end it early; code OK: none */
};

static void on_deadline_closed(uv_handle_t *handle)
{
    struct session_exec *exec = handle->data;
    free(exec->output);
    free(exec->command);
    free(exec);
}

static void complete(struct session_exec *exec)
{
    exec->output[exec->len] = 0;
    const struct exec_result result = {.code = exec->why.code,
                                       .why = exec->why.code != OK ? &exec->why : NULL,
                                       .output = exec->output,
                                       .output_len = exec->len,
                                       .cut = exec->cut,
                                       .exit_status = exec->exit_status};
    exec->channel = NULL;
    exec->on_done(exec->arg, &result);
    uv_close((uv_handle_t *)&exec->deadline, on_deadline_closed);
}

/* Ends the channel for a reason of ours, or of the session's; the first one counts. */
static void give_up(struct session_exec *exec, enum err code, const char *message)
{
    if (exec->why.code == OK) {
        (void)err_set(&exec->why, code, "%s", message);
    }
    if (exec->open) {
        struct stream *stream = channel_stream(exec->channel);
        stream->ops->abort(stream);
    } else {
        channel_cancel_open(exec->channel);
    }
}

static void on_deadline(uv_timer_t *timer)
{
    give_up(timer->data, ERR_TIMEOUT, "the command did not end in time");
}

static size_t stream_room(void *owner)
{
    (void)owner;
    return SIZE_MAX;
}

/* Takes everything, and keeps what fits. */
static size_t stream_input(void *owner, const uv_buf_t *bufs, unsigned buf_count)
{
    struct session_exec *exec = owner;
    size_t taken = 0;
    for (unsigned i = 0; i < buf_count; i++) {
        size_t part = exec->cap_bytes - exec->len;
        part = bufs[i].len < part ? bufs[i].len : part;
        memcpy(exec->output + exec->len, bufs[i].base, part);
        exec->len += part;
        exec->cut = exec->cut || part < bufs[i].len;
        taken += bufs[i].len;
    }
    return taken;
}

static void stream_nothing(void *owner)
{
    (void)owner;
}

/* The peer's close, after all output; or the session's end. */
static void stream_failed(void *owner, const struct err_info *why)
{
    struct session_exec *exec = owner;
    if (why->code != OK && exec->why.code == OK) {
        (void)err_set(&exec->why, ERR_CLOSED, "%s", why->message);
    }
    exec->exit_status = mux_exec_status(exec->channel);
    struct stream *stream = channel_stream(exec->channel);
    stream->ops->close(stream);
}

static void stream_closed(void *owner)
{
    complete(owner);
}

static const struct stream_events events = {.room = stream_room,
                                            .on_input = stream_input,
                                            .on_input_end = stream_nothing,
                                            .on_writable = stream_nothing,
                                            .on_output_end = stream_nothing,
                                            .on_failed = stream_failed,
                                            .on_closed = stream_closed};

static void on_answer(void *arg, bool runs)
{
    struct session_exec *exec = arg;
    if (!runs) {
        give_up(exec, ERR_REFUSED, "the peer does not run commands for us");
    }
}

static void on_open(void *arg, struct channel *channel, enum err result, const struct err_info *why)
{
    struct session_exec *exec = arg;
    if (result != OK) {
        if (exec->why.code == OK) {
            (void)err_set(&exec->why, result, "%s", why->message);
        }
        complete(exec); /* the channel is gone after this */
        return;
    }
    struct stream *stream = channel_stream(channel);
    exec->open = true;
    stream->events = &events;
    stream->owner = exec;
    if (!mux_exec(channel, exec->command, on_answer, exec)) {
        give_up(exec, ERR_MEMORY, "out of memory");
        return;
    }
    stream->ops->end(stream);
    stream->ops->resume(stream);
}

struct session_exec *session_exec_start(struct session *session, const char *command, size_t cap_bytes,
                                        uint64_t deadline_ms, session_exec_cb *on_done, void *arg)
{
    struct session_exec *exec = calloc(1, sizeof *exec);
    if (exec == NULL) {
        return NULL;
    }
    exec->on_done = on_done;
    exec->arg = arg;
    exec->cap_bytes = cap_bytes;
    exec->exit_status = -1;
    exec->command = strdup(command);
    exec->output = malloc(cap_bytes + 1);
    if (exec->command != NULL && exec->output != NULL) {
        exec->channel = mux_open_session(session->mux, on_open, exec);
    }
    if (exec->channel == NULL) {
        free(exec->command);
        free(exec->output);
        free(exec);
        return NULL;
    }
    (void)uv_timer_init(session->loop, &exec->deadline);
    exec->deadline.data = exec;
    (void)uv_timer_start(&exec->deadline, on_deadline, deadline_ms, 0);
    return exec;
}

void session_exec_cancel(struct session_exec *exec)
{
    if (exec->channel != NULL) {
        give_up(exec, ERR_CANCELLED, "given up");
    }
}
