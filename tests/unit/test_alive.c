/* Is the peer still there? What it sent while we could not look counts, and silence does not last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "peer/ssh_peer.h"
#include "session/internal.h"

enum {
    INTERVAL_MS = 100,
    COUNT_MAX = 3,
    LIMIT_MS = INTERVAL_MS * (COUNT_MAX + 1),
    TICK_MS = 20,
    PATIENCE_MS = 20 * 1000 /* before a test is given up */
};

static struct {
    uv_loop_t loop;
    uv_timer_t ticks;
    uv_check_t check;
    struct ssh_peer peer;
    struct host_spec spec;
    struct session *session;
    void (*stall)(void); /* what is done once, after the loop has looked at its sockets and before its timers */
    bool ready, busy, patient;
    int64_t rtt_ms;
    int closed, ticks_seen, ticks_after_stall;
    int ticks_to_sign; /* so many ticks later the peer says something; 0: it does not */
    enum err code;
    char message[600];
} net;

static void refuse_offer(void *arg, struct channel *channel, const struct channel_offer *offer)
{
    (void)arg;
    (void)offer;
    channel_reject(channel, ERR_UNSUPPORTED, "no");
}

static void on_phase(void *arg, enum session_phase phase)
{
    (void)arg;
    net.ready = net.ready || phase == SESSION_READY;
}

static void on_closed(void *arg, const struct err_info *why)
{
    (void)arg;
    net.closed++;
    net.code = why->code;
    (void)snprintf(net.message, sizeof net.message, "%s", why->message);
    uv_close((uv_handle_t *)&net.ticks, NULL);
    uv_close((uv_handle_t *)&net.check, NULL);
    session_free(net.session);
}

/* Stops a session that has outlived its stall by more than its limits, or that should have ended long ago. */
static void on_tick(uv_timer_t *timer)
{
    (void)timer;
    net.ticks_seen++;
    if (net.busy && net.ready) {
        ssh_peer_ignore(&net.peer);
        ssh_peer_flush(&net.peer);
    }
    if (net.ticks_to_sign > 0 && --net.ticks_to_sign == 0) {
        ssh_peer_ignore(&net.peer);
        ssh_peer_flush(&net.peer);
        net.patient = false;
    }
    if (net.ready && net.stall == NULL && !net.patient && ++net.ticks_after_stall > 2 * LIMIT_MS / TICK_MS) {
        struct session_facts facts;
        session_get_facts(net.session, &facts);
        net.rtt_ms = facts.rtt_ms;
        session_stop(net.session, 1000);
    } else if (net.ticks_seen > PATIENCE_MS / TICK_MS) {
        session_stop(net.session, 0);
    }
}

static void on_check(uv_check_t *check)
{
    (void)check;
    if (net.ready && net.stall != NULL) {
        void (*stall)(void) = net.stall;
        net.stall = NULL;
        stall();
    }
}

static int setup(void **state)
{
    (void)state;
    memset(&net, 0, sizeof net);
    (void)log_open(NULL, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    assert_int_equal(uv_loop_init(&net.loop), 0);
    ssh_peer_start(&net.peer, &net.loop);
    assert_int_equal(uv_timer_init(&net.loop, &net.ticks), 0);
    assert_int_equal(uv_timer_start(&net.ticks, on_tick, TICK_MS, TICK_MS), 0);
    assert_int_equal(uv_check_init(&net.loop, &net.check), 0);
    assert_int_equal(uv_check_start(&net.check, on_check), 0);
    ssh_peer_spec(&net.peer, &net.spec);
    net.spec.server_alive_interval_ms = INTERVAL_MS;
    net.spec.server_alive_count_max = COUNT_MAX;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ssh_peer_stop(&net.peer);
    (void)uv_run(&net.loop, UV_RUN_DEFAULT);
    host_spec_deinit(&net.spec);
    return uv_loop_close(&net.loop);
}

static void run_with(void (*stall)(void))
{
    const struct session_events events = {.on_phase = on_phase, .on_offer = refuse_offer, .on_closed = on_closed};
    net.stall = stall;
    net.session = session_new(&net.loop, &net.spec, false, "test", &events);
    assert_non_null(net.session);
    session_start(net.session);
    (void)uv_run(&net.loop, UV_RUN_DEFAULT);
    assert_int_equal(net.closed, 1);
}

static void expect_end(enum err code, const char *says)
{
    if (net.code != code || strstr(net.message, says) == NULL) {
        fail_msg("it ended with %d: %s", (int)net.code, net.message);
    }
}

/* The process is stopped, or has no turn, for longer than the limit; what the peer said meanwhile waits in the socket.
 */
static void stand_still(void)
{
    ssh_peer_ignore(&net.peer);
    ssh_peer_flush(&net.peer);
    uv_sleep(LIMIT_MS + INTERVAL_MS);
}

static void stall_after_questions(void)
{
    net.session->probes = COUNT_MAX;
    stand_still();
}

static void what_waits_unread_is_a_sign_of_life(void **state)
{
    (void)state;
    run_with(stall_after_questions);
    expect_end(ERR_CANCELLED, "stopped");
}

static void stall_after_a_wake_up(void)
{
    session_probe(net.session);
    stand_still();
}

static void it_is_one_after_a_wake_up_too(void **state)
{
    (void)state;
    run_with(stall_after_a_wake_up);
    expect_end(ERR_CANCELLED, "stopped");
}

static void fall_silent(void)
{
    net.session->probes = COUNT_MAX;
    assert_int_equal(uv_read_stop((uv_stream_t *)net.peer.socket), 0);
}

static void a_silent_peer_is_left(void **state)
{
    (void)state;
    run_with(fall_silent);
    expect_end(ERR_TIMEOUT, "the peer is silent since");
}

static void forget_the_time(void)
{
    net.session->rtt_ms = -1;
    net.busy = true;
}

static void a_peer_that_is_never_silent_is_asked_for_its_time(void **state)
{
    (void)state;
    run_with(forget_the_time);
    expect_end(ERR_CANCELLED, "stopped");
    assert_in_range(net.rtt_ms, 0, LIMIT_MS);
}

static void wake_up_beside_a_silent_peer(void)
{
    assert_int_equal(uv_read_stop((uv_stream_t *)net.peer.socket), 0);
    net.patient = true;
    session_probe(net.session);
}

static void a_wake_up_asks_even_where_no_keepalive_does(void **state)
{
    (void)state;
    net.spec.server_alive_interval_ms = 0;
    run_with(wake_up_beside_a_silent_peer);
    expect_end(ERR_TIMEOUT, "does not answer since the system woke up");
}

/* Stopped for nearly the whole limit, and nothing was asked before: the question that comes then has its time. */
static void ask_late(void)
{
    const uint64_t limit_ms = 2 * net.spec.server_alive_interval_ms;
    if (net.session->probes > 0) {
        net.stall = ask_late; /* the answer to the first question is still to come */
        return;
    }
    assert_int_equal(uv_read_stop((uv_stream_t *)net.peer.socket), 0);
    uv_update_time(&net.loop);
    uv_sleep((unsigned)(net.session->last_received_ms + limit_ms - 10 - uv_now(&net.loop)));
    net.patient = true;
    net.ticks_to_sign = 10;
}

static void an_answer_to_a_late_question_has_its_time(void **state)
{
    (void)state;
    net.spec.server_alive_interval_ms = 10 * INTERVAL_MS;
    net.spec.server_alive_count_max = 1;
    run_with(ask_late);
    expect_end(ERR_CANCELLED, "stopped");
}

static void wake_up_and_stand_still(void)
{
    static const uint64_t limit_ms = 50; /* instead of some seconds */
    session_probe(net.session);
    net.session->probe_due_ms = uv_now(&net.loop) + limit_ms;
    uv_timer_set_repeat(&net.session->timer, limit_ms);
    assert_int_equal(uv_timer_again(&net.session->timer), 0);
    ssh_peer_ignore(&net.peer);
    ssh_peer_flush(&net.peer);
    uv_sleep(2 * limit_ms);
}

static void wake_up_once_more(void)
{
    if (uv_is_active((uv_handle_t *)&net.session->timer)) {
        net.stall = wake_up_once_more; /* it is still at the first one */
        return;
    }
    assert_int_equal(net.session->probe_due_ms, 0);
    wake_up_and_stand_still();
}

static void wake_up_twice(void)
{
    wake_up_and_stand_still();
    net.stall = wake_up_once_more;
}

static void each_wake_up_has_a_last_look(void **state)
{
    (void)state;
    net.spec.server_alive_interval_ms = 0;
    run_with(wake_up_twice);
    expect_end(ERR_CANCELLED, "stopped");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_waits_unread_is_a_sign_of_life),
        TEST(it_is_one_after_a_wake_up_too),
        TEST(a_silent_peer_is_left),
        TEST(a_peer_that_is_never_silent_is_asked_for_its_time),
        TEST(a_wake_up_asks_even_where_no_keepalive_does),
        TEST(an_answer_to_a_late_question_has_its_time),
        TEST(each_wake_up_has_a_last_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
