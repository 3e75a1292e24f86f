/* The session of a walk: begun once, judged by the files of its hops, used by the forwards, and ended. */
#include <string.h>

#include "cli/doctor.h"

enum { LARGE_BYTES = 8 * 1024, FLUSH_MS = 500, BEGIN_MAX_MS = 24 * 3600 * 1000 };

static void on_auth_late(uv_timer_t *timer)
{
    struct doctor *doctor = timer->data;
    doctor->is_auth_late = true;
    session_stop(doctor->session, 0);
}

static void on_phase(void *arg, enum session_phase phase)
{
    struct doctor *doctor = arg;
    doctor->phase = phase;
    if (phase == SESSION_AUTHENTICATING && !doctor->may_ask) {
        (void)uv_timer_start(&doctor->auth_timer, on_auth_late, doctor_limit_ms(doctor), 0);
    } else {
        (void)uv_timer_stop(&doctor->auth_timer);
    }
    doctor->is_settled = doctor->is_settled || phase == SESSION_READY;
}

static void on_offer(void *arg, struct channel *channel, const struct channel_offer *offer)
{
    struct doctor *doctor = arg;
    if (doctor->on_offer != NULL) {
        doctor->on_offer(doctor->on_offer_arg, channel, offer);
    } else {
        channel_reject(channel, ERR_REFUSED, "only a look is taken at this forward");
    }
}

static void on_closed(void *arg, const struct err_info *why)
{
    struct doctor *doctor = arg;
    doctor->why = *why;
    doctor->is_closed = doctor->is_settled = true;
    (void)uv_timer_stop(&doctor->auth_timer);
}

void doctor_session_begin(struct doctor *doctor)
{
    const struct session_events events = {
        .on_phase = on_phase, .on_offer = on_offer, .on_closed = on_closed, .arg = doctor};
    doctor->session = session_new(&doctor->loop, &doctor->host, doctor->may_ask, doctor->tunnel->name, &events);
    if (doctor->session == NULL) {
        (void)err_set(&doctor->why, ERR_MEMORY, "out of memory");
        doctor->is_closed = doctor->is_settled = true;
        return;
    }
    doctor_connect_observe(doctor);
    inspect_session(doctor->session, &doctor->inspect);
    session_start(doctor->session);
    (void)doctor_wait(doctor, &doctor->is_settled, BEGIN_MAX_MS); /* each phase has its own limit */
}

struct answer_to {
    bool is_here;
    enum err result;
};

static void on_large_reply(void *arg, enum err result, uint16_t port)
{
    struct answer_to *answer = arg;
    (void)port;
    answer->is_here = true;
    answer->result = result;
}

void doctor_session_packets(struct doctor *doctor)
{
    struct answer_to answer = {false, OK};
    uint64_t before = uv_hrtime();
    inspect_send_large(doctor->session, LARGE_BYTES, on_large_reply, &answer);
    bool came = doctor_wait(doctor, &answer.is_here, doctor_limit_ms(doctor)) && answer.result != ERR_CLOSED;
    double ms = (double)(uv_hrtime() - before) / 1e6;
    if (came) {
        doctor_report_add(doctor->report, DOCTOR_OK, "packet size", NULL,
                          "%d KiB at once reached the peer and were answered in %.3g ms", LARGE_BYTES / 1024, ms);
        return;
    }
    doctor_report_add(
        doctor->report, DOCTOR_FAIL, "packet size",
        "large packets vanish on the way (an MTU black hole: a VPN, PPPoE or tunnel that drops them and says nothing): "
        "lower the MTU of this machine's interface (try 1280), or let ICMP 'fragmentation needed' through",
        "small packets pass, but %d KiB at once were not answered within %.3g s%s%s", LARGE_BYTES / 1024,
        (double)doctor_limit_ms(doctor) / 1000.0, doctor->is_closed ? ": " : "",
        doctor->is_closed ? doctor->why.message : "");
    /* the answer's place is on the stack */
    session_stop(doctor->session, 0);
    (void)doctor_wait(doctor, &doctor->is_closed, BEGIN_MAX_MS);
}

void doctor_session_end(struct doctor *doctor)
{
    if (doctor->session == NULL) {
        return;
    }
    doctor->on_offer = NULL;
    if (!doctor->is_closed) {
        session_stop(doctor->session, FLUSH_MS);
        (void)doctor_wait(doctor, &doctor->is_closed, BEGIN_MAX_MS);
    }
    session_free(doctor->session);
    doctor->session = NULL;
}
