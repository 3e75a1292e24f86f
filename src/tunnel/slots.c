#include "tunnel/slots.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/log.h"

/* ---- trying again ---- */

static void on_tick(uv_timer_t *timer);

static void arm_timer(struct tunnel *tunnel)
{
    uint64_t now = uv_now(tunnel->loop);
    uint64_t due = tunnel->slots_changed ? now : UINT64_MAX;
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        uint64_t at = tunnel->slots[i].retry_at_ms;
        if (at != 0 && at < due) {
            due = at;
        }
    }
    if (due == UINT64_MAX) {
        (void)uv_timer_stop(&tunnel->forward_timer);
    } else {
        (void)uv_timer_start(&tunnel->forward_timer, on_tick, due > now ? due - now : 0, 0);
    }
}

static bool has_connections(const struct forward *forward)
{
    struct forward_counts counts;
    forward_get_counts(forward, &counts);
    return counts.channels > 0;
}

/* Ends the cancelled forwards that have no connection left. */
static void prune(struct tunnel *tunnel)
{
    for (size_t i = 0; i < tunnel->leaving_count; i++) {
        if (!has_connections(tunnel->leaving[i])) {
            forward_stop(tunnel->leaving[i]);
        }
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct tunnel *tunnel = timer->data;
    uint64_t now = uv_now(tunnel->loop);
    bool has_changed = tunnel->slots_changed;
    tunnel->slots_changed = false;
    prune(tunnel);
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        struct forward_slot *slot = &tunnel->slots[i];
        if (slot->retry_at_ms != 0 && slot->retry_at_ms <= now) {
            slot->retry_at_ms = 0;
            forward_bind(slot->forward);
        }
    }
    arm_timer(tunnel);
    if (has_changed) {
        tunnel_evaluate(tunnel); /* the one that had failed may be gone */
    }
}

void slots_retry_now(struct tunnel *tunnel)
{
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        if (tunnel->slots[i].retry_at_ms != 0) {
            backoff_reset(&tunnel->slots[i].backoff);
            tunnel->slots[i].retry_at_ms = uv_now(tunnel->loop);
        }
    }
    arm_timer(tunnel);
}

/* ---- what forwards tell ---- */

/* Marks a forward whose port was refused as busy, if that is what is known of the port. */
static bool mark_if_busy(const struct tunnel *tunnel, struct forward_slot *slot)
{
    struct err_info busy;
    uint16_t port = forward_refused_port(slot->forward);
    if (forward_port_is_elsewhere(slot->forward)) {
        busy = *forward_error(slot->forward);
    } else if (port == 0 || !reclaim_judge(tunnel->reclaim, port, &busy)) {
        return false;
    }
    forward_set_busy(slot->forward, &busy);
    return true;
}

/* How long to wait before the forward is tried again; who has its port is found out before. */
static uint64_t retry_delay_ms(struct tunnel *tunnel, struct forward_slot *slot)
{
    uint16_t port = forward_refused_port(slot->forward);
    if (port != 0) {
        reclaim_refused(tunnel->reclaim, port);
    }
    if (mark_if_busy(tunnel, slot)) {
        return reclaim_retry_ms(tunnel->reclaim, port, tunnel->spec.backoff_max_ms);
    }
    const struct backoff_outcome outcome = {
        .class_ = ERR_CLASS_TRANSIENT, .now_ms = uv_now(tunnel->loop), .random01 = tunnel_chance()};
    slot->is_told = false;
    return backoff_next_ms(&slot->backoff, &outcome);
}

static void note_failure(struct tunnel *tunnel, struct forward_slot *slot)
{
    char text[600];
    char wait[32];
    uint64_t delay = retry_delay_ms(tunnel, slot);
    if (tunnel_ends_by_forward(tunnel)) {
        return;
    }
    slot->retry_at_ms = uv_now(tunnel->loop) + delay + 1;
    log_line(slot->is_told ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING, tunnel->spec.name, "%s: %s; next try in %s",
             forward_spec_text(forward_get_spec(slot->forward), 0, text, sizeof text),
             forward_error(slot->forward)->message, duration_text(delay, wait, sizeof wait));
    slot->is_told = forward_get_state(slot->forward) == FORWARD_PORT_BUSY; /* it is tried often at first */
}

static void note_success(const struct tunnel *tunnel, struct forward_slot *slot)
{
    const struct forward *forward = slot->forward;
    backoff_reset(&slot->backoff);
    slot->retry_at_ms = 0;
    slot->is_told = false;
    if (forward_get_spec(forward)->type == FORWARD_REMOTE && forward_bound_port(forward) != 0) {
        reclaim_bound(tunnel->reclaim, forward_bound_port(forward));
    }
    if (slot->is_added) {
        char text[600];
        log_info(tunnel->spec.name, "added and up: %s",
                 forward_spec_text(forward_get_spec(forward), forward_bound_port(forward), text, sizeof text));
        slot->is_added = false;
    }
}

static void on_change(void *arg, struct forward *forward)
{
    struct tunnel *tunnel = arg;
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        struct forward_slot *slot = &tunnel->slots[i];
        if (slot->forward != forward) {
            continue;
        }
        if (forward_get_state(forward) == FORWARD_UP) {
            note_success(tunnel, slot);
        } else if (forward_get_state(forward) == FORWARD_FAILED) {
            note_failure(tunnel, slot);
        }
    }
    arm_timer(tunnel);
    tunnel_evaluate(tunnel);
}

/* A cancelled forward may go now; those of a tunnel that ends go with it. */
static void drop_leaving(struct tunnel *tunnel, struct forward *forward)
{
    for (size_t i = 0; i < tunnel->leaving_count && !tunnel->ended; i++) {
        if (tunnel->leaving[i] == forward) {
            tunnel->leaving[i] = tunnel->leaving[--tunnel->leaving_count];
            forward_free(forward);
            return;
        }
    }
}

static void on_stopped(void *arg, struct forward *forward)
{
    struct tunnel *tunnel = arg;
    tunnel->forwards_alive--;
    drop_leaving(tunnel, forward);
    tunnel_check_stopped(tunnel);
}

static void on_connection_end(void *arg, struct forward *forward)
{
    struct tunnel *tunnel = arg;
    if (tunnel->draining) {
        if (!slots_have_connections(tunnel)) {
            tunnel_drained(tunnel);
        }
        return;
    }
    for (size_t i = 0; i < tunnel->leaving_count; i++) {
        if (tunnel->leaving[i] == forward && !has_connections(forward)) {
            tunnel->slots_changed = true;
            arm_timer(tunnel);
        }
    }
}

/* ---- making and changing them ---- */

static void on_broken(void *arg, struct forward *forward, const struct err_info *why)
{
    (void)forward;
    tunnel_session_broken(arg, why);
}

static bool make_one(struct tunnel *tunnel, struct forward_slot *slot, const struct forward_spec *spec,
                     const struct tunnel_spec *of)
{
    const struct forward_events events = {.on_change = on_change,
                                          .on_stopped = on_stopped,
                                          .on_connection_end = on_connection_end,
                                          .on_broken = on_broken,
                                          .arg = tunnel};
    slot->forward = forward_new(tunnel->loop, spec, tunnel->spec.name, of->host.connect_timeout_ms, &events);
    if (slot->forward == NULL) {
        return false;
    }
    backoff_init(&slot->backoff, of->backoff_first_ms, of->backoff_max_ms);
    tunnel->forwards_alive++;
    return true;
}

bool slots_make(struct tunnel *tunnel)
{
    tunnel->slots = calloc(tunnel->spec.forward_count + 1, sizeof *tunnel->slots);
    for (size_t i = 0; tunnel->slots != NULL && i < tunnel->spec.forward_count; i++) {
        if (!make_one(tunnel, &tunnel->slots[i], &tunnel->spec.forwards[i], &tunnel->spec)) {
            return false;
        }
        tunnel->forward_count++;
    }
    return tunnel->slots != NULL;
}

/* More is known about who holds the ports that the peer refused. */
static void on_reclaim_news(void *arg, bool try_again)
{
    struct tunnel *tunnel = arg;
    if (!tunnel->session_ready || tunnel->draining || tunnel->fault.code != OK) {
        return;
    }
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        struct forward_slot *slot = &tunnel->slots[i];
        slot->is_told = false; /* also when it is just being asked for: its next failure says the new */
        if (mark_if_busy(tunnel, slot) && try_again) {
            slot->retry_at_ms = 0;
            forward_bind(slot->forward);
        }
    }
    arm_timer(tunnel);
    tunnel_evaluate(tunnel);
}

bool slots_make_reclaim(struct tunnel *tunnel)
{
    char host[512];
    const struct host_spec *spec = &tunnel->spec.host;
    (void)snprintf(host, sizeof host, "%s@%s:%u", spec->user, spec->name, (unsigned)spec->port);
    const struct reclaim_options options = {.loop = tunnel->loop,
                                            .tunnel = tunnel->spec.name,
                                            .host = host,
                                            .record_path = tunnel->record_path,
                                            .enabled = !tunnel->spec.no_reclaim && !tunnel->spec.one_line,
                                            .one_line = tunnel->spec.one_line,
                                            .on_news = on_reclaim_news,
                                            .arg = tunnel};
    if (tunnel->reclaim == NULL) {
        tunnel->reclaim = reclaim_new(&options);
    }
    return tunnel->reclaim != NULL;
}

/* Cancels a forward of the old set. */
static void cancel(struct tunnel *tunnel, struct forward *forward)
{
    char text[600];
    struct forward_counts counts;
    forward_get_counts(forward, &counts);
    log_info(tunnel->spec.name, "removed: %s%s",
             forward_spec_text(forward_get_spec(forward), forward_bound_port(forward), text, sizeof text),
             counts.channels > 0 ? "; its connections go on until they end" : "");
    forward_drain(forward, "the forward was removed");
    tunnel->leaving[tunnel->leaving_count++] = forward;
}

/* Room for what slots_update needs. */
struct change {
    size_t *match; /* per wanted forward: its slot of now, or SIZE_MAX */
    bool *is_kept; /* per slot of now */
    struct forward_slot *slots;
};

static void change_free(struct change *change)
{
    free(change->match);
    free(change->is_kept);
    free(change->slots);
}

static enum err change_make(struct tunnel *tunnel, const struct tunnel_spec *wanted, struct change *change)
{
    struct forward **leaving =
        realloc((void *)tunnel->leaving,
                (tunnel->leaving_count + tunnel->forward_count + wanted->forward_count + 1) * sizeof(struct forward *));
    if (leaving != NULL) {
        tunnel->leaving = leaving;
    }
    change->match = calloc(wanted->forward_count + 1, sizeof *change->match);
    change->is_kept = calloc(tunnel->forward_count + 1, sizeof *change->is_kept);
    change->slots = calloc(wanted->forward_count + 1, sizeof *change->slots);
    return leaving != NULL && change->match != NULL && change->is_kept != NULL && change->slots != NULL ? OK
                                                                                                        : ERR_MEMORY;
}

/* Makes what is new. On failure what was made leaves again, with nothing bound yet. */
static enum err make_new(struct tunnel *tunnel, const struct tunnel_spec *wanted, const struct change *change)
{
    for (size_t i = 0; i < wanted->forward_count; i++) {
        if (change->match[i] == SIZE_MAX && !make_one(tunnel, &change->slots[i], &wanted->forwards[i], wanted)) {
            while (i-- > 0) {
                if (change->match[i] == SIZE_MAX) {
                    tunnel->leaving[tunnel->leaving_count++] = change->slots[i].forward;
                    forward_stop(change->slots[i].forward);
                }
            }
            return ERR_MEMORY;
        }
    }
    return OK;
}

/* Puts each kept forward and each new one in its place. */
static void rearrange(struct tunnel *tunnel, const struct tunnel_spec *wanted, struct change *change)
{
    for (size_t i = 0; i < wanted->forward_count; i++) {
        struct forward_slot *slot = &change->slots[i];
        if (change->match[i] != SIZE_MAX) {
            *slot = tunnel->slots[change->match[i]];
            slot->backoff.first_ms = wanted->backoff_first_ms;
            slot->backoff.max_ms = wanted->backoff_max_ms;
            change->is_kept[change->match[i]] = true;
            continue;
        }
        slot->is_added = true;
        slot->retry_at_ms = uv_now(tunnel->loop);
        if (tunnel->session_ready) {
            forward_session_up(slot->forward, tunnel->session);
        }
    }
}

enum err slots_update(struct tunnel *tunnel, const struct tunnel_spec *wanted)
{
    struct change change;
    enum err result = change_make(tunnel, wanted, &change);
    if (result == OK) {
        (void)tunnel_spec_match_forwards(&tunnel->spec, wanted, change.match);
        for (size_t i = 0; i < wanted->forward_count; i++) { /* slots that could not be made when it was started */
            if (change.match[i] >= tunnel->forward_count) {
                change.match[i] = SIZE_MAX;
            }
        }
        result = make_new(tunnel, wanted, &change);
    }
    if (result == OK) {
        rearrange(tunnel, wanted, &change);
        for (size_t i = 0; i < tunnel->forward_count; i++) {
            if (!change.is_kept[i]) {
                cancel(tunnel, tunnel->slots[i].forward);
            }
        }
        free(tunnel->slots);
        tunnel->slots = change.slots;
        change.slots = NULL;
        tunnel->forward_count = wanted->forward_count;
        tunnel->slots_changed = true;
        arm_timer(tunnel);
    }
    change_free(&change);
    return result;
}

void slots_free(struct tunnel *tunnel)
{
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        forward_free(tunnel->slots[i].forward);
    }
    for (size_t i = 0; i < tunnel->leaving_count; i++) {
        forward_free(tunnel->leaving[i]);
    }
    free(tunnel->slots);
    free((void *)tunnel->leaving);
}

/* ---- with the session, and to the end ---- */

void slots_bind_own_side(struct tunnel *tunnel)
{
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        if (tunnel->spec.forwards[i].type == FORWARD_LOCAL) {
            forward_bind(tunnel->slots[i].forward);
        }
    }
}

/* The forwards have been asked for; what it takes to have their ports back one day follows them. */
static void begin_reclaim(struct tunnel *tunnel)
{
    uint16_t *ports = calloc(tunnel->forward_count + 1, sizeof *ports);
    size_t count = 0;
    for (size_t i = 0; i < tunnel->forward_count && ports != NULL; i++) {
        const struct forward_spec *spec = forward_get_spec(tunnel->slots[i].forward);
        if (spec->type == FORWARD_REMOTE && spec->listen.kind == ENDPOINT_TCP && spec->listen.port != 0) {
            ports[count++] = spec->listen.port;
        }
    }
    reclaim_session_up(tunnel->reclaim, tunnel->session, ports, count);
    free(ports);
}

void slots_session_up(struct tunnel *tunnel)
{
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        forward_session_up(tunnel->slots[i].forward, tunnel->session);
        forward_bind(tunnel->slots[i].forward);
    }
    begin_reclaim(tunnel);
}

void slots_session_down(struct tunnel *tunnel)
{
    reclaim_session_down(tunnel->reclaim);
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        forward_session_down(tunnel->slots[i].forward);
    }
    for (size_t i = 0; i < tunnel->leaving_count; i++) {
        forward_session_down(tunnel->leaving[i]);
    }
}

bool slots_have_answered(const struct tunnel *tunnel, const struct err_info **failed)
{
    const struct err_info *unbound = NULL;
    const struct err_info *degraded = NULL;
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        const struct forward *forward = tunnel->slots[i].forward;
        switch (forward_get_state(forward)) {
        case FORWARD_IDLE:
        case FORWARD_BINDING: return false; /* its answer comes */
        case FORWARD_PORT_BUSY:
        case FORWARD_FAILED: unbound = unbound != NULL ? unbound : forward_error(forward); break;
        case FORWARD_DEGRADED: degraded = degraded != NULL ? degraded : forward_error(forward); break;
        case FORWARD_UP: break;
        }
    }
    *failed = unbound != NULL ? unbound : degraded;
    return true;
}

bool slots_only_busy(const struct tunnel *tunnel)
{
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        enum forward_state state = forward_get_state(tunnel->slots[i].forward);
        if (state == FORWARD_FAILED || state == FORWARD_DEGRADED) {
            return false;
        }
    }
    return true;
}

struct forward *slots_match(const struct tunnel *tunnel, const struct channel_offer *offer)
{
    struct forward *best = NULL;
    int best_match = 0;
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        int match = forward_matches(tunnel->slots[i].forward, offer);
        if (match > best_match) {
            best = tunnel->slots[i].forward;
            best_match = match;
        }
    }
    return best;
}

bool slots_have_connections(const struct tunnel *tunnel)
{
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        if (has_connections(tunnel->slots[i].forward)) {
            return true;
        }
    }
    for (size_t i = 0; i < tunnel->leaving_count; i++) {
        if (has_connections(tunnel->leaving[i])) {
            return true;
        }
    }
    return false;
}

void slots_drain(struct tunnel *tunnel)
{
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        forward_drain(tunnel->slots[i].forward, "holdfast is stopping");
    }
}

void slots_stop(struct tunnel *tunnel)
{
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        forward_stop(tunnel->slots[i].forward);
    }
    for (size_t i = 0; i < tunnel->leaving_count; i++) {
        forward_stop(tunnel->leaving[i]);
    }
}
