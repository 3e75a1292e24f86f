/* The connection layer: the closing of channels over which all is said makes way for whatever somebody waits for. */
#include "mux/mux_net.h"

/* All that is to be done at once, and nothing of what is late. */
static void turn_at_once(void)
{
    (void)mux_turn(net.mux);
}

/* The owner has ended first, and the peer answers that with its own end. */
static void end_all(struct owner *owner, uint32_t id)
{
    owner->stream->ops->end(owner->stream);
    turn();
    assert_int_equal(expect_sent(96, 1), 100 + id);
    peer_sends("bu", 96, id);
    peer_sends("bu", 97, id);
}

static void expect_closed(struct owner *owner)
{
    assert_int_equal(owner->input_ends, 1);
    assert_int_equal(owner->failed, 1);
    assert_int_equal(owner->fail_code, OK);
    assert_int_equal(owner->closed, 1);
}

static void a_channel_that_is_over_is_closed_when_nothing_else_is_to_be_done(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    end_all(&owner, id);
    turn_at_once();
    assert_true(mux_is_late(net.mux));
    assert_int_equal(owner.input_ends + owner.failed + owner.closed, 0);
    expect_nothing_sent();
    assert_true(mux_turn_late(net.mux));
    turn_at_once();
    expect_closed(&owner);
    assert_int_equal(expect_sent(97, 1), 100 + id);
    assert_false(mux_is_late(net.mux));
    assert_false(mux_turn_late(net.mux));
    static struct owner next;
    assert_int_equal(begin_open(&next), id);
}

static void data_takes_the_late_close_along(void **state)
{
    static struct owner over;
    static struct owner other;
    (void)state;
    uint32_t id = open_channel(&over, WINDOW);
    (void)open_channel(&other, WINDOW);
    end_all(&over, id);
    turn_at_once();
    expect_nothing_sent();
    assert_int_equal(write_zeros(&other, 5), 5);
    assert_int_equal(expect_sent(97, 1), 100 + id); /* in the same write, so ahead of it */
    (void)expect_sent(94, 1);
    assert_int_equal(over.closed, 0); /* its owner's part is late still */
    turn();
    expect_closed(&over);
    expect_nothing_sent();
}

static void an_open_is_not_held_up_by_a_late_close(void **state)
{
    static struct owner over;
    static struct owner next = {.take = SIZE_MAX / 2};
    (void)state;
    uint32_t id = open_channel(&over, WINDOW);
    end_all(&over, id);
    next.channel = mux_open_tcp(net.mux, "target", 80, "127.0.0.1", 4000, on_open, &next);
    turn_at_once();
    (void)expect_sent(97, 1);
    (void)expect_sent(90, 0);
    assert_int_equal(over.closed, 0);
}

static void it_is_not_put_off_for_ever(void **state)
{
    static struct owner over;
    static struct owner busy;
    int turns = 0;
    (void)state;
    uint32_t id = open_channel(&over, WINDOW);
    uint32_t busy_id = open_channel(&busy, WINDOW);
    end_all(&over, id);
    while (over.closed == 0 && turns < 100) { /* a stream that never lets the session come to rest */
        peer_sends_data(busy_id, 100);
        turn_at_once();
        turns++;
    }
    assert_in_range(turns, 3, 20);
    expect_closed(&over);
    assert_int_equal(busy.received, (size_t)turns * 100);
}

static void many_are_closed_a_few_at_a_time(void **state)
{
    enum { MANY = 40 };
    static struct owner owners[MANY];
    uint32_t ids[MANY];
    int closed = 0;
    int rounds = 0;
    (void)state;
    for (int i = 0; i < MANY; i++) {
        ids[i] = open_channel(&owners[i], WINDOW);
    }
    for (int i = 0; i < MANY; i++) {
        owners[i].stream->ops->end(owners[i].stream);
    }
    turn();
    forget_sent();
    for (int i = 0; i < MANY; i++) {
        peer_sends("bu", 96, ids[i]);
        peer_sends("bu", 97, ids[i]);
    }
    turn_at_once();
    while (mux_turn_late(net.mux)) {
        int before = closed;
        closed = 0;
        turn_at_once();
        for (int i = 0; i < MANY; i++) {
            closed += owners[i].closed;
        }
        assert_in_range(closed - before, 1, MANY / 2);
        rounds++;
    }
    assert_int_equal(closed, MANY);
    assert_in_range(rounds, 2, MANY);
}

static void an_end_that_somebody_waits_for_is_told_at_once(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    peer_sends("bu", 96, id);
    peer_sends("bu", 97, id); /* while our side has not ended: its reader may wait for this */
    turn_at_once();
    assert_int_equal(owner.input_ends, 1);
    assert_int_equal(owner.failed, 1);
    assert_int_equal(expect_sent(97, 1), 100 + id);
    assert_false(mux_is_late(net.mux));
}

/* A client that sends its request and ends, and then reads to the end of the answer. */
static void who_ends_first_has_the_end_of_the_answer_at_once(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    owner.stream->ops->end(owner.stream);
    turn();
    (void)expect_sent(96, 1);
    peer_sends_data(id, 30);
    turn();
    peer_sends("bu", 96, id);
    peer_sends("bu", 97, id);
    turn_at_once();
    assert_int_equal(owner.input_ends, 1);
    assert_int_equal(owner.failed, 1);
}

static void what_is_unread_comes_before_it_is_over(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    owner.stream->ops->end(owner.stream);
    turn();
    (void)expect_sent(96, 1);
    owner.take = 10;
    peer_sends_data(id, 30);
    peer_sends("bu", 96, id);
    peer_sends("bu", 97, id);
    turn();
    assert_int_equal(owner.received, 10);
    assert_int_equal(owner.input_ends + owner.failed, 0);
    assert_int_equal(expect_sent(97, 1), 100 + id);
    owner.take = 100;
    owner.stream->ops->resume(owner.stream);
    turn();
    assert_int_equal(owner.received, 30);
    expect_closed(&owner);
}

static void a_session_that_dies_meanwhile_changes_nothing(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    end_all(&owner, id);
    turn_at_once();
    fail_session(ERR_CLOSED);
    expect_closed(&owner);
    assert_int_equal(mux_channel_count(net.mux), 0);
}

static void a_late_close_that_finds_no_room_waits_without_work(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    end_all(&owner, id);
    net.control_packets = 0; /* as during a key exchange */
    turn();
    expect_closed(&owner);
    expect_nothing_sent();
    assert_false(mux_is_late(net.mux)); /* else the session would turn all the time */
    net.control_packets = 10;
    turn();
    assert_int_equal(expect_sent(97, 1), 100 + id);
}

int main(int argc, char **argv)
{
    set_packet_mode(argc, argv);
    const struct CMUnitTest tests[] = {
        TEST(a_channel_that_is_over_is_closed_when_nothing_else_is_to_be_done),
        TEST(data_takes_the_late_close_along),
        TEST(an_open_is_not_held_up_by_a_late_close),
        TEST(it_is_not_put_off_for_ever),
        TEST(many_are_closed_a_few_at_a_time),
        TEST(an_end_that_somebody_waits_for_is_told_at_once),
        TEST(who_ends_first_has_the_end_of_the_answer_at_once),
        TEST(what_is_unread_comes_before_it_is_over),
        TEST(a_session_that_dies_meanwhile_changes_nothing),
        TEST(a_late_close_that_finds_no_room_waits_without_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
