#include "base/backoff.h"

#include <limits.h>

/* `first_ms` doubled `times` times, up to `max_ms`. */
static uint64_t doubled(uint64_t first_ms, unsigned times, uint64_t max_ms)
{
    uint64_t value_ms = first_ms;
    while (times > 0 && value_ms < max_ms) {
        value_ms = value_ms > UINT64_MAX / 2 ? UINT64_MAX : value_ms * 2;
        times--;
    }
    return value_ms < max_ms ? value_ms : max_ms;
}

static uint64_t fraction(uint64_t whole_ms, double random01)
{
    double part = (double)whole_ms * random01;
    return part >= (double)whole_ms ? whole_ms : (uint64_t)part;
}

static void count(unsigned *counter)
{
    if (*counter < UINT_MAX)
        (*counter)++;
}

void backoff_init(struct backoff *backoff, uint64_t first_ms, uint64_t max_ms)
{
    *backoff = (struct backoff){.first_ms = first_ms, .max_ms = max_ms > first_ms ? max_ms : first_ms};
}

static uint64_t after_refusal_ms(struct backoff *backoff, double random01)
{
    uint64_t max_ms = backoff->max_ms > BACKOFF_AUTH_MAX_MS ? backoff->max_ms : BACKOFF_AUTH_MAX_MS;
    uint64_t wait_ms = doubled(BACKOFF_AUTH_FIRST_MS, backoff->auth_failures, max_ms);
    count(&backoff->auth_failures);
    return wait_ms + fraction(wait_ms / 4, random01);
}

uint64_t backoff_next_ms(struct backoff *backoff, const struct backoff_outcome *outcome)
{
    if (outcome->was_up) {
        backoff->auth_failures = 0;
        if (outcome->up_for_ms >= BACKOFF_STABLE_MS)
            backoff->failures = 0;
        if (!backoff->went_at_once || outcome->now_ms - backoff->at_once_at_ms >= BACKOFF_AT_ONCE_INTERVAL_MS) {
            backoff->went_at_once = true;
            backoff->at_once_at_ms = outcome->now_ms;
            return 0;
        }
    } else if (outcome->class_ == ERR_CLASS_AUTHENTICATION) {
        return after_refusal_ms(backoff, outcome->random01);
    }
    uint64_t ceiling_ms = doubled(backoff->first_ms, backoff->failures, backoff->max_ms);
    count(&backoff->failures);
    return fraction(ceiling_ms, outcome->random01);
}

void backoff_reset(struct backoff *backoff)
{
    backoff->failures = 0;
    backoff->auth_failures = 0;
}
