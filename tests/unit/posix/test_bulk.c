/* The reading of fast streams in large portions, at a TCP connection of this machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "session/bulk.h"

enum { PATIENCE_MS = 10000 };

static struct {
    uv_loop_t loop;
    uv_tcp_t tcp;
    uv_timer_t patience;
    struct bulk bulk;
    int sender;
    size_t received;
    bool over, lost_patience;
    char buffer[65536];
} net;

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(net.buffer, sizeof net.buffer);
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    (void)stream;
    (void)buf;
    if (nread < 0) {
        net.over = true;
        (void)uv_read_stop(stream);
    } else {
        net.received += (size_t)nread;
    }
}

static void look(void *arg)
{
    uv_stream_t *stream = arg;
    (void)uv_read_stop(stream);
    assert_int_equal(uv_read_start(stream, on_alloc, on_read), 0);
}

static void on_patience(uv_timer_t *timer)
{
    (void)timer;
    net.lost_patience = true;
}

static int setup(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int room = 4 << 20;
    (void)state;
    memset(&net, 0, sizeof net);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    assert_int_equal(listen(listener, 1), 0);
    net.sender = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(net.sender, (struct sockaddr *)&address, len), 0);
    int taken = accept(listener, NULL, NULL);
    assert_true(taken >= 0);
    (void)close(listener);
    /* Root's may be as large as it likes; another's buffer has grown by the time that a stream is fast. */
#ifdef SO_RCVBUFFORCE
    (void)setsockopt(taken, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
#else
    (void)room;
#endif
    assert_int_equal(uv_loop_init(&net.loop), 0);
    assert_int_equal(uv_tcp_init(&net.loop, &net.tcp), 0);
    assert_int_equal(uv_tcp_open(&net.tcp, taken), 0);
    assert_int_equal(uv_timer_init(&net.loop, &net.patience), 0);
    assert_int_equal(uv_timer_start(&net.patience, on_patience, PATIENCE_MS, 0), 0);
    bulk_init(&net.bulk, &net.loop, look, &net.tcp);
    assert_int_equal(uv_read_start((uv_stream_t *)&net.tcp, on_alloc, on_read), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bulk_stop(&net.bulk);
    uv_close((uv_handle_t *)&net.tcp, NULL);
    uv_close((uv_handle_t *)&net.patience, NULL);
    uv_close((uv_handle_t *)&net.bulk.timer, NULL);
    (void)uv_run(&net.loop, UV_RUN_DEFAULT);
    if (net.sender >= 0) {
        (void)close(net.sender);
    }
    return uv_loop_close(&net.loop);
}

/* Says that `len` bytes came within the last span. */
static void came(size_t len)
{
    uv_sleep(BULK_SPAN_MS + 1);
    uv_update_time(&net.loop);
    bulk_received(&net.bulk, &net.tcp, len);
}

static int portion(void)
{
    uv_os_fd_t fd = -1;
    int bytes = -1;
    socklen_t len = sizeof bytes;
    assert_int_equal(uv_fileno((uv_handle_t *)&net.tcp, &fd), 0);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, &len), 0);
    return bytes;
}

/* Makes it fast; skips the test where the system has no portions, or not for such a buffer. */
static void hurry(void)
{
    came(4 * BULK_SPAN_BYTES); /* the first span began long ago */
    came(1024U * BULK_SPAN_BYTES);
    if (!net.bulk.on) {
        print_message("no portions here: not Linux, or the buffer may not be made large enough\n");
        skip();
    }
    assert_int_equal(portion(), BULK_PORTION_BYTES);
}

static void test_a_rest_is_read_soon(void **state)
{
    (void)state;
    hurry();
    static const char rest[1000];
    assert_int_equal(send(net.sender, rest, sizeof rest, 0), sizeof rest);
    while (net.received < sizeof rest && !net.lost_patience) {
        (void)uv_run(&net.loop, UV_RUN_ONCE);
    }
    assert_int_equal(net.received, sizeof rest);
    assert_false(net.bulk.on);
    assert_int_equal(portion(), 1);
}

static void test_an_end_is_told_at_once(void **state)
{
    (void)state;
    hurry();
    (void)uv_timer_stop(&net.bulk.timer); /* not by its help */
    (void)close(net.sender);
    net.sender = -1;
    while (!net.over && !net.lost_patience) {
        (void)uv_run(&net.loop, UV_RUN_ONCE);
    }
    assert_true(net.over);
}

static void test_a_slow_stream_is_left_alone(void **state)
{
    (void)state;
    hurry();
    came(BULK_SPAN_BYTES / 1000);
    assert_false(net.bulk.on);
    assert_int_equal(portion(), 1);
    came(BULK_SPAN_BYTES / 1000);
    assert_false(net.bulk.on);
}

static void test_a_small_buffer_has_no_portions(void **state)
{
    uv_os_fd_t fd = -1;
    int room = BULK_PORTION_BYTES; /* which the system doubles */
    (void)state;
    assert_int_equal(uv_fileno((uv_handle_t *)&net.tcp, &fd), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room), 0);
    came(4 * BULK_SPAN_BYTES);
    came(1024U * BULK_SPAN_BYTES);
    assert_false(net.bulk.on);
    assert_int_equal(portion(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_rest_is_read_soon, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_end_is_told_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_slow_stream_is_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_small_buffer_has_no_portions, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
