/* One forwarded connection, from the accept or the peer's offer to its end. */
#include <stdlib.h>
#include <string.h>

#include "base/container.h"
#include "base/duration.h"
#include "base/log.h"
#include "forward/internal.h"
#include "relay/socket_stream.h"

enum {
    OPEN_LIMIT_TIMES = 30,
    DEFAULT_CONNECT_TIMEOUT_MS = 10000,
    KEEPALIVE_S = 60,
    LOOPBACK_NET = 127 /* of 127.0.0.0/8 */
};

static void count(struct forward *forward)
{
    forward->counts.channels++;
    forward->counts.channels_total++;
}

static struct connection *connection_new(struct forward *forward, enum connection_state state, bool is_probe)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        return NULL;
    }
    connection->forward = forward;
    connection->state = state;
    connection->since_ms = uv_now(forward->loop);
    list_init(&connection->link);
    list_append(&forward->connections, &connection->link);
    target_init(connection);
    connection->is_probe = is_probe;
    if (!is_probe) {
        count(forward);
    }
    return connection;
}

static void connection_free(struct connection *connection)
{
    struct forward *forward = connection->forward;
    bool is_probe = connection->is_probe;
    if (is_probe) {
        probe_gone(forward, connection);
    }
    list_remove(&connection->link);
    descriptors_give();
    free(connection);
    if (!is_probe) {
        forward->counts.channels--;
        forward_has_room(forward);
    }
    if (!is_probe && forward->events.on_connection_end != NULL && !forward->stopping) {
        forward->events.on_connection_end(forward->events.arg, forward);
    }
    forward_check_stopped(forward);
}

static void on_socket_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    free(handle);
    connection_free(connection);
}

/* Ends a connection that has no relay. */
static void end(struct connection *connection)
{
    connection->state = CONNECTION_CLOSING;
    if (connection->socket != NULL) {
        connection->socket->data = connection;
        uv_close((uv_handle_t *)connection->socket, on_socket_closed);
    } else {
        connection_free(connection);
    }
}

static const char *target_text(const struct forward *forward, char *out, size_t cap_bytes)
{
    return endpoint_text(&forward->spec->to, out, cap_bytes);
}

static void on_relay_done(void *arg, const struct relay_result *result)
{
    struct connection *connection = arg;
    struct forward *forward = connection->forward;
    char to[256];
    forward->counts.bytes_out += result->bytes_from_a;
    forward->counts.bytes_in += result->bytes_from_b;
    log_debug(forward->log_name, "%s -> %s: connection from %s:%u ended: %llu bytes out, %llu in%s%s",
              forward_type_flag(forward->spec->type), target_text(forward, to, sizeof to), connection->originator,
              connection->originator_port, (unsigned long long)result->bytes_from_a,
              (unsigned long long)result->bytes_from_b, result->why.code != OK ? ": " : "",
              result->why.code != OK ? result->why.message : "");
    connection->relay = NULL;
    connection_free(connection);
}

/* Joins the socket (side A) and the channel (side B). */
static void begin_relay(struct connection *connection)
{
    struct forward *forward = connection->forward;
    struct socket_stream *socket = socket_stream_new(connection->socket);
    struct stream *channel = channel_stream(connection->channel);
    if (socket != NULL) {
        connection->relay =
            relay_start(forward->loop, socket_stream_of(socket), channel, LINGER_MS, on_relay_done, connection);
    }
    if (connection->relay == NULL) {
        log_error(forward->log_name, "out of memory for a connection; it is closed");
        free(socket);
        channel_drop(connection->channel);
        end(connection);
        return;
    }
    connection->state = CONNECTION_RELAYING;
    connection->socket = NULL;
    apart_watch(connection);
    if (connection->input_ended) {
        channel->events->on_input_end(channel->owner); /* it was told to us, before there was a relay */
    }
}

/* ---- -L ---- */

void connection_hold(struct connection *connection)
{
    if (connection->is_probe) { /* the session died, which is no news about the target */
        end(connection);
        return;
    }
    connection->state = CONNECTION_HELD;
    connection_check_waiting(connection->forward);
}

void connection_open_failed(struct connection *connection, const char *reason)
{
    struct forward *forward = connection->forward;
    char to[256];
    if (connection->is_probe) {
        probe_result(connection, false, reason);
    } else if (!connection->cancelled) {
        log_warning(forward->log_name, "-L %s: connection from %s:%u refused: %s", target_text(forward, to, sizeof to),
                    connection->originator, connection->originator_port, reason);
    }
    end(connection);
}

static void on_open(void *arg, struct channel *channel, enum err result, const struct err_info *why)
{
    struct connection *connection = arg;
    if (result == OK && connection->is_probe) {
        channel_drop(channel);
        probe_result(connection, true, "");
        end(connection);
        return;
    }
    if (result == OK) {
        connection->channel = channel;
        begin_relay(connection);
        return;
    }
    connection->channel = NULL;
    if (result == ERR_CANCELLED || connection->cancelled) {
        end(connection);
    } else if (result == ERR_REFUSED) {
        if (!target_open_again(connection)) {
            connection_open_failed(connection, why->message);
        }
    } else { /* the session died before anything was said: the client may wait for the next one */
        connection_hold(connection);
    }
}

/* A peer's own connect may take two minutes and more, and its client may well wait for it. */
static uint64_t open_limit_ms(const struct forward *forward)
{
    return OPEN_LIMIT_TIMES *
           (forward->connect_timeout_ms != 0 ? forward->connect_timeout_ms : DEFAULT_CONNECT_TIMEOUT_MS);
}

static void on_due(uv_timer_t *timer);

static void begin_opening(struct connection *connection)
{
    struct forward *forward = connection->forward;
    connection->state = CONNECTION_OPENING;
    connection->opened_ms = uv_now(forward->loop);
    if (!uv_is_active((uv_handle_t *)&forward->timer)) { /* else it was begun for one that is due earlier */
        (void)uv_timer_start(&forward->timer, on_due, open_limit_ms(forward), 0);
    }
}

static void check_opening(struct connection *connection)
{
    if (connection->channel == NULL) {
        log_warning(connection->forward->log_name, "too many connections at once; one from %s:%u is closed",
                    connection->originator, connection->originator_port);
        end(connection);
    }
}

void connection_open_at(struct connection *connection, const char *host, uint16_t port)
{
    begin_opening(connection);
    connection->channel = session_open_tcp(connection->forward->session, host, port, connection->originator,
                                           connection->originator_port, on_open, connection);
    check_opening(connection);
}

void connection_open(struct connection *connection)
{
    const struct endpoint *to = &connection->forward->spec->to;
    if (to->kind != ENDPOINT_UNIX) {
        target_open(connection);
        return;
    }
    begin_opening(connection);
    connection->channel = session_open_unix(connection->forward->session, to->path, on_open, connection);
    check_opening(connection);
}

void connection_tune(uv_tcp_t *tcp, const struct sockaddr *peer)
{
    bool is_here = peer->sa_family == AF_INET6
                       ? IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)peer)->sin6_addr)
                       : (ntohl(((const struct sockaddr_in *)peer)->sin_addr.s_addr) >> 24) == LOOPBACK_NET;
    (void)uv_tcp_nodelay(tcp, 1);
    if (!is_here) {
        (void)uv_tcp_keepalive(tcp, 1, KEEPALIVE_S);
    }
}

/* Who the client is, and what its socket needs. */
static void know_client(struct connection *connection)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    uv_tcp_t *tcp = (uv_tcp_t *)connection->socket;
    int len = sizeof address;
    (void)strcpy(connection->originator, "127.0.0.1"); /* a Unix socket's client has none; ssh says this too */
    if (connection->socket->type != UV_TCP) {
        return;
    }
    int status = uv_tcp_getpeername(tcp, (struct sockaddr *)&address, &len);
    connection_tune(tcp, (const struct sockaddr *)&address);
    if (status != 0) {
        return;
    }
    if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address;
        (void)uv_ip6_name(v6, connection->originator, sizeof connection->originator);
        connection->originator_port = ntohs(v6->sin6_port);
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address;
        (void)uv_ip4_name(v4, connection->originator, sizeof connection->originator);
        connection->originator_port = ntohs(v4->sin_port);
    }
}

static void on_unwanted_closed(uv_handle_t *handle)
{
    free(handle);
    descriptors_give();
}

void connection_accept(struct forward *forward, uv_stream_t *socket)
{
    struct connection *connection =
        forward_refuses(forward, NULL) ? NULL : connection_new(forward, CONNECTION_HELD, false);
    if (connection == NULL) {
        uv_close((uv_handle_t *)socket, on_unwanted_closed);
        return;
    }
    connection->socket = socket;
    socket->data = connection;
    know_client(connection);
    if (forward->session != NULL) {
        connection_open(connection);
    } else {
        connection_check_waiting(forward);
    }
}

/* When a connection that waits is waited for no longer; UINT64_MAX: it waits for nothing. */
static uint64_t due_ms(const struct connection *connection)
{
    const struct forward *forward = connection->forward;
    if (connection->state == CONNECTION_HELD) {
        return connection->since_ms + forward->spec->hold_ms;
    }
    if (connection->state == CONNECTION_OPENING && !connection->cancelled) {
        return connection->opened_ms + open_limit_ms(forward);
    }
    return UINT64_MAX;
}

static void give_up(struct connection *connection)
{
    struct forward *forward = connection->forward;
    char text[32];
    if (connection->state == CONNECTION_HELD) {
        log_info(forward->log_name, "-L: connection from %s:%u closed: the session did not come within its hold time",
                 connection->originator, connection->originator_port);
        end(connection); /* frees later, never inside */
    } else {
        log_warning(forward->log_name,
                    "-L: connection from %s:%u closed: the peer did not say within %s whether its target "
                    "answers",
                    connection->originator, connection->originator_port,
                    duration_text(open_limit_ms(forward), text, sizeof text));
        connection_cancel(connection, "no answer");
    }
}

static void on_due(uv_timer_t *timer)
{
    connection_check_waiting(timer->data);
}

void connection_check_waiting(struct forward *forward)
{
    uint64_t now = uv_now(forward->loop);
    uint64_t next = UINT64_MAX;
    struct list *link = forward->connections.next;
    while (link != &forward->connections) {
        struct connection *connection = container_of(link, struct connection, link);
        uint64_t due = due_ms(connection);
        link = link->next;
        if (due <= now) {
            give_up(connection);
        } else if (due < next) {
            next = due;
        }
    }
    if (next != UINT64_MAX && forward->timer_open && !forward->answer_due) {
        (void)uv_timer_start(&forward->timer, on_due, next - now, 0);
    }
}

/* ---- -R ---- */

static void close_channel(struct connection *connection)
{
    channel_drop(connection->channel);
    connection->channel = NULL;
}

void connection_target_failed(struct connection *connection, enum err code, const char *reason)
{
    struct forward *forward = connection->forward;
    char to[256];
    if (connection->is_probe) {
        probe_result(connection, false, reason);
        end(connection);
        return;
    }
    if (!connection->cancelled) {
        log_warning(forward->log_name, "-R %s: connection from %s:%u: the target did not answer: %s",
                    target_text(forward, to, sizeof to), connection->originator, connection->originator_port, reason);
    }
    if (connection->is_accepted) {
        close_channel(connection);
        end(connection);
        return;
    }
    channel_reject(connection->channel, code == ERR_CANCELLED ? ERR_BUSY : ERR_CONNECT, reason);
    connection->channel = NULL;
    end(connection);
}

void connection_target_connected(struct connection *connection)
{
    if (connection->cancelled) {
        connection_target_failed(connection, ERR_CANCELLED, "stopped");
        return;
    }
    if (connection->is_probe) {
        probe_result(connection, true, "");
        end(connection);
        return;
    }
    if (!connection->is_accepted) {
        channel_accept(connection->channel);
    }
    begin_relay(connection);
}

static void on_pipe_connected(uv_connect_t *req, int status)
{
    struct connection *connection = req->data;
    free(req);
    connection->pipe_connect = NULL;
    if (status != 0) {
        connection_target_failed(connection, ERR_CONNECT, err_uv_text(status));
    } else {
        connection_target_connected(connection);
    }
}

static void dial_path(struct connection *connection, const char *path)
{
    uv_pipe_t *pipe = malloc(sizeof *pipe);
    connection->pipe_connect = malloc(sizeof *connection->pipe_connect);
    if (pipe == NULL || connection->pipe_connect == NULL || uv_pipe_init(connection->forward->loop, pipe, 0) != 0) {
        free(pipe);
        free(connection->pipe_connect);
        connection_target_failed(connection, ERR_MEMORY, "out of memory");
        return;
    }
    connection->socket = (uv_stream_t *)pipe;
    pipe->data = connection;
    connection->pipe_connect->data = connection;
    uv_pipe_connect(connection->pipe_connect, pipe, path, on_pipe_connected);
}

static void begin_dialing(struct connection *connection)
{
    const struct endpoint *to = &connection->forward->spec->to;
    connection->state = CONNECTION_DIALING;
    if (to->kind == ENDPOINT_UNIX) {
        dial_path(connection, to->path);
        return;
    }
    target_dial(connection);
}

void connection_take(struct forward *forward, struct channel *channel, const struct channel_offer *offer)
{
    bool may_be_loop = apart_is_due(forward, offer);
    if (!may_be_loop && forward_refuses(forward, offer->originator_host)) {
        channel_reject(channel, ERR_BUSY, "too many connections (max_channels)");
        return;
    }
    struct connection *connection =
        descriptors_take() ? connection_new(forward, CONNECTION_DIALING, may_be_loop) : NULL;
    if (connection == NULL) {
        log_warning(forward->log_name, "-R: connection from %s:%u refused: this process is at its descriptor limit",
                    offer->originator_host, offer->originator_port);
        channel_reject(channel, ERR_BUSY, "too many connections");
        return;
    }
    connection->channel = channel;
    (void)strncat(connection->originator, offer->originator_host, sizeof connection->originator - 1);
    connection->originator_port = offer->originator_port;
    if (may_be_loop) {
        apart_begin(connection);
    } else {
        begin_dialing(connection);
    }
}

void connection_told_apart(struct connection *connection)
{
    if (forward_refuses(connection->forward, connection->originator)) {
        connection_cancel(connection, "too many connections");
        return;
    }
    connection->is_probe = false;
    count(connection->forward);
    begin_dialing(connection);
}

/* ---- both ---- */

void connection_probe(struct forward *forward, struct connection **out)
{
    bool is_local = forward->spec->type == FORWARD_LOCAL;
    if (!descriptors_take()) {
        return;
    }
    struct connection *connection = connection_new(forward, is_local ? CONNECTION_HELD : CONNECTION_DIALING, true);
    if (connection == NULL) {
        descriptors_give();
        return;
    }
    *out = connection;
    (void)strcpy(connection->originator, "127.0.0.1");
    if (is_local) {
        connection_open(connection);
    } else if (forward->spec->to.kind == ENDPOINT_UNIX) {
        dial_path(connection, forward->spec->to.path);
    } else {
        target_dial(connection);
    }
}

void connection_cancel(struct connection *connection, const char *why)
{
    struct err_info info;
    if (connection->cancelled) {
        return;
    }
    connection->cancelled = true;
    switch (connection->state) {
    case CONNECTION_HELD: end(connection); break;
    case CONNECTION_ASKING: asker_cancel(connection->forward->asker, &connection->wait); break;
    case CONNECTION_OPENING: channel_cancel_open(connection->channel); break;
    case CONNECTION_APART:
        if (connection->channel != NULL) {
            close_channel(connection);
        }
        end(connection);
        break;
    case CONNECTION_DIALING:
        if (connection->dial != NULL) {
            dial_cancel(connection->dial);
        } /* a Unix connect answers at once by itself */
        break;
    case CONNECTION_RELAYING:
        (void)err_set(&info, ERR_CANCELLED, "%s", why);
        relay_cancel(connection->relay, &info);
        break;
    case CONNECTION_CLOSING: break;
    }
}
