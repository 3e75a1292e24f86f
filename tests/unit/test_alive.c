/* Is the peer still there? What it sent while we could not look counts, and silence does not last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "peer/peer_session.h"
#include "session/internal.h"

enum {
    INTERVAL_MS = 100,
    COUNT_MAX = 3,
    LIMIT_MS = INTERVAL_MS * (COUNT_MAX + 1),
    TICK_MS = 20,
    PATIENCE_MS = 20 * 1000 /* before a test is given up */
};

static struct peer_session net;
static struct {
    uv_check_t check;
    void (*stall)(void); /* what is done once, after the loop has looked at its sockets and before its timers */
    bool busy, patient;
    int64_t rtt_ms;
    int ticks_seen, ticks_after_stall;
    int ticks_to_sign; /* so many ticks later the peer says something; 0: it does not */
} own;

static void on_end(void)
{
    uv_close((uv_handle_t *)&own.check, NULL);
}

/* Stops a session that has outlived its stall by more than its limits, or that should have ended long ago. */
static void on_tick(uv_timer_t *timer)
{
    (void)timer;
    own.ticks_seen++;
    if (own.busy && net.ready) {
        ssh_peer_ignore(&net.peer);
        ssh_peer_flush(&net.peer);
    }
    if (own.ticks_to_sign > 0 && --own.ticks_to_sign == 0) {
        ssh_peer_ignore(&net.peer);
        ssh_peer_flush(&net.peer);
        own.patient = false;
    }
    if (net.ready && own.stall == NULL && !own.patient && ++own.ticks_after_stall > 2 * LIMIT_MS / TICK_MS) {
        struct session_facts facts;
        session_get_facts(net.session, &facts);
        own.rtt_ms = facts.rtt_ms;
        session_stop(net.session, 1000);
    } else if (own.ticks_seen > PATIENCE_MS / TICK_MS) {
        session_stop(net.session, 0);
    }
}

static void on_check(uv_check_t *check)
{
    (void)check;
    if (net.ready && own.stall != NULL) {
        void (*stall)(void) = own.stall;
        own.stall = NULL;
        stall();
    }
}

static int setup(void **state)
{
    (void)state;
    memset(&own, 0, sizeof own);
    peer_session_set_up(&net);
    peer_session_tick(&net, on_tick, TICK_MS);
    assert_int_equal(uv_check_init(&net.loop, &own.check), 0);
    assert_int_equal(uv_check_start(&own.check, on_check), 0);
    net.on_end = on_end;
    net.spec.server_alive_interval_ms = INTERVAL_MS;
    net.spec.server_alive_count_max = COUNT_MAX;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return peer_session_tear_down(&net);
}

static void run_with(void (*stall)(void))
{
    own.stall = stall;
    peer_session_run(&net);
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
    peer_session_expect_end(&net, ERR_CANCELLED, "stopped");
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
    peer_session_expect_end(&net, ERR_CANCELLED, "stopped");
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
    peer_session_expect_end(&net, ERR_TIMEOUT, "the peer is silent since");
}

static void forget_the_time(void)
{
    net.session->rtt_ms = -1;
    own.busy = true;
}

static void a_peer_that_is_never_silent_is_asked_for_its_time(void **state)
{
    (void)state;
    run_with(forget_the_time);
    peer_session_expect_end(&net, ERR_CANCELLED, "stopped");
    assert_in_range(own.rtt_ms, 0, LIMIT_MS);
}

static void wake_up_beside_a_silent_peer(void)
{
    assert_int_equal(uv_read_stop((uv_stream_t *)net.peer.socket), 0);
    own.patient = true;
    session_probe(net.session);
}

static void a_wake_up_asks_even_where_no_keepalive_does(void **state)
{
    (void)state;
    net.spec.server_alive_interval_ms = 0;
    run_with(wake_up_beside_a_silent_peer);
    peer_session_expect_end(&net, ERR_TIMEOUT, "does not answer since the system woke up");
}

/* Stopped for nearly the whole limit, and nothing was asked before: the question that comes then has its time. */
static void ask_late(void)
{
    const uint64_t limit_ms = 2 * net.spec.server_alive_interval_ms;
    if (net.session->probes > 0) {
        own.stall = ask_late; /* the answer to the first question is still to come */
        return;
    }
    assert_int_equal(uv_read_stop((uv_stream_t *)net.peer.socket), 0);
    uv_update_time(&net.loop);
    uv_sleep((unsigned)(net.session->last_received_ms + limit_ms - 10 - uv_now(&net.loop)));
    own.patient = true;
    own.ticks_to_sign = 10;
}

static void an_answer_to_a_late_question_has_its_time(void **state)
{
    (void)state;
    net.spec.server_alive_interval_ms = 10 * INTERVAL_MS;
    net.spec.server_alive_count_max = 1;
    run_with(ask_late);
    peer_session_expect_end(&net, ERR_CANCELLED, "stopped");
}

static void wake_up_and_stand_still(void)
{
    static const unsigned limit_ms = 50; /* instead of some seconds */
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
        own.stall = wake_up_once_more; /* it is still at the first one */
        return;
    }
    assert_int_equal(net.session->probe_due_ms, 0);
    wake_up_and_stand_still();
}

static void wake_up_twice(void)
{
    wake_up_and_stand_still();
    own.stall = wake_up_once_more;
}

static void each_wake_up_has_a_last_look(void **state)
{
    (void)state;
    net.spec.server_alive_interval_ms = 0;
    run_with(wake_up_twice);
    peer_session_expect_end(&net, ERR_CANCELLED, "stopped");
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
