#include "forward/probe_rule.h"

enum { FIRST_MS = 1000, AGAIN_MS = 5000, BIND_ANEW_AFTER = 2, END_SESSION_AFTER = 3 };

static uint64_t at_most(uint64_t interval_ms, uint64_t limit_ms)
{
    return interval_ms < limit_ms ? interval_ms : limit_ms;
}

void probe_rule_init(struct probe_rule *rule, uint64_t interval_ms)
{
    *rule = (struct probe_rule){.interval_ms = interval_ms};
}

void probe_rule_bound(struct probe_rule *rule, uint64_t now_ms)
{
    rule->due_ms = now_ms + at_most(rule->interval_ms, FIRST_MS);
}

void probe_rule_pause(struct probe_rule *rule)
{
    rule->due_ms = 0;
}

void probe_rule_session_down(struct probe_rule *rule)
{
    rule->due_ms = 0;
    rule->way_failures = 0;
    rule->is_degraded = false;
}

static enum probe_step degrade(struct probe_rule *rule)
{
    bool is_new = !rule->is_degraded;
    rule->is_degraded = true;
    return is_new ? PROBE_STEP_DEGRADE : PROBE_STEP_NONE;
}

static enum probe_step way_failed(struct probe_rule *rule)
{
    rule->way_failures++;
    if (rule->way_failures < BIND_ANEW_AFTER) {
        return degrade(rule);
    }
    rule->is_degraded = true;
    if (rule->way_failures < END_SESSION_AFTER) {
        return PROBE_STEP_BIND_ANEW;
    }
    rule->way_failures = 0; /* it begins again from the start */
    if (rule->session_spent) {
        return PROBE_STEP_NONE;
    }
    rule->session_spent = true;
    return PROBE_STEP_END_SESSION;
}

enum probe_step probe_rule_result(struct probe_rule *rule, enum probe_outcome outcome, uint64_t now_ms)
{
    bool was_degraded = rule->is_degraded;
    rule->due_ms = now_ms + (outcome == PROBE_WORKED ? rule->interval_ms : at_most(rule->interval_ms, AGAIN_MS));
    switch (outcome) {
    case PROBE_WORKED:
        rule->way_failures = 0;
        rule->is_degraded = rule->session_spent = false;
        return was_degraded ? PROBE_STEP_HEALED : PROBE_STEP_NONE;
    case PROBE_TARGET_FAILED: rule->way_failures = 0; return degrade(rule);
    case PROBE_WAY_FAILED: return way_failed(rule);
    }
    return PROBE_STEP_NONE;
}
