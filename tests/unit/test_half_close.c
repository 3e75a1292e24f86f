/* The half-close table, walked through all that can happen to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "relay/half_close.h"

static const unsigned end_of[2] = {ACTION_END_A, ACTION_END_B};
static const unsigned close_of[2] = {ACTION_CLOSE_A, ACTION_CLOSE_B};
static const unsigned abort_of[2] = {ACTION_ABORT_A, ACTION_ABORT_B};
static const unsigned discard_of[2] = {ACTION_DISCARD_A, ACTION_DISCARD_B};

/* The table, and what the two streams have been asked so far. */
struct world {
    struct half_close table;
    bool input_ended[2], end_called[2], end_done[2], discarding[2], over[2];
};

static void begin(struct world *world)
{
    memset(world, 0, sizeof *world);
    half_close_init(&world->table);
}

/* Whether a stream may say that: only once each, only what it was asked for, and nothing after its close. */
static bool possible(const struct world *world, unsigned side, enum half_close_event event)
{
    if (world->over[side]) {
        return event == EVENT_LINGER_OVER && world->discarding[side]; /* a timer may be late */
    }
    switch (event) {
    case EVENT_INPUT_END: return !world->input_ended[side];
    case EVENT_OUTPUT_END: return world->end_called[side] && !world->end_done[side];
    case EVENT_LINGER_OVER: return world->discarding[side];
    default: return true;
    }
}

static unsigned happen(struct world *world, unsigned side, enum half_close_event event)
{
    unsigned actions = half_close_step(&world->table, (enum relay_side)side, event);
    world->input_ended[side] = world->input_ended[side] || event == EVENT_INPUT_END;
    world->end_done[side] = world->end_done[side] || event == EVENT_OUTPUT_END;
    for (unsigned i = 0; i < 2; i++) {
        if ((actions & end_of[i]) != 0) {
            assert_false(world->end_called[i] || world->over[i]);
            world->end_called[i] = true;
        }
        if ((actions & discard_of[i]) != 0) {
            assert_false(world->discarding[i] || world->over[i]);
            world->discarding[i] = true;
        }
        if ((actions & (close_of[i] | abort_of[i])) != 0) {
            assert_false(world->over[i]);
            assert_int_not_equal(actions & (close_of[i] | abort_of[i]), close_of[i] | abort_of[i]);
            world->over[i] = true;
        }
        assert_int_equal(world->over[i], world->table.over[i]);
    }
    return actions;
}

static bool ended(const struct world *world)
{
    return world->over[0] && world->over[1];
}

/* With both inputs ended and everything asked for done, nothing is left open. */
static void ends_in_order(struct world world)
{
    for (int round = 0; round < 3; round++) {
        for (unsigned side = 0; side < 2; side++) {
            static const enum half_close_event events[] = {EVENT_INPUT_END, EVENT_OUTPUT_END};
            for (size_t i = 0; i < 2; i++) {
                if (possible(&world, side, events[i])) {
                    (void)happen(&world, side, events[i]);
                }
            }
        }
    }
    assert_true(ended(&world));
}

static void ends_after_a_reset(struct world world, unsigned side)
{
    if (!world.over[side]) {
        (void)happen(&world, side, EVENT_RESET);
        assert_true(ended(&world));
    }
}

/* Gone: the other side ends as soon as it has its bytes, or when it took too long. */
static void ends_after_one_is_gone(struct world world, unsigned side, enum half_close_event last)
{
    unsigned other = 1 - side;
    if (world.over[side]) {
        return;
    }
    (void)happen(&world, side, EVENT_GONE);
    assert_true(world.over[side]);
    if (!world.over[other]) {
        assert_true(world.end_called[other]);
        assert_true(world.discarding[other]);
        (void)happen(&world, other, last);
    }
    assert_true(ended(&world));
}

static unsigned walked;

static void walk(struct world world, int depth)
{
    walked++;
    ends_in_order(world);
    for (unsigned side = 0; side < 2; side++) {
        ends_after_a_reset(world, side);
        ends_after_one_is_gone(world, side, EVENT_OUTPUT_END);
        ends_after_one_is_gone(world, side, EVENT_LINGER_OVER);
    }
    if (depth == 0) {
        return;
    }
    for (unsigned side = 0; side < 2; side++) {
        for (int event = 0; event < EVENT_COUNT; event++) {
            struct world next = world;
            if (possible(&world, side, (enum half_close_event)event)) {
                (void)happen(&next, side, (enum half_close_event)event);
                walk(next, depth - 1);
            }
        }
    }
}

static void both_sides_always_end(void **state)
{
    struct world world;
    (void)state;
    begin(&world);
    walk(world, 7);
    assert_true(walked > 100);
}

/* Every state times every event, also those that no stream would send: nothing is asked of a side that is over. */
static void nothing_is_asked_of_a_side_that_is_over(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 3 * 3 * 4; bits++) {
        for (unsigned side = 0; side < 2; side++) {
            for (int event = 0; event < EVENT_COUNT; event++) {
                struct half_close table = {.from = {(enum flow)(bits % 3), (enum flow)(bits / 3 % 3)},
                                           .over = {(bits / 9 & 1) != 0, (bits / 18 & 1) != 0}};
                const struct half_close before = table;
                unsigned actions = half_close_step(&table, (enum relay_side)side, (enum half_close_event)event);
                for (unsigned i = 0; i < 2; i++) {
                    if (before.over[i]) {
                        assert_int_equal(actions & (end_of[i] | close_of[i] | abort_of[i] | discard_of[i]), 0);
                        assert_true(table.over[i]);
                    }
                    assert_true(table.from[i] >= before.from[i]); /* a direction never opens again */
                }
            }
        }
    }
}

static void half_close_passes_through(void **state)
{
    struct world world;
    (void)state;
    for (unsigned first = 0; first < 2; first++) {
        unsigned second = 1 - first;
        begin(&world);
        assert_int_equal(happen(&world, first, EVENT_INPUT_END), end_of[second]);
        assert_int_equal(happen(&world, second, EVENT_OUTPUT_END), ACTION_NONE);
        assert_int_equal(happen(&world, second, EVENT_INPUT_END), end_of[first]);
        assert_int_equal(happen(&world, first, EVENT_OUTPUT_END), ACTION_CLOSE_A | ACTION_CLOSE_B);
    }
}

static void a_reset_closes_one_and_aborts_the_other(void **state)
{
    struct world world;
    (void)state;
    for (unsigned side = 0; side < 2; side++) {
        begin(&world);
        assert_int_equal(happen(&world, side, EVENT_RESET), close_of[side] | abort_of[1 - side]);
    }
}

/* A reader that never reads its last bytes loses them: it must see a reset, never an end of stream in order. */
static void a_linger_that_runs_out_is_an_abort(void **state)
{
    struct world world;
    (void)state;
    begin(&world);
    assert_int_equal(happen(&world, SIDE_B, EVENT_GONE), ACTION_CLOSE_B | ACTION_END_A | ACTION_DISCARD_A);
    assert_int_equal(happen(&world, SIDE_A, EVENT_LINGER_OVER), ACTION_ABORT_A);
    begin(&world);
    (void)happen(&world, SIDE_B, EVENT_GONE);
    assert_int_equal(happen(&world, SIDE_A, EVENT_OUTPUT_END), ACTION_CLOSE_A);
    assert_int_equal(happen(&world, SIDE_A, EVENT_LINGER_OVER), ACTION_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_always_end),
        cmocka_unit_test(nothing_is_asked_of_a_side_that_is_over),
        cmocka_unit_test(half_close_passes_through),
        cmocka_unit_test(a_reset_closes_one_and_aborts_the_other),
        cmocka_unit_test(a_linger_that_runs_out_is_an_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
