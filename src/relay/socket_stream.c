#include "relay/socket_stream.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/container.h"

/* One read, and the most that one write may leave waiting in our memory: a stream whose other side takes nothing costs
 * no more than READ_LEAST_BYTES and WRITE_BYTES. */
enum { READ_BYTES = 256 * 1024, READ_LEAST_BYTES = 4 * 1024, WRITE_BYTES = 32 * 1024 };

struct socket_stream {
    struct stream stream;
    uv_stream_t *handle;
    uint8_t *held; /* input that the owner did not take */
    size_t held_len, held_offset;
    uv_write_t write_req;
    uint8_t *write_buf;
    uv_shutdown_t shutdown_req;
    bool reading;    /* uv_read_start is in force */
    bool frozen;     /* the owner wants nothing now */
    bool no_room;    /* and had no room for the read at hand */
    bool delivering; /* inside on_input */
    bool input_over;
    bool writing;   /* write_req is in flight */
    bool want_room; /* a short write was answered */
    bool end_wanted, end_sent;
    bool closing;
    int failed; /* libuv status of a failure not yet told, 0 none */
};

/* Reads land here first; a loop handles one at a time. What is not taken is copied out. From malloc at the first read:
 * a thread that reads nothing, as workers are, would have an array of its own all the same, and filled with zeros. */
static _Thread_local char *scratch;

static struct socket_stream *from_stream(struct stream *stream)
{
    return container_of(stream, struct socket_stream, stream);
}

static void tell_failed(struct socket_stream *s, int status)
{
    struct err_info why;
    if (s->closing) {
        return;
    }
    s->input_over = true;
    if (s->reading) {
        s->reading = false;
        (void)uv_read_stop(s->handle);
    }
    (void)err_set(&why, err_from_uv(status), "local socket: %s", err_uv_text(status));
    s->stream.events->on_failed(s->stream.owner, &why);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct socket_stream *s = handle->data;
    (void)suggested;
    size_t room = s->closing ? READ_BYTES : s->stream.events->room(s->stream.owner), cap_bytes = 0;
    s->no_room = room == 0;
    if (s->no_room) {
        *buf = uv_buf_init(NULL, 0);
        return;
    }
    uint8_t *place =
        s->closing || s->stream.events->place == NULL ? NULL : s->stream.events->place(s->stream.owner, &cap_bytes);
    if (place != NULL && cap_bytes >= READ_LEAST_BYTES) {
        *buf = uv_buf_init((char *)place, (unsigned)cap_bytes);
        return;
    }
    room = room < READ_BYTES ? room : READ_BYTES;
    if (scratch == NULL) {
        scratch = malloc(READ_BYTES);
    }
    *buf = uv_buf_init(scratch, scratch == NULL ? 0 : (unsigned)(room > READ_LEAST_BYTES ? room : READ_LEAST_BYTES));
}

static void hold(struct socket_stream *s, const uint8_t *data, size_t len)
{
    s->held = malloc(len);
    if (s->held == NULL) {
        s->failed = UV_ENOMEM;
        return;
    }
    memcpy(s->held, data, len);
    s->held_len = len;
    s->held_offset = 0;
}

static void stop_reading(struct socket_stream *s)
{
    if (s->reading) {
        s->reading = false;
        (void)uv_read_stop(s->handle);
    }
}

static void on_read(uv_stream_t *handle, ssize_t nread, const uv_buf_t *buf)
{
    struct socket_stream *s = handle->data;
    if (nread == 0 || s->closing) {
        return;
    }
    if (nread == UV_ENOBUFS && s->no_room) {
        s->frozen = true;
        stop_reading(s);
        return;
    }
    if (nread == UV_EOF) {
        stop_reading(s);
        s->input_over = true;
        s->stream.events->on_input_end(s->stream.owner);
        return;
    }
    if (nread < 0) {
        tell_failed(s, (int)nread);
        return;
    }
    uv_buf_t input = uv_buf_init(buf->base, (unsigned)nread);
    s->delivering = true;
    size_t taken = s->stream.events->on_input(s->stream.owner, &input, 1);
    s->delivering = false;
    if (s->closing) {
        return;
    }
    if (taken < (size_t)nread) {
        s->frozen = true;
        hold(s, (const uint8_t *)buf->base + taken, (size_t)nread - taken);
    }
    if (s->frozen) {
        stop_reading(s);
    }
    if (s->failed != 0) {
        tell_failed(s, s->failed);
    }
}

/* Offers held input again. True when nothing is held any more. */
static bool deliver_held(struct socket_stream *s)
{
    if (s->held == NULL) {
        return true;
    }
    uv_buf_t input = uv_buf_init((char *)s->held + s->held_offset, (unsigned)(s->held_len - s->held_offset));
    s->delivering = true;
    size_t taken = s->stream.events->on_input(s->stream.owner, &input, 1);
    s->delivering = false;
    s->held_offset += taken;
    if (s->closing || s->held_offset < s->held_len) {
        s->frozen = true;
        return false;
    }
    free(s->held);
    s->held = NULL;
    return true;
}

static void socket_resume(struct stream *stream)
{
    struct socket_stream *s = from_stream(stream);
    if (s->closing || s->delivering) {
        return;
    }
    s->frozen = false;
    if (!deliver_held(s) || s->frozen || s->input_over || s->reading || s->closing) {
        return;
    }
    int status = uv_read_start(s->handle, on_alloc, on_read);
    if (status == 0) {
        s->reading = true;
    } else {
        tell_failed(s, status);
    }
}

static void socket_freeze(struct stream *stream)
{
    struct socket_stream *s = from_stream(stream);
    s->frozen = true;
    if (!s->delivering) {
        stop_reading(s);
    }
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    struct socket_stream *s = req->data;
    (void)status; /* a socket that is gone has ended too; its reading side tells why */
    if (!s->closing) {
        s->stream.events->on_output_end(s->stream.owner);
    }
}

static void try_end(struct socket_stream *s)
{
    if (!s->end_wanted || s->end_sent || s->writing || s->closing) {
        return;
    }
    s->end_sent = true;
    s->shutdown_req.data = s;
    /* Where nothing more comes from it either, the relay closes it once the other side's end is on its way too, which
     * for a channel is the next turn; and that says the same to its peer. */
    if (s->input_over || uv_shutdown(&s->shutdown_req, s->handle, on_shutdown) != 0) {
        s->stream.events->on_output_end(s->stream.owner);
    }
}

static void on_written(uv_write_t *req, int status)
{
    struct socket_stream *s = req->data;
    s->writing = false;
    free(s->write_buf);
    s->write_buf = NULL;
    if (s->closing) {
        return;
    }
    if (status < 0) {
        tell_failed(s, status);
        return;
    }
    if (s->want_room) {
        s->want_room = false;
        s->stream.events->on_writable(s->stream.owner);
    }
    try_end(s);
}

/* Copies the buffers from byte `skip` on, at most `cap` bytes. Returns how many. */
static size_t gather(uint8_t *to, size_t cap, const uv_buf_t *bufs, unsigned count, size_t skip)
{
    size_t done = 0;
    for (unsigned i = 0; i < count && done < cap; i++) {
        if (skip >= bufs[i].len) {
            skip -= bufs[i].len;
            continue;
        }
        size_t part = bufs[i].len - skip;
        part = part < cap - done ? part : cap - done;
        memcpy(to + done, bufs[i].base + skip, part);
        done += part;
        skip = 0;
    }
    return done;
}

static size_t socket_write(struct stream *stream, const uv_buf_t *bufs, unsigned buf_count)
{
    struct socket_stream *s = from_stream(stream);
    size_t total = 0;
    for (unsigned i = 0; i < buf_count; i++) {
        total += bufs[i].len;
    }
    if (s->closing || s->end_wanted) {
        return total; /* nobody reads it any more */
    }
    if (s->writing) {
        s->want_room = true;
        return 0;
    }
    int sent = uv_try_write(s->handle, bufs, buf_count);
    size_t done = sent > 0 ? (size_t)sent : 0; /* an error comes back from uv_write below, outside this call */
    if (done == total) {
        return total;
    }
    size_t rest = total - done < WRITE_BYTES ? total - done : WRITE_BYTES;
    s->write_buf = malloc(rest);
    if (s->write_buf == NULL) {
        s->want_room = true;
        return done;
    }
    rest = gather(s->write_buf, rest, bufs, buf_count, done);
    uv_buf_t buf = uv_buf_init((char *)s->write_buf, (unsigned)rest);
    s->write_req.data = s;
    int status = uv_write(&s->write_req, s->handle, &buf, 1, on_written);
    if (status != 0) {
        free(s->write_buf);
        s->write_buf = NULL;
        s->want_room = true;
        return done;
    }
    s->writing = true;
    if (done + rest < total) {
        s->want_room = true;
    }
    return done + rest;
}

static void socket_end(struct stream *stream)
{
    struct socket_stream *s = from_stream(stream);
    s->end_wanted = true;
    try_end(s);
}

static void on_closed(uv_handle_t *handle)
{
    struct socket_stream *s = handle->data;
    free(handle);
    free(s->held);
    const struct stream_events *events = s->stream.events;
    void *owner = s->stream.owner;
    free(s);
    events->on_closed(owner);
}

static void socket_close(struct stream *stream)
{
    struct socket_stream *s = from_stream(stream);
    if (!s->closing) {
        s->closing = true;
        uv_close((uv_handle_t *)s->handle, on_closed);
    }
}

static void socket_abort(struct stream *stream)
{
    struct socket_stream *s = from_stream(stream);
    if (s->closing) {
        return;
    }
    s->closing = true;
    if (s->handle->type != UV_TCP || uv_tcp_close_reset((uv_tcp_t *)s->handle, on_closed) != 0) {
        uv_close((uv_handle_t *)s->handle, on_closed);
    }
}

static size_t socket_room(struct stream *stream)
{
    struct socket_stream *s = from_stream(stream);
    s->want_room = s->want_room || s->writing;
    return s->writing ? 0 : SIZE_MAX;
}

static size_t socket_unsent(const struct stream *stream)
{
    return uv_stream_get_write_queue_size(container_of(stream, const struct socket_stream, stream)->handle);
}

static const struct stream_ops socket_ops = {
    .write = socket_write,
    .end = socket_end,
    .resume = socket_resume,
    .freeze = socket_freeze,
    .close = socket_close,
    .abort = socket_abort,
    .room = socket_room,
    .unsent = socket_unsent,
};

struct socket_stream *socket_stream_new(uv_stream_t *handle)
{
    struct socket_stream *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    s->stream.ops = &socket_ops;
    s->handle = handle;
    s->frozen = true;
    handle->data = s;
    return s;
}

struct stream *socket_stream_of(struct socket_stream *socket)
{
    return &socket->stream;
}
