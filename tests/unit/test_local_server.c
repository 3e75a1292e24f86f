/* A local endpoint: who connects is handed over, bytes go both ways, a second server is told, and nothing is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include <cmocka.h>

#include "platform/local_server.h"

static uv_loop_t loop;
static char path[512];
static char folder[256];

static struct {
    int accepted, connected;
    uv_stream_t *server_side, *client_side;
    enum err why;
    char got[64];
    size_t got_len;
} seen;

static void on_connection(void *arg, uv_stream_t *stream)
{
    assert_ptr_equal(arg, &seen);
    assert_null(stream->data);
    seen.accepted++;
    seen.server_side = stream;
}

static void on_connected(void *arg, uv_stream_t *stream, const struct err_info *why)
{
    assert_ptr_equal(arg, &seen);
    seen.connected++;
    seen.client_side = stream;
    seen.why = why != NULL ? why->code : OK;
    if (why != NULL)
        assert_non_null(strstr(why->message, path));
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(seen.got + seen.got_len, (unsigned)(sizeof seen.got - seen.got_len));
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    (void)stream;
    (void)buf;
    if (count > 0)
        seen.got_len += (size_t)count;
}

static void on_stream_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

/* Turns the loop until `*flag` is `wanted`, or for ten seconds. */
static void turn_until(const int *flag, int wanted)
{
    uv_timer_t tick;
    (void)uv_timer_init(&loop, &tick);
    (void)uv_timer_start(&tick, on_tick, 10, 10); /* a server's handles do not hold the loop */
    for (int i = 0; i < 1000 && *flag != wanted; i++)
        (void)uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&tick, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(*flag, wanted);
}

static int written;

static void on_written(uv_write_t *request, int status)
{
    (void)request;
    assert_int_equal(status, 0);
    written++;
}

static void write_text(uv_stream_t *stream, const char *text)
{
    uv_write_t request;
    char bytes[64];
    (void)snprintf(bytes, sizeof bytes, "%s", text);
    uv_buf_t buf = uv_buf_init(bytes, (unsigned)strlen(bytes));
    written = 0;
    assert_int_equal(uv_write(&request, stream, &buf, 1, on_written), 0);
    turn_until(&written, 1);
}

static void read_text(uv_stream_t *stream, const char *text)
{
    uv_timer_t tick;
    seen.got_len = 0;
    assert_int_equal(uv_read_start(stream, on_alloc, on_read), 0);
    (void)uv_timer_init(&loop, &tick);
    (void)uv_timer_start(&tick, on_tick, 10, 10);
    for (int i = 0; i < 1000 && seen.got_len < strlen(text); i++)
        (void)uv_run(&loop, UV_RUN_ONCE);
    (void)uv_read_stop(stream);
    uv_close((uv_handle_t *)&tick, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(seen.got_len, strlen(text));
    assert_memory_equal(seen.got, text, seen.got_len);
}

static int set_up(void **state)
{
    uv_fs_t request;
    char tmp[200];
    size_t len = sizeof tmp;
    char *person = NULL;
    (void)state;
    memset(&seen, 0, sizeof seen);
    assert_int_equal(uv_os_tmpdir(tmp, &len), 0);
    (void)snprintf(folder, sizeof folder, "%s/hf-XXXXXX", tmp);
    assert_int_equal(uv_fs_mkdtemp(NULL, &request, folder, NULL), 0);
    (void)snprintf(folder, sizeof folder, "%s", request.path);
    uv_fs_req_cleanup(&request);
    (void)uv_os_unsetenv("HOLDFAST_CONTROL");
    assert_int_equal(uv_os_setenv("XDG_RUNTIME_DIR", folder), 0);
    person = local_path_of_person();
    assert_non_null(person);
    (void)snprintf(path, sizeof path, "%s-%d", person, (int)uv_os_getpid()); /* a pipe's name is everybody's */
    free(person);
    return uv_loop_init(&loop);
}

static int tear_down(void **state)
{
    (void)state;
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    return 0;
}

static struct local_server *started(void)
{
    struct local_server *server = NULL;
    struct err_info info;
    if (local_server_start(&loop, path, on_connection, &seen, &server, &info) != OK)
        fail_msg("%s", info.message);
    return server;
}

static void test_both_ways(void **state)
{
    (void)state;
    struct local_server *server = started();
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(local_connect(&loop, path, on_connected, &seen), OK);
        assert_int_equal(seen.connected, i - 1); /* not from inside */
        turn_until(&seen.connected, i);
        turn_until(&seen.accepted, i);
        assert_non_null(seen.client_side);
        write_text(seen.client_side, "question");
        read_text(seen.server_side, "question");
        write_text(seen.server_side, "answer");
        uv_close((uv_handle_t *)seen.server_side, on_stream_closed);
        read_text(seen.client_side, "answer"); /* what was said before the end still arrives */
        uv_close((uv_handle_t *)seen.client_side, on_stream_closed);
    }
    local_server_stop(server);
}

static void test_a_second_server_is_told(void **state)
{
    struct local_server *second = NULL;
    struct err_info info;
    (void)state;
    struct local_server *server = started();
    assert_int_equal(local_server_start(&loop, path, on_connection, &seen, &second, &info), ERR_BUSY);
    assert_null(second);
    assert_non_null(strstr(info.message, "already kept by"));
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(local_connect(&loop, path, on_connected, &seen), OK);
    turn_until(&seen.accepted, 1); /* the first one is as it was */
    turn_until(&seen.connected, 1);
    uv_close((uv_handle_t *)seen.server_side, on_stream_closed);
    uv_close((uv_handle_t *)seen.client_side, on_stream_closed);
    local_server_stop(server);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    local_server_stop(started()); /* the name is free again */
}

static void test_nobody_is_there(void **state)
{
    (void)state;
    assert_int_equal(local_connect(&loop, path, on_connected, &seen), OK);
    turn_until(&seen.connected, 1);
    assert_null(seen.client_side);
    assert_int_equal(seen.why, ERR_CONNECT);
}

static void test_its_handles_do_not_hold_the_loop(void **state)
{
    (void)state;
    struct local_server *server = started();
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    local_server_stop(server);
}

static void test_places(void **state)
{
    (void)state;
    assert_int_equal(uv_os_setenv("HOLDFAST_CONTROL", "elsewhere"), 0);
    char *given = local_path_given();
    char *listen = local_path_to_listen();
    assert_string_equal(given, "elsewhere");
    assert_string_equal(listen, "elsewhere");
    free(given);
    free(listen);
    assert_int_equal(uv_os_unsetenv("HOLDFAST_CONTROL"), 0);
    assert_null(local_path_given());
    char *machine = local_path_of_machine();
    char *person = local_path_of_person();
    assert_string_not_equal(machine, person);
    free(machine);
    free(person);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_both_ways, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_second_server_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nobody_is_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_its_handles_do_not_hold_the_loop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_places, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
