#include "mux/mux_net.h"

struct mux_net net;
int reply_order;
static enum packet_mode packet_mode;

void set_packet_mode(int argc, char **argv)
{
    if (argc > 1) {
        packet_mode = strcmp(argv[1], "lent") == 0 ? PACKETS_LENT : PACKETS_LENT_BRIEFLY;
    }
}

/* ---- the link ---- */

static bool link_send(void *arg, const uint8_t *head, size_t head_len, const uint8_t *body, size_t body_len)
{
    (void)arg;
    if (head[0] == 94) {
        assert_true(net.data_room > 0);
        net.data_room -= body_len < net.data_room ? body_len : net.data_room;
    } else if (net.control_packets > 0) {
        net.control_packets--;
    }
    net.sent_total++;
    net.sent_bytes += body_len;
    if (net.keep_sent) {
        assert_true(net.sent_count < SENT_MAX);
        struct sent *sent = &net.sent[net.sent_count++];
        sent->type = head[0];
        sent->len = head_len + body_len;
        sent->data = malloc(sent->len);
        assert_non_null(sent->data);
        memcpy(sent->data, head, head_len);
        if (body_len > 0) {
            memcpy(sent->data + head_len, body, body_len);
        }
    }
    return true;
}

static size_t link_data_room(void *arg)
{
    (void)arg;
    return net.data_room;
}

static uint8_t *link_place(void *arg, size_t head_len)
{
    (void)arg;
    assert_int_equal(head_len, 9);
    return net.place;
}

static bool link_control_room(void *arg)
{
    (void)arg;
    return net.control_packets > 0;
}

static uint64_t link_now_us(void *arg)
{
    (void)arg;
    return net.now_us;
}

static void link_wake(void *arg)
{
    (void)arg;
    net.wakes++;
}

static void link_violation(void *arg, const char *message)
{
    struct err_info why;
    (void)arg;
    if (net.violation[0] == '\0') {
        (void)strncpy(net.violation, message, sizeof net.violation - 1);
    }
    (void)err_set(&why, ERR_PROTOCOL, "%s", message);
    mux_fail(net.mux, &why); /* as the session does, from inside mux_packet */
}

static void on_offer(void *arg, struct channel *channel, const struct channel_offer *offer)
{
    (void)arg;
    assert_true(net.offers < OWNERS);
    net.offered[net.offers++] = channel;
    net.offer = *offer;
    (void)snprintf(net.offer_text, sizeof net.offer_text, "%s:%u from %s:%u", offer->listen_host, offer->listen_port,
                   offer->originator_host, offer->originator_port);
}

void forget_sent(void)
{
    for (size_t i = 0; i < net.sent_count; i++) {
        free(net.sent[i].data);
    }
    net.sent_count = 0;
}

int setup(void **state)
{
    const struct mux_link link = {.send = link_send,
                                  .data_room = link_data_room,
                                  .place = link_place,
                                  .control_room = link_control_room,
                                  .now_us = link_now_us,
                                  .wake = link_wake,
                                  .violation = link_violation};
    const struct mux_events events = {.on_offer = on_offer};
    (void)state;
    memset(&net, 0, sizeof net);
    net.keep_sent = true;
    net.data_room = net.control_packets = SIZE_MAX / 2;
    net.mux = mux_new(&link, &events);
    return net.mux != NULL ? 0 : -1;
}

static struct lent {
    struct lent *next;
    uint8_t *data;
    size_t len;
} * lent_packets;

static void take_back(void)
{
    mux_settle(net.mux);
    assert_false(mux_borrows(net.mux));
    while (lent_packets != NULL) {
        struct lent *lent = lent_packets;
        lent_packets = lent->next;
        memset(lent->data, 0xee, lent->len);
        free(lent->data);
        free(lent);
    }
}

void turn(void)
{
    for (int i = 0; i < 100; i++) {
        if (!mux_turn(net.mux) && !mux_turn_late(net.mux)) {
            take_back();
            return;
        }
    }
    fail_msg("mux_turn makes progress for ever");
}

void fail_session(enum err code)
{
    struct err_info why;
    (void)err_set(&why, code, "%s", "the link is gone");
    mux_fail(net.mux, &why);
    turn();
}

int teardown(void **state)
{
    (void)state;
    fail_session(ERR_CLOSED);
    assert_true(mux_is_idle(net.mux));
    assert_int_equal(mux_channel_count(net.mux), 0);
    mux_free(net.mux);
    forget_sent();
    return 0;
}

/* ---- packets ---- */

/* What the peer says: `format` has a letter for each part: b byte, u uint32, s string, z zero-filled string of that
 * length. */
static size_t compose(struct wire_writer *packet, const char *format, va_list args)
{
    wire_writer_init(packet);
    for (; *format != '\0'; format++) {
        if (*format == 'b') {
            wire_write_u8(packet, (uint8_t)va_arg(args, int));
        } else if (*format == 'u') {
            wire_write_u32(packet, va_arg(args, unsigned));
        } else if (*format == 's') {
            const char *text = va_arg(args, const char *);
            wire_write_string(packet, text, strlen(text));
        } else {
            size_t len = va_arg(args, unsigned);
            uint8_t *zeros = calloc(1, len + 1);
            assert_non_null(zeros);
            wire_write_string(packet, zeros, len);
            free(zeros);
        }
    }
    return packet->len;
}

void peer_packet(struct wire_writer *packet, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)compose(packet, format, args);
    va_end(args);
}

void peer_sends_bytes(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len + 1);
    assert_non_null(copy);
    memcpy(copy, data, len);
    if (packet_mode == PACKETS_GIVEN) {
        mux_packet(net.mux, copy, len);
        return;
    }
    struct lent *lent = malloc(sizeof *lent);
    assert_non_null(lent);
    *lent = (struct lent){.next = lent_packets, .data = copy, .len = len};
    lent_packets = lent;
    mux_packet_borrowed(net.mux, copy, len);
    if (packet_mode == PACKETS_LENT_BRIEFLY) {
        take_back();
    }
}

void peer_sends(const char *format, ...)
{
    struct wire_writer packet;
    va_list args;
    va_start(args, format);
    (void)compose(&packet, format, args);
    va_end(args);
    peer_sends_bytes(packet.data, packet.len);
    wire_writer_deinit(&packet);
}

void peer_sends_data(uint32_t id, size_t len)
{
    while (len > 0) {
        size_t part = len < PACKET ? len : PACKET;
        peer_sends("buz", 94, id, (unsigned)part);
        len -= part;
    }
}

uint32_t u32_at(const struct sent *sent, size_t at)
{
    assert_true(at + 4 <= sent->len);
    return (uint32_t)sent->data[at] << 24 | (uint32_t)sent->data[at + 1] << 16 | (uint32_t)sent->data[at + 2] << 8 |
           sent->data[at + 3];
}

uint32_t expect_sent(uint8_t type, size_t at)
{
    uint32_t value = 0;
    assert_true(net.sent_count > 0);
    assert_int_equal(net.sent[0].type, type);
    if (at > 0) {
        value = u32_at(&net.sent[0], at);
    }
    free(net.sent[0].data);
    net.sent_count--;
    memmove(&net.sent[0], &net.sent[1], net.sent_count * sizeof net.sent[0]);
    return value;
}

void expect_nothing_sent(void)
{
    assert_int_equal(net.sent_count, 0);
}

/* ---- owners ---- */

static size_t owner_input(void *arg, const uv_buf_t *bufs, unsigned count)
{
    struct owner *owner = arg;
    size_t total = 0;
    assert_int_equal(owner->closed, 0);
    for (unsigned i = 0; i < count; i++) {
        assert_true(bufs[i].len > 0);
        total += bufs[i].len;
    }
    assert_true(total > 0);
    size_t taken = total < owner->take ? total : owner->take;
    owner->take -= taken;
    owner->received += taken;
    if (owner->close_on_input) {
        owner->stream->ops->close(owner->stream);
    }
    return taken;
}

static void owner_input_end(void *arg)
{
    ((struct owner *)arg)->input_ends++;
}

static void owner_writable(void *arg)
{
    struct owner *owner = arg;
    owner->writables++;
    owner->told_at = ++net.tellings;
}

static void owner_output_end(void *arg)
{
    ((struct owner *)arg)->output_ends++;
}

static void owner_failed(void *arg, const struct err_info *why)
{
    struct owner *owner = arg;
    owner->failed++;
    owner->fail_code = why->code;
    if (owner->close_on_fail) {
        owner->stream->ops->abort(owner->stream);
    }
}

static void owner_closed(void *arg)
{
    ((struct owner *)arg)->closed++;
}

static const struct stream_events owner_events = {.on_input = owner_input,
                                                  .on_input_end = owner_input_end,
                                                  .on_writable = owner_writable,
                                                  .on_output_end = owner_output_end,
                                                  .on_failed = owner_failed,
                                                  .on_closed = owner_closed};

void take_over(struct owner *owner, struct channel *channel)
{
    owner->channel = channel;
    owner->stream = channel_stream(channel);
    owner->stream->events = &owner_events;
    owner->stream->owner = owner;
    owner->close_on_fail = true;
    owner->stream->ops->resume(owner->stream);
}

void on_open(void *arg, struct channel *channel, enum err result, const struct err_info *why)
{
    struct owner *owner = arg;
    owner->opened++;
    owner->open_result = result;
    (void)snprintf(owner->why, sizeof owner->why, "%s", why != NULL ? why->message : "");
    assert_int_equal(result == OK, why == NULL);
    if (result == OK) {
        take_over(owner, channel);
    } else {
        owner->channel = NULL;
        owner->prohibited = channel_is_prohibited(channel);
    }
}

uint32_t begin_open(struct owner *owner)
{
    *owner = (struct owner){.take = SIZE_MAX / 2};
    owner->channel = mux_open_tcp(net.mux, "target", 80, "127.0.0.1", 4000, on_open, owner);
    assert_non_null(owner->channel);
    assert_int_equal(owner->opened, 0);
    turn();
    return expect_sent(90, 5 + strlen("direct-tcpip"));
}

void confirm(uint32_t id, uint32_t peer_id, uint32_t window)
{
    peer_sends("buuuu", 91, id, peer_id, window, (unsigned)PACKET);
}

uint32_t open_channel(struct owner *owner, uint32_t window)
{
    uint32_t id = begin_open(owner);
    confirm(id, 100 + id, window);
    turn();
    assert_int_equal(owner->opened, 1);
    assert_int_equal(owner->open_result, OK);
    return id;
}

void close_both(struct owner *owner, uint32_t id)
{
    owner->stream->ops->close(owner->stream);
    turn();
    assert_int_equal(owner->closed, 1);
    assert_int_equal(expect_sent(97, 1), 100 + id);
    peer_sends("bu", 97, id);
    turn();
}

size_t write_zeros(struct owner *owner, size_t len)
{
    char *zeros = calloc(1, len + 1);
    assert_non_null(zeros);
    uv_buf_t buf = uv_buf_init(zeros, (unsigned)len);
    size_t taken = owner->stream->ops->write(owner->stream, &buf, 1);
    free(zeros);
    return taken;
}

void offer_channel(uint32_t peer_id)
{
    peer_sends("bsuuususu", 90, "forwarded-tcpip", peer_id, (unsigned)WINDOW, (unsigned)PACKET, "localhost", 14444U,
               "10.0.0.7", 5555U);
    turn();
}

void on_reply(void *arg, enum err result, uint16_t port)
{
    struct asked *asked = arg;
    asked->replies++;
    asked->result = result;
    asked->port = port;
    asked->order = reply_order++;
}
