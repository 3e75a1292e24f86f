/* Is the peer still there? Any received byte proves it; silence is asked about, and ends the session when nothing came
 * for server_alive_interval x (server_alive_count_max + 1). The same timer holds the deadlines of the earlier phases.
 *
 * The round trip time comes from the answers. A busy peer is never silent, so it is asked for that alone, about once in
 * an interval, when the timer fires that would have found silence: one small packet each way, and no wake-up more. An
 * idle session is asked as often as before. */
#include "base/log.h"
#include "platform/platform.h"
#include "session/internal.h"

enum {
    AUTH_SILENCE_MS = 120000, /* as sshd's LoginGraceTime */
    REKEY_MAX_MS = 60000,
    LAST_LOOK_MS = 20,
    WAKE_ANSWER_MS = 3000 /* how long an answer may take after a wake-up or a change of network */
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
    session->unanswered--;
    if (result != ERR_CLOSED && session->rtt_pending) { /* refused is an answer too, and the usual one */
        session->rtt_ms = (int64_t)(uv_now(session->loop) - session->rtt_asked_ms);
        session->rtt_pending = false;
        mux_note_trip(session->mux, ((uint64_t)session->rtt_ms + 1) * 1000);
    }
}

/* Answers come in order: one question at a time is measured, and only while no older one waits for its answer. */
static void ask(struct session *session)
{
    session->probes++;
    session->asked_ms = uv_now(session->loop);
    if (session->unanswered++ == 0) {
        session->rtt_pending = true;
        session->rtt_asked_ms = session->asked_ms;
    }
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
    due_ms = rekey_ms < due_ms ? rekey_ms : due_ms;
    if (due_ms != UINT64_MAX) {
        arm(session, due_ms);
    } else {
        (void)uv_timer_stop(&session->timer);
    }
}

static void check_ready(struct session *session)
{
    uint64_t now = uv_now(session->loop);
    uint64_t interval = session->spec.server_alive_interval_ms;
    uint64_t silent = now - session->last_received_ms;
    if (now >= rekey_due_ms(session)) {
        session_end(session, ERR_TIMEOUT, "the peer did not finish changing keys within %d s", REKEY_MAX_MS / 1000);
        return;
    }
    if (interval == 0) {
        arm_ready(session, UINT64_MAX);
        return;
    }
    if (silent >= interval * (session->spec.server_alive_count_max + 1ULL) &&
        session->probes >= session->spec.server_alive_count_max) {
        if (has_looked(session)) {
            session_end(session, ERR_TIMEOUT, "the peer is silent since %.3g s (server_alive_interval x (count + 1))",
                        (double)silent / 1000.0);
        }
        return;
    }
    session->looking = false;
    if (silent >= interval) {
        /* The first answer has a whole interval, also where we come late to the question. */
        uint64_t passed = session->probes == 0 ? 0 : silent % interval;
        if (session->probes < session->spec.server_alive_count_max) {
            ask(session);
        }
        arm_ready(session, now + interval - passed);
        return;
    }
    if (now - session->asked_ms >= interval / 2) {
        ask(session);
    }
    arm_ready(session, session->last_received_ms + interval);
}

void alive_rekeying(struct session *session)
{
    const uv_timer_t *timer = &session->timer;
    if (!session->stopping &&
        (!uv_is_active((const uv_handle_t *)timer) || uv_timer_get_due_in(timer) > REKEY_MAX_MS)) {
        arm(session, session->rekey_since_ms + REKEY_MAX_MS);
    }
}

/* Whether an answer is owed, or the beginning of a connection: not while a person or an agent is asked. */
static bool can_be_probed(const struct session *session)
{
    switch (session->phase) {
    case SESSION_RESOLVING:
    case SESSION_CONNECTING:
    case SESSION_READY: return true;
    case SESSION_HANDSHAKING: return session->key_check == NULL;
    case SESSION_AUTHENTICATING:
    case SESSION_CLOSED: break;
    }
    return false;
}

void session_probe(struct session *session)
{
    uint64_t now = uv_now(session->loop);
    uint64_t interval = session->spec.server_alive_interval_ms;
    uint64_t limit = interval * (session->spec.server_alive_count_max + 1ULL);
    if (session->ending || session->stopping || !can_be_probed(session)) {
        return;
    }
    /* What was asked before a sleep says nothing of the path, and what was seen before the network changed neither. */
    session->rtt_pending = false;
    mux_forget_path(session->mux);
    if (session->probe_due_ms != 0) {
        return;
    }
    session->probe_due_ms = now + (limit != 0 && limit < WAKE_ANSWER_MS ? limit : WAKE_ANSWER_MS);
    if (session->phase == SESSION_READY) {
        session->probe_behind =
            session->bytes_out + session->out.len + mux_control_bytes(session->mux) + OUT_SOFT_BYTES;
        session->probe_acknowledged = transport_acknowledged(session);
        ask(session);
        arm_ready(session, interval != 0 ? now + interval : UINT64_MAX);
    } else if (!uv_is_active((uv_handle_t *)&session->timer) || session->timer_due_ms > session->probe_due_ms) {
        arm(session, session->probe_due_ms);
    }
}

/* Whether the question waited behind bulk of ours when we last looked, for which a thin path takes its time: the peer's
 * system has acknowledged some of that since. It has another while then. */
static bool is_on_its_way(struct session *session)
{
    uint64_t acknowledged = session->phase == SESSION_READY ? transport_acknowledged(session) : 0;
    if (session->probe_acknowledged >= session->probe_behind || acknowledged <= session->probe_acknowledged) {
        return false;
    }
    session->probe_acknowledged = acknowledged;
    session->probe_due_ms = uv_now(session->loop) + WAKE_ANSWER_MS;
    session->looking = false;
    return true;
}

/* Whether session_probe's answer is overdue; then the session has ended, or the loop looks a last time. */
static bool is_probe_over(struct session *session)
{
    if (session->probe_due_ms == 0 || uv_now(session->loop) < session->probe_due_ms || !can_be_probed(session)) {
        return false;
    }
    if (is_on_its_way(session)) {
        return false;
    }
    if (has_looked(session)) {
        session_end(session, ERR_TIMEOUT, "the peer does not answer since the system woke up or its network changed");
    }
    return true;
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
    if (is_probe_over(session)) {
        return;
    }
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
    session->probe_due_ms = 0;
    session->looking = false;
    if (session->phase == SESSION_HANDSHAKING || session->phase == SESSION_AUTHENTICATING) {
        arm(session,
            now + (session->spec.connect_timeout_ms != 0 ? session->spec.connect_timeout_ms : AUTH_SILENCE_MS));
    } else if (session->phase == SESSION_READY && interval != 0) {
        uint64_t limit = interval * (session->spec.server_alive_count_max + 1ULL);
        platform_tcp_user_timeout(session->tcp, limit < 1000000000ULL ? (unsigned)limit : 1000000000U);
        ask(session); /* for the round trip time */
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
    session->looking = false;
}

void alive_stop_within(struct session *session, uint64_t ms)
{
    arm(session, uv_now(session->loop) + ms);
}
