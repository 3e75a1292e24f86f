/* What a peer may do to us when keys are changed: show another host key, and never come to an end. */
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
    PATIENCE_MS = 10 * 1000, /* before a test is given up */
    SIGN_MS = 20,            /* between two signs of life of a peer that gives some */
    REKEY_MAX_MS = 60 * 1000 /* what alive.c allows */
};

static struct peer_session net;
static struct {
    bool signs, in_a_hurry, hurried;
    int ticks_seen;
} own;

/* A minute of waiting is spared: the exchange began that much earlier. */
static void hurry(void)
{
    if (own.in_a_hurry && net.session->was_rekeying && !own.hurried) {
        own.hurried = true;
        net.session->rekey_since_ms -= REKEY_MAX_MS - 2ULL * INTERVAL_MS;
        if (net.spec.server_alive_interval_ms == 0) {
            assert_true(uv_timer_get_due_in(&net.session->timer) <= REKEY_MAX_MS);
            (void)uv_timer_stop(&net.session->timer);
        }
        alive_rekeying(net.session); /* moves what waits for the end of that minute */
    }
}

/* What should have ended the session did not. */
static void give_up_after_patience(void)
{
    if (own.ticks_seen++ > PATIENCE_MS / SIGN_MS) {
        session_stop(net.session, 0);
    }
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
    give_up_after_patience();
    if (own.signs && net.ready) {
        ssh_peer_ignore(&net.peer);
    }
    hurry();
}

static int setup(void **state)
{
    (void)state;
    memset(&own, 0, sizeof own);
    peer_session_set_up(&net);
    peer_session_tick(&net, on_tick, SIGN_MS);
    net.spec.server_alive_interval_ms = INTERVAL_MS;
    net.spec.server_alive_count_max = 3;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return peer_session_tear_down(&net);
}

/* ---- an honest peer ---- */

static void on_tick_honest(uv_timer_t *timer)
{
    static int begun;
    (void)timer;
    give_up_after_patience();
    if (!net.ready) {
        begun = 0;
    } else if (net.peer.exchanges > begun) {
        begun = net.peer.exchanges;
        if (begun <= 10) {
            ssh_peer_rekey(&net.peer);
        } else {
            session_stop(net.session, 1000);
        }
    }
}

static void the_same_key_again_is_no_reason_to_end(void **state)
{
    (void)state;
    peer_session_tick(&net, on_tick_honest, SIGN_MS);
    peer_session_run(&net);
    peer_session_expect_end(&net, ERR_CANCELLED, "stopped");
    assert_int_equal(net.peer.exchanges, 11);
}

/* ---- much that waits for the new keys ---- */

static int replies;

static void on_reply(void *arg, enum err result, uint16_t bound_port)
{
    (void)arg;
    (void)bound_port;
    assert_int_equal(result, ERR_REFUSED);
    replies++;
}

/* More than the mark beyond which a session stops its input, asked in the moment in which keys begin to change. */
static void on_tick_busy(uv_timer_t *timer)
{
    static int asked;
    (void)timer;
    give_up_after_patience();
    if (!net.ready) {
        asked = 0;
    } else if (asked == 0) {
        net.session->rekey_at_bytes = 0;
        while (mux_control_bytes(net.session->mux) <= OUT_HARD_BYTES) {
            mux_keepalive(net.session->mux, on_reply, NULL);
            asked++;
        }
    } else if (replies == asked) {
        session_stop(net.session, 1000);
    }
}

static void what_waits_for_the_new_keys_does_not_hold_them_up(void **state)
{
    (void)state;
    replies = 0;
    peer_session_tick(&net, on_tick_busy, SIGN_MS);
    peer_session_run(&net);
    peer_session_expect_end(&net, ERR_CANCELLED, "stopped");
    assert_int_equal(net.peer.exchanges, 2);
    assert_true(replies > 10000);
}

/* ---- another key ---- */

static void change_key(struct ssh_peer *peer)
{
    peer->shows = 1;
    ssh_peer_rekey(peer);
}

static void another_host_key_ends_the_session(void **state)
{
    (void)state;
    net.peer.on_let_in = change_key;
    peer_session_run(&net);
    peer_session_expect_end(&net, ERR_HOST_KEY, "another host key when the keys were changed: ssh-ed25519 SHA256:");
}

/* The exchange with the other key ends in the very write with which the next one begins, which shows the first key. */
static void another_host_key_is_seen_behind_a_further_exchange(void **state)
{
    (void)state;
    net.peer.on_let_in = change_key;
    net.peer.again = 1;
    net.peer.shows_again = 0;
    own.signs = true;
    peer_session_run(&net);
    peer_session_expect_end(&net, ERR_HOST_KEY, "another host key");
}

static void show_other(struct ssh_peer *peer)
{
    peer->shows = 1;
}

static void another_host_key_at_our_own_wish_ends_it_too(void **state)
{
    (void)state;
    net.peer.on_let_in = show_other;
    net.spec.rekey_limit_ms = INTERVAL_MS;
    peer_session_run(&net);
    peer_session_expect_end(&net, ERR_HOST_KEY, "another host key");
}

/* Keys are changed on a worker's time, between the client's wish to be let in and the answer to it. */
static void another_host_key_while_we_are_let_in(void **state)
{
    (void)state;
    net.peer.rekeys_before_letting_in = true;
    peer_session_run(&net);
    peer_session_expect_end(&net, ERR_HOST_KEY, "another host key");
}

/* ---- no end ---- */

static void begin_and_stall(struct ssh_peer *peer)
{
    peer->stalls = true;
    ssh_peer_rekey(peer);
}

static void stall(struct ssh_peer *peer)
{
    peer->stalls = true;
}

static void an_exchange_without_end_is_a_fault_of_a_living_peer(void **state)
{
    (void)state;
    net.peer.on_let_in = begin_and_stall;
    own.signs = own.in_a_hurry = true;
    peer_session_run(&net);
    peer_session_expect_end(&net, ERR_TIMEOUT, "did not finish changing keys within 60 s");
}

static void our_own_exchange_without_answer_too(void **state)
{
    (void)state;
    net.peer.on_let_in = stall;
    net.spec.rekey_limit_ms = 1;
    own.signs = own.in_a_hurry = true;
    peer_session_run(&net);
    peer_session_expect_end(&net, ERR_TIMEOUT, "did not finish changing keys within 60 s");
}

static void it_needs_no_keepalive_to_be_noticed(void **state)
{
    (void)state;
    net.peer.on_let_in = begin_and_stall;
    net.spec.server_alive_interval_ms = 0;
    own.signs = own.in_a_hurry = true;
    peer_session_run(&net);
    peer_session_expect_end(&net, ERR_TIMEOUT, "did not finish changing keys within 60 s");
}

static void a_peer_that_falls_silent_over_it_is_silent(void **state)
{
    (void)state;
    net.peer.on_let_in = begin_and_stall;
    peer_session_run(&net);
    peer_session_expect_end(&net, ERR_TIMEOUT, "the peer is silent");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_same_key_again_is_no_reason_to_end),
        TEST(what_waits_for_the_new_keys_does_not_hold_them_up),
        TEST(another_host_key_ends_the_session),
        TEST(another_host_key_is_seen_behind_a_further_exchange),
        TEST(another_host_key_at_our_own_wish_ends_it_too),
        TEST(another_host_key_while_we_are_let_in),
        TEST(an_exchange_without_end_is_a_fault_of_a_living_peer),
        TEST(our_own_exchange_without_answer_too),
        TEST(it_needs_no_keepalive_to_be_noticed),
        TEST(a_peer_that_falls_silent_over_it_is_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
