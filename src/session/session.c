#include "session/session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "platform/platform.h"
#include "session/greeting.h"
#include "session/internal.h"

enum {
    TURN_PASSES = 16,
    NOTSENT_LOWAT_BYTES = 128 * 1024,
    OPENS_TICK_MS = 20,
    HOLD_FROM_BYTES = 24 * 1024,
    HOLD_UNTIL_BYTES = 240 * 1024 /* more than this would leave the channels' readers without work meanwhile */
};

static void advance_end(struct session *session);

/* ---- phases ---- */

static void set_phase(struct session *session, enum session_phase phase)
{
    if (session->phase == phase || session->ending) {
        return;
    }
    session->phase = phase;
    alive_phase(session);
    session->events.on_phase(session->events.arg, phase);
}

static void lend(void *arg)
{
    struct session *session = arg;
    transport_flush(session);
    transport_stop_reading(session);
    session->lent = true;
}

static void give_back(void *arg)
{
    struct session *session = arg;
    session->lent = false;
    session->last_received_ms = uv_now(session->loop);
    transport_flush(session);
    transport_start_reading(session);
    if (session->in_end > session->in_start || session->in_over != 0) {
        session_wake(session);
    }
}

static void ready(struct session *session)
{
    rekey_check_host_key(session); /* a worker may have changed keys while it asked to be let in */
    if (session->ending) {
        return;
    }
    rekey_done(session);
    transport_note_trip(session);
    set_phase(session, SESSION_READY);
    session_wake(session);
}

static void on_auth_done(void *arg, enum err result, const struct err_info *why)
{
    struct session *session = arg;
    struct err_info reason = {.code = result};
    if (why != NULL) {
        reason = *why;
    }
    if (session->inspect != NULL) {
        inspect_auth(session, session->auth);
    }
    auth_free(session->auth);
    session->auth = NULL;
    if (session->ending) {
        advance_end(session);
    } else if (result == OK) {
        ready(session);
    } else if (result == ERR_CLOSED && session->disconnect_text[0] != '\0') {
        session_end(session, ERR_CLOSED, "the peer disconnected while we asked to be let in: %s",
                    session->disconnect_text);
    } else {
        session_end(session, result, "%s", reason.message);
    }
}

static void begin_auth(struct session *session)
{
    const struct auth_hooks hooks = {.lend = lend, .give_back = give_back, .done = on_auth_done, .arg = session};
    set_phase(session, SESSION_AUTHENTICATING);
    if (session->ending) {
        return; /* stopped from inside on_phase: nobody would feed an authentication any more */
    }
    session->auth =
        auth_new(session->loop, session->ssh, &session->spec, session->interactive, session->log_name, &hooks);
    if (session->auth == NULL) {
        session_end(session, ERR_MEMORY, "out of memory");
        return;
    }
    if (session->unsafe_key) {
        auth_forbid_passwords(session->auth);
    }
    auth_start(session->auth);
}

static void on_key_checked(void *arg, enum err result, const struct err_info *why)
{
    struct session *session = arg;
    session->key_check = NULL;
    if (session->ending) {
        advance_end(session);
    } else if (result == OK) {
        session->unsafe_key = why != NULL;
        begin_auth(session);
    } else {
        session_end(session, result, "%s", why->message);
    }
}

static void check_host_key(struct session *session)
{
    size_t len = 0;
    int type = 0;
    char text[160];
    const char *key = libssh2_session_hostkey(session->ssh, &len, &type);
    if (key == NULL) {
        session_end(session, ERR_PROTOCOL, "the peer showed no host key");
        return;
    }
    if (session->on_host_key != NULL) {
        session->on_host_key(session->on_host_key_arg, (const uint8_t *)key, len);
        session_end(session, ERR_CANCELLED, "only the host key was wanted");
        return;
    }
    if (session->inspect != NULL) {
        inspect_host_key(session, (const uint8_t *)key, len);
    }
    session->host_key = malloc(len);
    if (session->host_key == NULL) {
        session_end(session, ERR_MEMORY, "out of memory");
        return;
    }
    memcpy(session->host_key, key, len);
    session->host_key_len = len;
    session->shares_ports = greeting_shares_ports(libssh2_session_banner_get(session->ssh));
    session->facts_host_key = strdup(host_key_text((const uint8_t *)key, len, text, sizeof text));
    log_debug(session->log_name, "%s: %s; kex %s, cipher %s", session->address,
              libssh2_session_banner_get(session->ssh), libssh2_session_methods(session->ssh, LIBSSH2_METHOD_KEX),
              libssh2_session_methods(session->ssh, LIBSSH2_METHOD_CRYPT_CS));
    session->key_check =
        host_key_check_start(session->loop, &session->spec, session->hostname, session->spec.port, (const uint8_t *)key,
                             len, session->interactive, session->log_name, on_key_checked, session);
    if (session->key_check == NULL) {
        session_end(session, ERR_MEMORY, "out of memory");
    }
}

static void end_handshake(struct session *session, int code)
{
    const char *banner = libssh2_session_banner_get(session->ssh);
    session->greeted = banner != NULL;
    if (session->disconnect_text[0] != '\0') {
        session_end(session, ERR_CLOSED, "the peer disconnected during the key exchange: %s", session->disconnect_text);
    } else if (banner == NULL && (session->in_over != 0 || code == LIBSSH2_ERROR_BANNER_RECV)) {
        session_end(session, ERR_CLOSED,
                    "%s ended the connection before any SSH greeting (a sshd at its limit, MaxStartups or "
                    "PerSourcePenalties, does so, and a port that is no sshd)",
                    session->address);
    } else if (code == LIBSSH2_ERROR_KEX_FAILURE || code == LIBSSH2_ERROR_METHOD_NONE) {
        session_end(session, ERR_PROTOCOL,
                    "no algorithm in common with %s: %s; see -o KexAlgorithms, Ciphers, MACs, "
                    "HostKeyAlgorithms",
                    banner != NULL ? banner : "the peer", ssh2_err_text(session->ssh));
    } else if (session->in_over != 0) {
        session_end(session, ERR_CLOSED, "the peer closed the connection during the key exchange");
    } else {
        session_end(session, err_from_ssh2(code), "key exchange failed: %s", ssh2_err_text(session->ssh));
    }
}

static void step_handshake(struct session *session)
{
    uv_os_fd_t fd;
    if (session->key_check != NULL || uv_fileno((uv_handle_t *)session->tcp, &fd) != 0) {
        return;
    }
    int code = libssh2_session_handshake(session->ssh, (libssh2_socket_t)fd);
    if (code == LIBSSH2_ERROR_EAGAIN) {
        return;
    }
    transport_flush(session);
    if (code != 0) {
        end_handshake(session, code);
    } else {
        check_host_key(session);
    }
}

/* Whether delivery waits for one more look at the socket, without sleep: a bulk stream comes in small portions, and
 * each one that is passed on alone costs a system call and wakes its reader. Ends when nothing new came or enough is
 * there. */
static bool hold_for_more(struct session *session)
{
    uint64_t held = session->bytes_in - session->bytes_delivered;
    if (session->reading && held >= HOLD_FROM_BYTES && held < HOLD_UNTIL_BYTES &&
        session->bytes_in != session->bytes_at_hold) {
        session->bytes_at_hold = session->bytes_in;
        return true;
    }
    session->bytes_delivered = session->bytes_in;
    return false;
}

static void on_pace(uv_timer_t *timer);

static void pace_opens(struct session *session)
{
    if (mux_opens_wait(session->mux) && !uv_is_active((uv_handle_t *)&session->pace)) {
        (void)uv_timer_start(&session->pace, on_pace, OPENS_TICK_MS, 0);
    }
}

static void on_pace(uv_timer_t *timer)
{
    struct session *session = timer->data;
    mux_opens_tick(session->mux);
    pace_opens(session);
}

static void on_awake(uv_idle_t *idle)
{
    struct session *session = idle->data;
    uint64_t now = session_now_us();
    if (uv_is_active((uv_handle_t *)&session->turn) || !busy_poll_goes_on(&session->busy_poll, now)) {
        (void)uv_idle_stop(idle);
        return;
    }
    if (busy_poll_may_yield(&session->busy_poll, now)) {
        platform_yield();
    }
    busy_poll_look(&session->busy_poll, session_now_us());
}

static void wait_for_more(struct session *session)
{
    const struct busy_poll_sums sums = {session->bytes_in, session->bytes_out, session->packets_in,
                                        mux_opens_out(session->mux)};
    if (busy_poll_begin_wait(&session->busy_poll, session_now_us(), &sums)) {
        (void)uv_idle_start(&session->awake, on_awake);
    }
}

/* One turn of a working session: what came is taken apart and delivered, what is owed is sent, until nothing moves. */
static void step_ready(struct session *session)
{
    bool more = true;
    int was_over = session->in_over;
    bool worked = session->in_end > session->in_start || transport_unsent(session) > 0;
    for (int pass = 0; more && pass < TURN_PASSES && !session->ending; pass++) {
        more = false;
        if (session->in_end > session->in_start || session->in_over != 0 || pass == 0) {
            if (!transport_pump(session)) {
                break;
            }
            rekey_step(session);
        }
        if (pass == 0 && hold_for_more(session)) {
            session_wake(session);
            return; /* session_step() flushes */
        }
        if (mux_turn(session->mux)) {
            more = worked = true;
        } else if (!worked && mux_turn_late(session->mux)) {
            more = true;
        }
        size_t unsent = transport_unsent(session);
        transport_flush(session);
        /* What the system took whole comes with no callback: channels that wait for this room have only us to tell
         * them. */
        more = more || (unsent >= OUT_SOFT_BYTES && transport_unsent(session) < OUT_SOFT_BYTES);
    }
    mux_settle(session->mux);
    pace_opens(session);
    if (more || mux_is_late(session->mux) || session->in_over != was_over) {
        session_wake(session);
    } else if (!session->ending) {
        (void)uv_idle_stop(&session->turn); /* whoever woke us in here has been seen to: the loop may sleep */
        wait_for_more(session);
    }
}

void session_step(struct session *session)
{
    if (session->lent || session->ending) {
        return;
    }
    switch (session->phase) {
    case SESSION_HANDSHAKING: step_handshake(session); break;
    case SESSION_AUTHENTICATING:
        if (session->auth != NULL) {
            auth_input(session->auth);
        }
        break;
    case SESSION_READY: step_ready(session); break;
    case SESSION_RESOLVING:
    case SESSION_CONNECTING:
    case SESSION_CLOSED: break;
    }
    if (!session->ending && !session->lent) {
        transport_flush(session);
        if (session->phase == SESSION_READY && transport_input_waits(session)) {
            transport_stop_reading(session);
        } else {
            transport_start_reading(session);
        }
    }
}

/* ---- turns ---- */

static void on_turn(uv_idle_t *idle)
{
    struct session *session = idle->data;
    (void)uv_idle_stop(idle);
    busy_poll_end_wait(&session->busy_poll, session_now_us());
    (void)uv_idle_stop(&session->awake);
    session->in_turn = true;
    session_step(session);
    if (session->stopping && !session->ending && session->tcp != NULL && transport_unsent(session) == 0) {
        session_end(session, ERR_CANCELLED, "stopped");
    }
    session->in_turn = false;
    if (session->ending) {
        advance_end(session);
    }
}

void session_wake(struct session *session)
{
    if (!session->handles_closing) {
        (void)uv_idle_start(&session->turn, on_turn);
    }
}

/* ---- the end ---- */

static void maybe_free(struct session *session)
{
    if (!session->free_wanted || !session->closed_told || session->handles > 0) {
        return;
    }
    mux_free(session->mux);
    host_spec_deinit(&session->spec);
    free(session->log_name);
    free(session->facts_host_key);
    free(session->host_key);
    free(session);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct session *session = handle->data;
    session->handles--;
    maybe_free(session);
}

static void close_handles(struct session *session)
{
    session->handles_closing = true;
    uv_close((uv_handle_t *)&session->turn, on_handle_closed);
    uv_close((uv_handle_t *)&session->awake, on_handle_closed);
    uv_close((uv_handle_t *)&session->timer, on_handle_closed);
    uv_close((uv_handle_t *)&session->pace, on_handle_closed);
    uv_close((uv_handle_t *)&session->before_sleep, on_handle_closed);
}

static void on_tcp_closed(uv_handle_t *handle)
{
    struct session *session = handle->data;
    free(handle);
    session->handles--;
    if (session->handles_closing) {
        maybe_free(session); /* libuv closes the newest handles first, so this one may be the last */
    } else if (session->ending) {
        advance_end(session);
    }
}

/* Goes on with the end as far as it can: each thing that was begun must have completed first. */
static void advance_end(struct session *session)
{
    if (session->in_turn) {
        return; /* it comes back here at the turn's end */
    }
    if (session->tcp != NULL) {
        uv_tcp_t *tcp = session->tcp;
        session->tcp = NULL;
        session->reading = false;
        uv_close((uv_handle_t *)tcp, on_tcp_closed);
    }
    bool again = false;
    if (session->mux != NULL) {
        session->in_turn = true;
        again = mux_turn(session->mux);
        session->in_turn = false;
    }
    if (again) {
        session_wake(session);
    }
    if (session->dial != NULL || session->auth != NULL || session->key_check != NULL || session->lent ||
        session->writing || !mux_is_idle(session->mux)) {
        return;
    }
    if (!session->closed_told) {
        session->closed_told = true;
        (void)uv_timer_stop(&session->timer);
        transport_free(session);
        session->phase = SESSION_CLOSED;
        session->events.on_closed(session->events.arg, &session->why); /* may call session_free */
    }
    if (mux_channel_count(session->mux) == 0 && !session->handles_closing && session->free_wanted) {
        close_handles(session);
    }
}

void session_end(struct session *session, enum err code, const char *format, ...)
{
    char message[sizeof session->why.message];
    va_list args;
    if (session->ending) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    (void)err_set(&session->why, code, "%s", message);
    session->ending = true;
    (void)uv_timer_stop(&session->timer);
    (void)uv_timer_stop(&session->pace);
    if (session->dial != NULL) {
        dial_cancel(session->dial);
    }
    if (session->key_check != NULL) {
        host_key_check_cancel(session->key_check);
    }
    if (session->auth != NULL) {
        auth_cancel(session->auth);
    }
    mux_fail(session->mux, &session->why);
    session_wake(session); /* the rest outside of whoever called */
}

/* ---- the beginning ---- */

static void on_resolved(void *arg)
{
    set_phase(arg, SESSION_CONNECTING);
}

static void on_addresses(void *arg, const char *host, const struct sockaddr_storage *addresses, size_t count,
                         bool by_multicast)
{
    const struct inspect *inspect = ((struct session *)arg)->inspect;
    inspect->on_addresses(inspect->arg, host, addresses, count, by_multicast);
}

static void on_no_connection(void *arg, const char *host, const struct sockaddr *address, int status)
{
    const struct inspect *inspect = ((struct session *)arg)->inspect;
    inspect->on_no_connection(inspect->arg, host, address, status);
}

/* What a person may do about a connection that was not made. */
static const char *connect_advice(enum err code)
{
    switch (code) {
    case ERR_REFUSED: return " (is the sshd running there, and is the port right?)";
    case ERR_RESOLVE: return " (is the name spelt right, and is there a network?)";
    case ERR_TIMEOUT: return " (is the machine on, and does each firewall on the way let this port through?)";
    case ERR_CONNECT: return " (is this machine on the network that leads there?)";
    default: return "";
    }
}

static void on_connected(void *arg, uv_tcp_t *tcp, const struct dial_result *result, const struct err_info *why)
{
    struct session *session = arg;
    struct err_info info;
    session->dial = NULL;
    if (tcp != NULL) {
        session->tcp = tcp;
        tcp->data = session;
        session->handles++;
        (void)snprintf(session->address, sizeof session->address, "%s", result->address);
        session->hostname = session->spec.hostnames.items[result->host_index];
        if (session->inspect != NULL) {
            (void)snprintf(session->inspect->hostname, sizeof session->inspect->hostname, "%s", session->hostname);
        }
    }
    if (session->ending) {
        advance_end(session);
        return;
    }
    if (tcp == NULL) {
        session_end(session, why->code, "%s%s", why->message, connect_advice(why->code));
        return;
    }
    (void)uv_tcp_nodelay(tcp, 1);
    (void)uv_tcp_keepalive(tcp, session->spec.tcp_keepalive ? 1 : 0, 60);
    platform_tcp_notsent_lowat(tcp, NOTSENT_LOWAT_BYTES);
    if (transport_open(session, &info) != OK) {
        session_end(session, info.code, "%s", info.message);
        return;
    }
    set_phase(session, SESSION_HANDSHAKING);
    transport_start_reading(session);
    session_wake(session);
}

static void on_offer(void *arg, struct channel *channel, const struct channel_offer *offer)
{
    struct session *session = arg;
    session->events.on_offer(session->events.arg, channel, offer);
}

struct session *session_new(uv_loop_t *loop, const struct host_spec *spec, bool interactive, const char *log_name,
                            const struct session_events *events)
{
    struct session *session = calloc(1, sizeof *session);
    if (session == NULL) {
        return NULL;
    }
    const struct mux_events mux_events = {.on_offer = on_offer, .arg = session};
    struct mux_link link = *transport_link();
    link.arg = session;
    host_spec_init(&session->spec);
    session->mux = mux_new(&link, &mux_events);
    session->log_name = strdup(log_name);
    if (session->mux == NULL || session->log_name == NULL || host_spec_copy(&session->spec, spec) != OK) {
        mux_free(session->mux);
        host_spec_deinit(&session->spec);
        free(session->log_name);
        free(session);
        return NULL;
    }
    session->loop = loop;
    session->events = *events;
    session->interactive = interactive;
    session->rtt_ms = -1;
    (void)uv_idle_init(loop, &session->turn);
    (void)uv_idle_init(loop, &session->awake);
    (void)uv_timer_init(loop, &session->timer);
    (void)uv_timer_init(loop, &session->pace);
    (void)uv_prepare_init(loop, &session->before_sleep);
    session->turn.data = session->awake.data = session;
    session->timer.data = session->pace.data = session->before_sleep.data = session;
    session->handles = 5;
    return session;
}

void session_start(struct session *session)
{
    const struct dial_options options = {
        .hosts = (const char *const *)session->spec.hostnames.items,
        .host_count = session->spec.hostnames.count,
        .port = session->spec.port,
        .address_family = session->spec.address_family,
        .bind_address = session->spec.bind_address,
        .timeout_ms = session->spec.connect_timeout_ms,
    };
    struct dial_events events = {.on_resolved = on_resolved, .on_done = on_connected, .arg = session};
    if (session->inspect != NULL) {
        events.on_addresses = on_addresses;
        events.on_no_connection = on_no_connection;
    }
    uv_update_time(session->loop);
    session->dial = dial_start(session->loop, &options, &events);
    if (session->dial == NULL) {
        session_end(session, ERR_MEMORY, "out of memory");
    } else if (session->ending) { /* stopped from inside on_phase, which came before we had the dial */
        dial_cancel(session->dial);
    }
}

void session_stop(struct session *session, uint64_t flush_ms)
{
    if (session->ending || session->stopping) {
        if (flush_ms == 0) {
            session_end(session, ERR_CANCELLED, "stopped");
        }
        return;
    }
    if (session->phase != SESSION_READY || session->lent || flush_ms == 0) {
        session_end(session, ERR_CANCELLED, "stopped");
        return;
    }
    if (!session->in_turn) { /* a turn that is under way delivers by itself, and must not be entered twice */
        session->in_turn = true;
        do {
            (void)mux_turn(session->mux);
        } while (!session->ending && mux_turn_late(session->mux));
        session->in_turn = false;
        if (session->ending) {
            return;
        }
    }
    session->stopping = true;
    (void)libssh2_session_disconnect(session->ssh, "stopped");
    transport_flush(session);
    alive_stop_within(session, flush_ms);
    session_wake(session);
}

void session_free(struct session *session)
{
    if (session == NULL || session->free_wanted) {
        return;
    }
    session->free_wanted = true;
    if (session->closed_told) {
        session_wake(session); /* its turn closes the handles; never inside on_closed */
    } else {                   /* never started */
        session->ending = session->closed_told = true;
        close_handles(session);
    }
}

void session_get_facts(const struct session *session, struct session_facts *out)
{
    const char *none = "";
    bool keyed = session->ssh != NULL && session->phase != SESSION_HANDSHAKING && !session->lent;
    *out = (struct session_facts){
        .address = session->address,
        .banner = keyed ? libssh2_session_banner_get(session->ssh) : none,
        .kex = keyed ? libssh2_session_methods(session->ssh, LIBSSH2_METHOD_KEX) : none,
        .cipher = keyed ? libssh2_session_methods(session->ssh, LIBSSH2_METHOD_CRYPT_CS) : none,
        .mac = keyed ? libssh2_session_methods(session->ssh, LIBSSH2_METHOD_MAC_CS) : none,
        .host_key = session->facts_host_key != NULL ? session->facts_host_key : none,
        .bytes_in = session->bytes_in,
        .bytes_out = session->bytes_out,
        .rtt_ms = session->rtt_ms,
        .rekeys = session->rekeys,
    };
}

bool session_shares_ports(const struct session *session)
{
    return session->shares_ports;
}
