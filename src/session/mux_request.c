/* Global requests: RFC 4254 section 4. Replies carry no name, so all that we ask is matched in the order it was sent.
 */
#include <stdlib.h>

#include "session/mux_internal.h"

static void request_add(struct mux *mux, session_reply_cb *on_reply, void *arg)
{
    struct request *request = calloc(1, sizeof *request);
    if (request == NULL) {
        mux->link.violation(mux->link.arg,
                            "out of memory"); /* without its place in the order no reply can be told apart */
        return;
    }
    request->on_reply = on_reply;
    request->arg = arg;
    if (mux->failed) {
        request->answered = true;
        request->result = ERR_CLOSED;
    }
    *mux->requests_tail = request;
    mux->requests_tail = &request->next;
    mux->link.wake(mux->link.arg);
}

static void request_begin(struct wire_writer *packet, const char *name)
{
    wire_writer_init(packet);
    wire_write_u8(packet, MSG_GLOBAL_REQUEST);
    mux_write_text(packet, name);
    wire_write_u8(packet, 1);
}

static void request_send(struct mux *mux, struct wire_writer *packet, session_reply_cb *on_reply, void *arg)
{
    if (!mux->failed) {
        mux_queue(mux, packet);
    }
    wire_writer_deinit(packet);
    request_add(mux, on_reply, arg);
}

void mux_keepalive(struct mux *mux, session_reply_cb *on_reply, void *arg)
{
    struct wire_writer packet;
    request_begin(&packet, "keepalive@openssh.com");
    request_send(mux, &packet, on_reply, arg);
}

void mux_padded_request(struct mux *mux, size_t padding_bytes, session_reply_cb *on_reply, void *arg)
{
    struct wire_writer packet;
    uint32_t noise = 1;
    request_begin(&packet, "keepalive@openssh.com"); /* what stands behind its name nobody reads */
    for (size_t i = 0; i < padding_bytes; i++) {     /* that does not compress */
        noise = noise * 1664525U + 1013904223U;
        wire_write_u8(&packet, (uint8_t)(noise >> 24));
    }
    request_send(mux, &packet, on_reply, arg);
}

void mux_forward_request(struct mux *mux, const char *request, const char *host_or_path, bool has_port, uint16_t port,
                         session_reply_cb *on_reply, void *arg)
{
    struct wire_writer packet;
    request_begin(&packet, request);
    mux_write_text(&packet, host_or_path);
    if (has_port) {
        wire_write_u32(&packet, port);
    }
    request_send(mux, &packet, on_reply, arg);
}

void mux_request_reply(struct mux *mux, bool success, struct wire_reader *reader)
{
    struct request *request = mux->requests;
    while (request != NULL && request->answered) {
        request = request->next;
    }
    if (request == NULL) {
        return; /* an answer to nothing: harmless */
    }
    request->answered = true;
    request->result = success ? OK : ERR_REFUSED;
    if (success && reader->left >= 4) {
        uint32_t port = wire_read_u32(reader);
        request->bound_port = port <= UINT16_MAX ? (uint16_t)port : 0;
    }
    mux->link.wake(mux->link.arg);
}

void mux_request_incoming(struct mux *mux, struct wire_reader *reader)
{
    (void)wire_read_string(reader);
    bool want_reply = wire_read_u8(reader) != 0;
    if (!reader->bad && want_reply) { /* keepalive@openssh.com and whatever else: refusing is an answer too */
        struct wire_writer packet;
        wire_writer_init(&packet);
        wire_write_u8(&packet, MSG_REQUEST_FAILURE);
        mux_queue(mux, &packet);
        wire_writer_deinit(&packet);
    }
}

bool mux_request_turn(struct mux *mux)
{
    bool any = false;
    while (mux->requests != NULL && mux->requests->answered) {
        struct request *request = mux->requests;
        mux->requests = request->next;
        if (mux->requests == NULL) {
            mux->requests_tail = &mux->requests;
        }
        if (request->on_reply != NULL) {
            request->on_reply(request->arg, request->result, request->bound_port);
        }
        free(request);
        any = true;
    }
    return any;
}

void mux_request_fail_all(struct mux *mux)
{
    for (struct request *request = mux->requests; request != NULL; request = request->next) {
        if (!request->answered) {
            request->answered = true;
            request->result = ERR_CLOSED;
        }
    }
}
