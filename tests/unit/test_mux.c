/* The connection layer: how channels begin, from either side, and what is asked of the whole session. */
#include "mux/mux_net.h"

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

int main(int argc, char **argv)
{
    set_packet_mode(argc, argv);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
