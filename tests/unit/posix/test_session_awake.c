/* A session whose questions are answered at once looks at its socket again before it sleeps, and then does sleep. What
 * is counted is how often the loop goes round. The peer lives on the same loop, so that there is always something to do
 * while they talk, and nothing afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "peer/peer_session.h"
#include "session/session.h"

enum {
    QUESTIONS = 200,
    PAUSE_MS = 3,
    SILENCE_MS = 40,
    SOON_US = 1000,
    LATE_US = 5000, /* no look is that late, even when we had no turn for a while */
    LOOKS = 4,      /* of one wait; a loop that sleeps goes round once or twice */
    TRIES = 100
};

static struct peer_session net;
static struct {
    unsigned left; /* questions */
    uint64_t pause_ms;
    uint64_t answered_ns; /* the last one */
    uv_timer_t timer;
    uv_check_t check;
    unsigned rounds; /* of the loop */
    bool is_silent;
    int open_handles;
} own;

static void ask(void);

static void on_pause_end(uv_timer_t *timer)
{
    (void)timer;
    ask();
}

static void on_answer(void *arg, enum err result, uint16_t bound_port)
{
    (void)arg;
    (void)bound_port;
    assert_int_not_equal(result, ERR_CLOSED);
    own.answered_ns = uv_hrtime();
    own.left--;
    if (own.left > 0 && own.pause_ms > 0) {
        assert_int_equal(uv_timer_start(&own.timer, on_pause_end, own.pause_ms, 0), 0);
    } else if (own.left > 0) {
        ask();
    }
}

static void ask(void)
{
    session_unlisten(net.session, "127.0.0.1", 1, on_answer, NULL); /* which it refuses */
}

static void talk(uint64_t pause_ms)
{
    own.left = QUESTIONS;
    own.pause_ms = pause_ms;
    ask();
}

static bool is_ready(void)
{
    return net.ready;
}

static bool all_are_answered(void)
{
    return own.left == 0;
}

static void on_silence_end(uv_timer_t *timer)
{
    (void)timer;
    own.is_silent = false;
}

/* How often the loop goes round soon after the last answer, and late. */
static void listen_to_silence(unsigned *soon, unsigned *late)
{
    *soon = *late = 0;
    own.is_silent = true;
    uv_update_time(&net.loop);
    assert_int_equal(uv_timer_start(&own.timer, on_silence_end, SILENCE_MS, 0), 0);
    while (own.is_silent) {
        (void)uv_run(&net.loop, UV_RUN_ONCE);
        uint64_t since_us = (uv_hrtime() - own.answered_ns) / 1000;
        *soon += since_us < SOON_US;
        *late += since_us > LATE_US;
    }
}

static void on_round(uv_check_t *check)
{
    (void)check;
    own.rounds++;
}

static void on_handle_closed(uv_handle_t *handle)
{
    (void)handle;
    own.open_handles--;
}

static void on_end(void)
{
    uv_close((uv_handle_t *)&own.timer, on_handle_closed);
    uv_close((uv_handle_t *)&own.check, on_handle_closed);
}

static int setup(void **state)
{
    (void)state;
    memset(&own, 0, sizeof own);
    peer_session_set_up(&net);
    assert_int_equal(uv_timer_init(&net.loop, &own.timer), 0);
    assert_int_equal(uv_check_init(&net.loop, &own.check), 0);
    assert_int_equal(uv_check_start(&own.check, on_round), 0);
    own.open_handles = 2;
    net.on_end = on_end;
    peer_session_start(&net);
    peer_session_run_until(&net, is_ready, 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    session_stop(net.session, 1000);
    (void)uv_run(&net.loop, UV_RUN_DEFAULT);
    assert_int_equal(own.open_handles, 0);
    return peer_session_tear_down(&net);
}

static void after_a_chain_it_looks_again_and_then_sleeps(void **state)
{
    unsigned soon = 0, late = 0;
    (void)state;
    for (int i = 0; i < TRIES && soon < LOOKS; i++) { /* who has no turn for a millisecond sees nothing soon */
        talk(0);
        peer_session_run_until(&net, all_are_answered, 20);
        listen_to_silence(&soon, &late);
        assert_true(late < LOOKS);
    }
    assert_true(soon >= LOOKS);
}

static void between_questions_with_pauses_it_sleeps(void **state)
{
    (void)state;
    own.rounds = 0;
    talk(PAUSE_MS);
    peer_session_run_until(&net, all_are_answered, 20);
    assert_true(own.rounds < QUESTIONS * 10); /* some for each question and its answer, and none for the pause */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(after_a_chain_it_looks_again_and_then_sleeps, setup, teardown),
        cmocka_unit_test_setup_teardown(between_questions_with_pauses_it_sleeps, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
