/* Whether a port that the peer has granted brings its connections to us. A peer that grants one port to two sessions
 * (session_shares_ports) goes on giving them to the earlier one, perhaps a dead one of ours, and says nothing of it. So
 * a loop goes through the port once before the forward is up.
 *
 * Not where the peer chose the port, which is nobody else's then, and not for paths. If somebody else has the port,
 * they see a connection that says 16 bytes. */
#include "base/log.h"
#include "forward/internal.h"
#include "forward/loop.h"

static const char *text_of(const struct forward *forward, char *out, size_t cap_bytes)
{
    return forward_spec_text(forward->spec, forward->bound_port, out, cap_bytes);
}

bool traffic_check_is_due(const struct forward *forward)
{
    return forward->spec->listen.kind == ENDPOINT_TCP && forward->spec->listen.port != 0 &&
           session_shares_ports(forward->session);
}

/* What comes to the port goes elsewhere: it is let go of, so that whoever takes it next does not share it with us. */
static void lands_elsewhere(struct forward *forward)
{
    struct err_info why;
    uint16_t port = forward->bound_port;
    session_unlisten(forward->session, forward_bind_host(forward->spec), port, NULL, NULL);
    forward->bound_port = 0;
    forward->refused_port = port;
    forward->is_elsewhere = true;
    (void)err_set(&why, ERR_BIND,
                  "the peer granted port %u, but what connects to it there lands elsewhere, probably at a session of "
                  "before that the peer has not ended yet; end that session's sshd process there, or wait until it has "
                  "gone, or add these two lines to the peer's sshd_config, so that it ends dead sessions itself: "
                  "'ClientAliveInterval 15' and 'ClientAliveCountMax 3'",
                  (unsigned)port);
    forward_set_state(forward, FORWARD_FAILED, &why);
}

static void cannot_be_checked(struct forward *forward, const char *reason, const char *mend)
{
    char text[600];
    log_line(forward->unchecked_told ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING, forward->log_name,
             "%s: it could not be checked whether its connections come to us, and not to an earlier session that this "
             "peer may have given the port too: it does not connect to the port for us (%s)%s",
             text_of(forward, text, sizeof text), reason, mend);
    forward->unchecked_told = true;
    forward_set_state(forward, FORWARD_UP, NULL);
}

static void on_ended(void *arg, enum loop_end end, const char *reason)
{
    struct forward *forward = arg;
    forward->check = NULL;
    switch (end) {
    case LOOP_CAME_BACK:
        forward->unchecked_told = false;
        forward_set_state(forward, FORWARD_UP, NULL);
        break;
    case LOOP_CLOSED: lands_elsewhere(forward); break;
    case LOOP_REFUSED: cannot_be_checked(forward, reason, ""); break;
    case LOOP_PROHIBITED:
        cannot_be_checked(forward, reason, "; permit that by AllowTcpForwarding, PermitOpen or permitopen");
        break;
    case LOOP_GONE: break; /* with its session, whose end follows */
    }
}

/* Nothing came. A path may be so slow that nothing could. */
static void on_limit(uv_timer_t *timer)
{
    struct forward *forward = timer->data;
    struct loop *loop = forward->check;
    if (loop == NULL) {
        return;
    }
    if (loop_is_on_its_way(loop)) {
        (void)uv_timer_start(timer, on_limit, loop_limit_ms(forward), 0);
        return;
    }
    bool is_open = loop_is_open(loop);
    traffic_check_end(forward);
    if (is_open) {
        lands_elsewhere(forward);
    } else {
        cannot_be_checked(forward, "no answer", "");
    }
}

void traffic_check_begin(struct forward *forward)
{
    forward->state = FORWARD_BINDING; /* also where the answer came late, and it had failed for that */
    forward->answer_due = false;
    forward->check = loop_begin(forward, on_ended, forward);
    if (forward->check == NULL) {
        cannot_be_checked(forward, "too many connections at once", "");
        return;
    }
    (void)uv_timer_start(&forward->timer, on_limit, loop_limit_ms(forward), 0);
}

void traffic_check_end(struct forward *forward)
{
    struct loop *loop = forward->check;
    forward->check = NULL;
    if (loop != NULL) {
        loop_end(loop);
    }
}
