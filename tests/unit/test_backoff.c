/* Every rule of DESIGN section 7 on when to try again, with a clock and a chance of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/backoff.h"

#define ALMOST_ONE 0.999999999

static uint64_t next(struct backoff *backoff, enum err_class class_, bool was_up, uint64_t up_for_ms, uint64_t now_ms,
                     double random01)
{
    struct backoff_outcome outcome = {
        .class_ = class_, .was_up = was_up, .up_for_ms = up_for_ms, .now_ms = now_ms, .random01 = random01};
    return backoff_next_ms(backoff, &outcome);
}

static uint64_t failed(struct backoff *backoff, double random01)
{
    return next(backoff, ERR_CLASS_TRANSIENT, false, 0, 0, random01);
}

static void doubles_from_first_to_max(void **state)
{
    static const uint64_t ceilings_ms[] = {500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000};
    (void)state;
    for (int eighth = 0; eighth < 8; eighth++) {
        double random01 = eighth / 8.0;
        struct backoff backoff;
        backoff_init(&backoff, 500, 60000);
        for (size_t i = 0; i < sizeof ceilings_ms / sizeof ceilings_ms[0]; i++)
            assert_int_equal(failed(&backoff, random01), (uint64_t)((double)ceilings_ms[i] * random01));
    }
}

static void jitter_fills_the_whole_range(void **state)
{
    /* A linear congruential generator: the same numbers on every machine. */
    uint64_t seed = 1;
    unsigned quarters[4] = {0};
    (void)state;
    for (int i = 0; i < 4000; i++) {
        struct backoff backoff;
        backoff_init(&backoff, 1000, 60000);
        seed = seed * 6364136223846793005U + 1442695040888963407U;
        uint64_t wait_ms = failed(&backoff, (double)(seed >> 11) / 9007199254740992.0);
        assert_in_range(wait_ms, 0, 999);
        quarters[wait_ms / 250]++;
    }
    for (int i = 0; i < 4; i++)
        assert_in_range(quarters[i], 850, 1150);
}

static void never_overflows(void **state)
{
    struct backoff backoff;
    (void)state;
    backoff_init(&backoff, 1, UINT64_MAX);
    uint64_t before_ms = 0;
    for (int i = 0; i < 200; i++) {
        uint64_t wait_ms = failed(&backoff, ALMOST_ONE);
        assert_true(wait_ms >= before_ms);
        before_ms = wait_ms;
    }
    backoff_init(&backoff, 0, 0);
    for (int i = 0; i < 200; i++)
        assert_int_equal(failed(&backoff, ALMOST_ONE), 0);
}

static void max_below_first_is_first(void **state)
{
    struct backoff backoff;
    (void)state;
    backoff_init(&backoff, 5000, 100);
    for (int i = 0; i < 5; i++)
        assert_int_equal(failed(&backoff, 0.5), 2500);
}

static void goes_at_once_after_a_session_that_was_up(void **state)
{
    struct backoff backoff;
    (void)state;
    backoff_init(&backoff, 500, 60000);
    assert_int_equal(next(&backoff, ERR_CLASS_TRANSIENT, true, 1, 7000, ALMOST_ONE), 0);
    /* Within 2 s of it: no second one. */
    assert_int_equal(next(&backoff, ERR_CLASS_TRANSIENT, true, 1, 7001, 0.5), 250);
    assert_int_equal(next(&backoff, ERR_CLASS_TRANSIENT, true, 1, 8999, 0.5), 500);
    /* 2 s later: one again. */
    assert_int_equal(next(&backoff, ERR_CLASS_TRANSIENT, true, 1, 9000, 0.5), 0);
    assert_int_equal(next(&backoff, ERR_CLASS_TRANSIENT, true, 1, 9001, 0.5), 1000);
}

static void goes_at_once_at_time_zero(void **state)
{
    struct backoff backoff;
    (void)state;
    backoff_init(&backoff, 500, 60000);
    assert_int_equal(next(&backoff, ERR_CLASS_TRANSIENT, true, 1, 0, 0.5), 0);
    assert_int_equal(next(&backoff, ERR_CLASS_TRANSIENT, true, 1, 1999, 0.5), 250);
}

static void never_more_than_one_at_once_in_2_s(void **state)
{
    struct backoff backoff;
    uint64_t last_ms = 0;
    (void)state;
    backoff_init(&backoff, 500, 60000);
    for (uint64_t now_ms = 10000; now_ms < 60000; now_ms += 37) {
        if (next(&backoff, ERR_CLASS_TRANSIENT, true, 36, now_ms, 0.9) != 0)
            continue;
        if (last_ms != 0)
            assert_true(now_ms - last_ms >= BACKOFF_AT_ONCE_INTERVAL_MS);
        last_ms = now_ms;
    }
    assert_int_not_equal(last_ms, 0);
}

static void thirty_seconds_up_begin_anew(void **state)
{
    struct backoff backoff;
    (void)state;
    backoff_init(&backoff, 500, 60000);
    for (int i = 0; i < 6; i++)
        (void)failed(&backoff, 0.5);
    assert_int_equal(next(&backoff, ERR_CLASS_TRANSIENT, true, 29999, 100000, 0.5), 0);
    assert_int_equal(failed(&backoff, 0.5), 16000);
    assert_int_equal(next(&backoff, ERR_CLASS_TRANSIENT, true, 30000, 200000, 0.5), 0);
    assert_int_equal(failed(&backoff, 0.5), 250);
}

static void refused_authentication_waits_a_minute_and_more(void **state)
{
    static const uint64_t least_ms[] = {60000, 120000, 240000, 480000, 600000, 600000};
    (void)state;
    for (int quarter = 0; quarter < 4; quarter++) {
        double random01 = quarter / 4.0;
        struct backoff backoff;
        backoff_init(&backoff, 500, 60000);
        for (size_t i = 0; i < sizeof least_ms / sizeof least_ms[0]; i++) {
            uint64_t wait_ms = next(&backoff, ERR_CLASS_AUTHENTICATION, false, 0, 0, random01);
            assert_in_range(wait_ms, least_ms[i], least_ms[i] + least_ms[i] / 4);
        }
    }
}

static void a_longer_max_holds_for_authentication_too(void **state)
{
    struct backoff backoff;
    uint64_t wait_ms = 0;
    (void)state;
    backoff_init(&backoff, 500, 3600000);
    for (int i = 0; i < 20; i++)
        wait_ms = next(&backoff, ERR_CLASS_AUTHENTICATION, false, 0, 0, 0);
    assert_int_equal(wait_ms, 3600000);
}

static void refusals_count_apart_until_a_session_is_up(void **state)
{
    struct backoff backoff;
    (void)state;
    backoff_init(&backoff, 500, 60000);
    assert_int_equal(next(&backoff, ERR_CLASS_AUTHENTICATION, false, 0, 0, 0), 60000);
    assert_int_equal(failed(&backoff, 0.5), 250); /* the network's failures begin at their own first */
    assert_int_equal(next(&backoff, ERR_CLASS_AUTHENTICATION, false, 0, 0, 0), 120000);
    assert_int_equal(next(&backoff, ERR_CLASS_TRANSIENT, true, 1, 5000, 0), 0);
    assert_int_equal(next(&backoff, ERR_CLASS_AUTHENTICATION, false, 0, 6000, 0), 60000);
}

static void reset_begins_anew(void **state)
{
    struct backoff backoff;
    (void)state;
    backoff_init(&backoff, 500, 60000);
    for (int i = 0; i < 6; i++)
        (void)failed(&backoff, 0.5);
    (void)next(&backoff, ERR_CLASS_AUTHENTICATION, false, 0, 0, 0);
    backoff_reset(&backoff);
    assert_int_equal(failed(&backoff, 0.5), 250);
    assert_int_equal(next(&backoff, ERR_CLASS_AUTHENTICATION, false, 0, 0, 0), 60000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_from_first_to_max),
        cmocka_unit_test(jitter_fills_the_whole_range),
        cmocka_unit_test(never_overflows),
        cmocka_unit_test(max_below_first_is_first),
        cmocka_unit_test(goes_at_once_after_a_session_that_was_up),
        cmocka_unit_test(goes_at_once_at_time_zero),
        cmocka_unit_test(never_more_than_one_at_once_in_2_s),
        cmocka_unit_test(thirty_seconds_up_begin_anew),
        cmocka_unit_test(refused_authentication_waits_a_minute_and_more),
        cmocka_unit_test(a_longer_max_holds_for_authentication_too),
        cmocka_unit_test(refusals_count_apart_until_a_session_is_up),
        cmocka_unit_test(reset_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
