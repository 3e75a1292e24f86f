/* Forwards over a session that never answers: nothing waits for ever, and everything ends when it is stopped. */
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
#include "forward/forward.h"

static struct {
    uv_loop_t loop;
    struct host_spec host;
    struct session *session; /* never started: what it is asked stays unanswered */
    struct forward_spec spec;
    struct forward *forward;
    int changes, stopped, session_closed;
    uv_timer_t tick; /* so that no turn of the loop waits for long */
    uv_tcp_t client;
    uv_connect_t connect;
    bool client_connected, client_ended;
    uint64_t client_ended_ms;
} net;

static void on_change(void *arg, struct forward *forward)
{
    (void)arg;
    (void)forward;
    net.changes++;
}

static void on_stopped(void *arg, struct forward *forward)
{
    (void)arg;
    (void)forward;
    net.stopped++;
}

static void on_session_closed(void *arg, const struct err_info *why)
{
    (void)arg;
    (void)why;
    net.session_closed++;
    session_free(net.session);
}

static int setup(void **state)
{
    const struct session_events events = {.on_closed = on_session_closed};
    (void)state;
    memset(&net, 0, sizeof net);
    (void)log_open(NULL, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    host_spec_init(&net.host);
    forward_spec_init(&net.spec);
    if (uv_loop_init(&net.loop) != 0) {
        return -1;
    }
    net.session = session_new(&net.loop, &net.host, false, "test", &events);
    return net.session != NULL ? 0 : -1;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void begin(enum forward_type type, uint64_t connect_timeout_ms, uint64_t hold_ms)
{
    const struct forward_events events = {.on_change = on_change, .on_stopped = on_stopped};
    net.spec.type = type;
    net.spec.listen = (struct endpoint){.kind = ENDPOINT_TCP, .port = type == FORWARD_REMOTE ? 14444 : 0};
    net.spec.to = (struct endpoint){.kind = ENDPOINT_TCP, .host = strdup("127.0.0.1"), .port = 80};
    net.spec.hold_ms = hold_ms;
    net.forward = forward_new(&net.loop, &net.spec, "test", connect_timeout_ms, &events);
    assert_non_null(net.forward);
    (void)uv_timer_init(&net.loop, &net.tick);
    (void)uv_timer_start(&net.tick, on_tick, 5, 5);
    uv_unref((uv_handle_t *)&net.tick);
}

static int teardown(void **state)
{
    (void)state;
    uv_close((uv_handle_t *)&net.tick, NULL);
    forward_stop(net.forward);
    assert_int_equal(net.stopped, 0);
    if (net.session_closed == 0) {
        session_stop(net.session, 0);
    }
    if (net.client.loop != NULL && !uv_is_closing((uv_handle_t *)&net.client)) {
        uv_close((uv_handle_t *)&net.client, NULL);
    }
    (void)uv_run(&net.loop, UV_RUN_DEFAULT);
    assert_int_equal(net.stopped, 1);
    assert_int_equal(net.session_closed, 1);
    forward_free(net.forward);
    forward_spec_deinit(&net.spec);
    host_spec_deinit(&net.host);
    return uv_loop_close(&net.loop);
}

static void wait_for_changes(int count)
{
    for (int i = 0; i < 1000 && net.changes < count; i++) {
        (void)uv_run(&net.loop, UV_RUN_ONCE);
    }
    assert_int_equal(net.changes, count);
}

static void a_listener_that_the_peer_says_nothing_about_has_failed(void **state)
{
    (void)state;
    begin(FORWARD_REMOTE, 30, 0);
    forward_session_up(net.forward, net.session);
    for (int i = 1; i <= 3; i++) {
        forward_bind(net.forward);
        assert_int_equal(forward_get_state(net.forward), FORWARD_BINDING);
        wait_for_changes(i);
        assert_int_equal(forward_get_state(net.forward), FORWARD_FAILED);
        assert_int_equal(forward_error(net.forward)->code, ERR_BIND);
        assert_non_null(strstr(forward_error(net.forward)->message, "did not answer"));
        assert_non_null(strstr(forward_error(net.forward)->message, "14444"));
    }
}

static void a_session_that_goes_down_while_binding_is_not_a_failure_of_the_listener(void **state)
{
    (void)state;
    begin(FORWARD_REMOTE, 20, 0);
    forward_session_up(net.forward, net.session);
    forward_bind(net.forward);
    forward_session_down(net.forward);
    assert_int_equal(forward_get_state(net.forward), FORWARD_IDLE);
    while (uv_run(&net.loop, UV_RUN_ONCE) != 0) {}
    assert_int_equal(net.changes, 0);
    assert_int_equal(forward_get_state(net.forward), FORWARD_IDLE);
}

static void it_can_be_stopped_while_binding(void **state)
{
    (void)state;
    begin(FORWARD_REMOTE, 1000, 0);
    forward_session_up(net.forward, net.session);
    forward_bind(net.forward);
    forward_drain(net.forward, "it is stopped");
}

/* ---- -L ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    static char bytes[64];
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(bytes, sizeof bytes);
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    (void)buf;
    if (nread < 0) {
        net.client_ended = true;
        net.client_ended_ms = uv_now(&net.loop);
        uv_close((uv_handle_t *)stream, NULL);
    }
}

static void on_connected(uv_connect_t *req, int status)
{
    assert_int_equal(status, 0);
    net.client_connected = true;
    (void)uv_read_start(req->handle, on_alloc, on_read);
}

static uint64_t connect_client(void)
{
    struct sockaddr_in address;
    forward_bind(net.forward);
    wait_for_changes(1);
    assert_int_equal(forward_get_state(net.forward), FORWARD_UP);
    (void)uv_ip4_addr("127.0.0.1", forward_bound_port(net.forward), &address);
    (void)uv_tcp_init(&net.loop, &net.client);
    assert_int_equal(uv_tcp_connect(&net.connect, &net.client, (struct sockaddr *)&address, on_connected), 0);
    uv_update_time(&net.loop);
    return uv_now(&net.loop);
}

static void run_until_client_ended(void)
{
    for (int i = 0; i < 1000 && !net.client_ended; i++) {
        (void)uv_run(&net.loop, UV_RUN_ONCE);
    }
    assert_true(net.client_connected && net.client_ended);
}

static void a_client_waits_for_the_session_as_long_as_it_may(void **state)
{
    (void)state;
    begin(FORWARD_LOCAL, 1000, 100);
    uint64_t before_ms = connect_client();
    run_until_client_ended();
    assert_in_range(net.client_ended_ms - before_ms, 95, 1000);
}

static void a_client_whose_open_the_peer_never_answers_is_let_go(void **state)
{
    struct forward_counts counts;
    (void)state;
    begin(FORWARD_LOCAL, 5, 10000);
    forward_session_up(net.forward, net.session);
    uint64_t before_ms = connect_client();
    while (!net.client_connected) {
        (void)uv_run(&net.loop, UV_RUN_ONCE);
    }
    (void)uv_run(&net.loop, UV_RUN_NOWAIT);
    forward_get_counts(net.forward, &counts);
    assert_int_equal(counts.channels, 1);
    for (int i = 0; i < 1000 && uv_now(&net.loop) - before_ms < 400; i++) {
        (void)uv_run(&net.loop, UV_RUN_ONCE);
    }
    session_stop(net.session, 0); /* its turn tells what became of the opens: this one was given up before */
    run_until_client_ended();
    assert_in_range(net.client_ended_ms - before_ms, 100, 2000);
    forward_get_counts(net.forward, &counts);
    assert_int_equal(counts.channels, 0);
}

static void a_client_is_let_go_when_the_forward_stops(void **state)
{
    (void)state;
    begin(FORWARD_LOCAL, 1000, 10000);
    (void)connect_client();
    while (!net.client_connected) {
        (void)uv_run(&net.loop, UV_RUN_ONCE);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_listener_that_the_peer_says_nothing_about_has_failed),
        TEST(a_session_that_goes_down_while_binding_is_not_a_failure_of_the_listener),
        TEST(it_can_be_stopped_while_binding),
        TEST(a_client_waits_for_the_session_as_long_as_it_may),
        TEST(a_client_whose_open_the_peer_never_answers_is_let_go),
        TEST(a_client_is_let_go_when_the_forward_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
