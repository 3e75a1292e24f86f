#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/doctor_report.h"
#include "cli/status_table.h"
#include "config/text.h"

/* Control sequences begin with ESC [, or with U+009B alone, or in some terminals with the byte 0x9b. */
#define SLY                                                                                                            \
    "a\x1b[31mb\xc2\x9b"                                                                                               \
    "31mc\x9b"                                                                                                         \
    "31md\x7f"
#define TAME "a?[31mb?31mc?31md?"

static bool is_tame(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at != 0; at++) {
        if ((*at < 0x20 && *at != '\n') || *at == 0x7f || (*at >= 0x80 && *at < 0xa0))
            return false;
    }
    return true;
}

static void nothing_shown_is_obeyed_by_a_terminal(void **state)
{
    char out[64];
    (void)state;
    assert_string_equal(text_shown(SLY, out, sizeof out), TAME);
    assert_string_equal(text_shown("gr\xc3\xbc\xc3\x9f dich \xe2\x82\xac \xf0\x9f\x98\x80", out, sizeof out),
                        "gr\xc3\xbc\xc3\x9f dich \xe2\x82\xac \xf0\x9f\x98\x80");
}

static void it_is_cut_between_characters(void **state)
{
    char out[4];
    (void)state;
    assert_string_equal(text_shown("abc", out, sizeof out), "abc");
    assert_string_equal(text_shown("abcd", out, sizeof out), "abc");
    assert_string_equal(text_shown("ab\xc3\xbc", out, sizeof out), "ab");
    assert_string_equal(text_shown("a\xe2\x82\xac", out, sizeof out), "a");
    assert_string_equal(text_shown("\xe2\x82\xac", out, sizeof out), "\xe2\x82\xac");
    assert_string_equal(text_shown("\xe2\x82", out, sizeof out), "??");
    assert_string_equal(text_shown("abc", out, 1), "");
}

static void the_table_of_a_status_is_tame(void **state)
{
    (void)state;
    json_t *status = json_pack("{s:[{s:s, s:s, s:{s:s}, s:[{s:s, s:s, s:s}]}]}", "tunnels", "name", "t", "state",
                               "waiting", "last_error", "message",
                               "said \xc2\x9b"
                               "31m",
                               "forwards", "type", "local", "listen",
                               "\xc2\x9b"
                               "2J",
                               "error", "\xc2\x90!");
    assert_non_null(status);
    char *text = status_table(status, 1000);
    assert_non_null(text);
    assert_true(is_tame(text));
    assert_non_null(strstr(text, "said ?31m"));
    free(text);
    json_decref(status);
}

static void the_report_of_doctor_is_tame(void **state)
{
    struct doctor_report report;
    (void)state;
    doctor_report_init(&report, "t", "me@there");
    doctor_report_forward(&report, SLY);
    doctor_report_add(&report, DOCTOR_FAIL, "target", SLY, "%s", SLY);
    assert_int_equal(report.count, 1);
    assert_string_equal(report.hops[0].forward, TAME);
    assert_string_equal(report.hops[0].seen, TAME);
    assert_string_equal(report.hops[0].mend, TAME);
    doctor_report_deinit(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_shown_is_obeyed_by_a_terminal),
        cmocka_unit_test(it_is_cut_between_characters),
        cmocka_unit_test(the_table_of_a_status_is_tame),
        cmocka_unit_test(the_report_of_doctor_is_tame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
