/* When a relay ends: the half-close table of two joined streams. Pure.
 *
 * A relay has two sides, A and B. What ends at one side's input is ended at the other side's output; when both
 * directions have ended, both sides are closed. A side that fails ends the relay: a reset closes the other side at
 * once, a peer that is gone lets the other side finish what it was given, then close. */
#ifndef HOLDFAST_RELAY_HALF_CLOSE_H
#define HOLDFAST_RELAY_HALF_CLOSE_H

#include <stdbool.h>

enum relay_side { SIDE_A = 0, SIDE_B = 1 };

enum half_close_event {
    EVENT_INPUT_END = 0, /* this side will send us nothing more */
    EVENT_OUTPUT_END,    /* our end of stream has left towards this side */
    EVENT_GONE,          /* this side ended both directions in order (a channel's CLOSE, all its data delivered) */
    EVENT_RESET,         /* this side ended without order: what was in flight is lost */
    EVENT_LINGER_OVER,   /* this side does not read its last bytes: they are lost, so it must not see an end in order */
    EVENT_COUNT
};

/* What one direction, from a side's input to the other side's output, has come to. */
enum flow { FLOW_OPEN = 0, FLOW_ENDING, FLOW_ENDED };

enum half_close_action {
    ACTION_NONE = 0,
    ACTION_END_A = 1 << 0, /* call end() on A */
    ACTION_END_B = 1 << 1,
    ACTION_CLOSE_A = 1 << 2, /* call close() on A */
    ACTION_CLOSE_B = 1 << 3,
    ACTION_ABORT_A = 1 << 4, /* call abort() on A */
    ACTION_ABORT_B = 1 << 5,
    ACTION_DISCARD_A = 1 << 6, /* throw away what A still sends, start its linger time */
    ACTION_DISCARD_B = 1 << 7
};

struct half_close {
    enum flow from[2]; /* the direction whose source is that side */
    bool over[2];      /* close or abort was called on that side */
};

void half_close_init(struct half_close *table);
/* Takes one event of one side; returns the actions to carry out, in the order of their bits. */
unsigned half_close_step(struct half_close *table, enum relay_side side, enum half_close_event event);

#endif
