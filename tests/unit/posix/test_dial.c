/* Connecting: names, refusals, several hosts in order, a listener that does not answer, and giving up at every stage.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "session/dial.h"

static struct {
    uv_loop_t loop;
    uv_tcp_t listener;
    uint16_t port;
    int blocked; /* a listening socket whose queue is full; -1 none */
    int fillers[8];
    size_t accepted;
} net;

struct outcome {
    int done, resolved;
    bool connected;
    enum err code;
    char message[600], address[64];
    size_t host_index;
    struct dial *dial;
};

static void on_accepted_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_connection(uv_stream_t *listener, int status)
{
    uv_tcp_t *tcp = malloc(sizeof *tcp);
    assert_int_equal(status, 0);
    assert_non_null(tcp);
    assert_int_equal(uv_tcp_init(&net.loop, tcp), 0);
    assert_int_equal(uv_accept(listener, (uv_stream_t *)tcp), 0);
    net.accepted++;
    uv_close((uv_handle_t *)tcp, on_accepted_closed);
}

static int setup(void **state)
{
    struct sockaddr_in address;
    int len = sizeof address;
    (void)state;
    memset(&net, 0, sizeof net);
    net.blocked = -1;
    if (uv_loop_init(&net.loop) != 0 || uv_tcp_init(&net.loop, &net.listener) != 0) {
        return -1;
    }
    (void)uv_ip4_addr("127.0.0.1", 0, &address);
    if (uv_tcp_bind(&net.listener, (struct sockaddr *)&address, 0) != 0 ||
        uv_listen((uv_stream_t *)&net.listener, 16, on_connection) != 0 ||
        uv_tcp_getsockname(&net.listener, (struct sockaddr *)&address, &len) != 0) {
        return -1;
    }
    net.port = ntohs(address.sin_port);
    uv_unref((uv_handle_t *)&net.listener);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    uv_close((uv_handle_t *)&net.listener, NULL);
    (void)uv_run(&net.loop, UV_RUN_DEFAULT);
    if (net.blocked >= 0) {
        for (size_t i = 0; i < sizeof net.fillers / sizeof net.fillers[0]; i++) {
            (void)close(net.fillers[i]);
        }
        (void)close(net.blocked);
    }
    return uv_loop_close(&net.loop);
}

/* 127.0.0.2 on our port: its queue is full, so that a further connection gets no answer. */
static void block_second_address(void)
{
    struct sockaddr_in address;
    (void)uv_ip4_addr("127.0.0.2", net.port, &address);
    net.blocked = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(net.blocked >= 0);
    assert_int_equal(bind(net.blocked, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(net.blocked, 0), 0);
    for (size_t i = 0; i < sizeof net.fillers / sizeof net.fillers[0]; i++) {
        net.fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(net.fillers[i], (struct sockaddr *)&address, sizeof address);
    }
    (void)usleep(20000);
}

static void on_resolved(void *arg)
{
    struct outcome *outcome = arg;
    outcome->resolved++;
}

static void on_done(void *arg, uv_tcp_t *tcp, const struct dial_result *result, const struct err_info *why)
{
    struct outcome *outcome = arg;
    outcome->done++;
    assert_int_equal(tcp == NULL, why != NULL);
    if (tcp != NULL) {
        outcome->connected = true;
        outcome->host_index = result->host_index;
        (void)snprintf(outcome->address, sizeof outcome->address, "%s", result->address);
        uv_close((uv_handle_t *)tcp, (uv_close_cb)free);
    } else {
        outcome->code = why->code;
        (void)snprintf(outcome->message, sizeof outcome->message, "%s", why->message);
    }
}

static struct dial *start(struct outcome *outcome, const char *const *hosts, size_t count, uint16_t port,
                          uint64_t timeout_ms)
{
    const struct dial_options options = {.hosts = hosts, .host_count = count, .port = port, .timeout_ms = timeout_ms};
    const struct dial_events events = {.on_resolved = on_resolved, .on_done = on_done, .arg = outcome};
    memset(outcome, 0, sizeof *outcome);
    uv_update_time(&net.loop);
    struct dial *dial = dial_start(&net.loop, &options, &events);
    assert_non_null(dial);
    assert_int_equal(outcome->done, 0);
    return dial;
}

static void run(struct outcome *outcome)
{
    (void)uv_run(&net.loop, UV_RUN_DEFAULT);
    assert_int_equal(outcome->done, 1);
}

static void an_address_is_connected_to(void **state)
{
    static const char *const hosts[] = {"127.0.0.1"};
    char wanted[32];
    struct outcome outcome;
    (void)state;
    (void)start(&outcome, hosts, 1, net.port, 0);
    run(&outcome);
    assert_true(outcome.connected);
    assert_int_equal(outcome.resolved, 1);
    (void)snprintf(wanted, sizeof wanted, "127.0.0.1:%u", net.port);
    assert_string_equal(outcome.address, wanted);
}

static void a_name_is_resolved(void **state)
{
    static const char *const hosts[] = {"localhost"};
    struct outcome outcome;
    (void)state;
    (void)start(&outcome, hosts, 1, net.port, 5000);
    run(&outcome);
    assert_true(outcome.connected); /* also where localhost is ::1 first, which refuses */
}

static void a_refusal_is_told(void **state)
{
    static const char *const hosts[] = {"127.0.0.3"};
    struct outcome outcome;
    (void)state;
    (void)start(&outcome, hosts, 1, net.port, 5000);
    run(&outcome);
    assert_false(outcome.connected);
    assert_int_equal(outcome.code, ERR_REFUSED);
    assert_non_null(strstr(outcome.message, "127.0.0.3:"));
    assert_non_null(strstr(outcome.message, "refused"));
}

static void a_name_without_address_is_told(void **state)
{
    static const char *const hosts[] = {"no-such-name.invalid"};
    struct outcome outcome;
    (void)state;
    (void)start(&outcome, hosts, 1, net.port, 20000);
    run(&outcome);
    assert_int_equal(outcome.code, ERR_RESOLVE);
    assert_non_null(strstr(outcome.message, "no-such-name.invalid"));
    assert_int_equal(outcome.resolved, 0);
}

/* The resolver refuses it before it asks anybody. The next host has all of its time. */
static void a_name_that_cannot_be_one_is_passed_over(void **state)
{
    char name[600];
    const char *const hosts[] = {name, "127.0.0.1"};
    struct outcome outcome;
    (void)state;
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    (void)start(&outcome, hosts, 1, net.port, 5000);
    run(&outcome);
    assert_int_equal(outcome.code, ERR_RESOLVE);
    assert_null(strstr(outcome.message, "within"));
    (void)start(&outcome, hosts, 2, net.port, 5000);
    run(&outcome);
    assert_true(outcome.connected);
    assert_int_equal(outcome.host_index, 1);
}

static void hosts_are_tried_in_order(void **state)
{
    static const char *const hosts[] = {"127.0.0.3", "no-such-name.invalid", "127.0.0.4", "127.0.0.1", "127.0.0.5"};
    struct outcome outcome;
    (void)state;
    (void)start(&outcome, hosts, 5, net.port, 20000);
    run(&outcome);
    assert_true(outcome.connected);
    assert_int_equal(outcome.host_index, 3);
}

static void all_failures_are_named(void **state)
{
    static const char *const hosts[] = {"127.0.0.3", "127.0.0.4"};
    struct outcome outcome;
    (void)state;
    (void)start(&outcome, hosts, 2, net.port, 5000);
    run(&outcome);
    assert_non_null(strstr(outcome.message, "127.0.0.3:"));
    assert_non_null(strstr(outcome.message, "; 127.0.0.4:"));
}

static void silence_ends_with_the_timeout(void **state)
{
    static const char *const hosts[] = {"127.0.0.2"};
    struct outcome outcome;
    (void)state;
    block_second_address();
    uint64_t before = uv_hrtime();
    (void)start(&outcome, hosts, 1, net.port, 200);
    run(&outcome);
    assert_int_equal(outcome.code, ERR_TIMEOUT);
    assert_string_equal(outcome.message, "127.0.0.2: no answer within 0.2 s");
    assert_true(uv_hrtime() - before < 2000000000ULL);
}

/* The silent one's connect is still being closed when the next one begins. */
static void a_silent_host_does_not_spoil_the_next(void **state)
{
    static const char *const hosts[] = {"127.0.0.2", "127.0.0.1"};
    struct outcome outcome;
    (void)state;
    block_second_address();
    (void)start(&outcome, hosts, 2, net.port, 200);
    run(&outcome);
    assert_true(outcome.connected);
    assert_int_equal(outcome.host_index, 1);
}

static void many_silent_hosts_end(void **state)
{
    static const char *const hosts[] = {"127.0.0.2", "127.0.0.2", "127.0.0.2", "127.0.0.3"};
    struct outcome outcome;
    (void)state;
    block_second_address();
    (void)start(&outcome, hosts, 4, net.port, 50);
    run(&outcome);
    assert_false(outcome.connected);
    assert_null(strstr(outcome.message, "cancel"));
}

static void it_can_be_given_up_at_once(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "no-such-name.invalid", "127.0.0.3"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct outcome outcome;
        struct dial *dial = start(&outcome, &hosts[i], 1, net.port, 5000);
        dial_cancel(dial);
        dial_cancel(dial);
        assert_int_equal(outcome.done, 0);
        run(&outcome);
        assert_false(outcome.connected);
        assert_int_equal(outcome.code, ERR_CANCELLED);
    }
}

/* After every number of turns of the loop, up to its end: always one answer, and it says what was asked for. */
static void it_can_be_given_up_after_any_turn(void **state)
{
    static const char *const hosts[] = {"127.0.0.3", "localhost", "127.0.0.1"};
    bool ended = false;
    (void)state;
    for (int turns = 1; !ended && turns < 1000; turns++) {
        struct outcome outcome;
        struct dial *dial = start(&outcome, hosts, 3, net.port, 5000);
        for (int i = 0; i < turns && outcome.done == 0; i++) {
            (void)uv_run(&net.loop, UV_RUN_ONCE);
        }
        ended = outcome.done > 0;
        if (!ended) {
            dial_cancel(dial);
            run(&outcome);
            assert_int_equal(outcome.code, ERR_CANCELLED);
            assert_false(outcome.connected);
        }
        (void)uv_run(&net.loop, UV_RUN_DEFAULT);
    }
    assert_true(ended);
}

static uv_timer_t later;

static void on_later(uv_timer_t *timer)
{
    dial_cancel(timer->data);
    uv_close((uv_handle_t *)timer, NULL);
}

static void it_can_be_given_up_while_nobody_answers(void **state)
{
    static const char *const hosts[] = {"127.0.0.2", "127.0.0.1"};
    struct outcome outcome;
    (void)state;
    block_second_address();
    struct dial *dial = start(&outcome, hosts, 2, net.port, 5000);
    (void)uv_timer_init(&net.loop, &later);
    later.data = dial;
    (void)uv_timer_start(&later, on_later, 30, 0);
    run(&outcome);
    assert_int_equal(outcome.code, ERR_CANCELLED);
}

/* In the very turn in which it connects: it must not be said to have succeeded. */
static void on_idle(uv_check_t *check)
{
    struct outcome *outcome = check->data;
    if (net.accepted > 0 && outcome->done == 0) {
        dial_cancel(outcome->dial);
    }
    uv_close((uv_handle_t *)check, NULL);
}

static void it_can_be_given_up_as_it_connects(void **state)
{
    static const char *const hosts[] = {"127.0.0.1"};
    struct outcome outcome;
    uv_check_t check;
    (void)state;
    struct dial *dial = start(&outcome, hosts, 1, net.port, 5000);
    outcome.dial = dial;
    (void)uv_check_init(&net.loop, &check);
    check.data = &outcome;
    (void)uv_check_start(&check, on_idle);
    run(&outcome);
    assert_int_equal(net.accepted, 1);
    assert_int_equal(outcome.code, ERR_CANCELLED);
    assert_false(outcome.connected);
}

static void a_source_address_is_used(void **state)
{
    static const char *const hosts[] = {"127.0.0.1"};
    static const char *const sources[] = {"127.0.0.9", "192.0.2.1", "not-an-address"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct outcome outcome;
        const struct dial_options options = {
            .hosts = hosts, .host_count = 1, .port = net.port, .bind_address = sources[i], .timeout_ms = 5000};
        const struct dial_events events = {.on_done = on_done, .arg = &outcome};
        memset(&outcome, 0, sizeof outcome);
        assert_non_null(dial_start(&net.loop, &options, &events));
        assert_int_equal(outcome.done, 0);
        run(&outcome);
        assert_int_equal(outcome.connected, i == 0);
    }
}

static void an_address_of_the_other_family_is_not_used(void **state)
{
    static const char *const hosts[] = {"127.0.0.1"};
    const struct dial_options options = {
        .hosts = hosts, .host_count = 1, .port = net.port, .address_family = 6, .timeout_ms = 5000};
    struct outcome outcome;
    const struct dial_events events = {.on_done = on_done, .arg = &outcome};
    (void)state;
    memset(&outcome, 0, sizeof outcome);
    assert_non_null(dial_start(&net.loop, &options, &events));
    run(&outcome);
    assert_false(outcome.connected);
    assert_int_equal(outcome.code, ERR_RESOLVE);
}

static void addresses_are_written_with_their_port(void **state)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    char text[64];
    (void)state;
    (void)uv_ip4_addr("192.0.2.1", 22, &v4);
    (void)uv_ip6_addr("2001:db8::1", 65535, &v6);
    assert_string_equal(dial_address_text((struct sockaddr *)&v4, text, sizeof text), "192.0.2.1:22");
    assert_string_equal(dial_address_text((struct sockaddr *)&v6, text, sizeof text), "[2001:db8::1]:65535");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_address_is_connected_to),
        TEST(a_name_is_resolved),
        TEST(a_refusal_is_told),
        TEST(a_name_without_address_is_told),
        TEST(a_name_that_cannot_be_one_is_passed_over),
        TEST(hosts_are_tried_in_order),
        TEST(all_failures_are_named),
        TEST(silence_ends_with_the_timeout),
        TEST(a_silent_host_does_not_spoil_the_next),
        TEST(many_silent_hosts_end),
        TEST(it_can_be_given_up_at_once),
        TEST(it_can_be_given_up_after_any_turn),
        TEST(it_can_be_given_up_while_nobody_answers),
        TEST(it_can_be_given_up_as_it_connects),
        TEST(a_source_address_is_used),
        TEST(an_address_of_the_other_family_is_not_used),
        TEST(addresses_are_written_with_their_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
