#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cli/watch_text.h"
#include "cli/watch_view.h"

#define AT UINT64_C(1795579200000) /* 2026-11-25T04:00:00Z */

static const char tunnels[] =
    "{\"version\":\"0.1.0\",\"pid\":7,\"started_at\":\"2026-11-25T01:00:00.000Z\",\"tunnels\":["
    "{\"name\":\"xp-mode\",\"host\":\"macbook\",\"state\":\"up\",\"since\":\"2026-11-25T03:47:55.000Z\",\"attempts\":3,"
    "\"reconnects\":2,\"next_retry_ms\":null,\"last_error\":{\"class\":\"transient\",\"message\":\"old news\","
    "\"at\":\"2026-11-25T03:00:00.000Z\"},\"rtt_ms\":12,\"bytes_in\":%d,\"bytes_out\":4096,"
    "\"forwards\":[{\"type\":\"remote\",\"listen\":\"127.0.0.1:0\",\"bound\":\"127.0.0.1:14444\","
    "\"to\":\"192.168.200.2:4444\",\"state\":\"up\",\"error\":null,\"channels\":2,\"channels_total\":9,\"bytes_in\":1,"
    "\"bytes_out\":2}]},"
    "{\"name\":\"office\",\"host\":\"pc\",\"state\":\"waiting\",\"since\":\"2026-11-25T03:59:58.000Z\",\"attempts\":7,"
    "\"reconnects\":0,\"next_retry_ms\":4500,\"last_error\":{\"class\":\"transient\",\"message\":"
    "\"10.0.0.1 port 22: connection \\u001b[31mrefused \\u009b2J, and that is a sentence which is longer than one "
    "row\","
    "\"at\":\"2026-11-25T03:59:58.000Z\"},\"rtt_ms\":null,\"bytes_in\":0,\"bytes_out\":0,"
    "\"forwards\":[{\"type\":\"dynamic\",\"listen\":\"127.0.0.1:1080\",\"bound\":null,\"to\":null,\"state\":\"failed\","
    "\"error\":\"address already in use\",\"channels\":0,\"channels_total\":0,\"bytes_in\":0,\"bytes_out\":0}]}]}";

static json_t *status_with(int bytes_in)
{
    char text[4096];
    (void)snprintf(text, sizeof text, tunnels, bytes_in);
    json_t *status = json_loads(text, 0, NULL);
    assert_non_null(status);
    return status;
}

/* A row of the picture as text, without the blanks at its end; what is not ASCII is '#'. */
static const char *row_text(const struct screen_frame *frame, unsigned row)
{
    static char text[512];
    size_t len = 0;
    for (unsigned i = 0; i < frame->width && i + 1 < sizeof text; i++) {
        uint32_t code_point = frame->cells[(size_t)row * frame->width + i].code_point;
        assert_true(code_point == 0 || (code_point >= 0x20 && code_point != 0x7f && code_point != 0x9b));
        text[i] = code_point == 0 ? ' ' : code_point < 0x7f ? (char)code_point : '#';
        len = text[i] != ' ' ? i + 1 : len;
    }
    text[len] = '\0';
    return text;
}

static void assert_rows(const struct screen_frame *frame, const char *const *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_string_equal(row_text(frame, (unsigned)i), rows[i]);
}

static void a_terminal_of_80_columns(void **state)
{
    static const char *const rows[] = {
        "holdfast 0.1.0  pid 7  up 3h00m                       2 tunnels: 1 up, 1 waiting",
        "NAME                    STATE               IN/s     OUT/s      RTT SINCE",
        "xp-mode                 up               1.5 MiB       0 B    12 ms up 12m06s",
        "  -R 127.0.0.1:14444 -> 192.168.200.2:4444                  up            2 open",
        "office                  waiting              0 B       0 B        - retry 4s",
        "  10.0.0.1 port 22: connection ?[31mrefused ?2J, and that is a sentence which is",
        "  longer than one row",
        "  -D 127.0.0.1:1080 (SOCKS)                                 failed        0 open",
        "     address already in use",
    };
    json_t *before = status_with(0);
    json_t *now = status_with(3 << 20);
    struct watch_view view = {.now = {now, AT}, .before = {before, AT - 2000}, .now_unix_ms = AT + 1000, .scroll = 0};
    struct screen_frame frame;
    (void)state;
    assert_true(screen_frame_init(&frame, 80, 24));
    watch_view_draw(&view, &frame);
    assert_int_equal(watch_view_lines(&view, 80), 7);
    assert_rows(&frame, rows, sizeof rows / sizeof rows[0]);
    assert_string_equal(row_text(&frame, 23),
                        " q quit  Up Down PgUp PgDn scroll                                lines 1-7 of 7");
    screen_frame_deinit(&frame);
    json_decref(now);
    json_decref(before);
}

static void a_wide_terminal_shows_hosts_and_totals(void **state)
{
    json_t *now = status_with(3 << 20);
    struct watch_view view = {.now = {now, AT}, .now_unix_ms = AT};
    struct screen_frame frame;
    (void)state;
    assert_true(screen_frame_init(&frame, 160, 50));
    watch_view_draw(&view, &frame);
    assert_int_equal(watch_view_lines(&view, 160), 6);
    assert_non_null(strstr(row_text(&frame, 1), "HOST"));
    assert_non_null(strstr(row_text(&frame, 2), "macbook"));
    assert_non_null(strstr(row_text(&frame, 2), "3.0 MiB"));
    assert_non_null(strstr(row_text(&frame, 3), "2 open        9 in all       1 B in       2 B out"));
    screen_frame_deinit(&frame);
    json_decref(now);
}

static void every_size_is_drawn_within_its_picture(void **state)
{
    json_t *now = status_with(1);
    struct watch_view view = {.now = {now, AT}, .now_unix_ms = AT};
    (void)state;
    for (unsigned width = 0; width < 130; width += width < 20 ? 1 : 7) {
        for (unsigned height = 0; height < 12; height++) {
            struct screen_frame frame;
            assert_true(screen_frame_init(&frame, width, height));
            for (view.scroll = 0; view.scroll < 12; view.scroll += 5)
                watch_view_draw(&view, &frame);
            screen_frame_deinit(&frame);
        }
    }
    json_decref(now);
}

/* Its end says what to do. */
static void the_longest_sentence_is_seen_to_its_end(void **state)
{
    struct err_info info;
    struct screen_frame frame;
    (void)state;
    memset(info.message, 'w', sizeof info.message);
    for (size_t i = 9; i < sizeof info.message; i += 10)
        info.message[i] = ' ';
    (void)strcpy(info.message + sizeof info.message - 6, " END.");
    json_t *now = json_pack("{s:[{s:s, s:s, s:{s:s}, s:[]}]}", "tunnels", "name", "t", "state", "failed", "last_error",
                            "message", info.message, "forwards");
    assert_non_null(now);
    struct watch_view view = {.now = {now, AT}, .now_unix_ms = AT};
    for (unsigned width = 40; width <= 160; width += 40) {
        assert_true(screen_frame_init(&frame, width, 24));
        watch_view_draw(&view, &frame);
        size_t above = 24 - 1 - watch_view_room(&view, width, 24);
        size_t lines = watch_view_lines(&view, width);
        assert_non_null(strstr(row_text(&frame, (unsigned)(above + lines) - 1), "END."));
        screen_frame_deinit(&frame);
    }
    json_decref(now);
}

static void a_long_list_scrolls(void **state)
{
    json_t *now = status_with(1);
    struct watch_view view = {.now = {now, AT}, .now_unix_ms = AT, .scroll = 2};
    struct screen_frame frame;
    (void)state;
    assert_true(screen_frame_init(&frame, 80, 6));
    assert_int_equal(watch_view_room(&view, 80, 6), 3);
    watch_view_draw(&view, &frame);
    assert_int_equal(watch_view_lines(&view, 80), 7);
    assert_memory_equal(row_text(&frame, 2), "office", 6);
    assert_memory_equal(row_text(&frame, 3), "  10.0.0.1", 10);
    assert_non_null(strstr(row_text(&frame, 5), "lines 3-5 of 7"));
    screen_frame_deinit(&frame);
    json_decref(now);
}

static void trouble_is_told_above_what_was_last_known(void **state)
{
    json_t *now = status_with(1);
    struct watch_view view = {.now = {now, AT}, .now_unix_ms = AT, .trouble = "no service answers"};
    struct screen_frame frame;
    (void)state;
    assert_true(screen_frame_init(&frame, 80, 24));
    watch_view_draw(&view, &frame);
    assert_string_equal(row_text(&frame, 0), "holdfast: no service answers");
    assert_memory_equal(row_text(&frame, 2), "xp-mode", 7);
    assert_int_equal(frame.cells[(size_t)2 * 80].colour, SCREEN_FAINT);
    screen_frame_deinit(&frame);
    json_decref(now);
}

static void trouble_takes_the_rows_it_needs_and_leaves_one_to_the_list(void **state)
{
    static const char *const rows[] = {
        "holdfast: trying again: no holdfast", "  is running to ask; start it by",   "  'holdfast run'",
        "NAME      STATE          SINCE",      "xp-mode   up             up 12m05s",
    };
    json_t *now = status_with(1);
    struct watch_view view = {.now = {now, AT},
                              .now_unix_ms = AT,
                              .trouble = "trying again: no holdfast is running to ask; start it by 'holdfast run'"};
    struct screen_frame frame;
    (void)state;
    assert_true(screen_frame_init(&frame, 37, 9));
    assert_int_equal(watch_view_room(&view, 37, 9), 4);
    watch_view_draw(&view, &frame);
    assert_rows(&frame, rows, sizeof rows / sizeof rows[0]);
    assert_memory_equal(row_text(&frame, 8), " q quit", 7);
    screen_frame_deinit(&frame);
    assert_true(screen_frame_init(&frame, 37, 5));
    assert_int_equal(watch_view_room(&view, 37, 5), 1);
    watch_view_draw(&view, &frame);
    assert_string_equal(row_text(&frame, 1), "  is running to ask; start it by 'ho~");
    assert_memory_equal(row_text(&frame, 3), "xp-mode", 7);
    screen_frame_deinit(&frame);
    json_decref(now);
}

static void a_summary_that_does_not_fit_beside_gets_a_row(void **state)
{
    json_t *now = status_with(1);
    struct watch_view view = {.now = {now, AT}, .now_unix_ms = AT};
    struct screen_frame frame;
    (void)state;
    assert_true(screen_frame_init(&frame, 50, 24));
    assert_int_equal(watch_view_room(&view, 50, 24), 20);
    watch_view_draw(&view, &frame);
    assert_string_equal(row_text(&frame, 0), "holdfast 0.1.0  pid 7  up 3h00m");
    assert_string_equal(row_text(&frame, 1), "  2 tunnels: 1 up, 1 waiting");
    assert_memory_equal(row_text(&frame, 2), "NAME", 4);
    assert_memory_equal(row_text(&frame, 3), "xp-mode", 7);
    screen_frame_deinit(&frame);
    json_decref(now);
}

static void rates_end_with_the_run_they_are_of(void **state)
{
    json_t *now = status_with(100);
    json_t *before = status_with(0);
    (void)json_object_set_new(before, "pid", json_integer(8));
    struct watch_view view = {.now = {now, AT}, .before = {before, AT - 1000}, .now_unix_ms = AT};
    struct screen_frame frame;
    (void)state;
    assert_true(screen_frame_init(&frame, 80, 24));
    watch_view_draw(&view, &frame);
    assert_non_null(strstr(row_text(&frame, 2), "       -         -    12 ms"));
    screen_frame_deinit(&frame);
    json_decref(now);
    json_decref(before);
}

static void lines_tell_changes_alone(void **state)
{
    json_t *before = status_with(0);
    json_t *now = status_with(9);
    (void)state;
    char *first = watch_view_changes(NULL, before, AT);
    assert_string_equal(first, "2026-11-25T04:00:00.000Z xp-mode: up\n"
                               "2026-11-25T04:00:00.000Z office: waiting: 10.0.0.1 port 22: connection ?[31mrefused "
                               "?2J, and that is a sentence which is longer than one row; dynamic 127.0.0.1:1080 "
                               "failed: address already in use\n");
    char *none = watch_view_changes(before, now, AT);
    assert_string_equal(none, "");
    json_t *list = json_object_get(now, "tunnels");
    (void)json_object_set_new(json_array_get(list, 0), "state", json_string("degraded"));
    (void)json_array_remove(list, 1);
    char *changed = watch_view_changes(before, now, AT);
    assert_string_equal(changed, "2026-11-25T04:00:00.000Z xp-mode: degraded\n"
                                 "2026-11-25T04:00:00.000Z office: is no more\n");
    free(first);
    free(none);
    free(changed);
    json_decref(now);
    json_decref(before);
}

static void numbers_are_short(void **state)
{
    static const struct {
        uint64_t value;
        const char *bytes;
        const char *span;
    } cases[] = {{0, "0 B", "0s"},
                 {999, "999 B", "0s"},
                 {1000, "1.0 KiB", "1s"},
                 {10189, "10 KiB", "10s"},
                 {725000, "708 KiB", "12m05s"},
                 {11520000, "11 MiB", "3h12m"},
                 {UINT64_C(1047600000), "999 MiB", "12d03h"}};
    char text[WATCH_TEXT_CAP_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(watch_text_bytes(cases[i].value, text, sizeof text), cases[i].bytes);
        assert_string_equal(watch_text_span(cases[i].value, text, sizeof text), cases[i].span);
    }
    assert_true(strlen(watch_text_bytes(UINT64_MAX, text, sizeof text)) <= 9);
}

static void sentences_break_between_words(void **state)
{
    char line[16];
    (void)state;
    const char *rest = watch_text_break("one two  three", 8, line, sizeof line);
    assert_string_equal(line, "one two");
    assert_string_equal(rest, "three");
    rest = watch_text_break("abcdefghij", 4, line, sizeof line);
    assert_string_equal(line, "abcd");
    assert_string_equal(rest, "efghij");
    rest = watch_text_break("\xc3\xa4\xc3\xb6\xc3\xbc", 2, line, sizeof line);
    assert_string_equal(line, "\xc3\xa4\xc3\xb6");
    assert_string_equal(rest, "\xc3\xbc");
    rest = watch_text_break("exact fit", 5, line, sizeof line);
    assert_string_equal(line, "exact");
    assert_string_equal(rest, "fit");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_terminal_of_80_columns),
        cmocka_unit_test(a_wide_terminal_shows_hosts_and_totals),
        cmocka_unit_test(every_size_is_drawn_within_its_picture),
        cmocka_unit_test(the_longest_sentence_is_seen_to_its_end),
        cmocka_unit_test(a_long_list_scrolls),
        cmocka_unit_test(trouble_is_told_above_what_was_last_known),
        cmocka_unit_test(trouble_takes_the_rows_it_needs_and_leaves_one_to_the_list),
        cmocka_unit_test(a_summary_that_does_not_fit_beside_gets_a_row),
        cmocka_unit_test(rates_end_with_the_run_they_are_of),
        cmocka_unit_test(lines_tell_changes_alone),
        cmocka_unit_test(numbers_are_short),
        cmocka_unit_test(sentences_break_between_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
