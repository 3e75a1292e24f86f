/* What is done about probes that fail: nothing that could not mend it, and nothing for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "forward/probe_rule.h"

enum { INTERVAL_MS = 30000, NOW_MS = 1000000 };

static struct probe_rule rule;

static int setup(void **state)
{
    (void)state;
    probe_rule_init(&rule, INTERVAL_MS);
    probe_rule_bound(&rule, NOW_MS);
    return 0;
}

static void expect(enum probe_outcome outcome, enum probe_step step)
{
    assert_int_equal(probe_rule_result(&rule, outcome, NOW_MS), step);
}

static void one_that_works_is_asked_in_its_interval(void **state)
{
    (void)state;
    assert_int_equal(rule.due_ms, NOW_MS + 1000);
    expect(PROBE_WORKED, PROBE_STEP_NONE);
    assert_int_equal(rule.due_ms, NOW_MS + INTERVAL_MS);
    probe_rule_pause(&rule);
    assert_int_equal(rule.due_ms, 0);
}

static void a_target_that_is_down_costs_nobody_a_session(void **state)
{
    (void)state;
    expect(PROBE_TARGET_FAILED, PROBE_STEP_DEGRADE);
    assert_int_equal(rule.due_ms, NOW_MS + 5000);
    for (int i = 0; i < 100; i++) {
        expect(PROBE_TARGET_FAILED, PROBE_STEP_NONE);
    }
    expect(PROBE_WORKED, PROBE_STEP_HEALED);
    expect(PROBE_WORKED, PROBE_STEP_NONE);
}

static void a_broken_way_is_made_anew_step_by_step(void **state)
{
    (void)state;
    expect(PROBE_WAY_FAILED, PROBE_STEP_DEGRADE);
    expect(PROBE_WAY_FAILED, PROBE_STEP_BIND_ANEW);
    expect(PROBE_WAY_FAILED, PROBE_STEP_END_SESSION);
    probe_rule_session_down(&rule);
    assert_int_equal(rule.due_ms, 0);
    probe_rule_bound(&rule, NOW_MS);
    expect(PROBE_WORKED, PROBE_STEP_NONE);
}

static void what_a_new_session_does_not_mend_costs_no_second_one(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        expect(PROBE_WAY_FAILED, round == 0 ? PROBE_STEP_DEGRADE : PROBE_STEP_NONE);
        expect(PROBE_WAY_FAILED, PROBE_STEP_BIND_ANEW);
        expect(PROBE_WAY_FAILED, round == 0 ? PROBE_STEP_END_SESSION : PROBE_STEP_NONE);
    }
    expect(PROBE_WORKED, PROBE_STEP_HEALED);
    expect(PROBE_WAY_FAILED, PROBE_STEP_DEGRADE);
    expect(PROBE_WAY_FAILED, PROBE_STEP_BIND_ANEW);
    expect(PROBE_WAY_FAILED, PROBE_STEP_END_SESSION);
}

static void a_short_interval_holds_for_failures_too(void **state)
{
    (void)state;
    probe_rule_init(&rule, 200);
    probe_rule_bound(&rule, NOW_MS);
    assert_int_equal(rule.due_ms, NOW_MS + 200);
    expect(PROBE_TARGET_FAILED, PROBE_STEP_DEGRADE);
    assert_int_equal(rule.due_ms, NOW_MS + 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(one_that_works_is_asked_in_its_interval, setup),
        cmocka_unit_test_setup(a_target_that_is_down_costs_nobody_a_session, setup),
        cmocka_unit_test_setup(a_broken_way_is_made_anew_step_by_step, setup),
        cmocka_unit_test_setup(what_a_new_session_does_not_mend_costs_no_second_one, setup),
        cmocka_unit_test_setup(a_short_interval_holds_for_failures_too, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
