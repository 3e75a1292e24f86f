/* The control protocol and the status as JSON: what is understood, what is refused and with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/protocol.h"
#include "control/status_json.h"

static enum err decode(const char *line, struct control_request *out, struct err_info *info)
{
    return control_request_decode(line, strlen(line), out, info);
}

static void test_requests(void **state)
{
    (void)state;
    struct control_request request;
    struct err_info info;
    assert_int_equal(decode("{\"v\":1,\"command\":\"status\"}", &request, &info), OK);
    assert_int_equal(request.command, CONTROL_STATUS);
    assert_int_equal(request.name_count, 0);
    control_request_deinit(&request);
    assert_int_equal(decode("{\"later\":{},\"names\":[\"a\",\"b\"],\"command\":\"restart\",\"v\":1}", &request, &info),
                     OK);
    assert_int_equal(request.command, CONTROL_RESTART);
    assert_int_equal(request.name_count, 2);
    assert_string_equal(request.names[1], "b");
    control_request_deinit(&request);
    assert_int_equal(decode(" {\"v\":1,\"command\":\"logs\",\"follow\":true} ", &request, &info), OK);
    assert_true(request.follow);
    control_request_deinit(&request);
}

static void test_bad_requests(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum err code;
        const char *words;
    } bad[] = {
        {"", ERR_USAGE, "one JSON object on one line"},
        {"x", ERR_USAGE, "one JSON object on one line"},
        {"[]", ERR_USAGE, "one JSON object on one line"},
        {"{}", ERR_USAGE, "'v', the version"},
        {"{\"v\":\"1\",\"command\":\"status\"}", ERR_USAGE, "'v', the version"},
        {"{\"v\":2,\"command\":\"status\"}", ERR_UNSUPPORTED,
         "version 2 of the protocol is asked for, and this is version 1"},
        {"{\"v\":1}", ERR_USAGE, "'command' is missing"},
        {"{\"v\":1,\"command\":7}", ERR_USAGE, "'command' is missing"},
        {"{\"v\":1,\"command\":\"explode\"}", ERR_UNSUPPORTED, "there is no command 'explode'"},
        {"{\"v\":1,\"v\":1,\"command\":\"status\"}", ERR_USAGE, "duplicate"},
        {"{\"v\":1,\"command\":\"status\"} {}", ERR_USAGE, "one JSON object on one line"},
        {"{\"v\":1,\"command\":\"stop\"}", ERR_USAGE, "stop: 'names' says which tunnels"},
        {"{\"v\":1,\"command\":\"stop\",\"names\":[]}", ERR_USAGE, "stop: 'names' says which tunnels"},
        {"{\"v\":1,\"command\":\"stop\",\"names\":\"a\"}", ERR_USAGE, "'names' is not a list"},
        {"{\"v\":1,\"command\":\"stop\",\"names\":[\"a\",1]}", ERR_USAGE, "'names' is not a list"},
        {"{\"v\":1,\"command\":\"logs\",\"follow\":1}", ERR_USAGE, "'follow' is not true or false"},
        {"{\"v\":1,\"command\":\"sta\\u0000tus\"}", ERR_USAGE, "one JSON object on one line"},
        {"{\"v\":1,\"command\":\"\xff\"}", ERR_USAGE, "one JSON object on one line"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct control_request request;
        struct err_info info;
        assert_int_equal(decode(bad[i].line, &request, &info), bad[i].code);
        assert_int_equal(info.code, bad[i].code);
        if (strstr(info.message, bad[i].words) == NULL)
            fail_msg("%s: \"%s\" does not say \"%s\"", bad[i].line, info.message, bad[i].words);
        assert_null(request.names);
    }
}

static void test_deep_nesting_is_refused(void **state)
{
    (void)state;
    static char line[CONTROL_REQUEST_CAP_BYTES];
    struct control_request request;
    struct err_info info;
    memset(line, '[', sizeof line);
    assert_int_equal(control_request_decode(line, sizeof line, &request, &info), ERR_USAGE);
}

static void test_requests_go_there_and_back(void **state)
{
    (void)state;
    char *names[] = {"one", "tw\xff"};
    struct control_request request;
    struct err_info info;
    const struct control_request asked = {.command = CONTROL_STOP, .names = names, .name_count = 2};
    char *line = control_request_encode(&asked);
    assert_non_null(line);
    assert_string_equal(strchr(line, '\n'), "\n");
    assert_int_equal(control_request_decode(line, strlen(line), &request, &info), OK);
    assert_int_equal(request.command, CONTROL_STOP);
    assert_string_equal(request.names[0], "one");
    assert_string_equal(request.names[1], "tw\xef\xbf\xbd");
    control_request_deinit(&request);
    free(line);
}

/* Takes over `line`. */
static void decode_reply(char *line, struct control_reply *reply)
{
    struct err_info info;
    assert_non_null(line);
    assert_string_equal(strchr(line, '\n'), "\n");
    if (control_reply_decode(line, strlen(line), reply, &info) != OK)
        fail_msg("%s: %s", line, info.message);
    free(line);
}

static void test_replies(void **state)
{
    (void)state;
    struct control_reply reply;
    struct err_info why;
    decode_reply(control_reply_ok("done\n\x1b"), &reply);
    assert_int_equal(reply.kind, CONTROL_REPLY_OK);
    assert_string_equal(reply.message, "done\n\x1b");
    control_reply_deinit(&reply);
    (void)err_set(&why, ERR_BUSY, "too many");
    decode_reply(control_reply_error(&why), &reply);
    assert_int_equal(reply.kind, CONTROL_REPLY_ERROR);
    assert_int_equal(reply.error.code, ERR_BUSY);
    assert_string_equal(reply.error.message, "too many");
    control_reply_deinit(&reply);
    decode_reply(control_reply_dropped(12), &reply);
    assert_int_equal(reply.kind, CONTROL_REPLY_DROPPED);
    assert_int_equal(reply.dropped, 12);
    control_reply_deinit(&reply);
    decode_reply(control_reply_log("{\"message\":\"x\"}"), &reply);
    assert_int_equal(reply.kind, CONTROL_REPLY_LOG);
    assert_string_equal(json_string_value(json_object_get(reply.log, "message")), "x");
    control_reply_deinit(&reply);
}

static void test_bad_replies(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "{",
                                      "[]",
                                      "{}",
                                      "{\"v\":2,\"ok\":true}",
                                      "{\"v\":1}",
                                      "{\"v\":1,\"ok\":true,\"status\":1}",
                                      "{\"v\":1,\"dropped\":-1}",
                                      "{\"v\":1,\"log\":1}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct control_reply reply;
        struct err_info info;
        assert_int_equal(control_reply_decode(bad[i], strlen(bad[i]), &reply, &info), ERR_PROTOCOL);
        assert_null(reply.body);
    }
}

static void test_a_status_too_long_for_a_reply_says_so(void **state)
{
    (void)state;
    struct control_reply reply;
    json_t *tunnels = json_array();
    for (int i = 0; i < 9 * 1024; i++) {
        char text[1024];
        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = 0;
        json_array_append_new(tunnels, json_string(text));
    }
    decode_reply(control_reply_status(json_pack("{s:o}", "tunnels", tunnels)), &reply);
    assert_int_equal(reply.kind, CONTROL_REPLY_ERROR);
    assert_int_equal(reply.error.code, ERR_BUSY);
    control_reply_deinit(&reply);
}

static void test_status(void **state)
{
    (void)state;
    static const struct err_info refused = {.code = ERR_REFUSED, .message = "refused by \xff"};
    struct status_forward forward = {
        .type = FORWARD_REMOTE,
        .state = FORWARD_FAILED,
        .listen = "127.0.0.1:14444",
        .to = "192.168.200.2:4444",
        .error = "the port is taken",
        .counts = {.channels = 1, .channels_total = 2, .bytes_in = 3, .bytes_out = UINT64_MAX}};
    struct status_tunnel tunnels[] = {
        {.name = "a",
         .host = "desk",
         .facts = {.state = TUNNEL_WAITING,
                   .since_unix_ms = 1700000000123,
                   .attempts = 7,
                   .reconnects = 2,
                   .next_retry_ms = 1500,
                   .last_error = &refused,
                   .last_error_unix_ms = 1700000000000,
                   .session = {.rtt_ms = 5},
                   .bytes_in = 11,
                   .bytes_out = 12},
         .forwards = &forward,
         .forward_count = 1},
        {.name = "b",
         .host = "lab",
         .facts = {.state = TUNNEL_AUTHENTICATING,
                   .next_retry_ms = -1,
                   .has_peer = true,
                   .session = {.address = "192.168.1.3:22",
                               .banner = "",
                               .kex = NULL,
                               .cipher = "aes",
                               .host_key = "k",
                               .rtt_ms = 5}}},
    };
    const struct status status = {
        .version = "1.2.3", .pid = 42, .started_unix_ms = 0, .tunnels = tunnels, .tunnel_count = 2};
    json_t *json = status_to_json(&status, NULL, 0);
    char *text = json_dumps(json, JSON_COMPACT);
    assert_string_equal(
        text,
        "{\"version\":\"1.2.3\",\"pid\":42,\"started_at\":\"1970-01-01T00:00:00.000Z\",\"tunnels\":["
        "{\"name\":\"a\",\"host\":\"desk\",\"state\":\"waiting\",\"since\":\"2023-11-14T22:13:20.123Z\",\"attempts\":7,"
        "\"reconnects\":2,\"next_retry_ms\":1500,\"last_error\":{\"class\":\"transient\",\"message\":\"refused by "
        "\xef\xbf\xbd\",\"at\":\"2023-11-14T22:13:20.000Z\"},\"peer\":null,\"rtt_ms\":null,\"bytes_in\":11,"
        "\"bytes_out\":12,\"forwards\":[{\"type\":\"remote\",\"listen\":\"127.0.0.1:14444\",\"bound\":null,"
        "\"to\":\"192.168.200.2:4444\",\"state\":\"failed\",\"error\":\"the port is taken\",\"channels\":1,"
        "\"channels_total\":2,\"bytes_in\":3,\"bytes_out\":9223372036854775807}]},"
        "{\"name\":\"b\",\"host\":\"lab\",\"state\":\"authenticating\",\"since\":\"1970-01-01T00:00:00.000Z\","
        "\"attempts\":0,\"reconnects\":0,\"next_retry_ms\":null,\"last_error\":null,\"peer\":{\"address\":"
        "\"192.168.1.3:22\",\"banner\":null,\"kex\":null,\"cipher\":\"aes\",\"host_key\":\"k\"},\"rtt_ms\":5,"
        "\"bytes_in\":0,\"bytes_out\":0,\"forwards\":[]}]}");
    free(text);
    json_decref(json);
    char *names[] = {"b"};
    json = status_to_json(&status, names, 1);
    const json_t *chosen = json_object_get(json, "tunnels");
    assert_int_equal(json_array_size(chosen), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(chosen, 0), "name")), "b");
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_deep_nesting_is_refused),
        cmocka_unit_test(test_requests_go_there_and_back),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_bad_replies),
        cmocka_unit_test(test_a_status_too_long_for_a_reply_says_so),
        cmocka_unit_test(test_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
