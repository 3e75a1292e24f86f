/* The connection layer against a link of our own, with packets made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relay/stream.h"
#include "session/mux_internal.h"
#include "session/wire.h"

enum { WINDOW = WINDOW_FIRST_BYTES, PACKET = PACKET_BYTES, SENT_MAX = 64, OWNERS = 8 };

/* ---- the link ---- */

struct sent {
    uint8_t type;
    uint8_t *data;
    size_t len;
};

static struct {
    struct mux *mux;
    struct sent sent[SENT_MAX];
    size_t sent_count, sent_total, sent_bytes;
    bool keep_sent;
    size_t data_room, control_packets; /* how much may still be sent */
    size_t wakes;
    uint64_t now_us;
    char violation[128];
    struct channel *offered[OWNERS];
    struct channel_offer offer; /* a copy of the last one; its strings die with the answer */
    char offer_text[256];
    size_t offers;
} net;

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

static void forget_sent(void)
{
    for (size_t i = 0; i < net.sent_count; i++) {
        free(net.sent[i].data);
    }
    net.sent_count = 0;
}

static int setup(void **state)
{
    const struct mux_link link = {.send = link_send,
                                  .data_room = link_data_room,
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

/* The program is run with packets that become the mux's own; with the word `lent`, with packets that are lent until the
 * mux has had its turns; and with `lent-briefly`, with such that are taken back before. */
static enum packet_mode { PACKETS_GIVEN = 0, PACKETS_LENT, PACKETS_LENT_BRIEFLY } packet_mode;

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

static void turn(void)
{
    for (int i = 0; i < 100; i++) {
        if (!mux_turn(net.mux)) {
            take_back();
            return;
        }
    }
    fail_msg("mux_turn makes progress for ever");
}

static void fail_session(enum err code)
{
    struct err_info why;
    (void)err_set(&why, code, "%s", "the link is gone");
    mux_fail(net.mux, &why);
    turn();
}

static int teardown(void **state)
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

static void peer_packet(struct wire_writer *packet, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)compose(packet, format, args);
    va_end(args);
}

static void peer_sends_bytes(const uint8_t *data, size_t len)
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

static void peer_sends(const char *format, ...)
{
    struct wire_writer packet;
    va_list args;
    va_start(args, format);
    (void)compose(&packet, format, args);
    va_end(args);
    peer_sends_bytes(packet.data, packet.len);
    wire_writer_deinit(&packet);
}

static void peer_sends_data(uint32_t id, size_t len)
{
    while (len > 0) {
        size_t part = len < PACKET ? len : PACKET;
        peer_sends("buz", 94, id, (unsigned)part);
        len -= part;
    }
}

static uint32_t u32_at(const struct sent *sent, size_t at)
{
    assert_true(at + 4 <= sent->len);
    return (uint32_t)sent->data[at] << 24 | (uint32_t)sent->data[at + 1] << 16 | (uint32_t)sent->data[at + 2] << 8 |
           sent->data[at + 3];
}

/* The oldest packet sent and not yet looked at is of `type`; returns its uint32 at `at` (0: none wanted). */
static uint32_t expect_sent(uint8_t type, size_t at)
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

static void expect_nothing_sent(void)
{
    assert_int_equal(net.sent_count, 0);
}

/* ---- owners ---- */

struct owner {
    struct channel *channel;
    struct stream *stream;
    int opened, failed, closed, input_ends, output_ends;
    enum err open_result, fail_code;
    char why[600];
    size_t received, take; /* bytes taken so far, and how many more will be taken */
    size_t writables;
    bool close_on_input, close_on_fail, prohibited;
};

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
    ((struct owner *)arg)->writables++;
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

static void take_over(struct owner *owner, struct channel *channel)
{
    owner->channel = channel;
    owner->stream = channel_stream(channel);
    owner->stream->events = &owner_events;
    owner->stream->owner = owner;
    owner->close_on_fail = true;
    owner->stream->ops->resume(owner->stream);
}

static void on_open(void *arg, struct channel *channel, enum err result, const struct err_info *why)
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

/* Asks for a channel; returns our id as the peer sees it. */
static uint32_t begin_open(struct owner *owner)
{
    *owner = (struct owner){.take = SIZE_MAX / 2};
    owner->channel = mux_open_tcp(net.mux, "target", 80, "127.0.0.1", 4000, on_open, owner);
    assert_non_null(owner->channel);
    assert_int_equal(owner->opened, 0);
    turn();
    return expect_sent(90, 5 + strlen("direct-tcpip"));
}

static void confirm(uint32_t id, uint32_t peer_id, uint32_t window)
{
    peer_sends("buuuu", 91, id, peer_id, window, (unsigned)PACKET);
}

/* An open channel; the peer's id of it is 100 + ours. */
static uint32_t open_channel(struct owner *owner, uint32_t window)
{
    uint32_t id = begin_open(owner);
    confirm(id, 100 + id, window);
    turn();
    assert_int_equal(owner->opened, 1);
    assert_int_equal(owner->open_result, OK);
    return id;
}

static void close_both(struct owner *owner, uint32_t id)
{
    owner->stream->ops->close(owner->stream);
    turn();
    assert_int_equal(owner->closed, 1);
    assert_int_equal(expect_sent(97, 1), 100 + id);
    peer_sends("bu", 97, id);
    turn();
}

static size_t write_zeros(struct owner *owner, size_t len)
{
    char *zeros = calloc(1, len + 1);
    assert_non_null(zeros);
    uv_buf_t buf = uv_buf_init(zeros, (unsigned)len);
    size_t taken = owner->stream->ops->write(owner->stream, &buf, 1);
    free(zeros);
    return taken;
}

static void offer_channel(uint32_t peer_id)
{
    peer_sends("bsuuususu", 90, "forwarded-tcpip", peer_id, (unsigned)WINDOW, (unsigned)PACKET, "localhost", 14444U,
               "10.0.0.7", 5555U);
    turn();
}

/* ---- opening ---- */

static void open_says_what_is_wanted(void **state)
{
    static struct owner owner;
    struct wire_reader reader;
    (void)state;
    owner.channel = mux_open_tcp(net.mux, "intranet", 8080, "192.0.2.9", 50000, on_open, &owner);
    turn();
    assert_int_equal(net.sent_count, 1);
    wire_reader_init(&reader, net.sent[0].data, net.sent[0].len);
    assert_int_equal(wire_read_u8(&reader), 90);
    assert_true(wire_slice_is(wire_read_string(&reader), "direct-tcpip"));
    assert_int_equal(wire_read_u32(&reader), 0);
    assert_int_equal(wire_read_u32(&reader), WINDOW);
    assert_int_equal(wire_read_u32(&reader), PACKET);
    assert_true(wire_slice_is(wire_read_string(&reader), "intranet"));
    assert_int_equal(wire_read_u32(&reader), 8080);
    assert_true(wire_slice_is(wire_read_string(&reader), "192.0.2.9"));
    assert_int_equal(wire_read_u32(&reader), 50000);
    assert_false(reader.bad);
    assert_int_equal(reader.left, 0);
    forget_sent();

    static struct owner other;
    other.channel = mux_open_unix(net.mux, "/run/x.sock", on_open, &other);
    turn();
    wire_reader_init(&reader, net.sent[0].data, net.sent[0].len);
    assert_int_equal(wire_read_u8(&reader), 90);
    assert_true(wire_slice_is(wire_read_string(&reader), "direct-streamlocal@openssh.com"));
    assert_int_equal(wire_read_u32(&reader), 1);
    (void)wire_read_u32(&reader);
    (void)wire_read_u32(&reader);
    assert_true(wire_slice_is(wire_read_string(&reader), "/run/x.sock"));
    assert_int_equal(wire_read_string(&reader).len, 0);
    assert_int_equal(wire_read_u32(&reader), 0);
    assert_false(reader.bad);
}

static void parallel_opens_are_confirmed_in_any_order(void **state)
{
    static const size_t order[] = {2, 0, 3, 1};
    static struct owner owners[4];
    uint32_t ids[4];
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        ids[i] = begin_open(&owners[i]);
        assert_int_equal(ids[i], i);
    }
    for (size_t i = 0; i < 4; i++) {
        size_t which = order[i];
        if (which == 3) {
            peer_sends("buuss", 92, ids[which], 2U, "Connection refused", "");
        } else {
            confirm(ids[which], 100 + ids[which], WINDOW);
        }
        assert_int_equal(owners[which].opened, 0); /* never from inside mux_packet */
        turn();
        assert_int_equal(owners[which].opened, 1);
        assert_int_equal(owners[which].open_result, which == 3 ? ERR_REFUSED : OK);
    }
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(write_zeros(&owners[i], 7), 7);
        assert_int_equal(expect_sent(94, 1), 100 + ids[i]);
        close_both(&owners[i], ids[i]);
    }
    assert_int_equal(mux_channel_count(net.mux), 0);
}

static void a_refusal_says_why(void **state)
{
    static const char *const beginnings[] = {"refused by the peer", "administratively prohibited",
                                             "connect failed",      "unknown channel type",
                                             "resource shortage",   "refused by the peer"};
    (void)state;
    for (unsigned reason = 0; reason < 6; reason++) {
        static struct owner owner;
        uint32_t id = begin_open(&owner);
        peer_sends("buuss", 92, id, reason, "No route to host", "");
        turn();
        assert_int_equal(owner.open_result, ERR_REFUSED);
        assert_int_equal(owner.prohibited, reason == 1);
        assert_memory_equal(owner.why, beginnings[reason], strlen(beginnings[reason]));
        assert_non_null(strstr(owner.why, ": No route to host"));
    }
    static struct owner owner;
    uint32_t id = begin_open(&owner);
    peer_sends("buu", 92, id, 2U); /* its text is missing */
    turn();
    assert_int_equal(owner.opened, 1);
    assert_int_equal(owner.open_result, ERR_REFUSED);
}

static void an_open_given_up_before_its_answer_is_closed_when_confirmed(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = begin_open(&owner);
    channel_cancel_open(owner.channel);
    channel_cancel_open(owner.channel);
    assert_int_equal(owner.opened, 0);
    turn();
    assert_int_equal(owner.opened, 1);
    assert_int_equal(owner.open_result, ERR_CANCELLED);
    assert_int_equal(mux_channel_count(net.mux), 0);
    expect_nothing_sent();
    confirm(id, 77, WINDOW);
    turn();
    assert_int_equal(expect_sent(97, 1), 77);
    static struct owner second;
    assert_int_not_equal(begin_open(&second), id); /* not before the peer's CLOSE */
    peer_sends_data(id, 5000);
    peer_sends("bu", 96, id);
    peer_sends("bu", 97, id);
    static struct owner third;
    assert_int_equal(begin_open(&third), id);
    assert_string_equal(net.violation, "");
}

static void an_open_given_up_and_refused_leaves_nothing(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = begin_open(&owner);
    channel_cancel_open(owner.channel);
    turn();
    peer_sends("buuss", 92, id, 2U, "no", "");
    turn();
    expect_nothing_sent();
    assert_int_equal(begin_open(&owner), id);
}

static void an_open_given_up_after_its_confirmation_is_closed(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = begin_open(&owner);
    confirm(id, 77, WINDOW);
    channel_cancel_open(owner.channel);
    turn();
    assert_int_equal(owner.opened, 1);
    assert_int_equal(owner.open_result, ERR_CANCELLED);
    assert_int_equal(expect_sent(97, 1), 77);
    expect_nothing_sent();
    peer_sends("bu", 97, id);
    assert_int_equal(begin_open(&owner), id);
}

/* The confirmation comes between channel_cancel_open and the turn that tells the owner. */
static void an_open_given_up_just_before_its_confirmation_is_closed(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = begin_open(&owner);
    channel_cancel_open(owner.channel);
    confirm(id, 77, WINDOW);
    turn();
    assert_int_equal(owner.opened, 1);
    assert_int_equal(owner.open_result, ERR_CANCELLED);
    assert_int_equal(expect_sent(97, 1), 77);
    peer_sends_data(id, 10);
    peer_sends("bu", 97, id);
    turn();
    assert_string_equal(net.violation, "");
    assert_int_equal(begin_open(&owner), id);
}

static void an_open_given_up_just_before_its_refusal_was_given_up(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = begin_open(&owner);
    channel_cancel_open(owner.channel);
    peer_sends("buuss", 92, id, 2U, "no", "");
    turn();
    assert_int_equal(owner.opened, 1);
    assert_int_equal(owner.open_result, ERR_CANCELLED);
    expect_nothing_sent();
    assert_int_equal(begin_open(&owner), id);
}

static void a_close_right_after_the_confirmation_delivers_what_came(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = begin_open(&owner);
    confirm(id, 100 + id, WINDOW);
    peer_sends_data(id, 1000);
    peer_sends("bu", 96, id);
    peer_sends("bu", 97, id);
    turn();
    assert_int_equal(owner.open_result, OK);
    assert_int_equal(owner.received, 1000);
    assert_int_equal(owner.input_ends, 1);
    assert_int_equal(owner.failed, 1);
    assert_int_equal(owner.fail_code, OK);
    assert_int_equal(owner.closed, 1);
    assert_int_equal(expect_sent(97, 1), 100 + id);
    expect_nothing_sent();
    assert_int_equal(begin_open(&owner), id);
}

static void a_close_instead_of_an_answer_is_a_refusal(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = begin_open(&owner);
    peer_sends("bu", 97, id);
    turn();
    assert_int_equal(owner.opened, 1);
    assert_int_equal(owner.open_result, ERR_REFUSED);
    assert_int_equal(mux_channel_count(net.mux), 0);
    expect_nothing_sent();
}

/* ---- data ---- */

static void writes_stop_at_the_window(void **state)
{
    static const int deltas[] = {-1, 0, 1};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        static struct owner owner;
        uint32_t id = open_channel(&owner, 1000);
        size_t wanted = (size_t)(1000 + deltas[i]);
        size_t taken = wanted < 1000 ? wanted : 1000;
        assert_int_equal(write_zeros(&owner, wanted), taken);
        assert_int_equal(expect_sent(94, 5), taken);
        turn();
        assert_int_equal(owner.writables, 0);
        peer_sends("buu", 93, id, 1U);
        turn();
        assert_int_equal(owner.writables, wanted > taken ? 1 : 0);
        size_t left = 1000 - taken + 1;
        assert_int_equal(write_zeros(&owner, 10), left);
        assert_int_equal(expect_sent(94, 5), left);
        close_both(&owner, id);
    }
}

static void writes_are_cut_into_packets(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    assert_int_equal(write_zeros(&owner, 2 * PACKET + 1), 2 * PACKET + 1);
    assert_int_equal(expect_sent(94, 5), PACKET);
    assert_int_equal(expect_sent(94, 5), PACKET);
    assert_int_equal(expect_sent(94, 5), 1);
    close_both(&owner, id);

    id = begin_open(&owner);
    peer_sends("buuuu", 91, id, 100 + id, (unsigned)WINDOW, 5U); /* a peer that takes small packets */
    turn();
    assert_int_equal(write_zeros(&owner, 12), 12);
    assert_int_equal(expect_sent(94, 5), 5);
    assert_int_equal(expect_sent(94, 5), 5);
    assert_int_equal(expect_sent(94, 5), 2);
    close_both(&owner, id);
}

/* A peer whose largest packet is of no bytes could never be sent anything: not a reason to turn for ever. */
static void a_channel_that_takes_packets_of_nothing_breaks_the_protocol(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = begin_open(&owner);
    peer_sends("buuuu", 91, id, 100 + id, (unsigned)WINDOW, 0U);
    turn();
    assert_string_not_equal(net.violation, "");
    assert_int_equal(owner.opened, 1);
    assert_int_not_equal(owner.open_result, OK);
}

static void an_offer_that_takes_packets_of_nothing_is_refused(void **state)
{
    (void)state;
    peer_sends("bsuuususu", 90, "forwarded-tcpip", 5U, (unsigned)WINDOW, 0U, "localhost", 14444U, "10.0.0.7", 5555U);
    turn();
    assert_int_equal(net.offers, 0);
    assert_int_equal(expect_sent(92, 1), 5);
}

static void a_full_link_makes_writers_wait_in_turn(void **state)
{
    static struct owner owners[3];
    uint32_t ids[3];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        ids[i] = open_channel(&owners[i], WINDOW);
    }
    net.data_room = 0;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(write_zeros(&owners[i], 100), 0);
    }
    turn();
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(owners[i].writables, 0);
    }
    net.data_room = SIZE_MAX / 2;
    turn();
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(owners[i].writables, 1);
        close_both(&owners[i], ids[i]);
    }
}

static void a_channel_without_window_does_not_hold_up_others(void **state)
{
    static struct owner stuck;
    static struct owner free_one;
    (void)state;
    (void)open_channel(&stuck, 0);
    (void)open_channel(&free_one, WINDOW);
    assert_int_equal(write_zeros(&stuck, 10), 0);
    net.data_room = 0;
    assert_int_equal(write_zeros(&free_one, 10), 0);
    net.data_room = 1000;
    turn();
    assert_int_equal(stuck.writables, 0);
    assert_int_equal(free_one.writables, 1);
}

static void the_window_is_granted_again_once_half_is_read(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    peer_sends_data(id, WINDOW / 2 - 1);
    turn();
    expect_nothing_sent();
    peer_sends_data(id, 1);
    turn();
    assert_int_equal(owner.received, WINDOW / 2);
    assert_int_equal(expect_sent(93, 5), WINDOW / 2);
    peer_sends_data(id, WINDOW); /* exactly what is granted now */
    turn();
    assert_string_equal(net.violation, "");
    assert_int_equal(owner.received, WINDOW / 2 + WINDOW);
    assert_int_equal(expect_sent(93, 5), WINDOW);
    close_both(&owner, id);
}

static void a_reader_that_stops_keeps_its_window_closed(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    owner.take = 100;
    peer_sends_data(id, WINDOW);
    turn();
    assert_int_equal(owner.received, 100);
    expect_nothing_sent();
    turn();
    assert_int_equal(owner.received, 100); /* nothing more is offered before resume */
    owner.take = SIZE_MAX / 2;
    owner.stream->ops->resume(owner.stream);
    assert_int_equal(owner.received, 100); /* and never from inside it */
    turn();
    assert_int_equal(owner.received, WINDOW);
    assert_int_equal(expect_sent(93, 5), WINDOW);
    close_both(&owner, id);
}

/* A packet of its own for each byte would cost a hundred times the window. */
static void small_packets_behind_others_are_gathered(void **state)
{
    enum { COUNT = 20000, EACH = 3 };
    static struct owner owner;
    size_t pieces = 0, at = 0;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    owner.stream->ops->freeze(owner.stream);
    for (unsigned i = 0; i < COUNT; i++) {
        const uint8_t bytes[12] = {
            94,   (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id, 0, 0, 0,
            EACH, (uint8_t)(i >> 16),  (uint8_t)(i >> 8),   (uint8_t)i};
        peer_sends_bytes(bytes, sizeof bytes);
    }
    for (const struct inbound *in = owner.channel->in_head; in != NULL; in = in->next) {
        for (size_t j = in->offset; j < in->end; j++) {
            assert_int_equal(in->packet[j], (uint8_t)(at / EACH >> (8 * (EACH - 1 - at % EACH))));
            at++;
        }
        pieces++;
    }
    assert_int_equal(at, COUNT * EACH);
    assert_true(pieces <= COUNT * EACH / 4000 + 2);
    owner.stream->ops->resume(owner.stream);
    turn();
    assert_int_equal(owner.received, COUNT * EACH);
    close_both(&owner, id);
}

/* One that is offered when the pool is low has a smaller window, and grows into what the path needs. */
static void a_stalled_peer_is_given_a_larger_window(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    net.now_us = 1000000;
    peer_sends_data(id, WINDOW);
    turn();
    assert_int_equal(expect_sent(93, 5), WINDOW);
    net.now_us += 50000; /* a round trip, in which the peer had nothing left to send */
    peer_sends_data(id, PACKET);
    turn();
    assert_int_equal(expect_sent(93, 5), WINDOW);
    assert_int_equal(owner.channel->window.size, 2 * WINDOW);
    close_both(&owner, id);
    assert_int_equal(net.mux->windows.growth_free, POOL_GROWTH_BYTES);
    assert_int_equal(net.mux->windows.first_free, POOL_FIRST_BYTES);
}

static void data_over_the_window_breaks_the_protocol(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    owner.take = 0;
    peer_sends_data(id, WINDOW);
    assert_string_equal(net.violation, "");
    peer_sends_data(id, 1);
    assert_string_not_equal(net.violation, "");
    turn();
    assert_int_equal(owner.failed, 1);
    assert_int_equal(owner.fail_code, ERR_PROTOCOL);
    assert_int_equal(owner.closed, 1);
}

static void extended_data_is_thrown_away_and_granted_again(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    for (size_t i = 0; i < WINDOW / PACKET; i++) {
        peer_sends("buuz", 95, id, 1U, (unsigned)PACKET);
    }
    turn();
    assert_int_equal(owner.received, 0);
    assert_int_equal(expect_sent(93, 5), WINDOW / 2);
    assert_int_equal(expect_sent(93, 5), WINDOW / 2);
    close_both(&owner, id);
}

static void a_window_over_4_gib_breaks_the_protocol(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, UINT32_MAX);
    peer_sends("buu", 93, id, 0U);
    assert_string_equal(net.violation, "");
    peer_sends("buu", 93, id, 1U);
    assert_string_not_equal(net.violation, "");
}

/* ---- ends ---- */

/* EOF and CLOSE of both sides in every order: 'e' our end, 'c' our close, 'E' and 'C' the peer's. */
static void every_order_of_ends_works(void **state)
{
    static const char *const orders[] = {"eEcC", "EecC", "EeCc", "eECc", "ecC", "ecEC", "EcC", "ECc", "eCc", "Cc",
                                         "cC",   "cEC",  "CEc",  "eEC",  "EeC", "EC",   "C",   "eC",  "EcCx"};
    (void)state;
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        static struct owner owner;
        uint32_t id = open_channel(&owner, WINDOW);
        bool peer_eof = false;
        bool peer_close = false;
        owner.close_on_fail = strchr(orders[i], 'c') == NULL; /* else it answers a CLOSE when it is its turn */
        for (const char *at = orders[i]; *at != '\0' && *at != 'x'; at++) {
            switch (*at) {
            case 'e': owner.stream->ops->end(owner.stream); break;
            case 'c': owner.stream->ops->close(owner.stream); break;
            case 'E':
                if (!peer_close) {
                    peer_sends("bu", 96, id);
                }
                peer_eof = peer_eof || strchr(orders[i], 'c') == NULL || at < strchr(orders[i], 'c');
                break;
            default:
                peer_sends("bu", 97, id);
                peer_close = true;
                break;
            }
            turn();
        }
        assert_string_equal(net.violation, "");
        assert_int_equal(owner.closed, 1);
        assert_true(owner.input_ends <= 1 && owner.failed <= 1 && owner.output_ends <= 1);
        assert_true(!peer_eof || owner.input_ends == 1);
        assert_int_equal(mux_channel_count(net.mux), 0);
        size_t closes = 0;
        for (size_t j = 0; j < net.sent_count; j++) {
            closes += net.sent[j].type == 97;
        }
        assert_int_equal(closes, 1);
        forget_sent();
    }
    static struct owner owner;
    assert_int_equal(begin_open(&owner), 0); /* all ids are free again */
}

static void a_slow_reader_gets_all_before_the_peers_close(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    owner.take = 10;
    peer_sends_data(id, WINDOW);
    peer_sends("bu", 96, id);
    peer_sends("bu", 97, id);
    turn();
    assert_int_equal(owner.input_ends + owner.failed, 0);
    while (owner.closed == 0) {
        owner.take = WINDOW / 64;
        owner.stream->ops->resume(owner.stream);
        turn();
    }
    assert_int_equal(owner.received, WINDOW);
    assert_int_equal(owner.input_ends, 1);
    assert_int_equal(owner.fail_code, OK);
    assert_int_equal(owner.closed, 1);
}

static void data_after_an_end_is_not_delivered(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    peer_sends("bu", 96, id);
    turn();
    peer_sends_data(id, 10);
    peer_sends("bu", 96, id);
    turn();
    assert_int_equal(owner.received, 0);
    assert_int_equal(owner.input_ends, 1);
    close_both(&owner, id);
}

static void a_close_from_inside_input_is_safe(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    owner.close_on_input = true;
    peer_sends_data(id, 3 * PACKET);
    turn();
    assert_int_equal(owner.closed, 1);
    assert_int_equal(expect_sent(97, 1), 100 + id);
    peer_sends_data(id, 5);
    peer_sends("bu", 97, id);
    turn();
    assert_int_equal(begin_open(&owner), id);
}

static void writes_after_our_end_or_the_peers_close_go_nowhere(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    owner.close_on_fail = false;
    owner.stream->ops->end(owner.stream);
    turn();
    assert_int_equal(owner.output_ends, 1);
    (void)expect_sent(96, 1);
    assert_int_equal(write_zeros(&owner, 50), 50);
    expect_nothing_sent();
    peer_sends("bu", 97, id);
    assert_int_equal(write_zeros(&owner, 50), 50);
    turn();
    (void)expect_sent(97, 1);
    expect_nothing_sent();
    owner.stream->ops->close(owner.stream);
    turn();
    assert_int_equal(owner.closed, 1);
}

/* ---- offers ---- */

static void an_offer_can_be_taken(void **state)
{
    static struct owner owner = {.take = SIZE_MAX / 2};
    (void)state;
    offer_channel(42);
    assert_int_equal(net.offers, 1);
    assert_string_equal(net.offer_text, "localhost:14444 from 10.0.0.7:5555");
    expect_nothing_sent(); /* no confirmation before we know */
    channel_accept(net.offered[0]);
    take_over(&owner, net.offered[0]);
    turn();
    assert_int_equal(net.sent_count, 1);
    assert_int_equal(u32_at(&net.sent[0], 9), WINDOW);
    assert_int_equal(u32_at(&net.sent[0], 13), PACKET);
    uint32_t id = u32_at(&net.sent[0], 5);
    assert_int_equal(expect_sent(91, 1), 42);
    peer_sends_data(id, 20);
    turn();
    assert_int_equal(owner.received, 20);
    assert_int_equal(write_zeros(&owner, 30), 30);
    assert_int_equal(expect_sent(94, 1), 42);
}

static void data_never_overtakes_its_confirmation(void **state)
{
    static struct owner owner = {.take = SIZE_MAX / 2};
    (void)state;
    offer_channel(42);
    channel_accept(net.offered[0]);
    take_over(&owner, net.offered[0]);
    net.control_packets = 0;
    assert_int_equal(write_zeros(&owner, 30), 0);
    turn();
    net.control_packets = SIZE_MAX / 2;
    assert_int_equal(write_zeros(&owner, 30), 30);
    (void)expect_sent(91, 1);
    (void)expect_sent(94, 1);
}

static void an_offer_can_be_declined(void **state)
{
    static const struct {
        enum err reason;
        uint32_t code;
    } cases[] = {{ERR_CONNECT, 2}, {ERR_UNSUPPORTED, 3}, {ERR_BUSY, 4}, {ERR_BIND, 1}, {ERR_TIMEOUT, 2}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        net.offers = 0;
        offer_channel(42);
        channel_reject(net.offered[0], cases[i].reason, "the target said no");
        turn();
        assert_int_equal(u32_at(&net.sent[0], 5), cases[i].code);
        assert_int_equal(expect_sent(92, 1), 42);
        assert_int_equal(mux_channel_count(net.mux), 0);
    }
}

static void an_offer_of_another_kind_is_refused(void **state)
{
    static const char *const kinds[] = {"session",         "x11", "direct-tcpip", "auth-agent@openssh.com", "",
                                        "forwarded-tcpip2"};
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        peer_sends("bsuuu", 90, kinds[i], 9U, (unsigned)WINDOW, (unsigned)PACKET);
        turn();
        assert_int_equal(net.offers, 0);
        assert_int_equal(u32_at(&net.sent[0], 5), 3);
        assert_int_equal(expect_sent(92, 1), 9);
    }
    assert_int_equal(mux_channel_count(net.mux), 0);
}

static void a_path_may_be_offered(void **state)
{
    (void)state;
    peer_sends("bsuuuss", 90, "forwarded-streamlocal@openssh.com", 3U, (unsigned)WINDOW, (unsigned)PACKET,
               "/run/a.sock", "");
    turn();
    assert_int_equal(net.offers, 1);
    assert_true(net.offer.is_unix);
    assert_string_equal(net.offer_text, "/run/a.sock:0 from :0");
    channel_reject(net.offered[0], ERR_BIND, "no");
}

static void a_peer_may_close_what_it_offered(void **state)
{
    static struct owner owner = {.take = SIZE_MAX / 2};
    (void)state;
    offer_channel(1);
    offer_channel(2);
    peer_sends("bu", 97, 0U);
    peer_sends("bu", 97, 1U);
    turn();
    channel_reject(net.offered[0], ERR_CONNECT, "too late");
    channel_accept(net.offered[1]);
    take_over(&owner, net.offered[1]);
    turn();
    assert_int_equal(owner.closed, 1);
    assert_int_equal(mux_channel_count(net.mux), 0);
    expect_nothing_sent();
    assert_string_equal(net.violation, "");
}

/* ---- global requests ---- */

struct asked {
    int replies;
    enum err result;
    uint16_t port;
    int order;
};

static int reply_order;

static void on_reply(void *arg, enum err result, uint16_t port)
{
    struct asked *asked = arg;
    asked->replies++;
    asked->result = result;
    asked->port = port;
    asked->order = reply_order++;
}

static void replies_are_matched_in_order(void **state)
{
    static struct asked asked[5] = {{.replies = 0}};
    (void)state;
    reply_order = 0;
    mux_forward_request(net.mux, "tcpip-forward", "localhost", true, 14444, on_reply, &asked[0]);
    mux_keepalive(net.mux, on_reply, &asked[1]);
    mux_forward_request(net.mux, "tcpip-forward", "", true, 0, on_reply, &asked[2]);
    mux_keepalive(net.mux, on_reply, &asked[3]);
    mux_forward_request(net.mux, "cancel-tcpip-forward", "localhost", true, 14444, NULL, NULL);
    mux_forward_request(net.mux, "streamlocal-forward@openssh.com", "/x", false, 0, on_reply, &asked[4]);
    turn();
    for (int i = 0; i < 6; i++) {
        (void)expect_sent(80, 0);
    }
    peer_sends("b", 81);
    peer_sends("b", 82);
    peer_sends("bu", 81, 40123U);
    assert_int_equal(asked[0].replies, 0); /* never from inside mux_packet */
    turn();
    peer_sends("b", 82);
    peer_sends("b", 81);
    peer_sends("b", 82);
    turn();
    for (int i = 0; i < 5; i++) {
        assert_int_equal(asked[i].replies, 1);
        assert_int_equal(asked[i].order, i);
    }
    assert_int_equal(asked[0].result, OK);
    assert_int_equal(asked[1].result, ERR_REFUSED);
    assert_int_equal(asked[2].result, OK);
    assert_int_equal(asked[2].port, 40123);
    assert_int_equal(asked[3].result, ERR_REFUSED);
    assert_int_equal(asked[4].result, ERR_REFUSED);
}

static void answers_to_nothing_are_ignored(void **state)
{
    static struct asked asked = {.replies = 0};
    (void)state;
    peer_sends("b", 81);
    peer_sends("b", 82);
    peer_sends("bu", 81, 5U);
    turn();
    mux_keepalive(net.mux, on_reply, &asked);
    turn();
    assert_int_equal(asked.replies, 0);
    peer_sends("b", 82);
    turn();
    assert_int_equal(asked.replies, 1);
    assert_string_equal(net.violation, "");
}

static void what_the_peer_asks_is_refused_when_it_wants_an_answer(void **state)
{
    (void)state;
    peer_sends("bsb", 80, "keepalive@openssh.com", 1);
    peer_sends("bsb", 80, "hostkeys-00@openssh.com", 0);
    turn();
    (void)expect_sent(82, 0);
    expect_nothing_sent();
}

static void a_request_of_a_channel_is_refused(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    peer_sends("busb", 98, id, "keepalive@openssh.com", 1);
    peer_sends("busb", 98, id, "exit-status", 0);
    turn();
    assert_int_equal(expect_sent(100, 1), 100 + id);
    expect_nothing_sent();
    close_both(&owner, id);
}

static void an_unanswered_request_completes_with_the_session(void **state)
{
    static struct asked asked[2] = {{.replies = 0}};
    (void)state;
    mux_keepalive(net.mux, on_reply, &asked[0]);
    turn();
    assert_false(mux_is_idle(net.mux));
    fail_session(ERR_TIMEOUT);
    assert_int_equal(asked[0].replies, 1);
    assert_int_equal(asked[0].result, ERR_CLOSED);
    mux_keepalive(net.mux, on_reply, &asked[1]); /* and so does one that comes too late */
    assert_int_equal(asked[1].replies, 0);
    turn();
    assert_int_equal(asked[1].result, ERR_CLOSED);
}

/* ---- the session's end ---- */

static void the_sessions_end_reaches_every_channel(void **state)
{
    static struct owner opening;
    static struct owner confirmed;
    static struct owner running;
    static struct owner frozen;
    static struct owner complete;
    static struct owner given_up;
    static struct owner taken = {.take = 1};
    (void)state;
    (void)begin_open(&opening);
    (void)begin_open(&given_up);
    channel_cancel_open(given_up.channel);
    (void)open_channel(&running, WINDOW);
    uint32_t id = open_channel(&frozen, WINDOW);
    frozen.take = 5;
    peer_sends_data(id, 1000);
    id = open_channel(&complete, WINDOW);
    complete.take = 5;
    peer_sends_data(id, 1000);
    peer_sends("bu", 96, id);
    peer_sends("bu", 97, id);
    offer_channel(1); /* told, not yet answered */
    offer_channel(2);
    turn();
    forget_sent();
    id = begin_open(&confirmed);
    forget_sent();
    confirm(id, 55, WINDOW);
    peer_sends("bsuuususu", 90, "forwarded-tcpip", 3U, (unsigned)WINDOW, (unsigned)PACKET, "localhost", 1U, "x", 1U);
    fail_session(ERR_TIMEOUT);

    assert_int_equal(opening.open_result, ERR_TIMEOUT);
    assert_int_equal(given_up.open_result, ERR_CANCELLED);
    assert_int_equal(confirmed.opened, 1);
    assert_int_equal(confirmed.open_result, ERR_TIMEOUT);
    assert_int_equal(running.fail_code, ERR_TIMEOUT);
    assert_int_equal(frozen.fail_code, ERR_TIMEOUT);
    assert_int_equal(running.closed + frozen.closed, 2);
    assert_int_equal(net.offers, 2); /* the third came too late to be told */
    assert_true(mux_is_idle(net.mux));
    assert_int_equal(mux_channel_count(net.mux), 3);

    assert_int_equal(complete.failed, 0); /* its bytes are all here */
    complete.take = 1000;
    complete.stream->ops->resume(complete.stream);
    channel_reject(net.offered[0], ERR_CONNECT, "too late");
    channel_accept(net.offered[1]);
    take_over(&taken, net.offered[1]);
    turn();
    assert_int_equal(complete.received, 1000);
    assert_int_equal(complete.fail_code, OK);
    assert_int_equal(complete.closed, 1);
    assert_int_equal(taken.closed, 1);
    assert_int_equal(mux_channel_count(net.mux), 0);
    expect_nothing_sent();

    static struct owner late = {.take = 1};
    late.channel = mux_open_tcp(net.mux, "h", 1, "o", 1, on_open, &late);
    assert_int_equal(late.opened, 0);
    turn();
    assert_int_equal(late.open_result, ERR_CLOSED);
}

static void ends_of_a_dead_session_send_nothing(void **state)
{
    static struct owner owner;
    static struct owner ended;
    (void)state;
    uint32_t id = open_channel(&ended, WINDOW);
    ended.stream->ops->end(ended.stream);
    turn();
    peer_sends("bu", 96, id);
    forget_sent();
    (void)open_channel(&owner, WINDOW);
    owner.close_on_fail = false;
    fail_session(ERR_CLOSED);
    assert_int_equal(owner.failed, 1);
    assert_int_equal(ended.failed, 0); /* both directions had ended: nothing was lost */
    assert_int_equal(write_zeros(&owner, 10), 0);
    owner.stream->ops->end(owner.stream);
    turn();
    owner.stream->ops->abort(owner.stream);
    ended.stream->ops->close(ended.stream);
    turn();
    assert_int_equal(owner.closed + ended.closed, 2);
    expect_nothing_sent();
}

/* ---- bounds and hostile packets ---- */

static void ten_thousand_channels_use_few_ids(void **state)
{
    uint32_t highest = 0;
    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        static struct owner owner;
        uint32_t id = open_channel(&owner, WINDOW);
        highest = id > highest ? id : highest;
        (void)write_zeros(&owner, 3);
        (void)expect_sent(94, 1);
        close_both(&owner, id);
        expect_nothing_sent();
    }
    assert_int_equal(highest, 0);
    assert_int_equal(mux_channel_count(net.mux), 0);
    assert_int_equal(mux_control_bytes(net.mux), 0);
}

static void a_peer_may_not_offer_without_limit(void **state)
{
    (void)state;
    net.keep_sent = false;
    for (unsigned i = 0; i < 16384 + 10; i++) {
        peer_sends("bsuuususu", 90, "forwarded-tcpip", i, (unsigned)WINDOW, (unsigned)PACKET, "localhost", 1U, "x", 1U);
    }
    assert_int_equal(mux_channel_count(net.mux), 16384);
    struct err_info why;
    (void)err_set(&why, ERR_CLOSED, "%s", "enough");
    mux_fail(net.mux, &why);
    turn();
    assert_int_equal(mux_channel_count(net.mux), 0);
}

/* Control messages leave slowly while more come all the time: the queue's memory must not grow with all that passed. */
static void a_queue_that_is_never_empty_does_not_grow(void **state)
{
    (void)state;
    net.keep_sent = false;
    net.control_packets = 0;
    for (unsigned i = 0; i < 100; i++) {
        peer_sends("bsb", 80, "x", 1);
    }
    for (unsigned i = 0; i < 100000; i++) {
        peer_sends("bsb", 80, "x", 1);
        net.control_packets = 1;
        (void)mux_turn(net.mux);
    }
    assert_int_equal(mux_control_bytes(net.mux), 100 * 5);
    assert_true(net.mux->control.cap_bytes < 64 * 1024);
}

static void every_truncation_of_every_packet_is_survived(void **state)
{
    static const char *const formats[] = {"bsb", "b",    "bu", "bsuuususu", "bsuuuss", "buuuu", "buuss", "buu",
                                          "buz", "buuz", "bu", "bu",        "busb",    "bu",    "bu"};
    struct wire_writer packets[15];
    size_t at = 0;
    (void)state;
    memset(packets, 0, sizeof packets);
#define ADD(...)                                                                                                       \
    do {                                                                                                               \
        peer_packet(&packets[at], formats[at], __VA_ARGS__);                                                           \
        at++;                                                                                                          \
    } while (0)
    ADD(80, "keepalive@openssh.com", 1);
    ADD(82);
    ADD(81, 14444U);
    ADD(90, "forwarded-tcpip", 5U, 100U, 100U, "localhost", 80U, "10.1.1.1", 99U);
    ADD(90, "forwarded-streamlocal@openssh.com", 5U, 100U, 100U, "/path", "");
    ADD(91, 0U, 100U, 100U, 100U);
    ADD(92, 0U, 2U, "text", "en");
    ADD(93, 0U, 100U);
    ADD(94, 0U, 100U);
    ADD(95, 0U, 1U, 100U);
    ADD(96, 0U);
    ADD(97, 0U);
    ADD(98, 0U, "signal", 1);
    ADD(99, 0U);
    ADD(100, 0U);
#undef ADD
    for (size_t i = 0; i < at; i++) {
        for (size_t len = 0; len <= packets[i].len; len++) {
            for (int opened = 0; opened < 2; opened++) {
                void *unused = NULL;
                static struct owner owner;
                static struct asked asked;
                memset(&asked, 0, sizeof asked);
                assert_int_equal(setup(&unused), 0);
                uint32_t id = opened ? open_channel(&owner, WINDOW) : begin_open(&owner);
                assert_int_equal(id, 0);
                mux_keepalive(net.mux, on_reply, &asked);
                peer_sends_bytes(packets[i].data, len);
                turn();
                for (size_t j = 0; j < net.offers; j++) {
                    channel_reject(net.offered[j], ERR_CONNECT, "no");
                }
                (void)teardown(&unused);
                assert_int_equal(owner.opened, 1);
                assert_int_equal(owner.closed, owner.open_result == OK ? 1 : 0);
                assert_int_equal(asked.replies, 1);
            }
        }
        wire_writer_deinit(&packets[i]);
    }
}

static void packets_for_ids_that_are_not_open_break_the_protocol(void **state)
{
    static const uint8_t types[] = {91, 92, 93, 94, 95, 96, 97, 98, 99, 100};
    static const uint32_t ids[] = {0, 1, 63, 64, 65535, UINT32_MAX};
    void *unused = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof types; i++) {
        for (size_t j = 0; j < sizeof ids / sizeof ids[0]; j++) {
            net.violation[0] = '\0';
            peer_sends("buuuu", types[i], ids[j], 1U, 1U, 1U);
            assert_string_not_equal(net.violation, "");
            (void)teardown(&unused);
            assert_int_equal(setup(&unused), 0);
        }
    }
}

static void a_second_confirmation_breaks_the_protocol(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    confirm(id, 5, WINDOW);
    assert_string_not_equal(net.violation, "");
}

static void a_host_name_with_a_nul_or_without_end_is_refused(void **state)
{
    struct wire_writer packet;
    (void)state;
    peer_packet(&packet, "bsuuususu", 90, "forwarded-tcpip", 5U, 100U, 100U, "localhost", 80U, "evil", 99U);
    packet.data[packet.len - 4 - 2] = 0; /* inside "evil" */
    peer_sends_bytes(packet.data, packet.len);
    wire_writer_deinit(&packet);
    peer_sends("bsuuuzusu", 90, "forwarded-tcpip", 6U, 100U, 100U, 100000U, 80U, "x", 99U);
    turn();
    assert_int_equal(net.offers, 0);
    assert_int_equal(expect_sent(92, 1), 5);
    assert_int_equal(expect_sent(92, 1), 6);
}

static void numbers_that_mean_nothing_are_passed_over(void **state)
{
    (void)state;
    for (int type = 83; type < 128; type++) {
        if (type < 90 || type > 100) {
            peer_sends("bu", type, 0U);
        }
    }
    turn();
    assert_string_equal(net.violation, "");
    expect_nothing_sent();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    if (argc > 1) {
        packet_mode = strcmp(argv[1], "lent") == 0 ? PACKETS_LENT : PACKETS_LENT_BRIEFLY;
    }
    const struct CMUnitTest tests[] = {
        TEST(open_says_what_is_wanted),
        TEST(parallel_opens_are_confirmed_in_any_order),
        TEST(a_refusal_says_why),
        TEST(an_open_given_up_before_its_answer_is_closed_when_confirmed),
        TEST(an_open_given_up_and_refused_leaves_nothing),
        TEST(an_open_given_up_after_its_confirmation_is_closed),
        TEST(an_open_given_up_just_before_its_confirmation_is_closed),
        TEST(an_open_given_up_just_before_its_refusal_was_given_up),
        TEST(a_close_right_after_the_confirmation_delivers_what_came),
        TEST(a_close_instead_of_an_answer_is_a_refusal),
        TEST(writes_stop_at_the_window),
        TEST(writes_are_cut_into_packets),
        TEST(a_channel_that_takes_packets_of_nothing_breaks_the_protocol),
        TEST(an_offer_that_takes_packets_of_nothing_is_refused),
        TEST(a_full_link_makes_writers_wait_in_turn),
        TEST(a_channel_without_window_does_not_hold_up_others),
        TEST(the_window_is_granted_again_once_half_is_read),
        TEST(a_reader_that_stops_keeps_its_window_closed),
        TEST(small_packets_behind_others_are_gathered),
        TEST(a_stalled_peer_is_given_a_larger_window),
        TEST(data_over_the_window_breaks_the_protocol),
        TEST(extended_data_is_thrown_away_and_granted_again),
        TEST(a_window_over_4_gib_breaks_the_protocol),
        TEST(every_order_of_ends_works),
        TEST(a_slow_reader_gets_all_before_the_peers_close),
        TEST(data_after_an_end_is_not_delivered),
        TEST(a_close_from_inside_input_is_safe),
        TEST(writes_after_our_end_or_the_peers_close_go_nowhere),
        TEST(an_offer_can_be_taken),
        TEST(data_never_overtakes_its_confirmation),
        TEST(an_offer_can_be_declined),
        TEST(an_offer_of_another_kind_is_refused),
        TEST(a_path_may_be_offered),
        TEST(a_peer_may_close_what_it_offered),
        TEST(replies_are_matched_in_order),
        TEST(answers_to_nothing_are_ignored),
        TEST(what_the_peer_asks_is_refused_when_it_wants_an_answer),
        TEST(a_request_of_a_channel_is_refused),
        TEST(an_unanswered_request_completes_with_the_session),
        TEST(the_sessions_end_reaches_every_channel),
        TEST(ends_of_a_dead_session_send_nothing),
        TEST(ten_thousand_channels_use_few_ids),
        TEST(a_peer_may_not_offer_without_limit),
        TEST(a_queue_that_is_never_empty_does_not_grow),
        cmocka_unit_test(every_truncation_of_every_packet_is_survived),
        TEST(packets_for_ids_that_are_not_open_break_the_protocol),
        TEST(a_second_confirmation_breaks_the_protocol),
        TEST(a_host_name_with_a_nul_or_without_end_is_refused),
        TEST(numbers_that_mean_nothing_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
