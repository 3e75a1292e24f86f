/* The connection layer: the pace of a burst of opens. */
#include "mux/mux_net.h"

enum { BURST = 60, AT_ONCE = 16, NEAR_TRIP_US = 300, FAR_TRIP_US = 50000 };

static struct owner owners[BURST];
static uint32_t ids[BURST];

static void open_one(size_t i)
{
    owners[i] = (struct owner){.take = SIZE_MAX / 2};
    owners[i].channel = mux_open_tcp(net.mux, "target", 80, "127.0.0.1", 4000, on_open, &owners[i]);
    assert_non_null(owners[i].channel);
    ids[i] = owners[i].channel->local_id;
}

static void open_burst(uint64_t trip_us)
{
    if (trip_us != 0) {
        mux_note_trip(net.mux, trip_us);
    }
    for (size_t i = 0; i < BURST; i++) {
        open_one(i);
    }
    turn();
}

/* Those of owners [from, to), and no other. */
static void expect_opens(size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        assert_int_equal(expect_sent(90, 5 + strlen("direct-tcpip")), ids[i]);
    }
    expect_nothing_sent();
}

static void a_burst_goes_in_groups(void **state)
{
    (void)state;
    open_burst(NEAR_TRIP_US);
    expect_opens(0, AT_ONCE);
    assert_true(mux_opens_wait(net.mux));
    confirm(ids[3], 103, WINDOW);
    turn();
    assert_int_equal(owners[3].opened, 1);
    expect_opens(AT_ONCE, AT_ONCE + 1);
    peer_sends("buuss", 92, ids[4], 2U, "Connection refused", "");
    turn();
    assert_int_equal(owners[4].open_result, ERR_REFUSED);
    expect_opens(AT_ONCE + 1, AT_ONCE + 2);
}

static void one_more_open_waits_behind_those_that_wait(void **state)
{
    (void)state;
    open_burst(NEAR_TRIP_US);
    forget_sent();
    for (size_t i = 0; i < AT_ONCE; i++) {
        confirm(ids[i], (uint32_t)(100 + i), WINDOW);
    }
    turn();
    expect_opens(AT_ONCE, 2 * AT_ONCE);
    mux_opens_tick(net.mux);
    for (size_t i = AT_ONCE; i < 2 * AT_ONCE; i++) {
        confirm(ids[i], (uint32_t)(100 + i), WINDOW);
    }
    turn();
    expect_opens(2 * AT_ONCE, 3 * AT_ONCE);
    static struct owner next;
    next = (struct owner){.take = SIZE_MAX / 2};
    next.channel = mux_open_tcp(net.mux, "target", 80, "127.0.0.1", 4000, on_open, &next);
    turn();
    expect_nothing_sent();
}

static void a_path_that_is_far_or_unknown_needs_no_groups(void **state)
{
    (void)state;
    open_burst(*(const uint64_t *)*state);
    expect_opens(0, BURST);
    assert_false(mux_opens_wait(net.mux));
}

static void a_path_that_is_forgotten_lets_all_go(void **state)
{
    (void)state;
    open_burst(NEAR_TRIP_US);
    forget_sent();
    mux_forget_path(net.mux);
    turn();
    expect_opens(AT_ONCE, BURST);
}

static void targets_that_never_answer_hold_up_no_others(void **state)
{
    (void)state;
    open_burst(NEAR_TRIP_US);
    expect_opens(0, AT_ONCE);
    mux_opens_tick(net.mux);
    turn();
    expect_opens(AT_ONCE, BURST);
    assert_false(mux_opens_wait(net.mux));
    static struct owner next;
    next = (struct owner){.take = SIZE_MAX / 2};
    next.channel = mux_open_tcp(net.mux, "target", 80, "127.0.0.1", 4000, on_open, &next);
    turn();
    (void)expect_sent(90, 0); /* the others are not counted for ever */
}

static void they_wait_while_some_answer_but_not_for_ever(void **state)
{
    size_t answered = 0;
    (void)state;
    open_burst(NEAR_TRIP_US);
    forget_sent();
    while (answered < BURST / 2 && net.sent_count <= 1) {
        forget_sent();
        confirm(ids[answered], (uint32_t)(100 + answered), WINDOW);
        turn();
        expect_opens(AT_ONCE + answered, AT_ONCE + answered + 1);
        answered++;
        mux_opens_tick(net.mux);
        turn();
    }
    assert_in_range(answered, 2, BURST / 2 - 1);
    expect_opens(AT_ONCE + answered, BURST);
}

static void an_old_answer_makes_no_room_later(void **state)
{
    static struct owner next;
    (void)state;
    open_burst(NEAR_TRIP_US);
    mux_opens_tick(net.mux);
    turn();
    forget_sent();
    for (size_t i = 0; i < AT_ONCE; i++) { /* a group of the next count */
        next = (struct owner){.take = SIZE_MAX / 2};
        next.channel = mux_open_tcp(net.mux, "target", 80, "127.0.0.1", 4000, on_open, &next);
    }
    next = (struct owner){.take = SIZE_MAX / 2};
    next.channel = mux_open_tcp(net.mux, "target", 80, "127.0.0.1", 4000, on_open, &next);
    turn();
    assert_int_equal(net.sent_count, AT_ONCE);
    confirm(ids[0], 100, WINDOW);
    turn();
    assert_int_equal(net.sent_count, AT_ONCE);
    assert_true(mux_opens_wait(net.mux));
}

static void an_open_given_up_before_it_was_sent_is_never_sent(void **state)
{
    (void)state;
    open_burst(NEAR_TRIP_US);
    forget_sent();
    channel_cancel_open(owners[AT_ONCE].channel);
    turn();
    assert_int_equal(owners[AT_ONCE].opened, 1);
    assert_int_equal(owners[AT_ONCE].open_result, ERR_CANCELLED);
    static struct owner next;
    next = (struct owner){.take = SIZE_MAX / 2};
    next.channel = mux_open_tcp(net.mux, "target", 80, "127.0.0.1", 4000, on_open, &next);
    assert_int_equal(next.channel->local_id, ids[AT_ONCE]); /* no answer comes for it */
    confirm(ids[0], 100, WINDOW);
    turn();
    expect_opens(AT_ONCE + 1, AT_ONCE + 2);
}

static void an_open_given_up_after_it_was_sent_makes_room(void **state)
{
    (void)state;
    open_burst(NEAR_TRIP_US);
    forget_sent();
    channel_cancel_open(owners[0].channel);
    turn();
    turn();
    expect_opens(AT_ONCE, AT_ONCE + 1);
}

static void an_answer_to_an_open_that_was_not_sent_breaks_the_protocol(void **state)
{
    static const uint8_t answers[] = {91, 92, 97};
    for (size_t i = 0; i < sizeof answers; i++) {
        open_burst(NEAR_TRIP_US);
        peer_sends("buuuu", answers[i], ids[AT_ONCE], 7U, (unsigned)WINDOW, (unsigned)PACKET);
        assert_string_not_equal(net.violation, "");
        assert_int_equal(owners[AT_ONCE].opened, 0);
        assert_int_equal(teardown(state), 0);
        assert_int_equal(setup(state), 0);
    }
}

static void a_session_that_dies_tells_those_that_wait(void **state)
{
    (void)state;
    open_burst(NEAR_TRIP_US);
    fail_session(ERR_CLOSED);
    for (size_t i = 0; i < BURST; i++) {
        assert_int_equal(owners[i].opened, 1);
        assert_int_equal(owners[i].open_result, ERR_CLOSED);
    }
    assert_false(mux_opens_wait(net.mux));
    assert_int_equal(mux_channel_count(net.mux), 0);
}

int main(int argc, char **argv)
{
    static uint64_t far_us = FAR_TRIP_US;
    static uint64_t unknown_us = 0;
    set_packet_mode(argc, argv);
    const struct CMUnitTest tests[] = {
        TEST(a_burst_goes_in_groups),
        TEST(one_more_open_waits_behind_those_that_wait),
        {"a_far_path_needs_no_groups", a_path_that_is_far_or_unknown_needs_no_groups, setup, teardown, &far_us},
        {"an_unknown_path_needs_no_groups", a_path_that_is_far_or_unknown_needs_no_groups, setup, teardown,
         &unknown_us},
        TEST(a_path_that_is_forgotten_lets_all_go),
        TEST(targets_that_never_answer_hold_up_no_others),
        TEST(they_wait_while_some_answer_but_not_for_ever),
        TEST(an_old_answer_makes_no_room_later),
        TEST(an_open_given_up_before_it_was_sent_is_never_sent),
        TEST(an_open_given_up_after_it_was_sent_makes_room),
        TEST(an_answer_to_an_open_that_was_not_sent_breaks_the_protocol),
        TEST(a_session_that_dies_tells_those_that_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
