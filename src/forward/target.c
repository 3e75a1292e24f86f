/* The target of one connection: where it is, asked for where it moves, and for -R the connecting to it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "forward/internal.h"
#include "platform/platform.h"

#define SAME_COMPUTER "localhost"

static void begin_asking(struct connection *connection)
{
    connection->state = CONNECTION_ASKING;
    asker_start(connection->forward->asker, &connection->wait);
}

/* ---- -L: the peer connects ---- */

static void open_at(struct connection *connection, const struct answer *answer, bool fresh)
{
    connection->target = *answer;
    connection->target_is_fresh = fresh;
    connection_open_at(connection, answer->host, answer->port);
}

void target_open(struct connection *connection)
{
    const struct endpoint *to = &connection->forward->spec->to;
    if (!endpoint_moves(to)) {
        connection_open_at(connection, to->host, to->port);
        return;
    }
    const struct answer *known = asker_known(connection->forward->asker);
    if (known != NULL) {
        open_at(connection, known, false);
    } else {
        begin_asking(connection);
    }
}

bool target_open_again(struct connection *connection)
{
    struct forward *forward = connection->forward;
    if (!endpoint_moves(&forward->spec->to)) {
        return false;
    }
    asker_forget(forward->asker, &connection->target);
    if (connection->target_is_fresh || forward->session == NULL) {
        return false;
    }
    target_open(connection);
    return true;
}

/* ---- -R: we connect ---- */

static void dial_answer(struct connection *connection, const struct answer *answer, bool fresh);

static void on_dialed(void *arg, uv_tcp_t *tcp, const struct dial_result *result, const struct err_info *why)
{
    struct connection *connection = arg;
    struct forward *forward = connection->forward;
    (void)result;
    connection->dial = NULL;
    if (tcp != NULL) {
        connection->socket = (uv_stream_t *)tcp;
        struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
        int len = sizeof peer;
        (void)uv_tcp_getpeername(tcp, (struct sockaddr *)&peer, &len);
        connection_tune(tcp, (const struct sockaddr *)&peer);
        connection_target_connected(connection);
        return;
    }
    if (connection->cancelled || !endpoint_moves(&forward->spec->to)) {
        connection_target_failed(connection, why->code, why->message);
        return;
    }
    asker_forget(forward->asker, &connection->target);
    if (connection->target_is_fresh) {
        connection_target_failed(connection, why->code, why->message);
        return;
    }
    const struct answer *known = asker_known(forward->asker);
    if (known != NULL) { /* somebody else has asked meanwhile */
        dial_answer(connection, known, true);
    } else {
        begin_asking(connection);
    }
}

static void dial(struct connection *connection, const char *host, uint16_t port, dial_done on_done)
{
    struct forward *forward = connection->forward;
    const char *const hosts[] = {host};
    const struct dial_options options = {
        .hosts = hosts, .host_count = 1, .port = port, .timeout_ms = forward->connect_timeout_ms};
    const struct dial_events events = {.on_done = on_done, .arg = connection};
    connection->state = CONNECTION_DIALING;
    connection->dial = dial_start(forward->loop, &options, &events);
    if (connection->dial == NULL) {
        connection_target_failed(connection, ERR_MEMORY, "out of memory");
    }
}

static void dial_answer(struct connection *connection, const struct answer *answer, bool fresh)
{
    connection->target = *answer;
    connection->target_is_fresh = fresh;
    dial(connection, answer->host, answer->port, on_dialed);
}

/* WSL forwards its ports to the same port of Windows itself. */
static void on_same_computer_dialed(void *arg, uv_tcp_t *tcp, const struct dial_result *result,
                                    const struct err_info *why)
{
    struct connection *connection = arg;
    struct forward *forward = connection->forward;
    if (tcp != NULL) {
        asker_note(forward->asker, SAME_COMPUTER, forward->spec->to.port,
                   "as WSL forwards it, since this is a service");
        on_dialed(arg, tcp, result, why);
    } else if (connection->cancelled) {
        on_dialed(arg, tcp, result, why);
    } else {
        connection->dial = NULL;
        begin_asking(connection);
    }
}

void target_dial(struct connection *connection)
{
    struct forward *forward = connection->forward;
    const struct endpoint *to = &forward->spec->to;
    const struct answer *known = endpoint_moves(to) ? asker_known(forward->asker) : NULL;
    if (!endpoint_moves(to)) {
        dial(connection, to->host, to->port, on_dialed);
    } else if (known != NULL) {
        dial_answer(connection, known, false);
    } else if (to->kind == ENDPOINT_WSL && platform_wsl_is_of_another()) {
        dial(connection, SAME_COMPUTER, to->port, on_same_computer_dialed);
    } else {
        begin_asking(connection);
    }
}

/* ---- both ---- */

static void on_answer(void *arg, const struct answer *answer, const struct err_info *why)
{
    struct connection *connection = arg;
    struct forward *forward = connection->forward;
    bool is_local = forward->spec->type == FORWARD_LOCAL;
    if (answer == NULL || connection->cancelled) {
        if (is_local) {
            connection_open_failed(connection, why == NULL ? "given up" : why->message);
        } else {
            connection_target_failed(connection, why == NULL ? ERR_CANCELLED : why->code,
                                     why == NULL ? "given up" : why->message);
        }
    } else if (!is_local) {
        dial_answer(connection, answer, true);
    } else if (forward->session == NULL) { /* the session went meanwhile; the client may wait for the next one */
        connection_hold(connection);
    } else {
        open_at(connection, answer, true);
    }
}

void target_init(struct connection *connection)
{
    connection->wait = (struct asker_wait){.on_answer = on_answer, .arg = connection};
    list_init(&connection->wait.link);
}
