/* Is the peer still there? Any received byte proves it; silence is asked about, and ends the session when nothing came
 * for server_alive_interval x (server_alive_count_max + 1). The same timer holds the deadlines of the earlier phases.
 */
#include "base/log.h"
#include "platform/platform.h"
#include "session/internal.h"

enum {
    AUTH_SILENCE_MS = 120000, /* as sshd's LoginGraceTime */
    REKEY_MAX_MS = 60000,
    LAST_LOOK_MS = 20
};

static void on_timer(uv_timer_t *timer);

static void arm(struct session *session, uint64_t due_ms)
{
    uint64_t now = uv_now(session->loop);
    session->timer_due_ms = due_ms > now ? due_ms : now + 1;
    (void)uv_timer_start(&session->timer, on_timer, session->timer_due_ms - now, 0);
}

/* A process that was stopped, or had no turn for long, finds its timers due before it has read its sockets: what the
 * peer has sent meanwhile waits there. Silence is believed only after the loop has looked once more. False: it looks
 * now, and on_timer comes again. */
static bool has_looked(struct session *session)
{
    if (!session->looking) {
        session->looking = true;
        arm(session, uv_now(session->loop) + LAST_LOOK_MS);
        return false;
    }
    return true;
}

/* Time in which we did not run is not the peer's: the limits of what takes several questions and answers begin later by
 * it. */
static void forgive_own_delay(struct session *session)
{
    uint64_t now = uv_now(session->loop);
    uint64_t late_ms = now > session->timer_due_ms ? now - session->timer_due_ms : 0;
    session->phase_started_ms += late_ms;
    session->rekey_since_ms += late_ms;
}

static void on_keepalive_reply(void *arg, enum err result, uint16_t bound_port)
{
    struct session *session = arg;
    (void)bound_port;
    if (result != ERR_CLOSED) { /* refused is an answer too, and the usual one */
        session->rtt_ms = (int64_t)(uv_now(session->loop) - session->probe_sent_ms);
    }
}

static void ask(struct session *session)
{
    session->probes++;
    session->probe_sent_ms = uv_now(session->loop);
    mux_keepalive(session->mux, on_keepalive_reply, session);
}

static uint64_t rekey_due_ms(const struct session *session)
{
    return session->was_rekeying ? session->rekey_since_ms + REKEY_MAX_MS : UINT64_MAX;
}

/* Arms for `due_ms`, or for the answer to session_probe or the end of a key exchange where that is due earlier. */
static void arm_ready(struct session *session, uint64_t due_ms)
{
    uint64_t rekey_ms = rekey_due_ms(session);
    due_ms = session->probe_due_ms != 0 && session->probe_due_ms < due_ms ? session->probe_due_ms : due_ms;
    arm(session, rekey_ms < due_ms ? rekey_ms : due_ms);
}

/* The peer has been silent for too long. */
static void end_silent(struct session *session, uint64_t silent_ms)
{
    if (!has_looked(session)) {
        return;
    }
    if (session->probe_due_ms != 0 && uv_now(session->loop) >= session->probe_due_ms) {
        session_end(session, ERR_TIMEOUT, "the peer does not answer since the system woke up or its network changed");
    } else {
        session_end(session, ERR_TIMEOUT, "the peer is silent since %.3g s (server_alive_interval x (count + 1))",
                    (double)silent_ms / 1000.0);
    }
}

static void check_ready(struct session *session)
{
    uint64_t interval = session->spec.server_alive_interval_ms;
    uint64_t silent = uv_now(session->loop) - session->last_received_ms;
    if (uv_now(session->loop) >= rekey_due_ms(session)) {
        session_end(session, ERR_TIMEOUT, "the peer did not finish changing keys within %d s", REKEY_MAX_MS / 1000);
        return;
    }
    if (interval == 0) {
        if (session->was_rekeying) {
            arm(session, rekey_due_ms(session));
        }
        return;
    }
    if ((session->probe_due_ms != 0 && uv_now(session->loop) >= session->probe_due_ms) ||
        (silent >= interval * (session->spec.server_alive_count_max + 1ULL) &&
         session->probes >= session->spec.server_alive_count_max)) {
        end_silent(session, silent);
        return;
    }
    session->looking = false;
    if (silent >= interval) {
        if (session->probes < session->spec.server_alive_count_max) {
            ask(session);
        }
        arm_ready(session, uv_now(session->loop) + interval - silent % interval);
    } else {
        arm_ready(session, session->last_received_ms + interval);
    }
}

void alive_rekeying(struct session *session)
{
    const uv_timer_t *timer = &session->timer;
    if (!session->stopping &&
        (!uv_is_active((const uv_handle_t *)timer) || uv_timer_get_due_in(timer) > REKEY_MAX_MS)) {
        arm(session, session->rekey_since_ms + REKEY_MAX_MS);
    }
}

void session_probe(struct session *session)
{
    uint64_t now = uv_now(session->loop);
    uint64_t interval = session->spec.server_alive_interval_ms;
    uint64_t limit = interval * (session->spec.server_alive_count_max + 1ULL);
    uint64_t patience = session->spec.connect_timeout_ms;
    if (session->phase != SESSION_READY || session->ending || session->stopping || interval == 0 ||
        session->probe_due_ms != 0) {
        return;
    }
    session->probe_due_ms = now + (patience != 0 && patience < limit ? patience : limit);
    ask(session);
    arm_ready(session, now + interval);
}

static void on_timer(uv_timer_t *timer)
{
    struct session *session = timer->data;
    uint64_t now = uv_now(session->loop);
    uint64_t limit = session->spec.connect_timeout_ms != 0 ? session->spec.connect_timeout_ms : AUTH_SILENCE_MS;
    if (session->ending) {
        return;
    }
    if (session->stopping) {
        session_end(session, ERR_CANCELLED, "stopped");
        return;
    }
    forgive_own_delay(session);
    switch (session->phase) {
    case SESSION_HANDSHAKING:
        if (session->key_check != NULL) { /* a person is being asked */
            arm(session, now + limit);
        } else if (now - session->phase_started_ms >= limit) {
            session_end(session, ERR_TIMEOUT, "no SSH greeting and key exchange within %.3g s; is port %u a sshd?",
                        (double)limit / 1000.0, session->spec.port);
        } else {
            arm(session, session->phase_started_ms + limit);
        }
        break;
    case SESSION_AUTHENTICATING:
        if (!session->lent && now - session->last_received_ms >= AUTH_SILENCE_MS) {
            if (has_looked(session)) {
                session_end(session, ERR_TIMEOUT, "the peer went silent while it was asked to let us in");
            }
        } else {
            session->looking = false;
            arm(session, (session->lent ? now : session->last_received_ms) + AUTH_SILENCE_MS);
        }
        break;
    case SESSION_READY: check_ready(session); break;
    case SESSION_RESOLVING:
    case SESSION_CONNECTING:
    case SESSION_CLOSED: break;
    }
}

void alive_phase(struct session *session)
{
    uint64_t now = uv_now(session->loop);
    uint64_t interval = session->spec.server_alive_interval_ms;
    session->phase_started_ms = now;
    session->last_received_ms = now;
    session->probes = 0;
    session->looking = false;
    if (session->phase == SESSION_HANDSHAKING || session->phase == SESSION_AUTHENTICATING) {
        arm(session,
            now + (session->spec.connect_timeout_ms != 0 ? session->spec.connect_timeout_ms : AUTH_SILENCE_MS));
    } else if (session->phase == SESSION_READY && interval != 0) {
        uint64_t limit = interval * (session->spec.server_alive_count_max + 1ULL);
        platform_tcp_user_timeout(session->tcp, limit < 1000000000ULL ? (unsigned)limit : 1000000000U);
        arm(session, now + interval);
    } else {
        (void)uv_timer_stop(&session->timer);
    }
}

void alive_received(struct session *session)
{
    session->last_received_ms = uv_now(session->loop);
    session->probes = 0;
    session->probe_due_ms = 0;
}

void alive_stop_within(struct session *session, uint64_t ms)
{
    arm(session, uv_now(session->loop) + ms);
}
