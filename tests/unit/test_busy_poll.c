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
    uint64_t now_us, bytes, packets;
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
static void turn(uint64_t waited_us, uint64_t bytes, uint64_t packets)
{
    own.now_us += waited_us;
    busy_poll_end_wait(&own.poll, own.now_us);
    own.bytes += bytes;
    own.packets += packets;
    own.is_awake = busy_poll_begin_wait(&own.poll, own.now_us, own.bytes, own.packets);
}

static void chain(unsigned links)
{
    while (links-- > 0) {
        turn(LINK_US, LINK_BYTES, 1);
    }
}

static void links_of_a_chain_are_awaited_awake(void **state)
{
    (void)state;
    chain(3);
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

static void a_long_wait_now_and_then_changes_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < ENOUGH; i++) {
        chain(10);
        assert_true(own.is_awake);
        turn(PAUSE_US, LINK_BYTES, 1);
    }
}

static void messages_with_pauses_are_awaited_asleep(void **state)
{
    (void)state;
    chain(ENOUGH);
    for (int i = 0; i < 10; i++) { /* a question, and its answer from near */
        turn(PAUSE_US, LINK_BYTES, 1);
        turn(LINK_US, LINK_BYTES, 1);
    }
    for (int i = 0; i < ENOUGH; i++) {
        turn(PAUSE_US, LINK_BYTES, 1);
        assert_false(own.is_awake);
        turn(LINK_US, LINK_BYTES, 1);
        assert_false(own.is_awake);
    }
}

static void a_far_peer_is_awaited_asleep(void **state)
{
    (void)state;
    for (int i = 0; i < ENOUGH; i++) {
        turn(BOUND_US, LINK_BYTES, 1);
        assert_false(own.is_awake);
    }
}

static void bulk_and_crowds_are_awaited_asleep(void **state)
{
    const struct {
        uint64_t bytes, packets;
    } much[] = {{65536, 2}, {960, 16}};
    (void)state;
    for (size_t kind = 0; kind < 2; kind++) {
        chain(ENOUGH);
        assert_true(own.is_awake);
        for (int i = 0; i < ENOUGH; i++) {
            turn(LINK_US, much[kind].bytes, much[kind].packets);
            assert_false(own.is_awake);
            turn(LINK_US, LINK_BYTES, 1);
            assert_false(own.is_awake);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(links_of_a_chain_are_awaited_awake, setup),
        cmocka_unit_test_setup(a_wait_is_awake_for_a_moment_only, setup),
        cmocka_unit_test_setup(a_long_wait_now_and_then_changes_nothing, setup),
        cmocka_unit_test_setup(messages_with_pauses_are_awaited_asleep, setup),
        cmocka_unit_test_setup(a_far_peer_is_awaited_asleep, setup),
        cmocka_unit_test_setup(bulk_and_crowds_are_awaited_asleep, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
