/* What must not add up in a session that lives for years: keepalives, closes and opens that the peer never answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "relay/stream.h"
#include "session/mux_internal.h"

enum {
    KEEPALIVES = 24 * 3600 / 15, /* a day of them, one in 15 s */
    FORWARD_EVERY = 7,           /* so many keepalives, then a forward request among them */
    IN_FLIGHT_MAX = 8,
    RING = 4 * IN_FLIGHT_MAX, /* what is under way, and what is answered and not yet told */
    PEER_IDS = 1000000        /* the peer's number of a channel is ours and this */
};

/* ---- the link: counts what is sent, and keeps the last packet's first number ---- */

static struct {
    struct mux *mux;
    size_t sent[128]; /* by message number */
    uint32_t last_id;
    char violation[128];
} net;

static uint32_t u32_at(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static bool link_send(void *arg, const uint8_t *head, size_t head_len, const uint8_t *body, size_t body_len)
{
    (void)arg;
    (void)body;
    (void)body_len;
    net.sent[head[0]]++;
    net.last_id = head_len >= 5 ? u32_at(head + 1) : 0;
    return true;
}

static size_t link_data_room(void *arg)
{
    (void)arg;
    return 1 << 20;
}

static bool link_control_room(void *arg)
{
    (void)arg;
    return true;
}

static uint64_t link_now_us(void *arg)
{
    (void)arg;
    return 0;
}

static void link_wake(void *arg)
{
    (void)arg;
}

static void link_violation(void *arg, const char *message)
{
    (void)arg;
    (void)snprintf(net.violation, sizeof net.violation, "%s", message);
}

static void no_offer(void *arg, struct channel *channel, const struct channel_offer *offer)
{
    (void)arg;
    (void)offer;
    channel_reject(channel, ERR_UNSUPPORTED, "no");
}

static int setup(void **state)
{
    const struct mux_link link = {.send = link_send,
                                  .data_room = link_data_room,
                                  .control_room = link_control_room,
                                  .now_us = link_now_us,
                                  .wake = link_wake,
                                  .violation = link_violation};
    const struct mux_events events = {.on_offer = no_offer};
    (void)state;
    memset(&net, 0, sizeof net);
    net.mux = mux_new(&link, &events);
    return net.mux != NULL ? 0 : -1;
}

static void turn(void)
{
    while (mux_turn(net.mux) || mux_turn_late(net.mux)) {}
}

static int teardown(void **state)
{
    struct err_info why;
    (void)state;
    (void)err_set(&why, ERR_CLOSED, "%s", "the test is over");
    mux_fail(net.mux, &why);
    turn();
    assert_true(mux_is_idle(net.mux));
    assert_int_equal(mux_channel_count(net.mux), 0);
    mux_free(net.mux);
    return 0;
}

/* A packet of the peer's: a number of a message, `count` uint32s, and `data` zero bytes as a string where there are
 * any.
 */
static void peer_sends(uint8_t type, size_t data, unsigned count, ...)
{
    struct wire_writer packet;
    va_list args;
    wire_writer_init(&packet);
    wire_write_u8(&packet, type);
    va_start(args, count);
    for (unsigned i = 0; i < count; i++) {
        wire_write_u32(&packet, va_arg(args, uint32_t));
    }
    va_end(args);
    if (data > 0) {
        uint8_t *zeros = calloc(1, data);
        assert_non_null(zeros);
        wire_write_string(&packet, zeros, data);
        free(zeros);
    }
    uint8_t *copy = malloc(packet.len);
    assert_non_null(copy);
    memcpy(copy, packet.data, packet.len);
    size_t len = packet.len;
    wire_writer_deinit(&packet);
    mux_packet(net.mux, copy, len);
}

/* Bytes that the program has from malloc; 0 where nobody counts them. */
static size_t heap_bytes(void)
{
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
    return mallinfo2().uordblks;
#else
    return 0;
#endif
}

/* ---- a day of keepalives ---- */

/* One request that is under way. The answer to number n says n, if it is a success with a port. */
struct asked {
    unsigned number;
    bool is_forward;
    enum err wanted;
    uint16_t wanted_port;
};

static struct {
    struct asked asked[RING];
    size_t first, count; /* a ring: asked, and not yet answered */
    unsigned answered;
} day;

static void on_reply(void *arg, enum err result, uint16_t port)
{
    const struct asked *asked = arg;
    assert_int_equal(asked->number, day.answered); /* each once, in order */
    assert_int_equal(result, asked->wanted);
    assert_int_equal(port, asked->wanted_port);
    day.answered++;
}

static void ask(unsigned number)
{
    struct asked *asked = &day.asked[number % RING];
    bool succeeds = number % 3 != 0;
    *asked = (struct asked){.number = number, .is_forward = number % FORWARD_EVERY == 0};
    asked->wanted = succeeds ? OK : ERR_REFUSED;
    asked->wanted_port = succeeds && asked->is_forward ? (uint16_t)(10000 + number % 50000) : 0;
    if (asked->is_forward) {
        mux_forward_request(net.mux, "tcpip-forward", "localhost", true, 0, on_reply, asked);
    } else {
        mux_keepalive(net.mux, on_reply, asked);
    }
    day.count++;
    turn();
}

static void answer(void)
{
    const struct asked *asked = &day.asked[day.first % RING];
    if (asked->wanted_port != 0) {
        peer_sends(MSG_REQUEST_SUCCESS, 0, 1, (uint32_t)asked->wanted_port);
    } else {
        peer_sends(asked->wanted == OK ? MSG_REQUEST_SUCCESS : MSG_REQUEST_FAILURE, 0, 0);
    }
    day.first++;
    day.count--;
}

/* Answers come at once, or up to seven questions late, several in one portion then. */
static void a_day_of_keepalives_adds_nothing_up(void **state)
{
    size_t at_a_third = 0, number = 0;
    (void)state;
    memset(&day, 0, sizeof day);
    for (unsigned keepalives = 0; keepalives < KEEPALIVES; number++) {
        keepalives += number % FORWARD_EVERY != 0;
        ask((unsigned)number);
        size_t late = number / 100 % IN_FLIGHT_MAX; /* a hundred questions of each kind of peer */
        while (day.count > late) {
            answer();
        }
        if (late < 4 || number % 2 == 0) {
            turn();
        }
        assert_in_range(day.count, 0, IN_FLIGHT_MAX - 1);
        if (number % 800 == 0 && number > 0) { /* nothing is under way there */
            turn();
            if (keepalives >= KEEPALIVES / 3 && at_a_third == 0) {
                at_a_third = heap_bytes();
            }
        }
    }
    while (day.count > 0) {
        answer();
    }
    turn();
    print_message("heap: %u bytes after 8 h, %u after 24 h\n", (unsigned)at_a_third, (unsigned)heap_bytes());
    assert_int_equal(day.answered, number);
    assert_int_equal(net.sent[MSG_GLOBAL_REQUEST], number);
    assert_int_equal(heap_bytes(), at_a_third);
    assert_int_equal(mux_control_bytes(net.mux), 0);
    assert_null(net.mux->requests);
    assert_string_equal(net.violation, "");
}

/* ---- channels that the peer never closes ---- */

struct owner {
    struct channel *channel;
    int opened, closed, failed;
    enum err result;
    size_t received;
};

static size_t owner_input(void *arg, const uv_buf_t *bufs, unsigned count)
{
    struct owner *owner = arg;
    size_t total = 0;
    for (unsigned i = 0; i < count; i++) {
        total += bufs[i].len;
    }
    owner->received += total;
    return total;
}

static void owner_nothing(void *arg)
{
    (void)arg;
}

static void owner_failed(void *arg, const struct err_info *why)
{
    struct owner *owner = arg;
    (void)why;
    owner->failed++;
    struct stream *stream = channel_stream(owner->channel);
    stream->ops->abort(stream);
}

static void owner_closed(void *arg)
{
    ((struct owner *)arg)->closed++;
}

static const struct stream_events owner_events = {.on_input = owner_input,
                                                  .on_input_end = owner_nothing,
                                                  .on_writable = owner_nothing,
                                                  .on_output_end = owner_nothing,
                                                  .on_failed = owner_failed,
                                                  .on_closed = owner_closed};

static void on_open(void *arg, struct channel *channel, enum err result, const struct err_info *why)
{
    struct owner *owner = arg;
    (void)why;
    owner->opened++;
    owner->result = result;
    owner->channel = result == OK ? channel : NULL;
    if (result == OK) {
        struct stream *stream = channel_stream(channel);
        stream->events = &owner_events;
        stream->owner = owner;
        stream->ops->resume(stream);
    }
}

static bool begin_open(struct owner *owner)
{
    *owner = (struct owner){.channel = NULL};
    owner->channel = mux_open_tcp(net.mux, "target", 80, "127.0.0.1", 4000, on_open, owner);
    turn();
    return owner->channel != NULL;
}

static void confirm(uint32_t id)
{
    peer_sends(MSG_CHANNEL_OPEN_CONFIRMATION, 0, 4, id, id + PEER_IDS, (uint32_t)(1 << 20), (uint32_t)PACKET_BYTES);
    turn();
}

/* An open channel with our number of it. */
static uint32_t open_channel(struct owner *owner)
{
    assert_true(begin_open(owner));
    uint32_t id = owner->channel->local_id;
    confirm(id);
    assert_int_equal(owner->opened, 1);
    assert_int_equal(owner->result, OK);
    return id;
}

static void close_channel(struct owner *owner, uint32_t id)
{
    struct stream *stream = channel_stream(owner->channel);
    stream->ops->close(stream);
    turn();
    assert_int_equal(owner->closed, 1);
    assert_int_equal(net.last_id, id + PEER_IDS);
}

/* All ids are taken but one, which a live channel has: it still carries, and an open is refused, not more and more
 * memory taken. */
static void expect_full(struct owner *live, uint32_t live_id, size_t baseline)
{
    struct owner refused;
    size_t before = live->received;
    assert_false(begin_open(&refused));
    assert_int_equal(mux_channel_count(net.mux), 1);
    peer_sends(MSG_CHANNEL_DATA, 1000, 1, live_id);
    turn();
    assert_int_equal(live->received, before + 1000);
    assert_true(heap_bytes() - baseline <= CHANNELS_MAX * sizeof(struct slot) + 64 * 1024);
    assert_string_equal(net.violation, "");
}

/* Our CLOSE is out, the owner has been told and is gone: what stays is a number. A peer that goes on sending is not
 * heard. */
static void a_close_without_answer_costs_a_number_and_no_more(void **state)
{
    static struct owner owner, live;
    uint32_t live_id = open_channel(&live);
    size_t baseline = heap_bytes();
    (void)state;
    for (uint32_t i = 1; i < CHANNELS_MAX; i++) {
        uint32_t id = open_channel(&owner);
        close_channel(&owner, id);
        peer_sends(MSG_CHANNEL_DATA, 1000, 1, id);
        peer_sends(MSG_CHANNEL_WINDOW_ADJUST, 0, 2, id, 1000U);
        peer_sends(MSG_CHANNEL_EOF, 0, 1, id);
        turn();
    }
    assert_int_equal(net.sent[MSG_CHANNEL_CLOSE], CHANNELS_MAX - 1);
    assert_int_equal(net.sent[MSG_CHANNEL_WINDOW_ADJUST], 0);
    expect_full(&live, live_id, baseline);
    for (uint32_t id = 0; id < CHANNELS_MAX; id++) { /* late, but they come */
        if (id != live_id) {
            peer_sends(MSG_CHANNEL_CLOSE, 0, 1, id);
        }
    }
    assert_int_equal(net.sent[MSG_CHANNEL_CLOSE], CHANNELS_MAX - 1);
    for (int i = 0; i < 100; i++) {
        uint32_t id = open_channel(&owner);
        close_channel(&owner, id);
        peer_sends(MSG_CHANNEL_CLOSE, 0, 1, id);
    }
    assert_string_equal(net.violation, "");
}

static void an_open_without_answer_costs_a_number_and_no_more(void **state)
{
    static struct owner owner, live;
    uint32_t live_id = open_channel(&live);
    size_t baseline = heap_bytes();
    (void)state;
    for (uint32_t i = 1; i < CHANNELS_MAX; i++) {
        assert_true(begin_open(&owner));
        channel_cancel_open(owner.channel);
        turn();
        assert_int_equal(owner.result, ERR_CANCELLED);
    }
    assert_int_equal(net.sent[MSG_CHANNEL_CLOSE], 0);
    expect_full(&live, live_id, baseline);
    for (uint32_t id = 0; id < CHANNELS_MAX;
         id++) { /* late: every other one is confirmed, and closed; the rest refused */
        if (id != live_id && id % 2 == 0) {
            confirm(id);
            assert_int_equal(net.last_id, id + PEER_IDS);
            peer_sends(MSG_CHANNEL_CLOSE, 0, 1, id);
        } else if (id != live_id) {
            peer_sends(MSG_CHANNEL_OPEN_FAILURE, 0, 4, id, 2U, 0U, 0U);
        }
    }
    assert_in_range(net.sent[MSG_CHANNEL_CLOSE], CHANNELS_MAX / 2 - 1, CHANNELS_MAX / 2);
    assert_true(open_channel(&owner) < 2);
    close_channel(&owner, owner.channel->local_id);
    assert_string_equal(net.violation, "");
}

/* A peer may answer an end of ours after hours, as a TCP peer may: the channel stays for what still comes, the owner
 * may end it at any time, and the session's end reaches it. */
static void an_end_without_answer_leaves_the_channel_to_its_owner(void **state)
{
    enum { COUNT = 200 };
    static struct owner owners[COUNT];
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        (void)open_channel(&owners[i]);
        struct stream *stream = channel_stream(owners[i].channel);
        stream->ops->end(stream);
    }
    turn();
    assert_int_equal(net.sent[MSG_CHANNEL_EOF], COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        peer_sends(MSG_CHANNEL_DATA, 10, 1, owners[i].channel->local_id);
    }
    turn();
    for (uint32_t i = 0; i < COUNT / 2; i++) {
        assert_int_equal(owners[i].received, 10);
        close_channel(&owners[i], owners[i].channel->local_id);
    }
    assert_int_equal(mux_channel_count(net.mux), COUNT / 2);
    assert_int_equal(owners[COUNT - 1].failed, 0); /* teardown ends the session, and finds none left */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_day_of_keepalives_adds_nothing_up),
        TEST(a_close_without_answer_costs_a_number_and_no_more),
        TEST(an_open_without_answer_costs_a_number_and_no_more),
        TEST(an_end_without_answer_leaves_the_channel_to_its_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
