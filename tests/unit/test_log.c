/* The log's lines byte for byte, threads that write at once, and a file that is moved away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include <cmocka.h>

#include "base/log.h"

#define TIME_LEN 24 /* 2026-11-22T21:00:00.123Z */

static char folder[256];
static char file[300];
static char moved[300];

static int set_up(void **state)
{
    char temporary[200];
    size_t size = sizeof temporary;
    uv_fs_t request;
    (void)state;
    if (uv_os_tmpdir(temporary, &size) != 0)
        return -1;
    (void)snprintf(folder, sizeof folder, "%s/holdfast-log-XXXXXX", temporary);
    int status = uv_fs_mkdtemp(NULL, &request, folder, NULL);
    if (status == 0)
        (void)snprintf(folder, sizeof folder, "%s", request.path);
    uv_fs_req_cleanup(&request);
    (void)snprintf(file, sizeof file, "%s/log", folder);
    (void)snprintf(moved, sizeof moved, "%s/log.1", folder);
    return status;
}

static int tear_down(void **state)
{
    uv_fs_t request;
    (void)state;
    log_close();
    (void)remove(file);
    (void)remove(moved);
    (void)uv_fs_rmdir(NULL, &request, folder, NULL);
    uv_fs_req_cleanup(&request);
    return 0;
}

/* The whole of a file as a heap string. */
static char *contents(const char *path)
{
    FILE *stream = fopen(path, "rb");
    assert_non_null(stream);
    assert_int_equal(fseek(stream, 0, SEEK_END), 0);
    long len = ftell(stream);
    assert_true(len >= 0);
    assert_int_equal(fseek(stream, 0, SEEK_SET), 0);
    char *text = malloc((size_t)len + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)len, stream), len);
    text[len] = 0;
    (void)fclose(stream);
    return text;
}

/* Checks that `at` begins with a time of the right shape, and returns what follows it. */
static const char *after_time(const char *at)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddZ";
    for (size_t i = 0; i < TIME_LEN; i++) {
        if (shape[i] == 'd')
            assert_in_range(at[i], '0', '9');
        else
            assert_int_equal(at[i], shape[i]);
    }
    return at + TIME_LEN;
}

/* Logs one message in `format`, and compares all of the line but its time, where `expected` has a '~'. */
static void expect_line(enum log_format format, const char *tunnel, const char *message, const char *expected)
{
    (void)remove(file);
    assert_int_equal(log_open(file, LOG_LEVEL_INFO, format), 0);
    log_info(tunnel, "%s", message);
    log_close();
    char *text = contents(file);
    const char *time = strchr(expected, '~');
    size_t before = (size_t)(time - expected);
    assert_memory_equal(text, expected, before);
    assert_string_equal(after_time(text + before), time + 1);
    free(text);
}

static void text_lines(void **state)
{
    (void)state;
    expect_line(LOG_FORMAT_TEXT, "xp-mode", "up: 2 forwards", "~ info  xp-mode: up: 2 forwards\n");
    expect_line(LOG_FORMAT_TEXT, NULL, "stopping", "~ info  holdfast: stopping\n");
    expect_line(LOG_FORMAT_TEXT, "t", "a\nb\rc\td", "~ info  t: a\\nb\\rc\\td\n");
    expect_line(LOG_FORMAT_TEXT, "t", "\x1b[31mred\x7f", "~ info  t: \\x1b[31mred\\x7f\n");
    expect_line(LOG_FORMAT_TEXT, "a\nb", "x", "~ info  a\\nb: x\n");
    expect_line(LOG_FORMAT_TEXT, "t", "C:\\keys \"q\"", "~ info  t: C:\\keys \"q\"\n");
    expect_line(LOG_FORMAT_TEXT, "t", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\x91",
                "~ info  t: gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\x91\n");
    expect_line(LOG_FORMAT_TEXT, "t", "c1 \xc2\x9b.", "~ info  t: c1 \\u009b.\n");
    expect_line(LOG_FORMAT_TEXT, "t", "bad \xff\xc3", "~ info  t: bad \\xff\\xc3\n");
}

static void json_lines(void **state)
{
    (void)state;
#define HEAD "{\"time\":\"~\",\"level\":\"info\",\"tunnel\":"
    expect_line(LOG_FORMAT_JSON, "xp-mode", "up", HEAD "\"xp-mode\",\"message\":\"up\"}\n");
    expect_line(LOG_FORMAT_JSON, NULL, "up", HEAD "null,\"message\":\"up\"}\n");
    expect_line(LOG_FORMAT_JSON, "a\"b", "c\\d", HEAD "\"a\\\"b\",\"message\":\"c\\\\d\"}\n");
    expect_line(LOG_FORMAT_JSON, "t", "\n\r\t\x01\x1f\x7f",
                HEAD "\"t\",\"message\":\"\\n\\r\\t\\u0001\\u001f\\u007f\"}\n");
    expect_line(LOG_FORMAT_JSON, "t", "\xe2\x82\xac", HEAD "\"t\",\"message\":\"\xe2\x82\xac\"}\n");
    expect_line(LOG_FORMAT_JSON, "t", "x\xffy", HEAD "\"t\",\"message\":\"x\\ufffdy\"}\n");
    /* Overlong, surrogate, too high, cut short: each byte of them is none of UTF-8's. */
    expect_line(LOG_FORMAT_JSON, "t", "\xc0\xaf", HEAD "\"t\",\"message\":\"\\ufffd\\ufffd\"}\n");
    expect_line(LOG_FORMAT_JSON, "t", "\xed\xa0\x80", HEAD "\"t\",\"message\":\"\\ufffd\\ufffd\\ufffd\"}\n");
    expect_line(LOG_FORMAT_JSON, "t", "\xf4\x90\x80\x80", HEAD "\"t\",\"message\":\"\\ufffd\\ufffd\\ufffd\\ufffd\"}\n");
    expect_line(LOG_FORMAT_JSON, "t", "\xe2\x82", HEAD "\"t\",\"message\":\"\\ufffd\\ufffd\"}\n");
}

static void levels_filter(void **state)
{
    enum log_level level = LOG_LEVEL_INFO;
    enum log_format format = LOG_FORMAT_TEXT;
    (void)state;
    (void)remove(file);
    assert_int_equal(log_open(file, LOG_LEVEL_WARNING, LOG_FORMAT_TEXT), 0);
    assert_int_equal(log_get_level(), LOG_LEVEL_WARNING);
    log_error("t", "1");
    log_warning("t", "2");
    log_info("t", "3");
    log_trace("t", "4");
    log_close();
    char *text = contents(file);
    const char *second = strchr(text, '\n') + 1;
    assert_string_equal(after_time(second), " warning t: 2\n");
    assert_memory_equal(after_time(text), " error t: 1\n", strlen(" error t: 1\n"));
    free(text);
    assert_int_equal(log_level_parse("trace", &level), 0);
    assert_int_equal(level, LOG_LEVEL_TRACE);
    assert_int_equal(log_level_parse("Trace", &level), -1);
    assert_int_equal(log_level_parse("", &level), -1);
    assert_int_equal(log_format_parse("json", &format), 0);
    assert_int_equal(format, LOG_FORMAT_JSON);
    assert_int_equal(log_format_parse("xml", &format), -1);
}

static void a_long_message_is_cut_between_characters(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 4; shift++) {
        char message[9000] = "";
        memset(message, 'a', shift);
        for (size_t at = shift; at + 4 < sizeof message; at += 3)
            (void)snprintf(message + at, 4, "\xe2\x82\xac");
        (void)remove(file);
        assert_int_equal(log_open(file, LOG_LEVEL_INFO, LOG_FORMAT_JSON), 0);
        log_info("t", "%s", message);
        log_close();
        char *text = contents(file);
        size_t len = strlen(text);
        assert_in_range(len, 4096, 4096 + 128);
        assert_string_equal(text + len - 6, "...\"}\n");
        assert_null(strstr(text, "\\ufffd"));
        free(text);
    }
}

static void the_longest_line_fits(void **state)
{
    char message[5000];
    (void)state;
    memset(message, 1, sizeof message - 1);
    message[sizeof message - 1] = 0;
    (void)remove(file);
    assert_int_equal(log_open(file, LOG_LEVEL_INFO, LOG_FORMAT_JSON), 0);
    log_info(message, "%s", message);
    log_close();
    char *text = contents(file);
    assert_string_equal(text + strlen(text) - 6, "...\"}\n");
    free(text);
}

#define THREADS 4
#define LINES_PER_THREAD 500

static void log_much(void *arg)
{
    const char *name = arg;
    for (int i = 0; i < LINES_PER_THREAD; i++)
        log_info(name, "line %d of a thread whose lines are to stay whole", i);
}

static void lines_never_interleave(void **state)
{
    char names[THREADS][8];
    uv_thread_t threads[THREADS];
    int seen[THREADS] = {0};
    (void)state;
    (void)remove(file);
    assert_int_equal(log_open(file, LOG_LEVEL_INFO, LOG_FORMAT_TEXT), 0);
    for (int i = 0; i < THREADS; i++) {
        (void)snprintf(names[i], sizeof names[i], "t%d", i);
        assert_int_equal(uv_thread_create(&threads[i], log_much, names[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(uv_thread_join(&threads[i]), 0);
    log_close();
    char *text = contents(file);
    for (const char *at = text; *at != 0; at = strchr(at, '\n') + 1) {
        char expected[128];
        const char *rest = after_time(at);
        int thread = rest[sizeof " info  t" - 1] - '0';
        assert_in_range(thread, 0, THREADS - 1);
        (void)snprintf(expected, sizeof expected, " info  t%d: line %d of a thread whose lines are to stay whole\n",
                       thread, seen[thread]++);
        assert_memory_equal(rest, expected, strlen(expected));
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(seen[i], LINES_PER_THREAD);
    free(text);
}

static void appends_and_reopens(void **state)
{
    (void)state;
    (void)remove(file);
    assert_int_equal(log_open(file, LOG_LEVEL_INFO, LOG_FORMAT_TEXT), 0);
    log_info("t", "1");
    assert_int_equal(log_open(file, LOG_LEVEL_INFO, LOG_FORMAT_TEXT), 0);
    log_info("t", "2");
    assert_int_equal(rename(file, moved), 0);
    log_info("t", "3");
    log_reopen();
    log_info("t", "4");
    log_close();
    char *old = contents(moved);
    char *new = contents(file);
    const char *third = strchr(strchr(old, '\n') + 1, '\n') + 1;
    assert_string_equal(after_time(third), " info  t: 3\n");
    assert_string_equal(after_time(new), " info  t: 4\n");
    free(old);
    free(new);
}

static void a_file_that_does_not_open_is_told(void **state)
{
    char missing[400];
    (void)state;
    (void)snprintf(missing, sizeof missing, "%s/none/log", folder);
    assert_int_equal(log_open(missing, LOG_LEVEL_INFO, LOG_FORMAT_TEXT), UV_ENOENT);
}

static void a_file_that_opens_later_is_waited_for(void **state)
{
    char later[400];
    char hidden[432];
    uv_fs_t request;
    (void)state;
    (void)snprintf(later, sizeof later, "%s/later", folder);
    (void)snprintf(hidden, sizeof hidden, "%s/log", later);
    assert_int_equal(log_open_or_wait(hidden, LOG_LEVEL_INFO, LOG_FORMAT_TEXT), UV_ENOENT);
    log_info("t", "to standard error");
    assert_null(fopen(hidden, "rb"));
    assert_int_equal(uv_fs_mkdir(NULL, &request, later, 0700, NULL), 0);
    uv_fs_req_cleanup(&request);
    log_info("t", "to the file");
    log_close();
    char *found = contents(hidden);
    assert_string_equal(after_time(found), " info  t: to the file\n");
    free(found);
    (void)remove(hidden);
    assert_int_equal(uv_fs_rmdir(NULL, &request, later, NULL), 0);
    uv_fs_req_cleanup(&request);
}

/* Never a file over its bound, never more files than asked for, and the lines in order. */
static void test_rotation(void **state)
{
    char *names[4] = {file, NULL, NULL, NULL};
    char text[3][320];
    (void)state;
    for (int i = 0; i < 3; i++) {
        (void)snprintf(text[i], sizeof text[i], "%s.%d", file, i + 1);
        names[i + 1] = text[i];
    }
    (void)remove(file);
    assert_int_equal(log_open(file, LOG_LEVEL_INFO, LOG_FORMAT_TEXT), 0);
    log_rotate_at(200, 2);
    for (int i = 0; i < 20; i++)
        log_info("t", "line %02d", i); /* 43 bytes: four in a file */
    log_close();
    log_rotate_at(0, 0);
    for (int i = 0; i < 3; i++) {
        char *found = contents(names[i]);
        char last[16];
        assert_true(strlen(found) <= 200);
        (void)snprintf(last, sizeof last, "line %02d\n", 19 - 4 * i);
        assert_non_null(strstr(found, last));
        free(found);
        (void)remove(names[i]);
    }
    assert_null(fopen(names[3], "rb"));
}

struct told {
    int lines;
    char last[64];
};

static void sink(void *arg, enum log_level level, const char *tunnel, const char *message)
{
    struct told *told = arg;
    told->lines++;
    (void)snprintf(told->last, sizeof told->last, "%d %s %s", (int)level, tunnel != NULL ? tunnel : "-", message);
}

static void test_sink(void **state)
{
    struct told told = {0, ""};
    (void)state;
    assert_int_equal(log_open(file, LOG_LEVEL_INFO, LOG_FORMAT_TEXT), 0);
    log_set_sink(sink, &told, LOG_LEVEL_WARNING);
    log_info("t", "not for it");
    assert_int_equal(told.lines, 0);
    log_warning("t", "for it %d", 1);
    assert_string_equal(told.last, "1 t for it 1");
    log_error(NULL, "and this");
    assert_string_equal(told.last, "0 - and this");
    assert_int_equal(told.lines, 2);
    log_set_sink(NULL, NULL, LOG_LEVEL_ERROR);
    log_error(NULL, "not any more");
    assert_int_equal(told.lines, 2);
    log_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_lines),
        cmocka_unit_test(json_lines),
        cmocka_unit_test(levels_filter),
        cmocka_unit_test(a_long_message_is_cut_between_characters),
        cmocka_unit_test(the_longest_line_fits),
        cmocka_unit_test(lines_never_interleave),
        cmocka_unit_test(appends_and_reopens),
        cmocka_unit_test(a_file_that_does_not_open_is_told),
        cmocka_unit_test(a_file_that_opens_later_is_waited_for),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_sink),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
