/* What the service manager is told, at a socket that plays it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/utf8.h"
#include "service/posix/notify.h"
#include "service/posix/status_line.h"

static char folder[] = "/tmp/holdfast-notify-XXXXXX";
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static int manager = -1;

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", folder);
    manager = socket(AF_UNIX, SOCK_DGRAM, 0);
    (void)setenv("NOTIFY_SOCKET", address.sun_path, 1);
    return bind(manager, (const struct sockaddr *)&address, sizeof address);
}

static int tear_down(void **state)
{
    (void)state;
    (void)close(manager);
    (void)unlink(address.sun_path);
    return rmdir(folder);
}

/* The next datagram, "" when there is none. Valid until the next call. */
static const char *heard(void)
{
    static char text[1024];
    ssize_t len = recv(manager, text, sizeof text - 1, MSG_DONTWAIT);
    text[len > 0 ? len : 0] = 0;
    return text;
}

static void states(void **state)
{
    struct timespec now;
    unsigned long long us = 0;
    (void)state;
    notify_ready();
    assert_string_equal(heard(), "READY=1");
    notify_stopping();
    assert_string_equal(heard(), "STOPPING=1");
    notify_reloading();
    assert_int_equal(sscanf(heard(), "RELOADING=1\nMONOTONIC_USEC=%llu", &us), 1);
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    assert_in_range(us, (now.tv_sec - 10) * 1000000LL, (now.tv_sec + 1) * 1000000LL);
    notify_status("3 of 4 tunnels up; nas waiting: a\nREADY=1");
    assert_string_equal(heard(), "STATUS=3 of 4 tunnels up; nas waiting: a?READY=1");
    notify_status("3 of 4 tunnels up; nas waiting: a\nREADY=1");
    assert_string_equal(heard(), "");
    notify_status("4 of 4 tunnels up");
    assert_string_equal(heard(), "STATUS=4 of 4 tunnels up");
}

static void status_lines(void **state)
{
    static const struct status_line_item items[] = {
        {"a", TUNNEL_UP, "an old failure"}, {"nas", TUNNEL_WAITING, "connection refused"},
        {"c", TUNNEL_CONNECTING, NULL},     {"d", TUNNEL_FAILED, "x"},
        {"e", TUNNEL_STOPPED, NULL},
    };
    char text[200];
    (void)state;
    assert_string_equal(status_line_text(items, 0, text, sizeof text), "0 of 0 tunnels up");
    assert_string_equal(status_line_text(items, 1, text, sizeof text), "1 of 1 tunnel up");
    assert_string_equal(status_line_text(items, 2, text, sizeof text),
                        "1 of 2 tunnels up; nas waiting: connection refused");
    assert_string_equal(status_line_text(items, 5, text, sizeof text),
                        "1 of 5 tunnels up; nas waiting: connection refused; c connecting; d failed: x; and others");
    assert_string_equal(status_line_text(items, 5, text, 24), "1 of 5 tunnels up; nas ");
}

/* systemd passes over a status that is not UTF-8. */
static void a_status_is_cut_between_characters(void **state)
{
    char name[64];
    char why[300];
    char text[480];
    uint32_t code_point = 0;
    (void)state;
    for (size_t shift = 0; shift < 2; shift++) {
        memset(name, 'n', shift);
        memset(why, 'w', shift);
        for (size_t i = shift; i + 2 < sizeof name; i += 2)
            memcpy(name + i, "\xc3\xbc", 3);
        for (size_t i = shift; i + 2 < sizeof why; i += 2)
            memcpy(why + i, "\xc3\xbc", 3);
        const struct status_line_item items[] = {{name, TUNNEL_WAITING, why}, {name, TUNNEL_WAITING, why}};
        (void)status_line_text(items, 2, text, sizeof text);
        for (const unsigned char *at = (const unsigned char *)text; *at != 0;) {
            size_t len = utf8_sequence(at, &code_point);
            assert_int_not_equal(len, 0);
            at += len;
        }
    }
    notify_status("bad \xc3 and \xc2\x9b");
    assert_string_equal(heard(), "STATUS=bad ? and ?");
}

static uint64_t interval(const char *us, const char *pid)
{
    (void)unsetenv("WATCHDOG_PID");
    (void)unsetenv("WATCHDOG_USEC");
    if (us != NULL)
        (void)setenv("WATCHDOG_USEC", us, 1);
    if (pid != NULL)
        (void)setenv("WATCHDOG_PID", pid, 1);
    return notify_watchdog_ms();
}

static void watchdog_interval(void **state)
{
    char us[32];
    (void)state;
    (void)snprintf(us, sizeof us, "%ld", (long)getpid());
    assert_int_equal(interval(NULL, NULL), 0);
    assert_int_equal(interval("60000000", NULL), 60000);
    assert_int_equal(interval("60000000", us), 60000);
    assert_int_equal(interval("60000000", "1"), 0);
    assert_int_equal(interval("10", NULL), 1);
    assert_int_equal(interval("0", NULL), 0);
    assert_int_equal(interval("", NULL), 0);
    assert_int_equal(interval("1s", NULL), 0);
    assert_int_equal(interval("18446744073709551615", NULL), 0);
}

static void on_end(uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, NULL);
}

static void watchdog_ticks(void **state)
{
    uv_loop_t loop;
    uv_timer_t end;
    struct notify_watchdog watchdog = {.is_open = false};
    (void)state;
    assert_int_equal(interval("40000", NULL), 40);
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(notify_watchdog_start(&watchdog, &loop), 0);
    assert_int_equal(uv_timer_init(&loop, &end), 0);
    assert_int_equal(uv_timer_start(&end, on_end, 100, 0), 0);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0); /* the watchdog does not hold it */
    notify_watchdog_stop(&watchdog);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_string_equal(heard(), "WATCHDOG=1");
    assert_string_equal(heard(), "WATCHDOG=1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states),
        cmocka_unit_test(status_lines),
        cmocka_unit_test(a_status_is_cut_between_characters),
        cmocka_unit_test(watchdog_interval),
        cmocka_unit_test(watchdog_ticks),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
