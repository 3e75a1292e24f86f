/* A file that changes between the look and the watch's start is told; one that does not is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include <cmocka.h>

#include "tunnel/file_watch.h"

static char folder[256];
static char paths[2][300];
static char *items[2] = {paths[0], paths[1]};
static struct string_list files = {.items = items, .count = 2};

struct seen {
    uv_loop_t loop;
    struct file_watch watch;
    uv_timer_t limit;
    int changes;
};

static int set_up(void **state)
{
    char temporary[200];
    size_t size = sizeof temporary;
    uv_fs_t request;
    (void)state;
    if (uv_os_tmpdir(temporary, &size) != 0) {
        return -1;
    }
    (void)snprintf(folder, sizeof folder, "%s/holdfast-watch-XXXXXX", temporary);
    int status = uv_fs_mkdtemp(NULL, &request, folder, NULL);
    if (status == 0) {
        (void)snprintf(folder, sizeof folder, "%s", request.path);
    }
    uv_fs_req_cleanup(&request);
    (void)snprintf(paths[0], sizeof paths[0], "%s/one", folder);
    (void)snprintf(paths[1], sizeof paths[1], "%s/two", folder);
    return status;
}

static int tear_down(void **state)
{
    uv_fs_t request;
    (void)state;
    (void)remove(paths[0]);
    (void)remove(paths[1]);
    (void)uv_fs_rmdir(NULL, &request, folder, NULL);
    uv_fs_req_cleanup(&request);
    return 0;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void on_change(void *arg)
{
    struct seen *seen = arg;
    seen->changes++;
    uv_close((uv_handle_t *)&seen->watch.timer, NULL);
    uv_close((uv_handle_t *)&seen->limit, NULL);
}

static void on_limit(uv_timer_t *timer)
{
    struct seen *seen = timer->data;
    uv_close((uv_handle_t *)&seen->watch.timer, NULL);
    uv_close((uv_handle_t *)timer, NULL);
}

/* The watch ticks at once and then every second: `limit_ms` bounds the wait for a change that is due or not. */
static void begin(struct seen *seen, uint64_t limit_ms)
{
    seen->changes = 0;
    assert_int_equal(uv_loop_init(&seen->loop), 0);
    assert_int_equal(uv_timer_init(&seen->loop, &seen->limit), 0);
    seen->limit.data = seen;
    file_watch_init(&seen->watch, &seen->loop, &files, on_change, seen);
    file_watch_look(&seen->watch);
    assert_int_equal(uv_timer_start(&seen->limit, on_limit, limit_ms, 0), 0);
}

static int finish(struct seen *seen)
{
    file_watch_start(&seen->watch);
    assert_int_equal(seen->changes, 0);
    assert_int_equal(uv_run(&seen->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&seen->loop), 0);
    return seen->changes;
}

static void test_nothing_changed(void **state)
{
    struct seen seen;
    (void)state;
    write_file(paths[0], "a\n");
    begin(&seen, 300);
    assert_int_equal(finish(&seen), 0);
}

static void test_changed_before_the_watch_began(void **state)
{
    struct seen seen;
    (void)state;
    write_file(paths[0], "a\n");
    begin(&seen, 20000);
    write_file(paths[0], "a\nb\n");
    assert_int_equal(finish(&seen), 1);
}

static void test_the_second_file_appears(void **state)
{
    struct seen seen;
    (void)state;
    begin(&seen, 20000);
    write_file(paths[1], "a\n");
    assert_int_equal(finish(&seen), 1);
}

static void test_a_file_goes(void **state)
{
    struct seen seen;
    (void)state;
    write_file(paths[1], "a\n");
    begin(&seen, 20000);
    assert_int_equal(remove(paths[1]), 0);
    assert_int_equal(finish(&seen), 1);
}

static void change_later(uv_timer_t *timer)
{
    (void)timer;
    write_file(paths[0], "changed while it was watched\n");
    uv_close((uv_handle_t *)timer, NULL);
}

static void test_changed_while_watched(void **state)
{
    struct seen seen;
    uv_timer_t later;
    (void)state;
    write_file(paths[0], "a\n");
    begin(&seen, 20000);
    assert_int_equal(uv_timer_init(&seen.loop, &later), 0);
    assert_int_equal(uv_timer_start(&later, change_later, 50, 0), 0);
    assert_int_equal(finish(&seen), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_changed),         cmocka_unit_test(test_changed_before_the_watch_began),
        cmocka_unit_test(test_the_second_file_appears), cmocka_unit_test(test_a_file_goes),
        cmocka_unit_test(test_changed_while_watched),
    };
    return cmocka_run_group_tests_name("file_watch", tests, set_up, tear_down);
}
