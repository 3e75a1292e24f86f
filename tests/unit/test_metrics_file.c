#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/log.h"
#include "control/metrics_file.h"

#define TRIES 2000 /* of 5 ms */

static uv_loop_t loop;
static uv_timer_t tick;
static struct supervisor *supervisor;
static char folder[512];
static char path[600];
static int warnings, news;
static char last_warning[1024];

static void on_log(void *arg, enum log_level level, const char *tunnel, const char *message)
{
    (void)arg;
    (void)tunnel;
    if (level == LOG_LEVEL_WARNING) {
        warnings++;
        (void)snprintf(last_warning, sizeof last_warning, "%s", message);
    } else if (strstr(message, "again") != NULL) {
        news++;
    }
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static bool is_there(const char *suffix)
{
    char name[700];
    uv_fs_t request;
    (void)snprintf(name, sizeof name, "%s%s", path, suffix);
    int status = uv_fs_stat(NULL, &request, name, NULL);
    uv_fs_req_cleanup(&request);
    return status == 0;
}

static void put(const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void take_away(void)
{
    assert_int_equal(remove(path), 0);
}

static bool has_warned(void)
{
    return warnings > 0;
}

static bool has_news(void)
{
    return news > 0;
}

static bool is_written(void)
{
    return is_there("");
}

static void run_until(bool (*is_so)(void))
{
    for (int i = 0; i < TRIES && !is_so(); i++)
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_true(is_so());
}

static int begin(void **state)
{
    size_t len = sizeof folder - 64;
    uv_fs_t request;
    char template[600];
    const struct supervisor_options options = {.grace_ms = 1};
    (void)state;
    assert_int_equal(uv_os_tmpdir(folder, &len), 0);
    (void)snprintf(template, sizeof template, "%s/holdfast-XXXXXX", folder);
    assert_int_equal(uv_fs_mkdtemp(NULL, &request, template, NULL), 0);
    (void)snprintf(folder, sizeof folder, "%s", request.path);
    uv_fs_req_cleanup(&request);
    (void)snprintf(path, sizeof path, "%s/holdfast.prom", folder);
    warnings = news = 0;
    log_set_sink(on_log, NULL, LOG_LEVEL_INFO);
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(uv_timer_init(&loop, &tick), 0);
    assert_int_equal(uv_timer_start(&tick, on_tick, 5, 5), 0);
    assert_int_equal(supervisor_new(&loop, NULL, 0, &options, &supervisor, NULL), OK);
    return 0;
}

static int end(void **state)
{
    uv_fs_t request;
    (void)state;
    uv_close((uv_handle_t *)&tick, NULL);
    supervisor_stop(supervisor);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    supervisor_free(supervisor);
    assert_int_equal(uv_loop_close(&loop), 0);
    log_set_sink(NULL, NULL, LOG_LEVEL_INFO);
    assert_false(is_there(""));
    assert_false(is_there(".tmp"));
    assert_false(is_there(".lock"));
    assert_int_equal(uv_fs_rmdir(NULL, &request, folder, NULL), 0);
    uv_fs_req_cleanup(&request);
    return 0;
}

static void it_is_written_anew_and_removed_at_the_end(void **state)
{
    struct metrics_file *file = NULL;
    char text[64] = "";
    (void)state;
    assert_int_equal(metrics_file_start(&loop, supervisor, path, 20, &file, NULL), OK);
    run_until(is_written);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    assert_non_null(fgets(text, sizeof text, in));
    (void)fclose(in);
    assert_memory_equal(text, "# HELP holdfast_build_info", 26);
    take_away();
    run_until(is_written);
    assert_int_equal(warnings, 0);
    metrics_file_stop(file);
}

static void a_file_of_another_program_stays(void **state)
{
    struct metrics_file *file = NULL;
    char text[64] = "";
    (void)state;
    put("root:x:0:0\n");
    assert_int_equal(metrics_file_start(&loop, supervisor, path, 20, &file, NULL), OK);
    run_until(has_warned);
    for (int i = 0; i < 40; i++)
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(last_warning, "was not written by holdfast"));
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    assert_string_equal(fgets(text, sizeof text, in), "root:x:0:0\n");
    (void)fclose(in);
    take_away();
    run_until(has_news);
    assert_true(is_there(""));
    metrics_file_stop(file);
}

static void it_stays_also_when_we_end(void **state)
{
    struct metrics_file *file = NULL;
    (void)state;
    put("my thesis\n");
    assert_int_equal(metrics_file_start(&loop, supervisor, path, 20, &file, NULL), OK);
    run_until(has_warned);
    metrics_file_stop(file);
    for (int i = 0; i < 40; i++)
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_true(is_there(""));
    take_away();
}

static void one_that_took_the_place_of_ours_stays(void **state)
{
    struct metrics_file *file = NULL;
    (void)state;
    assert_int_equal(metrics_file_start(&loop, supervisor, path, 3600000, &file, NULL), OK);
    run_until(is_written);
    for (int i = 0; i < 40; i++)
        (void)uv_run(&loop, UV_RUN_ONCE);
    put("my thesis\n");
    metrics_file_stop(file);
    for (int i = 0; i < 40; i++)
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_true(is_there(""));
    take_away();
}

static void two_that_write_one_file_are_told(void **state)
{
    struct metrics_file *first = NULL;
    struct metrics_file *second = NULL;
    (void)state;
    assert_int_equal(metrics_file_start(&loop, supervisor, path, 20, &first, NULL), OK);
    run_until(is_written);
    assert_int_equal(metrics_file_start(&loop, supervisor, path, 20, &second, NULL), OK);
    run_until(has_warned);
    assert_non_null(strstr(last_warning, "already kept by process"));
    assert_int_equal(warnings, 1);
    metrics_file_stop(second);
    assert_true(is_there(""));
    metrics_file_stop(first);
}

static void a_folder_that_is_not_there_is_told_once(void **state)
{
    struct metrics_file *file = NULL;
    char elsewhere[700];
    (void)state;
    (void)snprintf(elsewhere, sizeof elsewhere, "%s/none/holdfast.prom", folder);
    assert_int_equal(metrics_file_start(&loop, supervisor, elsewhere, 20, &file, NULL), OK);
    run_until(has_warned);
    for (int i = 0; i < 40; i++)
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(warnings, 1);
    metrics_file_stop(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_written_anew_and_removed_at_the_end, begin, end),
        cmocka_unit_test_setup_teardown(a_file_of_another_program_stays, begin, end),
        cmocka_unit_test_setup_teardown(it_stays_also_when_we_end, begin, end),
        cmocka_unit_test_setup_teardown(one_that_took_the_place_of_ours_stays, begin, end),
        cmocka_unit_test_setup_teardown(two_that_write_one_file_are_told, begin, end),
        cmocka_unit_test_setup_teardown(a_folder_that_is_not_there_is_told_once, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
