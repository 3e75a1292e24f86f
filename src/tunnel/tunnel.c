#include "tunnel/tunnel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/duration.h"
#include "base/log.h"
#include "forward/forward.h"
#include "session/session.h"
#include "tunnel/file_watch.h"
#include "tunnel/state.h"

enum { DISCONNECT_FLUSH_MS = 1000 };

/* A forward of this tunnel, and when it is tried again after it could not be bound. */
struct forward_slot {
    struct forward *forward;
    struct backoff backoff;
    uint64_t retry_at_ms; /* 0: not waiting */
};

struct tunnel {
    uv_loop_t *loop;
    struct tunnel_spec spec;
    struct tunnel_events events;
    enum tunnel_state state;
    struct session *session;
    bool session_ready;
    struct forward_slot *slots;
    size_t forward_count;  /* slots that hold a forward: 0 before tunnel_start */
    size_t forwards_alive; /* forwards that have not told on_stopped */
    struct backoff backoff;
    uv_timer_t retry_timer, forward_timer, stop_timer;
    struct file_watch trust_watch; /* while failed for a host key: the known_hosts files may be mended */
    size_t handles;
    uint64_t up_since_ms; /* 0: not up in this session */
    uint64_t since_unix_ms, last_error_unix_ms;
    uint64_t attempts, sessions_up;
    uint64_t past_bytes_in, past_bytes_out; /* of the sessions that ended */
    bool has_been_up;
    bool stopping, draining, ended, stopped_told;
    struct err_info last_error;
    struct err_info fault; /* why the session is being ended by us; code OK: it is not */
};

static void begin_attempt(struct tunnel *tunnel);

/* ---- the one setter of the state ---- */

static enum log_level state_level(const struct tunnel *tunnel, enum tunnel_state state)
{
    switch (state) {
    case TUNNEL_FAILED:
        return tunnel->spec.one_line ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR; /* it is the program's last word */
    case TUNNEL_WAITING:
    case TUNNEL_DEGRADED: return LOG_LEVEL_WARNING;
    default: return LOG_LEVEL_INFO;
    }
}

static void apply(struct tunnel *tunnel, enum tunnel_event event, const char *detail, const struct err_info *why)
{
    enum tunnel_state old = tunnel->state;
    enum tunnel_state state = tunnel_next_state(old, event);
    if (state == old) {
        return;
    }
    tunnel->state = state;
    tunnel->since_unix_ms = time_unix_ms();
    log_line(state_level(tunnel, state), tunnel->spec.name, "%s (was %s)%s%s%s%s", tunnel_state_name(state),
             tunnel_state_name(old), detail != NULL ? ": " : "", detail != NULL ? detail : "", why != NULL ? ": " : "",
             why != NULL ? why->message : "");
    if (tunnel->events.on_state != NULL) {
        tunnel->events.on_state(tunnel->events.arg, tunnel, state, why);
    }
}

static void set_last_error(struct tunnel *tunnel, const struct err_info *why)
{
    tunnel->last_error = *why;
    tunnel->last_error_unix_ms = time_unix_ms();
}

/* ---- waiting and trying again ---- */

static double chance(void)
{
    uint32_t bits = 0;
    if (uv_random(NULL, NULL, &bits, sizeof bits, 0, NULL) != 0) {
        bits = (uint32_t)uv_hrtime();
    }
    return bits / 4294967296.0;
}

static void on_retry(uv_timer_t *timer)
{
    begin_attempt(timer->data);
}

/* A known_hosts file changed while its lack of a key held the tunnel back. */
static void on_trust_changed(void *arg)
{
    struct tunnel *tunnel = arg;
    if (tunnel->state == TUNNEL_FAILED) {
        begin_attempt(tunnel);
    }
}

static bool is_hopeless(const struct tunnel *tunnel, const struct err_info *why)
{
    enum err_class class_ = err_classify(why->code);
    if (tunnel->spec.once || class_ == ERR_CLASS_TRUST || class_ == ERR_CLASS_DEFINITION) {
        return true;
    }
    return tunnel->spec.one_line && !tunnel->has_been_up &&
           (why->code == ERR_AUTH || (why->code == ERR_BIND && tunnel->spec.exit_on_forward_failure));
}

/* The session is over: wait for the next attempt, or give up. */
static void wait_or_fail(struct tunnel *tunnel, const struct err_info *why)
{
    char text[32];
    char detail[64];
    uint64_t now = uv_now(tunnel->loop);
    const struct backoff_outcome outcome = {
        .class_ = err_classify(why->code),
        .was_up = tunnel->up_since_ms != 0,
        .up_for_ms = tunnel->up_since_ms != 0 ? now - tunnel->up_since_ms : 0,
        .now_ms = now,
        .random01 = chance(),
    };
    set_last_error(tunnel, why);
    tunnel->up_since_ms = 0;
    if (is_hopeless(tunnel, why)) {
        apply(tunnel, TUNNEL_EVENT_HOPELESS, NULL, why);
        if (err_classify(why->code) == ERR_CLASS_TRUST && !tunnel->spec.one_line) {
            file_watch_start(&tunnel->trust_watch);
        }
        return;
    }
    uint64_t delay = backoff_next_ms(&tunnel->backoff, &outcome);
    (void)snprintf(detail, sizeof detail, "next attempt in %s", duration_text(delay, text, sizeof text));
    (void)uv_timer_start(&tunnel->retry_timer, on_retry, delay, 0);
    apply(tunnel, TUNNEL_EVENT_FAULT, delay > 0 ? detail : "next attempt at once", why);
}

/* ---- forwards ---- */

static void on_forward_retry(uv_timer_t *timer);

static void arm_forward_timer(struct tunnel *tunnel)
{
    uint64_t now = uv_now(tunnel->loop);
    uint64_t due = UINT64_MAX;
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        uint64_t at = tunnel->slots[i].retry_at_ms;
        if (at != 0 && at < due) {
            due = at;
        }
    }
    if (due == UINT64_MAX) {
        (void)uv_timer_stop(&tunnel->forward_timer);
    } else {
        (void)uv_timer_start(&tunnel->forward_timer, on_forward_retry, due > now ? due - now : 0, 0);
    }
}

static void on_forward_retry(uv_timer_t *timer)
{
    struct tunnel *tunnel = timer->data;
    uint64_t now = uv_now(tunnel->loop);
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        struct forward_slot *slot = &tunnel->slots[i];
        if (slot->retry_at_ms != 0 && slot->retry_at_ms <= now) {
            slot->retry_at_ms = 0;
            forward_bind(slot->forward);
        }
    }
    arm_forward_timer(tunnel);
}

/* Ends the session for a reason of ours; wait_or_fail follows when it is closed. */
static void end_session(struct tunnel *tunnel, const struct err_info *why)
{
    if (tunnel->fault.code == OK) {
        tunnel->fault = *why;
        session_stop(tunnel->session, DISCONNECT_FLUSH_MS);
    }
}

/* Whether one forward that cannot be bound ends the session, so that it need not be tried again by itself. */
static bool ends_by_forward(const struct tunnel *tunnel)
{
    return tunnel->spec.exit_on_forward_failure || tunnel->spec.once;
}

/* All forwards have answered, or some are still asked: what does it make of the tunnel? */
static void evaluate(struct tunnel *tunnel)
{
    const struct err_info *failed = NULL;
    char detail[64];
    if (!tunnel->session_ready || tunnel->draining || tunnel->fault.code != OK) {
        return;
    }
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        const struct forward *forward = tunnel->slots[i].forward;
        switch (forward_get_state(forward)) {
        case FORWARD_IDLE:
        case FORWARD_BINDING: return; /* its answer comes */
        case FORWARD_FAILED: failed = failed != NULL ? failed : forward_error(forward); break;
        case FORWARD_UP: break;
        }
    }
    if (failed != NULL && ends_by_forward(tunnel)) {
        end_session(tunnel, failed);
        return;
    }
    if (tunnel->up_since_ms == 0) {
        tunnel->up_since_ms = uv_now(tunnel->loop);
        tunnel->sessions_up++;
    }
    if (failed != NULL) {
        set_last_error(tunnel, failed);
        apply(tunnel, TUNNEL_EVENT_SOME_FAILED, NULL, failed);
        return;
    }
    enum tunnel_state old = tunnel->state;
    (void)snprintf(detail, sizeof detail, "%zu forward%s", tunnel->spec.forward_count,
                   tunnel->spec.forward_count == 1 ? "" : "s");
    tunnel->has_been_up = true;
    apply(tunnel, TUNNEL_EVENT_ALL_BOUND, detail, NULL);
    if (old != TUNNEL_UP && tunnel->state == TUNNEL_UP && tunnel->events.on_up != NULL) {
        tunnel->events.on_up(tunnel->events.arg, tunnel);
    }
}

static void on_forward_change(void *arg, struct forward *forward)
{
    struct tunnel *tunnel = arg;
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        struct forward_slot *slot = &tunnel->slots[i];
        if (slot->forward != forward) {
            continue;
        }
        if (forward_get_state(forward) == FORWARD_UP) {
            backoff_reset(&slot->backoff);
            slot->retry_at_ms = 0;
        } else if (forward_get_state(forward) == FORWARD_FAILED && !ends_by_forward(tunnel)) {
            char text[600];
            char wait[32];
            const struct backoff_outcome outcome = {
                .class_ = ERR_CLASS_TRANSIENT, .now_ms = uv_now(tunnel->loop), .random01 = chance()};
            uint64_t delay = backoff_next_ms(&slot->backoff, &outcome);
            slot->retry_at_ms = uv_now(tunnel->loop) + delay + 1;
            log_warning(tunnel->spec.name, "%s: %s; next try in %s",
                        forward_spec_text(forward_get_spec(forward), 0, text, sizeof text),
                        forward_error(forward)->message, duration_text(delay, wait, sizeof wait));
        }
    }
    arm_forward_timer(tunnel);
    evaluate(tunnel);
}

/* ---- the session ---- */

static void on_phase(void *arg, enum session_phase phase)
{
    struct tunnel *tunnel = arg;
    struct session_facts facts;
    session_get_facts(tunnel->session, &facts);
    switch (phase) {
    case SESSION_CONNECTING: apply(tunnel, TUNNEL_EVENT_CONNECTING, NULL, NULL); break;
    case SESSION_HANDSHAKING: apply(tunnel, TUNNEL_EVENT_HANDSHAKING, facts.address, NULL); break;
    case SESSION_AUTHENTICATING: apply(tunnel, TUNNEL_EVENT_AUTHENTICATING, facts.host_key, NULL); break;
    case SESSION_READY:
        apply(tunnel, TUNNEL_EVENT_BINDING, facts.cipher, NULL);
        tunnel->session_ready = true;
        for (size_t i = 0; i < tunnel->forward_count; i++) {
            forward_session_up(tunnel->slots[i].forward, tunnel->session);
            forward_bind(tunnel->slots[i].forward);
        }
        evaluate(tunnel);
        break;
    case SESSION_RESOLVING:
    case SESSION_CLOSED: break;
    }
}

static void on_offer(void *arg, struct channel *channel, const struct channel_offer *offer)
{
    struct tunnel *tunnel = arg;
    struct forward *best = NULL;
    int best_match = 0;
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        int match = forward_matches(tunnel->slots[i].forward, offer);
        if (match > best_match) {
            best = tunnel->slots[i].forward;
            best_match = match;
        }
    }
    if (best == NULL) {
        log_warning(tunnel->spec.name, "the peer offered a connection from %s:%u for %s:%u, which no forward asked for",
                    offer->originator_host, offer->originator_port, offer->listen_host, offer->listen_port);
        channel_reject(channel, ERR_BIND, "no such forward");
        return;
    }
    forward_take(best, channel, offer);
}

static void check_stopped(struct tunnel *tunnel);

static void on_session_closed(void *arg, const struct err_info *why)
{
    struct tunnel *tunnel = arg;
    struct session *session = tunnel->session;
    struct err_info reason = tunnel->fault.code != OK ? tunnel->fault : *why;
    struct session_facts facts;
    session_get_facts(session, &facts);
    tunnel->past_bytes_in += facts.bytes_in;
    tunnel->past_bytes_out += facts.bytes_out;
    tunnel->session = NULL;
    tunnel->session_ready = false;
    tunnel->fault.code = OK;
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        forward_session_down(tunnel->slots[i].forward);
    }
    session_free(session);
    if (tunnel->stopping) {
        tunnel_stop(tunnel, 0);
        check_stopped(tunnel);
    } else {
        wait_or_fail(tunnel, &reason);
    }
}

static void begin_attempt(struct tunnel *tunnel)
{
    const struct session_events events = {
        .on_phase = on_phase, .on_offer = on_offer, .on_closed = on_session_closed, .arg = tunnel};
    if (tunnel->stopping || tunnel->session != NULL) {
        return;
    }
    file_watch_look(&tunnel->trust_watch);
    tunnel->attempts++;
    apply(tunnel, TUNNEL_EVENT_ATTEMPT, NULL, NULL);
    bool interactive = tunnel->spec.one_line && !tunnel->spec.host.batch_mode && !tunnel->has_been_up;
    tunnel->session = session_new(tunnel->loop, &tunnel->spec.host, interactive, tunnel->spec.name, &events);
    if (tunnel->session == NULL) {
        struct err_info why;
        (void)err_set(&why, ERR_MEMORY, "out of memory");
        wait_or_fail(tunnel, &why);
        return;
    }
    session_start(tunnel->session);
}

/* ---- the end ---- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct tunnel *tunnel = handle->data;
    tunnel->handles--;
    check_stopped(tunnel);
}

static void on_forward_stopped(void *arg, struct forward *forward)
{
    struct tunnel *tunnel = arg;
    (void)forward;
    tunnel->forwards_alive--;
    check_stopped(tunnel);
}

static void check_stopped(struct tunnel *tunnel)
{
    if (!tunnel->ended || tunnel->session != NULL || tunnel->forwards_alive > 0 || tunnel->handles > 0 ||
        tunnel->stopped_told) {
        return;
    }
    tunnel->stopped_told = true;
    apply(tunnel, TUNNEL_EVENT_STOPPED, NULL, NULL);
    tunnel->events.on_stopped(tunnel->events.arg, tunnel);
}

/* Draining is over: everything is closed now. */
static void end_all(struct tunnel *tunnel, uint64_t flush_ms)
{
    if (tunnel->ended) {
        return;
    }
    tunnel->ended = true;
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        forward_stop(tunnel->slots[i].forward);
    }
    if (tunnel->session != NULL) {
        session_stop(tunnel->session, tunnel->session_ready ? flush_ms : 0);
    }
    uv_close((uv_handle_t *)&tunnel->retry_timer, on_handle_closed);
    uv_close((uv_handle_t *)&tunnel->forward_timer, on_handle_closed);
    uv_close((uv_handle_t *)&tunnel->stop_timer, on_handle_closed);
    tunnel->trust_watch.timer.data = tunnel; /* the handles' closing is counted by tunnel */
    uv_close((uv_handle_t *)&tunnel->trust_watch.timer, on_handle_closed);
}

static void on_grace_over(uv_timer_t *timer)
{
    end_all(timer->data, DISCONNECT_FLUSH_MS);
}

static bool has_connections(const struct tunnel *tunnel)
{
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        struct forward_counts counts;
        forward_get_counts(tunnel->slots[i].forward, &counts);
        if (counts.channels > 0) {
            return true;
        }
    }
    return false;
}

static void on_connection_end(void *arg, struct forward *forward)
{
    struct tunnel *tunnel = arg;
    (void)forward;
    if (tunnel->draining && !tunnel->ended && !has_connections(tunnel)) {
        (void)uv_timer_start(&tunnel->stop_timer, on_grace_over, 0, 0);
    }
}

void tunnel_stop(struct tunnel *tunnel, uint64_t grace_ms)
{
    bool first = !tunnel->stopping;
    tunnel->stopping = tunnel->draining = true;
    if (tunnel->ended) {
        if (grace_ms == 0 && tunnel->session != NULL) {
            session_stop(tunnel->session, 0);
        }
        return;
    }
    if (first) {
        (void)uv_timer_stop(&tunnel->retry_timer);
        (void)uv_timer_stop(&tunnel->forward_timer);
        for (size_t i = 0; i < tunnel->forward_count; i++) {
            forward_drain(tunnel->slots[i].forward);
        }
    }
    if (grace_ms == 0 || !tunnel->session_ready || !has_connections(tunnel)) {
        end_all(tunnel, grace_ms > 0 ? DISCONNECT_FLUSH_MS : 0);
        return;
    }
    (void)uv_timer_start(&tunnel->stop_timer, on_grace_over, grace_ms, 0);
}

void tunnel_wake(struct tunnel *tunnel)
{
    if (tunnel->stopping) {
        return;
    }
    if (tunnel->session != NULL) {
        session_probe(tunnel->session);
        for (size_t i = 0; i < tunnel->forward_count; i++) {
            if (tunnel->slots[i].retry_at_ms != 0) {
                backoff_reset(&tunnel->slots[i].backoff);
                tunnel->slots[i].retry_at_ms = uv_now(tunnel->loop);
            }
        }
        arm_forward_timer(tunnel);
    } else if (tunnel->state == TUNNEL_WAITING && err_classify(tunnel->last_error.code) != ERR_CLASS_AUTHENTICATION) {
        backoff_reset(&tunnel->backoff);
        (void)uv_timer_stop(&tunnel->retry_timer);
        begin_attempt(tunnel);
    }
}

/* ---- the beginning ---- */

static bool make_forwards(struct tunnel *tunnel)
{
    const struct forward_events events = {.on_change = on_forward_change,
                                          .on_stopped = on_forward_stopped,
                                          .on_connection_end = on_connection_end,
                                          .arg = tunnel};
    for (size_t i = 0; i < tunnel->spec.forward_count; i++) {
        struct forward_slot *slot = &tunnel->slots[i];
        slot->forward = forward_new(tunnel->loop, &tunnel->spec.forwards[i], tunnel->spec.name,
                                    tunnel->spec.host.connect_timeout_ms, &events);
        if (slot->forward == NULL) {
            return false;
        }
        backoff_init(&slot->backoff, tunnel->spec.backoff_first_ms, tunnel->spec.backoff_max_ms);
        tunnel->forwards_alive++;
        tunnel->forward_count++;
    }
    return true;
}

struct tunnel *tunnel_new(uv_loop_t *loop, const struct tunnel_spec *spec, const struct tunnel_events *events)
{
    struct tunnel *tunnel = calloc(1, sizeof *tunnel);
    if (tunnel == NULL) {
        return NULL;
    }
    tunnel->loop = loop;
    tunnel->since_unix_ms = time_unix_ms();
    tunnel->events = *events;
    tunnel_spec_init(&tunnel->spec);
    tunnel->slots = calloc(spec->forward_count + 1, sizeof *tunnel->slots);
    if (tunnel->slots == NULL || tunnel_spec_copy(&tunnel->spec, spec) != OK) {
        tunnel_spec_deinit(&tunnel->spec);
        free(tunnel->slots);
        free(tunnel);
        return NULL;
    }
    backoff_init(&tunnel->backoff, spec->backoff_first_ms, spec->backoff_max_ms);
    return tunnel;
}

void tunnel_start(struct tunnel *tunnel)
{
    uv_timer_t *timers[] = {&tunnel->retry_timer, &tunnel->forward_timer, &tunnel->stop_timer};
    for (size_t i = 0; i < 3; i++) {
        (void)uv_timer_init(tunnel->loop, timers[i]);
        timers[i]->data = tunnel;
        tunnel->handles++;
    }
    file_watch_init(&tunnel->trust_watch, tunnel->loop, &tunnel->spec.host.known_hosts_files, on_trust_changed, tunnel);
    tunnel->handles++;
    if (!make_forwards(tunnel)) {
        struct err_info why;
        (void)err_set(&why, ERR_MEMORY, "out of memory");
        set_last_error(tunnel, &why);
        apply(tunnel, TUNNEL_EVENT_HOPELESS, NULL, &why);
        return;
    }
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        if (tunnel->spec.forwards[i].type == FORWARD_LOCAL) {
            forward_bind(tunnel->slots[i].forward);
        }
    }
    begin_attempt(tunnel);
}

void tunnel_free(struct tunnel *tunnel)
{
    if (tunnel == NULL) {
        return;
    }
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        forward_free(tunnel->slots[i].forward);
    }
    free(tunnel->slots);
    tunnel_spec_deinit(&tunnel->spec);
    free(tunnel);
}

/* ---- looking at it ---- */

enum tunnel_state tunnel_get_state(const struct tunnel *tunnel)
{
    return tunnel->state;
}

const struct tunnel_spec *tunnel_get_spec(const struct tunnel *tunnel)
{
    return &tunnel->spec;
}

bool tunnel_has_been_up(const struct tunnel *tunnel)
{
    return tunnel->has_been_up;
}

const struct err_info *tunnel_last_error(const struct tunnel *tunnel)
{
    return &tunnel->last_error;
}

static int64_t next_retry_ms(const struct tunnel *tunnel)
{
    const uv_timer_t *timer = tunnel->state == TUNNEL_WAITING ? &tunnel->retry_timer : &tunnel->forward_timer;
    if (tunnel->handles == 0 || tunnel->ended || !uv_is_active((const uv_handle_t *)timer)) {
        return -1;
    }
    return (int64_t)uv_timer_get_due_in(timer);
}

void tunnel_get_facts(const struct tunnel *tunnel, struct tunnel_facts *out)
{
    *out = (struct tunnel_facts){
        .state = tunnel->state,
        .since_unix_ms = tunnel->since_unix_ms,
        .attempts = tunnel->attempts,
        .reconnects = tunnel->sessions_up > 1 ? tunnel->sessions_up - 1 : 0,
        .next_retry_ms = next_retry_ms(tunnel),
        .last_error = tunnel->last_error.code != OK ? &tunnel->last_error : NULL,
        .last_error_unix_ms = tunnel->last_error_unix_ms,
        .session = {.rtt_ms = -1},
        .bytes_in = tunnel->past_bytes_in,
        .bytes_out = tunnel->past_bytes_out,
    };
    if (tunnel->session != NULL) {
        session_get_facts(tunnel->session, &out->session);
        out->has_peer = out->session.address[0] != '\0';
        out->bytes_in += out->session.bytes_in;
        out->bytes_out += out->session.bytes_out;
    }
}

size_t tunnel_forward_count(const struct tunnel *tunnel)
{
    return tunnel->forward_count;
}

const struct forward *tunnel_forward(const struct tunnel *tunnel, size_t index)
{
    return tunnel->slots[index].forward;
}

bool tunnel_is_hopeless(const struct tunnel *tunnel)
{
    return tunnel->state == TUNNEL_FAILED && is_hopeless(tunnel, &tunnel->last_error);
}

uint16_t tunnel_forward_bound_port(const struct tunnel *tunnel, size_t forward_index)
{
    return forward_index < tunnel->forward_count ? forward_bound_port(tunnel->slots[forward_index].forward) : 0;
}
