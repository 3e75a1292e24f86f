/* Connections of the walk: what a server says by itself once it has taken one, and bytes through the peer and back. To
 * a target nothing is ever sent. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/doctor.h"
#include "relay/stream.h"

enum { LOOK_MS = 400, GOT_BYTES = 64, LOOP_ENDS_MAX = 4, ALL_MS = 24 * 3600 * 1000 };

static const char token_there[] = "holdfast doctor: there";
static const char token_back[] = "holdfast doctor: back!";

/* ---- a channel, from its opening to its end ---- */

struct channel_end {
    struct stream *stream;
    bool is_answered; /* the open */
    bool has_enough;  /* `wanted` bytes came, or its end */
    bool has_ended, is_closed;
    size_t wanted, bytes;
    char got[GOT_BYTES];
    struct doctor_opened *opened;
};

static size_t end_room(void *owner)
{
    (void)owner;
    return 4096;
}

static size_t end_input(void *owner, const uv_buf_t *bufs, unsigned buf_count)
{
    struct channel_end *end = owner;
    size_t taken = 0;
    for (unsigned i = 0; i < buf_count; i++) {
        size_t room = end->bytes < GOT_BYTES ? GOT_BYTES - end->bytes : 0;
        size_t len = bufs[i].len < room ? bufs[i].len : room;
        memcpy(end->got + (GOT_BYTES - room), bufs[i].base, len);
        end->bytes += bufs[i].len;
        taken += bufs[i].len;
    }
    end->has_enough = end->has_enough || end->bytes >= end->wanted;
    return taken;
}

static void end_input_end(void *owner)
{
    struct channel_end *end = owner;
    end->has_ended = end->has_enough = true;
}

static void end_nothing(void *owner)
{
    (void)owner;
}

static void end_failed(void *owner, const struct err_info *why)
{
    (void)why;
    end_input_end(owner);
}

static void end_closed(void *owner)
{
    struct channel_end *end = owner;
    end->is_closed = true;
}

static const struct stream_events end_events = {
    .room = end_room,
    .on_input = end_input,
    .on_input_end = end_input_end,
    .on_writable = end_nothing,
    .on_output_end = end_nothing,
    .on_failed = end_failed,
    .on_closed = end_closed,
};

static void end_take(struct channel_end *end, struct channel *channel)
{
    end->stream = channel_stream(channel);
    end->stream->events = &end_events;
    end->stream->owner = end;
    end->stream->ops->resume(end->stream);
}

static void end_close(struct doctor *doctor, struct channel_end *end)
{
    if (end->stream != NULL) {
        end->stream->ops->close(end->stream);
        (void)doctor_wait(doctor, &end->is_closed, ALL_MS); /* the session gives a close its own limit */
    }
}

static void end_write(struct channel_end *end, const char *text)
{
    char copy[GOT_BYTES];
    (void)snprintf(copy, sizeof copy, "%s", text);
    uv_buf_t buf = uv_buf_init(copy, (unsigned)strlen(copy));
    (void)end->stream->ops->write(end->stream, &buf, 1); /* a new channel has room for a line */
}

static bool end_has(const struct channel_end *end, const char *token)
{
    return end->bytes >= strlen(token) && memcmp(end->got, token, strlen(token)) == 0;
}

static void on_open(void *arg, struct channel *channel, enum err result, const struct err_info *why)
{
    struct channel_end *end = arg;
    end->is_answered = true;
    end->opened->result = result;
    if (result == OK) {
        end_take(end, channel);
    } else {
        end->opened->why = *why;
        end->opened->is_prohibited = channel_is_prohibited(channel);
    }
}

/* Waits for the answer to an open. False, with the reason in `opened`, when there is no channel. */
static bool end_await(struct doctor *doctor, struct channel_end *end, struct channel *channel)
{
    struct doctor_opened *opened = end->opened;
    if (channel == NULL) {
        opened->result = err_set(&opened->why, ERR_MEMORY, "out of memory");
        return false;
    }
    if (doctor_wait(doctor, &end->is_answered, doctor_limit_ms(doctor))) {
        return opened->result == OK;
    }
    channel_cancel_open(channel);
    (void)doctor_wait(doctor, &end->is_answered, ALL_MS);
    opened->result = err_set(&opened->why, ERR_TIMEOUT, "the peer did not say within %.3g s whether it connects",
                             (double)doctor_limit_ms(doctor) / 1000.0);
    return false;
}

/* ---- looks ---- */

static void keep_look(const char *bytes, size_t count, bool has_ended, struct doctor_look *out)
{
    size_t kept = 0;
    for (; kept < count && kept + 1 < sizeof out->first && bytes[kept] != '\r' && bytes[kept] != '\n'; kept++) {
        out->first[kept] = bytes[kept] >= 0x20 && bytes[kept] < 0x7f ? bytes[kept] : '?';
    }
    out->first[kept] = '\0';
    out->bytes = count;
    out->has_ended = has_ended;
}

static void look_through(struct doctor *doctor, struct channel_end *end, struct channel *channel)
{
    if (end_await(doctor, end, channel)) {
        (void)doctor_wait(doctor, &end->has_enough, LOOK_MS);
        keep_look(end->got, end->bytes < GOT_BYTES ? end->bytes : GOT_BYTES, end->has_ended, &end->opened->look);
        end_close(doctor, end);
    }
}

void doctor_open(struct doctor *doctor, const char *host, uint16_t port, struct doctor_opened *out)
{
    struct channel_end end = {.wanted = 1, .opened = out};
    memset(out, 0, sizeof *out);
    look_through(doctor, &end, session_open_tcp(doctor->session, host, port, "127.0.0.1", 0, on_open, &end));
}

void doctor_open_unix(struct doctor *doctor, const char *path, struct doctor_opened *out)
{
    struct channel_end end = {.wanted = 1, .opened = out};
    memset(out, 0, sizeof *out);
    look_through(doctor, &end, session_open_unix(doctor->session, path, on_open, &end));
}

/* A connected socket that is read for a moment. */
struct socket_look {
    uv_stream_t *stream;
    bool is_over, is_closed, has_ended;
    size_t bytes;
    char got[GOT_BYTES];
};

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct socket_look *look = handle->data;
    (void)suggested;
    *buf = uv_buf_init(look->got, sizeof look->got);
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    struct socket_look *look = stream->data;
    (void)buf;
    if (nread != 0) {
        look->bytes = nread > 0 ? (size_t)nread : 0;
        look->has_ended = nread < 0;
        look->is_over = true;
        (void)uv_read_stop(stream);
    }
}

static void on_socket_closed(uv_handle_t *handle)
{
    struct socket_look *look = handle->data;
    look->is_closed = true;
    free(handle);
}

void doctor_look_at(struct doctor *doctor, uv_stream_t *stream, struct doctor_look *out)
{
    struct socket_look look = {.stream = stream};
    stream->data = &look;
    memset(out, 0, sizeof *out);
    if (uv_read_start(stream, on_alloc, on_read) == 0) {
        (void)doctor_wait(doctor, &look.is_over, LOOK_MS);
    }
    keep_look(look.got, look.bytes, look.has_ended, out);
    uv_close((uv_handle_t *)stream, on_socket_closed);
    (void)doctor_wait(doctor, &look.is_closed, ALL_MS);
}

void doctor_look_judge(struct doctor *doctor, const char *hop, const char *who, enum doctor_situation situation,
                       const struct doctor_look *look)
{
    const char *where = doctor_situation_text(situation);
    const char *mark = where[0] != '\0' ? "; it is in " : "";
    bool proxied = situation == DOCTOR_VMWARE_NAT;
    if (look->bytes > 0) {
        bool passing = doctor_situation_is_passing(situation);
        doctor_report_add(doctor->report, passing ? DOCTOR_WARNING : DOCTOR_OK, hop,
                          passing ? doctor_situation_mend(situation) : NULL,
                          "%s takes connections and speaks: '%s'%s%s", who, look->first, mark, where);
    } else if (look->has_ended) {
        doctor_report_add(
            doctor->report, DOCTOR_WARNING, hop,
            "see whether the server is up: something in between (VMware's NAT, Docker, portproxy) may take "
            "connections for a server that is down, and a server may refuse this client",
            "%s took the connection and ended it at once%s%s", who, mark, where);
    } else if (proxied || doctor_situation_is_passing(situation)) {
        doctor_report_add(doctor->report, DOCTOR_WARNING, hop,
                          proxied ? "use the tunnel's own client to see bytes from the target; this proves nothing"
                                  : doctor_situation_mend(situation),
                          "%s takes connections; it says nothing by itself%s%s", who, mark, where);
    } else {
        doctor_report_add(doctor->report, DOCTOR_OK, hop, NULL,
                          "%s takes connections; it says nothing by itself, so no byte of it was seen%s%s", who, mark,
                          where);
    }
}

/* ---- through the peer and back ---- */

/* The connections that the peer offers while one of them must be ours. */
struct loop {
    struct channel_end asked;
    struct channel_end offered[LOOP_ENDS_MAX];
    size_t offered_count;
};

static void on_loop_offer(void *arg, struct channel *channel, const struct channel_offer *offer)
{
    struct loop *loop = arg;
    (void)offer;
    if (loop->offered_count == LOOP_ENDS_MAX) {
        channel_reject(channel, ERR_REFUSED, "only a look is taken at this forward");
        return;
    }
    struct channel_end *end = &loop->offered[loop->offered_count++];
    end->wanted = sizeof token_there - 1;
    channel_accept(channel);
    end_take(end, channel);
}

/* Sends a line there, and back from where it arrived. */
static bool pass_both_ways(struct doctor *doctor, struct loop *loop)
{
    uint64_t until = uv_hrtime() + doctor_limit_ms(doctor) * 1000000;
    struct channel_end *arrived = NULL;
    const bool never = false;
    end_write(&loop->asked, token_there);
    while (arrived == NULL && uv_hrtime() < until && !loop->asked.has_ended && !doctor->is_closed) {
        (void)doctor_wait(doctor, &never, 5);
        for (size_t i = 0; i < loop->offered_count && arrived == NULL; i++) {
            arrived = end_has(&loop->offered[i], token_there) ? &loop->offered[i] : NULL;
        }
    }
    if (arrived == NULL || arrived->has_ended) {
        return false;
    }
    end_write(arrived, token_back);
    (void)doctor_wait(doctor, &loop->asked.has_enough, doctor_limit_ms(doctor));
    return end_has(&loop->asked, token_back);
}

bool doctor_open_loop(struct doctor *doctor, const char *host, uint16_t port, struct doctor_opened *out)
{
    struct loop loop;
    bool passed = false;
    memset(out, 0, sizeof *out);
    memset(&loop, 0, sizeof loop);
    loop.asked.wanted = sizeof token_back - 1;
    loop.asked.opened = out;
    doctor->on_offer = on_loop_offer;
    doctor->on_offer_arg = &loop;
    struct channel *channel = session_open_tcp(doctor->session, host, port, "127.0.0.1", 0, on_open, &loop.asked);
    if (end_await(doctor, &loop.asked, channel)) {
        passed = pass_both_ways(doctor, &loop);
    }
    doctor->on_offer = NULL;
    end_close(doctor, &loop.asked);
    for (size_t i = 0; i < loop.offered_count; i++) {
        end_close(doctor, &loop.offered[i]);
    }
    return passed;
}
