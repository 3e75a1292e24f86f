/* The bytes of one session: libssh2 works on two memory buffers, libuv moves them (DESIGN section 4, rules 1 to 3). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base_generated/version.h"
#include "platform/platform.h"
#include "session/internal.h"

enum {
    OUT_FIRST_BYTES = 64 * 1024,
    OUT_KEEP_BYTES = 512 * 1024,
    QUICK_ACK_BYTES = 256 * 1024, /* of a stream that leaves the session no pause */
    PACKET_HEAD_BYTES = 5         /* RFC 4253 section 6: the lengths of packet and padding */
};

/* ---- libssh2's side ---- */

/* Makes room for `more` bytes behind those that wait. */
static bool make_room(struct outbound *out, size_t more)
{
    if (out->cap - out->len >= more) {
        return true;
    }
    size_t cap = out->cap == 0 ? OUT_FIRST_BYTES : out->cap * 2;
    while (cap < out->len + more) {
        cap *= 2;
    }
    uint8_t *grown = realloc(out->data, cap);
    if (grown == NULL) {
        return false;
    }
    out->data = grown;
    out->cap = cap;
    return true;
}

/* Appends everything, always: with no partial send ever, libssh2 has no half-sent packet to come back to. The banner
 * alone comes this way. */
static ssize_t ssh_send(libssh2_socket_t socket, const void *data, size_t len, int flags, void **abstract)
{
    struct session *session = *abstract;
    struct outbound *out = &session->out;
    (void)socket;
    (void)flags;
    if (!make_room(out, len)) {
        return -ENOMEM;
    }
    memcpy(out->data + out->len, data, len);
    out->len += len;
    return (ssize_t)len;
}

/* Packets are made and sealed behind those that wait. */
static unsigned char *ssh_output(LIBSSH2_SESSION *ssh, size_t made, size_t room, void **abstract)
{
    struct session *session = *abstract;
    struct outbound *out = &session->out;
    (void)ssh;
    out->len += made;
    return make_room(out, room) ? out->data + out->len : NULL;
}

static ssize_t ssh_recv(libssh2_socket_t socket, void *to, size_t cap, int flags, void **abstract)
{
    struct session *session = *abstract;
    size_t have = session->in_end - session->in_start;
    (void)socket;
    (void)flags;
    if (have == 0) {
        return session->in_over != 0 ? 0 : -EAGAIN;
    }
    size_t len = have < cap ? have : cap;
    memcpy(to, session->inbound + session->in_start, len);
    session->in_start += len;
    return (ssize_t)len;
}

/* Packets are opened where they lie, and lent to the mux there. */
static size_t ssh_input(LIBSSH2_SESSION *ssh, size_t taken, size_t wanted, unsigned char **data, void **abstract)
{
    struct session *session = *abstract;
    (void)ssh;
    session->in_start += taken;
    *data = session->inbound + session->in_start;
    size_t have = session->in_end - session->in_start;
    return have < wanted && session->in_over != 0 ? SIZE_MAX : have;
}

static void ssh_disconnect(LIBSSH2_SESSION *ssh, int reason, const char *message, int message_len, const char *language,
                           int language_len, void **abstract)
{
    struct session *session = *abstract;
    size_t len = message_len > 0 ? (size_t)message_len : 0;
    (void)ssh;
    (void)reason;
    (void)language;
    (void)language_len;
    if (message != NULL) {
        len = len < sizeof session->disconnect_text - 1 ? len : sizeof session->disconnect_text - 1;
        memcpy(session->disconnect_text, message, len);
        session->disconnect_text[len] = '\0';
    }
}

static void ssh_packet(LIBSSH2_SESSION *ssh, unsigned char *packet, size_t len, int is_lent, void **abstract)
{
    struct session *session = *abstract;
    (void)ssh;
    session->packets_in++;
    if (is_lent) {
        mux_packet_borrowed(session->mux, packet, len);
    } else {
        mux_packet(session->mux, packet, len);
    }
}

static void *ssh_alloc(size_t count, void **abstract)
{
    (void)abstract;
    return malloc(count);
}

static void *ssh_realloc(void *data, size_t count, void **abstract)
{
    (void)abstract;
    return realloc(data, count);
}

static void ssh_free(void *data, void **abstract)
{
    (void)abstract;
    free(data);
}

/* A function pointer for libssh2's one setter of callbacks of all kinds. */
static void set_callback(LIBSSH2_SESSION *ssh, int kind, libssh2_cb_generic *callback)
{
    (void)libssh2_session_callback_set2(ssh, kind, callback);
}

uint64_t session_now_us(void)
{
    return uv_hrtime() / 1000;
}

enum err transport_open(struct session *session, struct err_info *info)
{
    session->inbound = malloc(INBOUND_BYTES);
    session->ssh = libssh2_session_init_ex(ssh_alloc, ssh_free, ssh_realloc, session);
    if (session->inbound == NULL || session->ssh == NULL) {
        return err_set(info, ERR_MEMORY, "out of memory");
    }
    libssh2_session_set_blocking(session->ssh, 0);
    set_callback(session->ssh, LIBSSH2_CALLBACK_SEND, (libssh2_cb_generic *)ssh_send);
    set_callback(session->ssh, LIBSSH2_CALLBACK_RECV, (libssh2_cb_generic *)ssh_recv);
    set_callback(session->ssh, LIBSSH2_CALLBACK_DISCONNECT, (libssh2_cb_generic *)ssh_disconnect);
    (void)libssh2_session_banner_set(session->ssh, "SSH-2.0-holdfast_" HOLDFAST_VERSION);
    if (session->spec.compression) {
        (void)libssh2_session_flag(session->ssh, LIBSSH2_FLAG_COMPRESS, 1);
    }
    libssh2_session_packet_hook(session->ssh, ssh_packet);
    libssh2_session_input_hook(session->ssh, ssh_input);
    libssh2_session_output_hook(session->ssh, ssh_output);
    return methods_set(session, info);
}

void transport_free(struct session *session)
{
    mux_settle(session->mux);
    if (session->ssh != NULL) {
        (void)libssh2_session_free(session->ssh);
        session->ssh = NULL;
    }
    free(session->inbound);
    free(session->out.data);
    free(session->flight.data);
    session->inbound = NULL;
    session->out = session->flight = (struct outbound){.data = NULL};
}

/* ---- libuv's side: reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct session *session = handle->data;
    (void)suggested;
    if (session->in_start > 0 && !mux_borrows(session->mux)) {
        memmove(session->inbound, session->inbound + session->in_start, session->in_end - session->in_start);
        session->in_end -= session->in_start;
        session->in_start = 0;
    }
    *buf = uv_buf_init((char *)session->inbound + session->in_end, (unsigned)(INBOUND_BYTES - session->in_end));
}

/* The system holds acknowledgements back, for a packet of ours to carry them. Two kinds of senders suffer from that.
 *
 * One with Nagle's algorithm on, which a sshd is whose session runs no command, keeps its next small packet until the
 * one before is acknowledged, 40 ms later: what came is acknowledged once no turn is due, unless something went out
 * meanwhile and took that along. One that paces itself by them (BBR) takes our own pace for the path's and stays below
 * it: a bulk stream's are sent in between as well, but not with each read, since every one is a system call. */
static void note_ack(struct session *session, size_t len)
{
    session->unacked += len;
    if (session->unacked >= QUICK_ACK_BYTES) {
        session->unacked = 0;
        platform_tcp_quick_ack(session->tcp);
    } else {
        (void)uv_prepare_start(&session->before_sleep, transport_before_sleep);
    }
}

void transport_before_sleep(uv_prepare_t *prepare)
{
    struct session *session = prepare->data;
    if (session->unacked > 0 && session->tcp != NULL && !session->ending) {
        if (uv_is_active((uv_handle_t *)&session->turn)) {
            return; /* its turn comes first, and may send what takes that along */
        }
        session->unacked = 0;
        platform_tcp_quick_ack(session->tcp);
    }
    (void)uv_prepare_stop(prepare);
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    struct session *session = stream->data;
    (void)buf;
    if (nread == 0) {
        return;
    }
    if (nread > 0 && session->inspect != NULL && session->phase == SESSION_HANDSHAKING) {
        inspect_received(session, session->inbound + session->in_end, (size_t)nread);
    }
    if (nread > 0) {
        session->in_end += (size_t)nread;
        session->bytes_in += (uint64_t)nread;
        alive_received(session);
        session->auth_read_us = session->phase == SESSION_AUTHENTICATING ? session_now_us() : 0;
        note_ack(session, (size_t)nread);
    } else {
        session->in_over = (int)nread;
    }
    /* Stopping and starting costs two system calls, so only a full buffer or an end stops it; a turn starts it again.
     */
    if (nread < 0 || session->in_end == INBOUND_BYTES) {
        transport_stop_reading(session);
    }
    session_wake(session);
}

void transport_start_reading(struct session *session)
{
    if (session->reading || session->tcp == NULL || session->in_over != 0 || session->lent ||
        session->in_end - session->in_start >= INBOUND_BYTES) {
        return;
    }
    int status = uv_read_start((uv_stream_t *)session->tcp, on_alloc, on_read);
    if (status == 0) {
        session->reading = true;
    } else {
        session->in_over = status;
        session_wake(session);
    }
}

void transport_stop_reading(struct session *session)
{
    if (session->reading) {
        session->reading = false;
        (void)uv_read_stop((uv_stream_t *)session->tcp);
    }
}

/* ---- libuv's side: writing ---- */

size_t transport_unsent(const struct session *session)
{
    return session->out.len + (session->writing ? session->flight.len : 0);
}

uint64_t transport_acknowledged(const struct session *session)
{
    int64_t unacknowledged = session->tcp != NULL ? platform_tcp_unacknowledged(session->tcp) : -1;
    if (unacknowledged < 0) {
        return 0;
    }
    return session->bytes_out - uv_stream_get_write_queue_size((const uv_stream_t *)session->tcp) -
           (uint64_t)unacknowledged;
}

static void on_written(uv_write_t *req, int status)
{
    struct session *session = req->data;
    session->writing = false;
    session->flight.len = 0;
    if (status < 0 && status != UV_ECANCELED) {
        session->in_over = session->in_over != 0 ? session->in_over : status;
    }
    session_wake(session);
}

static void give_back_large(struct outbound *out)
{
    if (out->len == 0 && out->cap > OUT_KEEP_BYTES) {
        free(out->data);
        *out = (struct outbound){.data = NULL};
    }
}

/* While we are let in, each of our packets waits for the answer to the one before, so what was read last is an answer:
 * a piece that came before it has made way for it. */
void transport_note_trip(struct session *session)
{
    if (session->auth_written_us != 0 && session->auth_read_us > session->auth_written_us) {
        mux_note_trip(session->mux, session->auth_read_us - session->auth_written_us);
    }
    session->auth_written_us = session->auth_read_us = 0;
}

static void note_auth_write(struct session *session)
{
    if (session->phase == SESSION_AUTHENTICATING) {
        transport_note_trip(session);
        session->auth_written_us = session_now_us();
    }
}

void transport_flush(struct session *session)
{
    struct outbound *out = &session->out;
    size_t sent = 0;
    if (session->writing || session->tcp == NULL || session->lent || out->len == 0) {
        return;
    }
    uv_buf_t buf = uv_buf_init((char *)out->data, (unsigned)out->len);
    int status = uv_try_write((uv_stream_t *)session->tcp, &buf, 1);
    if (status > 0) {
        sent = (size_t)status;
        note_auth_write(session);
        session->bytes_out += sent;
        session->unacked = 0;
    }
    if (sent == out->len) {
        out->len = 0;
        give_back_large(out);
        return;
    }
    /* The rest goes with one write request; meanwhile the other buffer is filled. */
    struct outbound spare = session->flight;
    session->flight = *out;
    session->out = spare;
    session->out.len = 0;
    buf = uv_buf_init((char *)session->flight.data + sent, (unsigned)(session->flight.len - sent));
    session->bytes_out += session->flight.len - sent;
    session->write_req.data = session;
    session->writing = true;
    status = uv_write(&session->write_req, (uv_stream_t *)session->tcp, &buf, 1, on_written);
    if (status != 0) {
        on_written(&session->write_req, status);
    }
}

/* ---- packets ---- */

/* Ends the session with the most telling of the reasons at hand. */
static void end_broken(struct session *session, int code)
{
    if (session->disconnect_text[0] != '\0') {
        session_end(session, ERR_CLOSED, "the peer disconnected: %s", session->disconnect_text);
    } else if (session->in_over != 0 && session->in_over != UV_EOF) {
        session_end(session, err_from_uv(session->in_over), "the connection broke: %s", err_uv_text(session->in_over));
    } else if (session->in_over != 0 || err_from_ssh2(code) == ERR_CLOSED) {
        session_end(session, ERR_CLOSED, "the peer closed the connection");
    } else {
        session_end(session, err_from_ssh2(code), "the session broke: %s", ssh2_err_text(session->ssh));
    }
}

bool transport_input_waits(const struct session *session)
{
    return mux_control_bytes(session->mux) >= OUT_HARD_BYTES && !libssh2_session_rekeying(session->ssh);
}

bool transport_pump(struct session *session)
{
    /* Data can wait inside libssh2 while our buffer is empty: only its EAGAIN says that nothing is left. */
    while (!session->ending && !transport_input_waits(session)) {
        size_t before = session->in_end - session->in_start;
        int code = libssh2_session_packet_read(session->ssh);
        if (session->ending) {
            break;
        }
        if (code == LIBSSH2_ERROR_EAGAIN) {
            size_t left = session->in_end - session->in_start;
            if (left == 0 || left == before) {
                return true;
            }
        } else if (code != 0) {
            end_broken(session, code);
        }
    }
    return !session->ending;
}

static bool link_send(void *arg, const uint8_t *head, size_t head_len, const uint8_t *body, size_t body_len)
{
    struct session *session = arg;
    int code = session->ending ? LIBSSH2_ERROR_SOCKET_DISCONNECT
                               : libssh2_session_packet_send(session->ssh, head, head_len, body, body_len);
    if (code != 0) {
        session_end(session, err_from_ssh2(code), "sending failed: %s", ssh2_err_text(session->ssh));
        return false;
    }
    session_wake(session);
    return true;
}

static bool may_send(const struct session *session)
{
    return session->phase == SESSION_READY && !session->ending && !session->stopping &&
           !libssh2_session_rekeying(session->ssh);
}

static size_t link_data_room(void *arg)
{
    const struct session *session = arg;
    size_t unsent = transport_unsent(session);
    return may_send(session) && unsent < OUT_SOFT_BYTES ? OUT_SOFT_BYTES - unsent : 0;
}

static uint8_t *link_place(void *arg, size_t head_len)
{
    struct session *session = arg;
    struct outbound *out = &session->out;
    /* What is compressed is not sent as it lies there. */
    if (session->spec.compression || !may_send(session) || session->lent || !make_room(out, LIBSSH2_OUTPUT_ROOM)) {
        return NULL;
    }
    return out->data + out->len + PACKET_HEAD_BYTES + head_len;
}

static bool link_control_room(void *arg)
{
    const struct session *session = arg;
    return may_send(session) && transport_unsent(session) < OUT_HARD_BYTES;
}

static uint64_t link_now_us(void *arg)
{
    (void)arg;
    return session_now_us();
}

static void link_wake(void *arg)
{
    session_wake(arg);
}

static void link_violation(void *arg, const char *message)
{
    session_end(arg, ERR_PROTOCOL, "the peer broke the protocol: %s", message);
}

const struct mux_link *transport_link(void)
{
    static const struct mux_link link = {
        .send = link_send,
        .data_room = link_data_room,
        .place = link_place,
        .control_room = link_control_room,
        .now_us = link_now_us,
        .wake = link_wake,
        .violation = link_violation,
    };
    return &link;
}
