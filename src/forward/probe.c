/* Finds out whether a forward carries: probe_rule.c says when and what follows, this does it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "forward/internal.h"
#include "forward/loop.h"
#include "forward/probe_rule.h"

struct probe {
    struct forward *forward;
    struct probe_rule rule;
    struct err_info why;           /* it is degraded */
    uv_timer_t timer;              /* the next probe, or the end of the wait for the one that runs */
    struct connection *connection; /* the one that runs, or */
    struct loop *loop;
    bool is_prohibited; /* in this session a loop can find out nothing */
};

static const char *text_of(const struct forward *forward, char *out, size_t cap_bytes)
{
    return forward_spec_text(forward->spec, forward->bound_port, out, cap_bytes);
}

static bool can_be_probed(const struct forward *forward)
{
    return forward->session != NULL && !forward->probe->is_prohibited && !forward->drained && !forward->stopping &&
           (forward->state == FORWARD_UP || forward->state == FORWARD_DEGRADED);
}

static void on_timer(uv_timer_t *timer);

static void arm(struct probe *probe)
{
    uint64_t now = uv_now(probe->forward->loop);
    uint64_t due = probe->rule.due_ms;
    (void)uv_timer_start(&probe->timer, on_timer, due > now ? due - now : 0, 0);
}

static void give_up(struct probe *probe)
{
    struct connection *connection = probe->connection;
    struct loop *loop = probe->loop;
    probe->connection = NULL;
    probe->loop = NULL;
    if (connection != NULL) {
        connection_cancel(connection, "the probe is over");
    }
    if (loop != NULL) {
        loop_end(loop);
    }
}

static void degrade(struct probe *probe)
{
    char text[600];
    struct forward *forward = probe->forward;
    log_warning(forward->log_name, "%s: %s", text_of(forward, text, sizeof text), probe->why.message);
    forward_set_state(forward, FORWARD_DEGRADED, &probe->why);
}

static void heal(struct probe *probe)
{
    char text[600];
    struct forward *forward = probe->forward;
    log_info(forward->log_name, "%s: carries again, as its probe shows", text_of(forward, text, sizeof text));
    forward_set_state(forward, FORWARD_UP, NULL);
}

/* Cancelled and asked for in one: the peer takes requests in order. */
static void bind_anew(struct probe *probe)
{
    char text[600];
    struct forward *forward = probe->forward;
    log_warning(forward->log_name, "%s: still so; the peer is asked for a new listener",
                text_of(forward, text, sizeof text));
    probe_rule_pause(&probe->rule);
    remote_cancel(forward);
    forward->state = FORWARD_IDLE;
    remote_bind(forward);
}

static void end_session(struct probe *probe)
{
    struct forward *forward = probe->forward;
    probe_rule_pause(&probe->rule);
    if (forward->events.on_broken != NULL) {
        forward->events.on_broken(forward->events.arg, forward, &probe->why);
    }
}

static void finish(struct probe *probe, enum probe_outcome outcome, const char *reason)
{
    char text[600];
    struct forward *forward = probe->forward;
    give_up(probe);
    if (outcome != PROBE_WORKED) {
        char to[256];
        if (outcome == PROBE_TARGET_FAILED) {
            (void)err_set(&probe->why, ERR_CONNECT, "the target %s does not answer a probe: %s",
                          endpoint_text(&forward->spec->to, to, sizeof to), reason);
        } else {
            (void)err_set(&probe->why, ERR_CONNECT, "a probe did not come back through the peer's listener: %s",
                          reason);
        }
    }
    switch (probe_rule_result(&probe->rule, outcome, uv_now(forward->loop))) {
    case PROBE_STEP_DEGRADE: degrade(probe); break;
    case PROBE_STEP_HEALED: heal(probe); break;
    case PROBE_STEP_BIND_ANEW: bind_anew(probe); break;
    case PROBE_STEP_END_SESSION: end_session(probe); break;
    case PROBE_STEP_NONE:
        if (outcome != PROBE_WORKED) {
            log_debug(forward->log_name, "%s: %s", text_of(forward, text, sizeof text), probe->why.message);
        }
        break;
    }
    if (can_be_probed(forward) && probe->rule.due_ms != 0) {
        arm(probe);
    }
}

static void on_loop_ended(void *arg, enum loop_end ended, const char *reason)
{
    struct probe *probe = arg;
    char text[600];
    probe->loop = NULL;
    if (ended == LOOP_CAME_BACK) {
        finish(probe, PROBE_WORKED, "");
    } else if (ended == LOOP_CLOSED || ended == LOOP_REFUSED) {
        finish(probe, PROBE_WAY_FAILED, reason);
    } else if (ended == LOOP_PROHIBITED) {
        log_warning(probe->forward->log_name,
                    "%s: not probed, since the peer does not let us connect to its own listener (%s); permit that by "
                    "PermitOpen or permitopen, or use 'probe: tcp'",
                    text_of(probe->forward, text, sizeof text), reason);
        probe->is_prohibited = true;
        probe_look(probe->forward);
    }
}

static void begin(struct probe *probe)
{
    struct forward *forward = probe->forward;
    probe_rule_pause(&probe->rule);
    (void)uv_timer_start(&probe->timer, on_timer, loop_limit_ms(forward), 0);
    if (forward->spec->probe == PROBE_TCP) {
        connection_probe(forward, &probe->connection);
    } else if (forward->spec->max_channels == 0 || forward->counts.channels < forward->spec->max_channels) {
        probe->loop = loop_begin(forward, on_loop_ended, probe); /* else it carries, and has no room for a probe */
    }
    if (probe->connection == NULL && probe->loop == NULL &&
        probe->rule.due_ms == 0) { /* nothing was left to begin it with */
        probe_rule_bound(&probe->rule, uv_now(forward->loop) + probe->rule.interval_ms);
        arm(probe);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct probe *probe = timer->data;
    char reason[64];
    if (!can_be_probed(probe->forward)) {
        return;
    }
    if (probe->connection == NULL && probe->loop == NULL) {
        begin(probe);
        return;
    }
    (void)snprintf(reason, sizeof reason, "nothing came within %.3g s", (double)loop_limit_ms(probe->forward) / 1000.0);
    finish(probe, probe->loop != NULL ? PROBE_WAY_FAILED : PROBE_TARGET_FAILED, reason);
}

void probe_result(struct connection *connection, bool worked, const char *reason)
{
    struct probe *probe = connection->forward->probe;
    if (probe != NULL && probe->connection == connection) {
        probe->connection = NULL; /* it ends by itself */
        finish(probe, worked ? PROBE_WORKED : PROBE_TARGET_FAILED, reason);
    }
}

void probe_gone(struct forward *forward, const struct connection *connection)
{
    if (forward->probe != NULL && forward->probe->connection == connection) {
        forward->probe->connection = NULL; /* with its session; the timer finds out what comes next */
    }
}

bool probe_make(struct forward *forward)
{
    if (forward->spec->probe == PROBE_OFF) {
        return true;
    }
    struct probe *probe = calloc(1, sizeof *probe);
    if (probe == NULL) {
        return false;
    }
    probe->forward = forward;
    probe_rule_init(&probe->rule, forward->spec->probe_interval_ms);
    (void)uv_timer_init(forward->loop, &probe->timer);
    probe->timer.data = probe;
    forward->probe = probe;
    return true;
}

const struct err_info *probe_complaint(const struct forward *forward)
{
    return forward->probe != NULL && forward->probe->rule.is_degraded ? &forward->probe->why : NULL;
}

void probe_look(struct forward *forward)
{
    struct probe *probe = forward->probe;
    if (probe == NULL || uv_is_closing((uv_handle_t *)&probe->timer)) {
        return;
    }
    if (!can_be_probed(forward)) {
        probe_rule_pause(&probe->rule);
        (void)uv_timer_stop(&probe->timer);
        give_up(probe);
    } else if (!uv_is_active((uv_handle_t *)&probe->timer) && probe->rule.due_ms == 0) {
        probe_rule_bound(&probe->rule, uv_now(forward->loop));
        arm(probe);
    }
}

void probe_session_down(struct forward *forward)
{
    if (forward->probe != NULL) {
        probe_rule_session_down(&forward->probe->rule);
        forward->probe->is_prohibited = false;
        probe_look(forward);
        if (forward->state == FORWARD_DEGRADED) {
            forward->state = FORWARD_UP; /* a listener of ours, which stays */
            (void)err_set(&forward->error, OK, "%s", "");
        }
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct probe *probe = handle->data;
    struct forward *forward = probe->forward;
    forward->probe = NULL;
    free(probe);
    forward_check_stopped(forward);
}

void probe_close(struct forward *forward)
{
    if (forward->probe != NULL) {
        give_up(forward->probe);
        uv_close((uv_handle_t *)&forward->probe->timer, on_timer_closed);
    }
}
