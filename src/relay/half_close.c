#include "relay/half_close.h"

static const unsigned end_action[2] = {ACTION_END_A, ACTION_END_B};
static const unsigned close_action[2] = {ACTION_CLOSE_A, ACTION_CLOSE_B};
static const unsigned abort_action[2] = {ACTION_ABORT_A, ACTION_ABORT_B};
static const unsigned discard_action[2] = {ACTION_DISCARD_A, ACTION_DISCARD_B};

void half_close_init(struct half_close *table)
{
    *table = (struct half_close){.from = {FLOW_OPEN, FLOW_OPEN}, .over = {false, false}};
}

static unsigned finish(struct half_close *table, unsigned side, const unsigned action[2])
{
    if (table->over[side]) {
        return ACTION_NONE;
    }
    table->over[side] = true;
    return action[side];
}

/* The side is gone for good: nothing more comes from it, nothing more can go to it. */
static unsigned side_gone(struct half_close *table, unsigned side)
{
    unsigned other = 1U - side;
    unsigned actions = finish(table, side, close_action);
    enum flow towards_other = table->from[side];
    table->from[other] = FLOW_ENDED;
    if (table->over[other]) {
        return actions;
    }
    if (towards_other == FLOW_ENDED) {
        return actions | finish(table, other, close_action);
    }
    if (towards_other == FLOW_OPEN) {
        table->from[side] = FLOW_ENDING;
        actions |= end_action[other];
    }
    return actions | discard_action[other];
}

unsigned half_close_step(struct half_close *table, enum relay_side which, enum half_close_event event)
{
    unsigned side = (unsigned)which;
    unsigned other = 1U - side;
    if (table->over[side] && event != EVENT_LINGER_OVER) {
        return ACTION_NONE;
    }
    switch (event) {
    case EVENT_INPUT_END:
        if (table->from[side] != FLOW_OPEN) {
            return ACTION_NONE;
        }
        table->from[side] = FLOW_ENDING;
        return table->over[other] ? ACTION_NONE : end_action[other];
    case EVENT_OUTPUT_END:
        table->from[other] = FLOW_ENDED;
        if (table->from[side] != FLOW_ENDED) {
            return ACTION_NONE;
        }
        return finish(table, SIDE_A, close_action) | finish(table, SIDE_B, close_action);
    case EVENT_GONE: return side_gone(table, side);
    case EVENT_RESET:
        table->from[SIDE_A] = table->from[SIDE_B] = FLOW_ENDED;
        return finish(table, side, close_action) | finish(table, other, abort_action);
    case EVENT_LINGER_OVER: return finish(table, side, abort_action);
    case EVENT_COUNT: break;
    }
    return ACTION_NONE;
}
