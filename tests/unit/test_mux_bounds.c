/* The connection layer: the session's end, and peers that want too much or break the protocol. */
#include "mux/mux_net.h"

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

int main(int argc, char **argv)
{
    set_packet_mode(argc, argv);
    const struct CMUnitTest tests[] = {
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
