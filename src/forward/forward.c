#include "forward/forward.h"

#include <stdlib.h>
#include <string.h>

#include "base/container.h"
#include "base/log.h"
#include "forward/internal.h"

const char *forward_state_name(enum forward_state state)
{
    static const char *const names[] = {"idle", "binding", "up", "failed", "degraded", "port_busy"};
    return names[state];
}

static void on_answer_due(uv_timer_t *timer)
{
    struct forward *forward = timer->data;
    forward->answer_due = false;
    forward->events.on_change(forward->events.arg, forward);
    if (!forward->stopping) {
        connection_check_waiting(forward);
    }
}

void forward_set_state(struct forward *forward, enum forward_state state, const struct err_info *why)
{
    char text[600];
    if (state == FORWARD_UP && probe_complaint(forward) != NULL) {
        state = FORWARD_DEGRADED; /* bound anew, and not yet shown to carry */
        why = probe_complaint(forward);
    }
    if (why != NULL) {
        forward->error = *why;
    } else {
        (void)err_set(&forward->error, OK, "%s", "");
    }
    forward->state = state;
    log_debug(forward->log_name, "%s: %s%s%s", forward_spec_text(forward->spec, forward->bound_port, text, sizeof text),
              forward_state_name(state), why != NULL ? ": " : "", why != NULL ? why->message : "");
    if ((state == FORWARD_UP || state == FORWARD_FAILED || state == FORWARD_DEGRADED) && !forward->stopping) {
        forward->answer_due = true; /* told from the loop, so that forward_bind never calls back from inside */
        (void)uv_timer_start(&forward->timer, on_answer_due, 0, 0);
    }
    probe_look(forward);
}

bool forward_refuses(struct forward *forward, const char *originator)
{
    char text[600];
    unsigned max = forward->spec->max_channels;
    if (max == 0 || forward->counts.channels < max) {
        return false;
    }
    if (forward->refused++ == 0) {
        log_warning(forward->log_name,
                    "%s: %u connections are open, as many as max_channels permits; another one%s%s is refused, and "
                    "further ones until some end",
                    forward_spec_text(forward->spec, forward->bound_port, text, sizeof text), max,
                    originator != NULL ? " from " : "", originator != NULL ? originator : "");
    }
    return true;
}

/* Not with the first that ends: at the limit one comes for each that goes. */
void forward_has_room(struct forward *forward)
{
    char text[600];
    if (forward->refused == 0 || forward->counts.channels > (uint64_t)forward->spec->max_channels * 3 / 4) {
        return;
    }
    log_info(forward->log_name, "%s: takes connections again; %llu were refused",
             forward_spec_text(forward->spec, forward->bound_port, text, sizeof text),
             (unsigned long long)forward->refused);
    forward->refused = 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct forward *forward = handle->data;
    forward->timer_open = false;
    forward_check_stopped(forward);
}

void forward_check_stopped(struct forward *forward)
{
    if (!forward->stopping || forward->stopped_told || forward->timer_open || forward->listeners_open > 0 ||
        forward->probe != NULL || forward->apart != NULL || !list_is_empty(&forward->connections)) {
        return;
    }
    if (forward->asker != NULL) {
        asker_close(forward->asker); /* nobody waits any more; on_asker_closed comes back here */
        return;
    }
    forward->stopped_told = true;
    forward->events.on_stopped(forward->events.arg, forward);
}

static void on_asker_closed(void *arg)
{
    struct forward *forward = arg;
    forward->asker = NULL;
    forward_check_stopped(forward);
}

struct forward *forward_new(uv_loop_t *loop, const struct forward_spec *spec, const char *log_name,
                            uint64_t connect_timeout_ms, const struct forward_events *events)
{
    struct forward *forward = calloc(1, sizeof *forward);
    if (forward == NULL) {
        return NULL;
    }
    forward->spec = &forward->own_spec;
    forward->log_name = strdup(log_name);
    if (forward->log_name == NULL || forward_spec_copy(&forward->own_spec, spec) != OK) {
        forward_free(forward);
        return NULL;
    }
    forward->loop = loop;
    forward->connect_timeout_ms = connect_timeout_ms;
    forward->events = *events;
    list_init(&forward->connections);
    list_init(&forward->questions);
    if (endpoint_moves(&forward->spec->to)) {
        const struct asker_options options = {.to = &forward->spec->to,
                                              .log_name = forward->log_name,
                                              .timeout_ms = connect_timeout_ms,
                                              .on_closed = on_asker_closed,
                                              .arg = forward};
        forward->asker = asker_new(loop, &options);
        if (forward->asker == NULL) {
            forward_free(forward);
            return NULL;
        }
    }
    if (!apart_make(forward) || !probe_make(forward)) {
        forward_free(forward);
        return NULL;
    }
    (void)uv_timer_init(loop, &forward->timer);
    forward->timer.data = forward;
    forward->timer_open = true;
    return forward;
}

void forward_bind(struct forward *forward)
{
    if (forward->stopping || forward->drained || forward->state == FORWARD_UP || forward->state == FORWARD_BINDING ||
        forward->state == FORWARD_DEGRADED) {
        return;
    }
    if (forward->spec->type == FORWARD_LOCAL) {
        forward->state = FORWARD_BINDING;
        local_bind(forward);
    } else if (forward->session != NULL) {
        remote_bind(forward);
    }
}

void forward_session_up(struct forward *forward, struct session *session)
{
    forward->session = session;
    struct list *link = forward->connections.next;
    while (link != &forward->connections) {
        struct connection *connection = container_of(link, struct connection, link);
        link = link->next;
        if (connection->state == CONNECTION_HELD) {
            connection_open(connection);
        }
    }
    probe_look(forward);
}

void forward_session_down(struct forward *forward)
{
    forward->session = NULL;
    probe_session_down(forward);
    traffic_check_end(forward);
    apart_forget(forward);
    if (forward->spec->type != FORWARD_REMOTE) {
        return;
    }
    forward->request++; /* answers of that session are nobody's */
    forward->bound_port = 0;
    forward->state = FORWARD_IDLE;
    struct list *link = forward->connections.next;
    while (link != &forward->connections) {
        struct connection *connection = container_of(link, struct connection, link);
        link = link->next;
        if (connection->state == CONNECTION_DIALING || connection->state == CONNECTION_ASKING ||
            connection->state == CONNECTION_APART) {
            connection_cancel(connection, "the session ended");
        }
    }
}

void forward_drain(struct forward *forward, const char *why)
{
    if (forward->drained) {
        return;
    }
    forward->drained = true;
    probe_look(forward);
    if (forward->spec->type == FORWARD_LOCAL) {
        local_close(forward);
    } else {
        remote_cancel(forward);
        traffic_check_end(forward);
    }
    struct list *link = forward->connections.next;
    while (link != &forward->connections) {
        struct connection *connection = container_of(link, struct connection, link);
        link = link->next;
        if (connection->state == CONNECTION_HELD || connection->state == CONNECTION_DIALING ||
            connection->state == CONNECTION_ASKING || connection->state == CONNECTION_APART) {
            connection_cancel(connection, why);
        }
    }
    forward->state = FORWARD_IDLE;
}

void forward_stop(struct forward *forward)
{
    if (forward->stopping) {
        return;
    }
    forward_drain(forward, "holdfast is stopping");
    forward->stopping = true;
    probe_close(forward);
    apart_close(forward);
    forward->session = NULL;
    struct list *link = forward->connections.next;
    while (link != &forward->connections) {
        struct connection *connection = container_of(link, struct connection, link);
        link = link->next;
        connection_cancel(connection, "holdfast is stopping");
    }
    struct list *question;
    while ((question = list_pop(&forward->questions)) != NULL) {
        remote_forget(question);
    }
    uv_close((uv_handle_t *)&forward->timer, on_timer_closed);
}

void forward_free(struct forward *forward)
{
    if (forward != NULL) {
        forward_spec_deinit(&forward->own_spec);
        free(forward->log_name);
        free(forward->apart);
        free(forward);
    }
}

enum forward_state forward_get_state(const struct forward *forward)
{
    return forward->answer_due ? FORWARD_BINDING : forward->state; /* on_change tells it first */
}

const struct forward_spec *forward_get_spec(const struct forward *forward)
{
    return forward->spec;
}

const struct err_info *forward_error(const struct forward *forward)
{
    return &forward->error;
}

uint16_t forward_refused_port(const struct forward *forward)
{
    bool is_refused = forward->state == FORWARD_FAILED || forward->state == FORWARD_PORT_BUSY;
    return is_refused && !forward->answer_due ? forward->refused_port : 0;
}

bool forward_port_is_elsewhere(const struct forward *forward)
{
    return forward_refused_port(forward) != 0 && forward->is_elsewhere;
}

void forward_set_busy(struct forward *forward, const struct err_info *why)
{
    forward_set_state(forward, FORWARD_PORT_BUSY, why);
}

uint16_t forward_bound_port(const struct forward *forward)
{
    return forward->bound_port;
}

void forward_get_counts(const struct forward *forward, struct forward_counts *out)
{
    *out = forward->counts;
    for (const struct list *link = forward->connections.next; link != &forward->connections; link = link->next) {
        const struct connection *connection = container_of(link, const struct connection, link);
        uint64_t from_us = 0;
        uint64_t from_peer = 0;
        if (connection->relay != NULL) {
            relay_count(connection->relay, &from_us, &from_peer);
        }
        out->bytes_out += from_us;
        out->bytes_in += from_peer;
    }
}
