/* A session's end before it is ready: whatever the other side does, and whenever it is stopped, on_closed comes once.
 */
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
#include "session/session.h"

enum server { SERVER_CLOSES, SERVER_SILENT, SERVER_GREETS, SERVER_BABBLES, SERVER_GREETS_AND_BABBLES, SERVER_KINDS };

static struct {
    uv_loop_t loop;
    uv_tcp_t listener;
    uv_tcp_t *accepted;
    uv_write_t write;
    enum server server;
    struct host_spec spec;
    struct session *session;
    uint64_t connect_timeout_ms;
    int phases, closed, stop_in_phase, probe_in_phase;
    bool free_in_closed;
    enum err code;
    char message[600];
} net;

static char babble[4096];

static void on_accepted_closed(uv_handle_t *handle)
{
    free(handle);
}

static void close_accepted(void)
{
    if (net.accepted != NULL) {
        uv_close((uv_handle_t *)net.accepted, on_accepted_closed);
        net.accepted = NULL;
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    static const char greeting[] = "SSH-2.0-test\r\n";
    assert_int_equal(status, 0);
    net.accepted = malloc(sizeof *net.accepted);
    assert_non_null(net.accepted);
    assert_int_equal(uv_tcp_init(&net.loop, net.accepted), 0);
    assert_int_equal(uv_accept(listener, (uv_stream_t *)net.accepted), 0);
    uv_unref((uv_handle_t *)net.accepted);
    uv_buf_t bufs[2] = {uv_buf_init((char *)(uintptr_t)greeting, sizeof greeting - 1),
                        uv_buf_init(babble, sizeof babble)};
    switch (net.server) {
    case SERVER_CLOSES: close_accepted(); break;
    case SERVER_GREETS: (void)uv_try_write((uv_stream_t *)net.accepted, bufs, 1); break;
    case SERVER_BABBLES: (void)uv_try_write((uv_stream_t *)net.accepted, &bufs[1], 1); break;
    case SERVER_GREETS_AND_BABBLES: (void)uv_try_write((uv_stream_t *)net.accepted, bufs, 2); break;
    case SERVER_SILENT:
    case SERVER_KINDS: break;
    }
}

static int setup(void **state)
{
    struct sockaddr_in address;
    int len = sizeof address;
    (void)state;
    memset(&net, 0, sizeof net);
    memset(babble, 'x', sizeof babble);
    (void)log_open(NULL, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    if (uv_loop_init(&net.loop) != 0 || uv_tcp_init(&net.loop, &net.listener) != 0) {
        return -1;
    }
    (void)uv_ip4_addr("127.0.0.1", 0, &address);
    if (uv_tcp_bind(&net.listener, (struct sockaddr *)&address, 0) != 0 ||
        uv_listen((uv_stream_t *)&net.listener, 16, on_connection) != 0 ||
        uv_tcp_getsockname(&net.listener, (struct sockaddr *)&address, &len) != 0) {
        return -1;
    }
    uv_unref((uv_handle_t *)&net.listener);
    host_spec_init(&net.spec);
    net.spec.port = ntohs(address.sin_port);
    net.spec.user = strdup("me");
    net.spec.batch_mode = true;
    net.spec.connect_timeout_ms = 300;
    net.probe_in_phase = -1;
    return string_list_add(&net.spec.hostnames, "127.0.0.1") == OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    close_accepted();
    uv_close((uv_handle_t *)&net.listener, NULL);
    (void)uv_run(&net.loop, UV_RUN_DEFAULT);
    host_spec_deinit(&net.spec);
    return uv_loop_close(&net.loop);
}

static void on_phase(void *arg, enum session_phase phase)
{
    (void)arg;
    net.phases |= 1 << phase;
    if (net.stop_in_phase == (int)phase) {
        session_stop(net.session, 1000);
    }
    if (net.probe_in_phase == (int)phase) {
        session_probe(net.session);
    }
}

static void on_closed(void *arg, const struct err_info *why)
{
    (void)arg;
    net.closed++;
    net.code = why->code;
    (void)snprintf(net.message, sizeof net.message, "%s", why->message);
    if (net.free_in_closed) {
        session_free(net.session);
    }
}

static void begin(void)
{
    const struct session_events events = {.on_phase = on_phase, .on_closed = on_closed};
    net.closed = net.phases = 0;
    uv_update_time(&net.loop);
    net.session = session_new(&net.loop, &net.spec, false, "test", &events);
    assert_non_null(net.session);
    session_start(net.session);
    assert_int_equal(net.closed, 0);
}

static void run_to_end(void)
{
    (void)uv_run(&net.loop, UV_RUN_DEFAULT);
    assert_int_equal(net.closed, 1);
    if (!net.free_in_closed) {
        session_free(net.session);
        (void)uv_run(&net.loop, UV_RUN_DEFAULT);
    }
    close_accepted();
    (void)uv_run(&net.loop, UV_RUN_DEFAULT);
}

static void every_kind_of_server_is_left_with_a_reason(void **state)
{
    static const struct {
        enum err code;
        const char *says;
    } wanted[SERVER_KINDS] = {
        [SERVER_CLOSES] = {ERR_CLOSED, "ended the connection before any SSH greeting"},
        [SERVER_SILENT] = {ERR_TIMEOUT, "no SSH greeting and key exchange within 0.3 s"},
        [SERVER_GREETS] = {ERR_TIMEOUT, "no SSH greeting and key exchange within 0.3 s"},
        [SERVER_BABBLES] = {OK, ""},
        [SERVER_GREETS_AND_BABBLES] = {OK, ""},
    };
    (void)state;
    for (int i = 0; i < 2 * SERVER_KINDS; i++) {
        net.server = (enum server)(i / 2);
        net.stop_in_phase = -1;
        net.free_in_closed = i % 2 == 0;
        begin();
        run_to_end();
        assert_int_not_equal(net.code, OK);
        if (wanted[net.server].code != OK) {
            assert_int_equal(net.code, wanted[net.server].code);
        }
        assert_non_null(strstr(net.message, wanted[net.server].says));
    }
}

static void it_can_be_stopped_from_its_own_callback(void **state)
{
    (void)state;
    net.server = SERVER_SILENT;
    for (int phase = SESSION_CONNECTING; phase <= SESSION_HANDSHAKING; phase++) {
        net.stop_in_phase = phase;
        net.free_in_closed = true;
        uint64_t before = uv_hrtime();
        begin();
        run_to_end();
        assert_int_equal(net.code, ERR_CANCELLED);
        assert_true(uv_hrtime() - before < 200000000ULL);
    }
}

/* An address is "resolved" inside session_start: whoever stops it there does not wait for the connect timeout. */
static void a_stop_inside_the_start_does_not_wait_for_an_answer(void **state)
{
    (void)state;
    net.stop_in_phase = SESSION_CONNECTING;
    net.free_in_closed = true;
    net.spec.connect_timeout_ms = 5000;
    free(net.spec.hostnames.items[0]);
    net.spec.hostnames.items[0] = strdup("192.0.2.1"); /* nobody is there (RFC 5737) */
    uint64_t before = uv_hrtime();
    begin();
    run_to_end();
    assert_int_equal(net.code, ERR_CANCELLED);
    assert_true(uv_hrtime() - before < 1000000000ULL);
}

/* The network has changed while it connects: whoever answers does so soon, whatever the connect timeout is. */
static void a_change_of_network_shortens_the_wait(void **state)
{
    (void)state;
    net.stop_in_phase = -1;
    net.probe_in_phase = SESSION_HANDSHAKING;
    net.server = SERVER_SILENT;
    net.free_in_closed = true;
    net.spec.connect_timeout_ms = 30000;
    net.spec.server_alive_interval_ms = 100;
    net.spec.server_alive_count_max = 2;
    uint64_t before = uv_hrtime();
    begin();
    run_to_end();
    assert_int_equal(net.code, ERR_TIMEOUT);
    assert_non_null(strstr(net.message, "since the system woke up or its network changed"));
    assert_true(uv_hrtime() - before < 10 * 1000000000ULL);
}

static void it_can_be_stopped_after_any_turn(void **state)
{
    (void)state;
    net.stop_in_phase = -1;
    net.free_in_closed = true;
    for (int server = 0; server < SERVER_KINDS; server++) {
        for (int turns = 0; turns < 12; turns++) {
            net.server = (enum server)server;
            begin();
            for (int i = 0; i < turns && net.closed == 0; i++) {
                (void)uv_run(&net.loop, UV_RUN_NOWAIT);
            }
            if (net.closed == 0) {
                session_stop(net.session, 1000);
                session_stop(net.session, 1000);
                session_stop(net.session, 0);
                assert_int_equal(net.closed, 0);
            }
            run_to_end();
        }
    }
}

static void one_that_never_started_is_freed(void **state)
{
    const struct session_events events = {.on_phase = on_phase, .on_closed = on_closed};
    (void)state;
    session_free(session_new(&net.loop, &net.spec, false, "test", &events));
    (void)uv_run(&net.loop, UV_RUN_DEFAULT);
    assert_int_equal(net.closed, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_kind_of_server_is_left_with_a_reason),
        TEST(it_can_be_stopped_from_its_own_callback),
        TEST(a_stop_inside_the_start_does_not_wait_for_an_answer),
        TEST(a_change_of_network_shortens_the_wait),
        TEST(it_can_be_stopped_after_any_turn),
        TEST(one_that_never_started_is_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
