/* clang-format off: cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include "peer/peer_session.h"

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

static void refuse_offer(void *arg, struct channel *channel, const struct channel_offer *offer)
{
    (void)arg;
    (void)offer;
    channel_reject(channel, ERR_UNSUPPORTED, "no");
}

static void on_phase(void *arg, enum session_phase phase)
{
    struct peer_session *net = arg;
    net->ready = net->ready || phase == SESSION_READY;
}

static void on_closed(void *arg, const struct err_info *why)
{
    struct peer_session *net = arg;
    net->closed++;
    net->code = why->code;
    (void)snprintf(net->message, sizeof net->message, "%s", why->message);
    uv_close((uv_handle_t *)&net->ticks, NULL);
    if (net->on_end != NULL) {
        net->on_end();
    }
    session_free(net->session);
}

void peer_session_set_up(struct peer_session *net)
{
    memset(net, 0, sizeof *net);
    (void)log_open(NULL, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    assert_int_equal(uv_loop_init(&net->loop), 0);
    assert_int_equal(uv_timer_init(&net->loop, &net->ticks), 0);
    ssh_peer_start(&net->peer, &net->loop);
    ssh_peer_spec(&net->peer, &net->spec);
}

void peer_session_tick(struct peer_session *net, uv_timer_cb on_tick, uint64_t tick_ms)
{
    assert_int_equal(uv_timer_start(&net->ticks, on_tick, tick_ms, tick_ms), 0);
}

void peer_session_start(struct peer_session *net)
{
    const struct session_events events = {
        .on_phase = on_phase, .on_offer = refuse_offer, .on_closed = on_closed, .arg = net};
    net->session = session_new(&net->loop, &net->spec, false, "test", &events);
    assert_non_null(net->session);
    session_start(net->session);
}

void peer_session_run(struct peer_session *net)
{
    peer_session_start(net);
    (void)uv_run(&net->loop, UV_RUN_DEFAULT);
    assert_int_equal(net->closed, 1);
}

void peer_session_run_until(struct peer_session *net, bool (*done)(void), uint64_t limit_s)
{
    uint64_t begun = uv_hrtime();
    while (!done()) {
        assert_true(uv_hrtime() - begun < limit_s * 1000000000ULL);
        assert_int_equal(net->closed, 0);
        (void)uv_run(&net->loop, UV_RUN_ONCE);
    }
}

void peer_session_expect_end(const struct peer_session *net, enum err code, const char *says)
{
    if (net->code != code || strstr(net->message, says) == NULL) {
        fail_msg("it ended with %d: %s", (int)net->code, net->message);
    }
}

int peer_session_tear_down(struct peer_session *net)
{
    ssh_peer_stop(&net->peer);
    (void)uv_run(&net->loop, UV_RUN_DEFAULT);
    host_spec_deinit(&net->spec);
    return uv_loop_close(&net->loop);
}
