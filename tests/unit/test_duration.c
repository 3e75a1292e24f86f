#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/duration.h"

static void durations_need_one_number_and_a_unit(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"0s", 0}, {"500ms", 500}, {"15s", 15000}, {"2m", 120000}, {"1h", 3600000}, {"007s", 7000}};
    static const char *const bad[] = {"",
                                      "15",
                                      "s",
                                      "15x",
                                      "1.5s",
                                      "-1s",
                                      "+1s",
                                      " 1s",
                                      "1s ",
                                      "1m1s",
                                      "1S",
                                      "1 s",
                                      "1d",
                                      "18446744073709551616ms",
                                      "5124095576030431016h"};
    uint64_t ms = 0;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(duration_parse(good[i].text, &ms, NULL), OK);
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err_info info = {.code = OK};
        assert_int_equal(duration_parse(bad[i], &ms, &info), ERR_DEFINITION);
        assert_true(strlen(info.message) > 10);
    }
}

static void ssh_times_add_up(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"0", 0},          {"30", 30000},    {"30s", 30000},    {"10m", 600000}, {"1h30m", 5400000},
                {"1H30", 3630000}, {"1d", 86400000}, {"1w", 604800000}, {"1m1", 61000},  {"2w2d", 1382400000}};
    static const char *const bad[] = {
        "", "s", "1x", "1h ", "-1", "1hh", "18446744073709551615", "18446744073709551616"};
    uint64_t ms = 0;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(duration_parse_ssh(good[i].text, &ms, NULL), OK);
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(duration_parse_ssh(bad[i], &ms, NULL), ERR_DEFINITION);
    }
}

static void sizes_have_their_two_writings(void **state)
{
    uint64_t bytes = 0;
    (void)state;
    assert_int_equal(size_parse("64KiB", &bytes, NULL), OK);
    assert_int_equal(bytes, 65536);
    assert_int_equal(size_parse("1GiB", &bytes, NULL), OK);
    assert_int_equal(bytes, 1073741824);
    assert_int_equal(size_parse("1G", &bytes, NULL), ERR_DEFINITION);
    assert_int_equal(size_parse("4096", &bytes, NULL), ERR_DEFINITION);
    assert_int_equal(size_parse("99999999999999GiB", &bytes, NULL), ERR_DEFINITION);
    assert_int_equal(size_parse_ssh("4096", &bytes, NULL), OK);
    assert_int_equal(bytes, 4096);
    assert_int_equal(size_parse_ssh("1k", &bytes, NULL), OK);
    assert_int_equal(bytes, 1024);
    assert_int_equal(size_parse_ssh("512M", &bytes, NULL), OK);
    assert_int_equal(bytes, 536870912);
    assert_int_equal(size_parse_ssh("1G", &bytes, NULL), OK);
    assert_int_equal(bytes, 1073741824);
    assert_int_equal(size_parse_ssh("1GiB", &bytes, NULL), ERR_DEFINITION);
    assert_int_equal(size_parse_ssh("1T", &bytes, NULL), ERR_DEFINITION);
    assert_int_equal(size_parse_ssh("", &bytes, NULL), ERR_DEFINITION);
}

static void durations_are_shown_shortly(void **state)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } cases[] = {{0, "0s"},        {250, "250ms"},   {1000, "1s"},        {1500, "1.5s"},
                 {1050, "1.05s"},  {1005, "1.005s"}, {59999, "59.999s"},  {60000, "1m"},
                 {90000, "1m30s"}, {3600000, "1h"},  {3661000, "1h1m1s"}, {86400000, "24h"}};
    char text[32];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(duration_text(cases[i].ms, text, sizeof text), cases[i].text);
    }
    /* Too little room cuts, and never writes beyond. */
    memset(text, 'x', sizeof text);
    (void)duration_text(3661000, text, 4);
    assert_int_equal(text[4], 'x');
    assert_non_null(memchr(text, '\0', 4));
}

static void now_is_in_this_century(void **state)
{
    char text[32];
    (void)state;
    (void)time_text_now(text, sizeof text);
    assert_int_equal(strlen(text), 24);
    assert_memory_equal(text, "20", 2);
    assert_int_equal(text[4], '-');
    assert_int_equal(text[10], 'T');
    assert_int_equal(text[19], '.');
    assert_int_equal(text[23], 'Z');
}

static void times_are_read_as_they_are_written(void **state)
{
    static const uint64_t times[] = {0, 1, 68169599999, 951782400000, 1795579200500, 4102444800000, 253402300799999};
    static const char *const bad[] = {"",
                                      "2026-11-25",
                                      "2026-11-25T04:00:00",
                                      "2026-11-25T04:00:00+01:00",
                                      "2026-13-25T04:00:00Z",
                                      "1969-12-31T23:59:59Z",
                                      "2026-11-25T04:00:00.5Zx"};
    char text[32];
    uint64_t unix_ms = 0;
    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        assert_int_equal(time_parse(time_text(times[i], text, sizeof text), &unix_ms), OK);
        assert_int_equal(unix_ms, times[i]);
    }
    assert_int_equal(time_parse("2026-11-25T04:00:00Z", &unix_ms), OK);
    assert_int_equal(unix_ms, UINT64_C(1795579200000));
    assert_int_equal(time_parse("2026-11-25T04:00:00.123456789Z", &unix_ms), OK);
    assert_int_equal(unix_ms, UINT64_C(1795579200123));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(time_parse(bad[i], &unix_ms), ERR_PROTOCOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_need_one_number_and_a_unit),
        cmocka_unit_test(ssh_times_add_up),
        cmocka_unit_test(sizes_have_their_two_writings),
        cmocka_unit_test(durations_are_shown_shortly),
        cmocka_unit_test(now_is_in_this_century),
        cmocka_unit_test(times_are_read_as_they_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
