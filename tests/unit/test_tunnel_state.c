/* The table of a tunnel's life. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tunnel/state.h"

enum { STATES = TUNNEL_PORT_BUSY + 1 };

static void a_life_without_faults(void **state)
{
    static const struct {
        enum tunnel_event event;
        enum tunnel_state then;
    } life[] = {
        {TUNNEL_EVENT_ATTEMPT, TUNNEL_RESOLVING},
        {TUNNEL_EVENT_CONNECTING, TUNNEL_CONNECTING},
        {TUNNEL_EVENT_HANDSHAKING, TUNNEL_HANDSHAKING},
        {TUNNEL_EVENT_AUTHENTICATING, TUNNEL_AUTHENTICATING},
        {TUNNEL_EVENT_BINDING, TUNNEL_BINDING},
        {TUNNEL_EVENT_SOME_FAILED, TUNNEL_DEGRADED},
        {TUNNEL_EVENT_ALL_BOUND, TUNNEL_UP},
        {TUNNEL_EVENT_PORT_BUSY, TUNNEL_PORT_BUSY},
        {TUNNEL_EVENT_SOME_FAILED, TUNNEL_DEGRADED},
        {TUNNEL_EVENT_PORT_BUSY, TUNNEL_PORT_BUSY},
        {TUNNEL_EVENT_ALL_BOUND, TUNNEL_UP},
        {TUNNEL_EVENT_PORT_BUSY, TUNNEL_PORT_BUSY},
        {TUNNEL_EVENT_FAULT, TUNNEL_WAITING},
        {TUNNEL_EVENT_ATTEMPT, TUNNEL_RESOLVING},
        {TUNNEL_EVENT_HOPELESS, TUNNEL_FAILED},
        {TUNNEL_EVENT_ATTEMPT, TUNNEL_RESOLVING},
        {TUNNEL_EVENT_STOPPED, TUNNEL_STOPPED},
    };
    enum tunnel_state now = TUNNEL_STOPPED;
    (void)state;
    for (size_t i = 0; i < sizeof life / sizeof life[0]; i++) {
        now = tunnel_next_state(now, life[i].event);
        assert_int_equal(now, life[i].then);
    }
}

static void every_state_can_be_stopped(void **state)
{
    (void)state;
    for (int i = 0; i < STATES; i++) {
        assert_int_equal(tunnel_next_state((enum tunnel_state)i, TUNNEL_EVENT_STOPPED), TUNNEL_STOPPED);
    }
}

static void every_state_of_an_attempt_knows_faults(void **state)
{
    (void)state;
    for (int i = TUNNEL_RESOLVING; i <= TUNNEL_DEGRADED; i++) {
        assert_int_equal(tunnel_next_state((enum tunnel_state)i, TUNNEL_EVENT_FAULT), TUNNEL_WAITING);
    }
    assert_int_equal(tunnel_next_state(TUNNEL_PORT_BUSY, TUNNEL_EVENT_FAULT), TUNNEL_WAITING);
    for (int i = 0; i < STATES; i++) {
        assert_int_equal(tunnel_next_state((enum tunnel_state)i, TUNNEL_EVENT_HOPELESS), TUNNEL_FAILED);
    }
}

static void failed_is_left_only_by_a_new_attempt_or_a_stop(void **state)
{
    (void)state;
    for (int event = 0; event < TUNNEL_EVENT_COUNT; event++) {
        enum tunnel_state next = tunnel_next_state(TUNNEL_FAILED, (enum tunnel_event)event);
        if (event != TUNNEL_EVENT_ATTEMPT && event != TUNNEL_EVENT_STOPPED) {
            assert_int_equal(next, TUNNEL_FAILED);
        }
    }
}

static void a_tunnel_that_rests_is_not_brought_up_by_an_old_session(void **state)
{
    static const enum tunnel_state resting[] = {TUNNEL_STOPPED, TUNNEL_WAITING, TUNNEL_FAILED};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        for (int event = TUNNEL_EVENT_CONNECTING; event <= TUNNEL_EVENT_PORT_BUSY; event++) {
            assert_int_equal(tunnel_next_state(resting[i], (enum tunnel_event)event), resting[i]);
        }
        assert_int_equal(tunnel_next_state(resting[i], TUNNEL_EVENT_ATTEMPT), TUNNEL_RESOLVING);
    }
}

static void up_comes_only_after_binding(void **state)
{
    (void)state;
    for (int i = 0; i < STATES; i++) {
        for (int event = 0; event < TUNNEL_EVENT_COUNT; event++) {
            enum tunnel_state next = tunnel_next_state((enum tunnel_state)i, (enum tunnel_event)event);
            assert_in_range(next, 0, TUNNEL_PORT_BUSY);
            if (next == TUNNEL_UP && i != TUNNEL_UP) {
                assert_true(i == TUNNEL_BINDING || i == TUNNEL_DEGRADED || i == TUNNEL_PORT_BUSY);
            }
        }
    }
}

static void every_state_has_its_own_name(void **state)
{
    (void)state;
    for (int i = 0; i < STATES; i++) {
        assert_non_null(tunnel_state_name((enum tunnel_state)i));
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(tunnel_state_name((enum tunnel_state)i), tunnel_state_name((enum tunnel_state)j));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_life_without_faults),
        cmocka_unit_test(every_state_can_be_stopped),
        cmocka_unit_test(every_state_of_an_attempt_knows_faults),
        cmocka_unit_test(failed_is_left_only_by_a_new_attempt_or_a_stop),
        cmocka_unit_test(a_tunnel_that_rests_is_not_brought_up_by_an_old_session),
        cmocka_unit_test(up_comes_only_after_binding),
        cmocka_unit_test(every_state_has_its_own_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
