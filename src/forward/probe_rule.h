/* What a forward's probes make of it: when the next one is due, and what is done about those that failed. Pure.
 *
 * A target that does not answer is nothing that a new listener or session would mend: the forward is degraded until it
 * answers. A way that is broken degrades it as well; it is bound anew after the second failure, and its session is
 * ended after the third, once until a probe has worked: the other forwards of a session are not to suffer for ever. */
#ifndef HOLDFAST_FORWARD_PROBE_RULE_H
#define HOLDFAST_FORWARD_PROBE_RULE_H

#include <stdbool.h>
#include <stdint.h>

enum probe_outcome { PROBE_WORKED, PROBE_TARGET_FAILED, PROBE_WAY_FAILED };

enum probe_step {
    PROBE_STEP_NONE,
    PROBE_STEP_DEGRADE,
    PROBE_STEP_HEALED,
    PROBE_STEP_BIND_ANEW,
    PROBE_STEP_END_SESSION
};

struct probe_rule {
    uint64_t interval_ms;
    uint64_t due_ms; /* 0: the forward is not bound, or a probe runs */
    unsigned way_failures;
    bool is_degraded;
    bool session_spent; /* it was ended once, and no probe has worked since */
};

void probe_rule_init(struct probe_rule *rule, uint64_t interval_ms);
/* The forward is bound (anew): it is looked at soon. */
void probe_rule_bound(struct probe_rule *rule, uint64_t now_ms);
/* A probe has begun, or the forward is not bound: none is due. */
void probe_rule_pause(struct probe_rule *rule);
/* The session is gone, and with it what was found out. */
void probe_rule_session_down(struct probe_rule *rule);
/* A probe has ended; the next is due after this. */
enum probe_step probe_rule_result(struct probe_rule *rule, enum probe_outcome outcome, uint64_t now_ms);

#endif
