#include "session/busy_poll.h"

enum {
    SHORT_US = 300,     /* a wait of a chain, on the slowest of the machines that were measured */
    BULK_BYTES = 16384, /* in a turn: it was no link of a chain */
    CROWD_PACKETS = 4,
    SCORE_MOST = 16,
    SCORE_AWAKE = 8,
    LONG_COSTS = 4 /* of the score: one long wait in five, and no wait is awaited awake */
};

static void count(struct busy_poll *poll, bool is_short)
{
    if (!is_short) {
        poll->score = poll->score > LONG_COSTS ? poll->score - LONG_COSTS : 0;
    } else if (poll->score < SCORE_MOST) {
        poll->score++;
    }
}

void busy_poll_end_wait(struct busy_poll *poll, uint64_t now_us)
{
    if (poll->is_waiting) {
        poll->is_waiting = false;
        count(poll, now_us - poll->since_us <= SHORT_US);
    }
}

bool busy_poll_begin_wait(struct busy_poll *poll, uint64_t now_us, uint64_t bytes, uint64_t packets)
{
    if (bytes - poll->bytes > BULK_BYTES || packets - poll->packets > CROWD_PACKETS) {
        poll->score = 0;
    }
    poll->bytes = bytes;
    poll->packets = packets;
    poll->is_waiting = true;
    poll->since_us = now_us;
    return poll->score >= SCORE_AWAKE;
}

bool busy_poll_goes_on(const struct busy_poll *poll, uint64_t now_us)
{
    return poll->is_waiting && now_us - poll->since_us < SHORT_US;
}
