#include "tunnel/tunnel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/duration.h"
#include "base/log.h"
#include "tunnel/hooks.h"
#include "tunnel/internal.h"
#include "tunnel/slots.h"
#include "tunnel/state.h"

enum { DISCONNECT_FLUSH_MS = 1000, HURRY_AGAIN_MS = 60000 };

static void begin_attempt(struct tunnel *tunnel);

/* ---- the one setter of the state ---- */

static enum log_level state_level(const struct tunnel *tunnel, enum tunnel_state state)
{
    switch (state) {
    case TUNNEL_FAILED:
        return tunnel->spec.one_line ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR; /* it is the program's last word */
    case TUNNEL_WAITING:
    case TUNNEL_PORT_BUSY:
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
    tunnel_run_hooks(tunnel, why != NULL ? why->message : "");
}

static void set_last_error(struct tunnel *tunnel, const struct err_info *why)
{
    tunnel->last_error = *why;
    tunnel->last_error_unix_ms = time_unix_ms();
}

/* ---- waiting and trying again ---- */

double tunnel_chance(void)
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
        .random01 = tunnel_chance(),
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

/* Ends the session for a reason of ours; wait_or_fail follows when it is closed. */
static void end_session(struct tunnel *tunnel, const struct err_info *why)
{
    if (tunnel->fault.code == OK) {
        tunnel->fault = *why;
        session_stop(tunnel->session, DISCONNECT_FLUSH_MS);
    }
}

bool tunnel_ends_by_forward(const struct tunnel *tunnel)
{
    return tunnel->spec.exit_on_forward_failure || tunnel->spec.once;
}

void tunnel_session_broken(struct tunnel *tunnel, const struct err_info *why)
{
    if (tunnel->session_ready && !tunnel->stopping) {
        end_session(tunnel, why);
    }
}

void tunnel_evaluate(struct tunnel *tunnel)
{
    const struct err_info *failed = NULL;
    char detail[64];
    if (!tunnel->session_ready || tunnel->draining || tunnel->fault.code != OK ||
        !slots_have_answered(tunnel, &failed)) {
        return;
    }
    /* ERR_CONNECT is a probe's: the forward is bound, and a new session would not have its target answer. */
    if (failed != NULL && failed->code != ERR_CONNECT && tunnel_ends_by_forward(tunnel)) {
        if (reclaim_is_working(tunnel->reclaim)) {
            return; /* the port may be ours in a moment; its news come back here */
        }
        end_session(tunnel, failed);
        return;
    }
    if (tunnel->up_since_ms == 0) {
        tunnel->up_since_ms = uv_now(tunnel->loop);
        tunnel->sessions_up++;
    }
    if (failed != NULL) {
        set_last_error(tunnel, failed);
        apply(tunnel, slots_only_busy(tunnel) ? TUNNEL_EVENT_PORT_BUSY : TUNNEL_EVENT_SOME_FAILED, NULL, failed);
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
        tunnel->hurried = false;
        slots_session_up(tunnel);
        tunnel_evaluate(tunnel);
        break;
    case SESSION_RESOLVING:
    case SESSION_CLOSED: break;
    }
}

static void on_offer(void *arg, struct channel *channel, const struct channel_offer *offer)
{
    struct tunnel *tunnel = arg;
    struct forward *best = slots_match(tunnel, offer);
    if (best == NULL) {
        log_warning(tunnel->spec.name, "the peer offered a connection from %s:%u for %s:%u, which no forward asked for",
                    offer->originator_host, offer->originator_port, offer->listen_host, offer->listen_port);
        channel_reject(channel, ERR_BIND, "no such forward");
        return;
    }
    forward_take(best, channel, offer);
}

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
    slots_session_down(tunnel);
    session_free(session);
    if (tunnel->stopping) {
        tunnel_stop(tunnel, 0);
        tunnel_check_stopped(tunnel);
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
    tunnel_check_stopped(tunnel);
}

void tunnel_check_stopped(struct tunnel *tunnel)
{
    if (!tunnel->ended || tunnel->session != NULL || tunnel->forwards_alive > 0 || tunnel->handles > 0 ||
        tunnel->stopped_told) {
        return;
    }
    apply(tunnel, TUNNEL_EVENT_STOPPED, NULL, NULL);
    if (!hooks_are_idle(tunnel->hooks)) {
        return; /* the last of them calls again */
    }
    tunnel->stopped_told = true;
    tunnel->events.on_stopped(tunnel->events.arg, tunnel);
}

/* Draining is over: everything is closed now. */
static void end_all(struct tunnel *tunnel, uint64_t flush_ms)
{
    if (tunnel->ended) {
        return;
    }
    tunnel->ended = true;
    slots_stop(tunnel);
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

void tunnel_drained(struct tunnel *tunnel)
{
    if (tunnel->draining && !tunnel->ended) {
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
        if (grace_ms == 0 && tunnel->hooks != NULL) {
            hooks_kill(tunnel->hooks);
        }
        return;
    }
    if (first) {
        (void)uv_timer_stop(&tunnel->retry_timer);
        (void)uv_timer_stop(&tunnel->forward_timer);
        slots_drain(tunnel);
    }
    if (grace_ms == 0 || !tunnel->session_ready || !slots_have_connections(tunnel)) {
        end_all(tunnel, grace_ms > 0 ? DISCONNECT_FLUSH_MS : 0);
        return;
    }
    (void)uv_timer_start(&tunnel->stop_timer, on_grace_over, grace_ms, 0);
}

/* Whether a session is to show soon that it lives. One that is being made, once in a while: a network that changes all
 * the time (as containers come and go) would cut each attempt short. */
static bool may_hurry(struct tunnel *tunnel)
{
    uint64_t now = uv_now(tunnel->loop);
    if (tunnel->session_ready) {
        return true;
    }
    if (tunnel->hurried && now - tunnel->hurried_ms < HURRY_AGAIN_MS) {
        return false;
    }
    tunnel->hurried = true;
    tunnel->hurried_ms = now;
    return true;
}

void tunnel_wake(struct tunnel *tunnel)
{
    if (tunnel->stopping) {
        return;
    }
    if (tunnel->session != NULL) {
        if (may_hurry(tunnel)) {
            session_probe(tunnel->session);
        }
        if (!tunnel->session_ready && err_classify(tunnel->last_error.code) != ERR_CLASS_AUTHENTICATION) {
            backoff_reset(&tunnel->backoff); /* what it waited for so long may be mended now */
        }
        slots_retry_now(tunnel);
    } else if (tunnel->state == TUNNEL_WAITING && err_classify(tunnel->last_error.code) != ERR_CLASS_AUTHENTICATION) {
        backoff_reset(&tunnel->backoff);
        (void)uv_timer_stop(&tunnel->retry_timer);
        begin_attempt(tunnel);
    }
}

void tunnel_retry(struct tunnel *tunnel)
{
    if (tunnel->stopping || tunnel->session != NULL || tunnel->state != TUNNEL_FAILED) {
        return;
    }
    file_watch_stop(&tunnel->trust_watch);
    backoff_reset(&tunnel->backoff);
    begin_attempt(tunnel);
}

enum err tunnel_update(struct tunnel *tunnel, const struct tunnel_spec *wanted)
{
    struct tunnel_spec spec;
    struct tunnel_spec old = tunnel->spec;
    if (tunnel_spec_copy(&spec, wanted) != OK) {
        return ERR_MEMORY;
    }
    if (tunnel->handles > 0 && !tunnel->stopping && slots_update(tunnel, &spec) != OK) {
        tunnel_spec_deinit(&spec);
        return ERR_MEMORY;
    }
    tunnel->spec = spec;
    tunnel->spec.name = old.name; /* the session has these two */
    tunnel->spec.host = old.host;
    old.name = spec.name;
    old.host = spec.host;
    tunnel_spec_deinit(&old);
    tunnel->backoff.first_ms = spec.backoff_first_ms;
    tunnel->backoff.max_ms = spec.backoff_max_ms;
    if (tunnel->reclaim != NULL) {
        reclaim_enable(tunnel->reclaim, !spec.no_reclaim);
    }
    return OK;
}

/* ---- the beginning ---- */

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
    if (tunnel_spec_copy(&tunnel->spec, spec) != OK) {
        free(tunnel);
        return NULL;
    }
    backoff_init(&tunnel->backoff, spec->backoff_first_ms, spec->backoff_max_ms);
    return tunnel;
}

enum err tunnel_keep_record(struct tunnel *tunnel, const char *path)
{
    free(tunnel->record_path);
    tunnel->record_path = strdup(path);
    return tunnel->record_path != NULL ? OK : ERR_MEMORY;
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
    if (!slots_make(tunnel) || !slots_make_reclaim(tunnel)) {
        struct err_info why;
        (void)err_set(&why, ERR_MEMORY, "out of memory");
        set_last_error(tunnel, &why);
        apply(tunnel, TUNNEL_EVENT_HOPELESS, NULL, &why);
        return;
    }
    slots_bind_own_side(tunnel);
    begin_attempt(tunnel);
}

void tunnel_free(struct tunnel *tunnel)
{
    if (tunnel == NULL) {
        return;
    }
    slots_free(tunnel);
    hooks_free(tunnel->hooks);
    reclaim_free(tunnel->reclaim);
    free(tunnel->record_path);
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
