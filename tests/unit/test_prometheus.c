#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/prometheus.h"

static const char two_tunnels[] =
    "{\"version\":\"0.1.0\",\"pid\":7,\"started_at\":\"2026-11-25T04:00:00.500Z\",\"tunnels\":["
    "{\"name\":\"a\\\\b\\\"c\\nd\",\"host\":\"mac\",\"state\":\"up\",\"since\":\"2026-11-25T04:00:01.000Z\","
    "\"attempts\":3,"
    "\"reconnects\":1,\"next_retry_ms\":null,\"last_error\":{\"class\":\"transient\",\"message\":\"gone\","
    "\"at\":\"2026-11-25T04:00:00.750Z\"},\"peer\":null,\"rtt_ms\":12,\"bytes_in\":9007199254740993,\"bytes_out\":5,"
    "\"forwards\":[{\"type\":\"remote\",\"listen\":\"127.0.0.1:0\",\"bound\":\"127.0.0.1:4000\",\"to\":\"x:1\","
    "\"state\":\"up\",\"error\":null,\"channels\":2,\"channels_total\":9,\"bytes_in\":1,\"bytes_out\":2},"
    "{\"type\":\"remote\",\"listen\":\"127.0.0.1:0\",\"bound\":null,\"to\":\"y:1\",\"state\":\"failed\",\"error\":"
    "\"no\","
    "\"channels\":0,\"channels_total\":0,\"bytes_in\":0,\"bytes_out\":0}]},"
    "{\"name\":\"idle\",\"host\":\"pc\",\"state\":\"of_a_later_version\",\"since\":\"2026-11-25T04:00:01.000Z\","
    "\"attempts\":0,\"reconnects\":0,\"next_retry_ms\":1500,\"last_error\":null,\"peer\":null,\"rtt_ms\":null,"
    "\"bytes_in\":0,\"bytes_out\":0,\"forwards\":[]}]}";

static char *rendered(const char *json)
{
    json_t *status = json_loads(json, 0, NULL);
    assert_non_null(status);
    char *text = prometheus_text(status);
    json_decref(status);
    assert_non_null(text);
    return text;
}

static void each_value_is_there_in_base_units(void **state)
{
    static const char *const lines[] = {
        "holdfast_build_info{version=\"0.1.0\"} 1\n",
        "holdfast_start_time_seconds 1795579200.500\n",
        "holdfast_tunnel_up{tunnel=\"a\\\\b\\\"c\\nd\"} 1\n",
        "holdfast_tunnel_up{tunnel=\"idle\"} 0\n",
        "holdfast_tunnel_state{tunnel=\"a\\\\b\\\"c\\nd\",state=\"up\"} 1\n",
        "holdfast_tunnel_state{tunnel=\"a\\\\b\\\"c\\nd\",state=\"waiting\"} 0\n",
        "holdfast_tunnel_state{tunnel=\"a\\\\b\\\"c\\nd\",state=\"port_busy\"} 0\n",
        "holdfast_tunnel_state{tunnel=\"idle\",state=\"of_a_later_version\"} 1\n",
        "holdfast_tunnel_rtt_seconds{tunnel=\"a\\\\b\\\"c\\nd\"} 0.012\n",
        "holdfast_tunnel_next_retry_seconds{tunnel=\"idle\"} 1.500\n",
        "holdfast_tunnel_attempts_total{tunnel=\"a\\\\b\\\"c\\nd\"} 3\n",
        "holdfast_tunnel_received_bytes_total{tunnel=\"a\\\\b\\\"c\\nd\"} 9007199254740993\n",
        "holdfast_tunnel_last_error_timestamp_seconds{tunnel=\"a\\\\b\\\"c\\nd\",class=\"transient\"} 1795579200.750\n",
        "holdfast_forward_up{tunnel=\"a\\\\b\\\"c\\nd\",forward=\"127.0.0.1:0\",type=\"remote\"} 1\n",
        "holdfast_forward_up{tunnel=\"a\\\\b\\\"c\\nd\",forward=\"127.0.0.1:0#2\",type=\"remote\"} 0\n",
        "holdfast_forward_open_channels{tunnel=\"a\\\\b\\\"c\\nd\",forward=\"127.0.0.1:0\",type=\"remote\"} 2\n",
        "holdfast_forward_channels_total{tunnel=\"a\\\\b\\\"c\\nd\",forward=\"127.0.0.1:0\",type=\"remote\"} 9\n",
    };
    char *text = rendered(two_tunnels);
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (strstr(text, lines[i]) == NULL)
            fail_msg("%s is missing in\n%s", lines[i], text);
    }
    free(text);
}

static void what_is_not_known_is_left_out(void **state)
{
    char *text = rendered(two_tunnels);
    (void)state;
    assert_null(strstr(text, "holdfast_tunnel_rtt_seconds{tunnel=\"idle\"}"));
    assert_null(strstr(text, "holdfast_tunnel_next_retry_seconds{tunnel=\"a"));
    assert_null(strstr(text, "holdfast_tunnel_last_error_timestamp_seconds{tunnel=\"idle\""));
    free(text);
}

static void another_versions_status_is_no_trouble(void **state)
{
    static const char *const odd[] = {"{}", "[]", "{\"tunnels\":5}", "{\"tunnels\":[5,{}, {\"forwards\":[null, {}]}]}",
                                      "{\"tunnels\":[{\"name\":1,\"rtt_ms\":\"x\",\"since\":\"yesterday\"}]}"};
    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        char *text = rendered(odd[i]);
        assert_non_null(strstr(text, "holdfast_build_info{version=\"\"} 1\n"));
        free(text);
    }
}

/* Each name is announced once, and all its lines follow at once. */
static void a_family_stands_together(void **state)
{
    char *text = rendered(two_tunnels);
    char family[128] = "";
    (void)state;
    assert_int_equal(text[strlen(text) - 1], '\n');
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (strncmp(line, "# TYPE ", 7) == 0) {
            (void)snprintf(family, sizeof family, "%.*s", (int)strcspn(line + 7, " "), line + 7);
        } else if (line[0] != '#') {
            assert_int_equal(strcspn(line, "{ "), strlen(family));
            assert_memory_equal(line, family, strlen(family));
        }
    }
    free(text);
}

/* Processor time for a tunnel of so many forwards, the least of a few tries. */
static double cost_of(size_t forwards)
{
    double least = 1e9;
    json_t *list = json_array();
    for (size_t i = 0; i < forwards; i++) {
        char listen[64];
        (void)snprintf(listen, sizeof listen, "127.0.0.1:%zu", i);
        assert_int_equal(json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:i}", "type", "local", "listen",
                                                               listen, "state", "up", "channels", 1)),
                         0);
    }
    json_t *status = json_pack("{s:[{s:s, s:o}]}", "tunnels", "name", "t", "forwards", list);
    assert_non_null(status);
    for (int i = 0; i < 5; i++) {
        clock_t before = clock();
        char *text = prometheus_text(status);
        double cost = (double)(clock() - before);
        assert_non_null(text);
        free(text);
        least = cost < least ? cost : least;
    }
    json_decref(status);
    return least;
}

/* It is made on the loop that carries the tunnels. */
static void ten_times_the_forwards_cost_about_ten_times_as_much(void **state)
{
    (void)state;
    double few = cost_of(500);
    double many = cost_of(5000);
    assert_true(many < 40 * few + CLOCKS_PER_SEC / 5.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_value_is_there_in_base_units),
        cmocka_unit_test(ten_times_the_forwards_cost_about_ten_times_as_much),
        cmocka_unit_test(what_is_not_known_is_left_out),
        cmocka_unit_test(another_versions_status_is_no_trouble),
        cmocka_unit_test(a_family_stands_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
