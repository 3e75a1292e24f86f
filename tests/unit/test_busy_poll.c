/* Who is awaited awake: the links of a chain, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "session/busy_poll.h"

enum { LINK_US = 80, PAUSE_US = 5000, BOUND_US = 1000, LINK_BYTES = 136, ENOUGH = 100 };

static struct {
    struct busy_poll poll;
    uint64_t now_us;
    struct busy_poll_sums sums;
    bool is_awake;
} own;

static int setup(void **state)
{
    (void)state;
    memset(&own, 0, sizeof own);
    own.now_us = 1000000;
    return 0;
}

/* One turn, before which nothing happened for so long. */
static void turn(uint64_t waited_us, uint64_t in, uint64_t out, uint64_t packets)
{
    own.now_us += waited_us;
    busy_poll_end_wait(&own.poll, own.now_us);
    own.sums.bytes_in += in;
    own.sums.bytes_out += out;
    own.sums.packets_in += packets;
    own.is_awake = busy_poll_begin_wait(&own.poll, own.now_us, &own.sums);
}

/* Short connections: the open leaves, its answer brings the question, its answer is passed on, the close leaves. */
static void chain(unsigned connections)
{
    while (connections-- > 0) {
        turn(LINK_US, 0, LINK_BYTES, 0);
        turn(LINK_US, LINK_BYTES, LINK_BYTES, 2);
        turn(LINK_US, LINK_BYTES, 0, 1);
        turn(LINK_US, 0, LINK_BYTES, 0);
    }
}

static void one_link(void)
{
    turn(LINK_US, LINK_BYTES, LINK_BYTES, 1);
}

static void link_after_pause(void)
{
    turn(PAUSE_US, LINK_BYTES, LINK_BYTES, 1);
}

static void links_of_a_chain_are_awaited_awake(void **state)
{
    (void)state;
    chain(1);
    assert_false(own.is_awake); /* that may have been chance */
    chain(ENOUGH);
    assert_true(own.is_awake);
    assert_true(busy_poll_goes_on(&own.poll, own.now_us + LINK_US));
}

static void a_wait_is_awake_for_a_moment_only(void **state)
{
    (void)state;
    chain(ENOUGH);
    assert_true(own.is_awake);
    assert_false(busy_poll_goes_on(&own.poll, own.now_us + BOUND_US));
    busy_poll_end_wait(&own.poll, own.now_us + LINK_US);
    assert_false(busy_poll_goes_on(&own.poll, own.now_us + LINK_US)); /* there is something to do */
}

static void the_processor_is_not_offered_while_others_of_the_loop_work(void **state)
{
    (void)state;
    chain(ENOUGH);
    uint64_t now_us = own.now_us + 1;
    assert_true(busy_poll_may_yield(&own.poll, now_us));
    busy_poll_look(&own.poll, now_us);
    now_us += LINK_US; /* what that look found took so long */
    assert_false(busy_poll_may_yield(&own.poll, now_us));
    busy_poll_look(&own.poll, now_us);
    assert_true(busy_poll_may_yield(&own.poll, now_us + 1));
}

static void a_long_wait_now_and_then_changes_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < ENOUGH; i++) {
        for (int link = 0; link < 8; link++) {
            one_link();
        }
        assert_int_equal(own.is_awake, i > 0);
        link_after_pause();
    }
}

static void messages_with_pauses_are_awaited_asleep(void **state)
{
    (void)state;
    for (int links = 0; links <= 4; links++) { /* of each question with its answers from near */
        chain(ENOUGH);
        assert_true(own.is_awake);
        for (int i = 0; i < 3 * ENOUGH; i++) {
            link_after_pause();
            for (int link = 0; link < links; link++) {
                one_link();
            }
            assert_true(i < ENOUGH || !own.is_awake);
        }
    }
}

static void a_far_peer_is_awaited_asleep(void **state)
{
    (void)state;
    for (int i = 0; i < ENOUGH; i++) {
        turn(BOUND_US, LINK_BYTES, LINK_BYTES, 1);
        assert_false(own.is_awake);
    }
}

static void bulk_and_crowds_are_awaited_asleep(void **state)
{
    static const struct {
        uint64_t us, in, out, packets;
    } much[] = {
        {LINK_US, 65536, 0, 2},  /* from near */
        {LINK_US, 0, 65536, 0},  /* to near */
        {116, 1448, 0, 1},       /* 100 Mbit/s, each segment alone */
        {60, 7240, 0, 0},        /* 1 Gbit/s, packets that come in parts */
        {72, 9000, 9000, 1},     /* 1 Gbit/s with large segments, both ways */
        {250, 40, 8192, 0},      /* to a reader that asks for more now and then */
        {LINK_US, 200, 0, 1},    /* small news, one way */
        {LINK_US, 0, 200, 0},    /* and the other */
        {LINK_US, 960, 960, 16}, /* many connections at once */
    };
    (void)state;
    for (size_t kind = 0; kind < sizeof much / sizeof *much; kind++) {
        chain(ENOUGH);
        assert_true(own.is_awake);
        for (int i = 0; i < ENOUGH; i++) {
            turn(much[kind].us, much[kind].in, much[kind].out, much[kind].packets);
            assert_true(i < 20 || !own.is_awake);
        }
    }
}

static void a_burst_of_opens_is_awaited_asleep(void **state)
{
    (void)state;
    chain(ENOUGH);
    assert_true(own.is_awake);
    own.sums.opens_out = 16;
    one_link();
    assert_false(own.is_awake);
    own.sums.opens_out = 1;
    chain(ENOUGH);
    assert_true(own.is_awake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(links_of_a_chain_are_awaited_awake, setup),
        cmocka_unit_test_setup(a_wait_is_awake_for_a_moment_only, setup),
        cmocka_unit_test_setup(the_processor_is_not_offered_while_others_of_the_loop_work, setup),
        cmocka_unit_test_setup(a_long_wait_now_and_then_changes_nothing, setup),
        cmocka_unit_test_setup(messages_with_pauses_are_awaited_asleep, setup),
        cmocka_unit_test_setup(a_far_peer_is_awaited_asleep, setup),
        cmocka_unit_test_setup(bulk_and_crowds_are_awaited_asleep, setup),
        cmocka_unit_test_setup(a_burst_of_opens_is_awaited_asleep, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
