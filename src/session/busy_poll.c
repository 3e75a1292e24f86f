#include "session/busy_poll.h"

enum {
    SHORT_US = 300,    /* a wait of a chain, on the slowest of the machines that were measured */
    LOOK_US = 20,      /* a look that found nothing takes less */
    LINK_BYTES = 1024, /* on an average, in a turn of a chain */
    MEAN_TURNS = 8,    /* over so many the average is taken */
    ONE_WAY_TURNS = 8, /* in a chain, something goes the other way sooner */
    CROWD_PACKETS = 4, /* in one turn */
    CROWD_OPENS = 4,
    SCORE_MOST = 16,
    SCORE_AWAKE = 8,
    LONG_COSTS = 5 /* of the score, for which a short wait gives one */
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

/* Counts the turn that has ended. Whether it may belong to a chain. */
static bool note_turn(struct busy_poll *poll, const struct busy_poll_sums *sums)
{
    uint64_t in = sums->bytes_in - poll->sums.bytes_in, out = sums->bytes_out - poll->sums.bytes_out;
    uint64_t packets = sums->packets_in - poll->sums.packets_in;
    poll->sums = *sums;
    poll->mean_bytes = (poll->mean_bytes * (MEAN_TURNS - 1) + in + out) / MEAN_TURNS;
    poll->since_in = in > 0 ? 0 : poll->since_in + 1;
    poll->since_out = out > 0 ? 0 : poll->since_out + 1;
    return poll->mean_bytes <= LINK_BYTES && poll->since_in < ONE_WAY_TURNS && poll->since_out < ONE_WAY_TURNS &&
           packets <= CROWD_PACKETS && sums->opens_out <= CROWD_OPENS;
}

bool busy_poll_begin_wait(struct busy_poll *poll, uint64_t now_us, const struct busy_poll_sums *sums)
{
    if (!note_turn(poll, sums)) {
        poll->score = 0;
    }
    poll->is_waiting = true;
    poll->since_us = poll->looked_us = now_us;
    return poll->score >= SCORE_AWAKE;
}

bool busy_poll_goes_on(const struct busy_poll *poll, uint64_t now_us)
{
    return poll->is_waiting && now_us - poll->since_us < SHORT_US;
}

bool busy_poll_may_yield(const struct busy_poll *poll, uint64_t now_us)
{
    return now_us - poll->looked_us <= LOOK_US;
}

void busy_poll_look(struct busy_poll *poll, uint64_t now_us)
{
    poll->looked_us = now_us;
}
