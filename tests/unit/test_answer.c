/* What commands print: addresses, nonsense, nothing; and UTF-16, as wsl.exe has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf16.h"
#include "forward/answer.h"

static void an_address_is_the_first_line(void **state)
{
    static const struct {
        const char *output, *host;
        uint16_t port;
    } good[] = {
        {"192.0.2.1\n", "192.0.2.1", 0},
        {"192.0.2.1", "192.0.2.1", 0},
        {"  guest.local \r\nmore\n", "guest.local", 0},
        {"guest:4444\n", "guest", 4444},
        {"fd00::1\n", "fd00::1", 0},
        {"fe80::1%eth0\n", "fe80::1%eth0", 0},
        {"[fd00::1]\n", "fd00::1", 0},
        {"[fd00::1]:65535\n", "fd00::1", 65535},
        {"192.0.2.1:1\nnonsense, but no matter\n", "192.0.2.1", 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct answer answer;
        struct err_info info;
        assert_int_equal(answer_parse(good[i].output, &answer, &info), OK);
        assert_string_equal(answer.host, good[i].host);
        assert_int_equal(answer.port, good[i].port);
    }
}

static void nonsense_is_shown_with_what_was_expected(void **state)
{
    static const char *const bad[] = {
        "no such domain", "a b",       "a:b",   "a:0",  "a:65536",  "a:80:81", ":80", "[fd00::1",
        "[fd00::1]x",     "[a]:80",    "-h",    "a/b",  "fe80::1%", "a:",      "[]",  "a;reboot",
        "$(a)",           "\x1b[31ma", "a:+80", "a: 80"};
    char line[1500];
    struct answer answer;
    struct err_info info;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(answer_parse(bad[i], &answer, &info), ERR_RESOLVE);
        assert_non_null(strstr(info.message, "which is no address"));
        assert_non_null(strstr(info.message, "HOST:PORT"));
        assert_null(strchr(info.message, '\x1b'));
    }
    memset(line, 'a', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    assert_int_equal(answer_parse(line, &answer, &info), ERR_RESOLVE);
    line[300] = '\0';
    assert_int_equal(answer_parse(line, &answer, &info), ERR_RESOLVE);
    line[255] = '\0';
    assert_int_equal(answer_parse(line, &answer, &info), OK);
    assert_string_equal(answer.host, line);
}

static void nothing_is_said_to_be_nothing(void **state)
{
    static const char *const empty[] = {"", "\n", " \t\r\n", "\n192.0.2.1\n"};
    (void)state;
    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++) {
        struct answer answer;
        struct err_info info;
        assert_int_equal(answer_parse(empty[i], &answer, &info), ERR_RESOLVE);
        assert_non_null(strstr(info.message, "printed nothing"));
        assert_int_equal(answer_parse_addresses(empty[i], &answer, &info), ERR_RESOLVE);
        assert_non_null(strstr(info.message, "printed nothing"));
    }
}

static void the_first_of_several_addresses_is_taken(void **state)
{
    struct answer answer;
    struct err_info info;
    (void)state;
    assert_int_equal(answer_parse_addresses("172.20.1.2 172.17.0.1 fd00::1 \n", &answer, &info), OK);
    assert_string_equal(answer.host, "172.20.1.2");
    assert_int_equal(answer_parse_addresses("fd00::1  172.20.1.2\n", &answer, &info), OK);
    assert_string_equal(answer.host, "172.20.1.2");
    assert_int_equal(answer_parse_addresses("fd00::1 \n", &answer, &info), OK);
    assert_string_equal(answer.host, "fd00::1");
    assert_int_equal(answer_parse_addresses("hostname: invalid option -- 'I'\n", &answer, &info), ERR_RESOLVE);
}

static void lines_of_a_complaint_are_found(void **state)
{
    char line[32];
    (void)state;
    assert_string_equal(answer_line("one\n\n two \n \n", 1, line, sizeof line), "two");
    assert_string_equal(answer_line("\r\n one\r\ntwo", 0, line, sizeof line), "one");
    assert_string_equal(answer_line("", 1, line, sizeof line), "");
    assert_string_equal(answer_line("0123456789012345678901234567890123456789", 1, line, sizeof line),
                        "0123456789012345678901234567890");
}

static void utf16_becomes_utf8(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *text;
    } cases[] = {
        {"a\0b\0", 4, "ab"},
        {"\xff\xfe\x61\0", 4, "a"},
        {"\x42\x30\r\0\n\0", 6, "\xe3\x81\x82\r\n"},
        {"\xe9\0", 2, "\xc3\xa9"},
        {"\x3d\xd8\x00\xde", 4, "\xf0\x9f\x98\x80"},
        {"\x3d\xd8\x61\0", 4,
         "\xef\xbf\xbd"
         "a"},
        {"\x00\xde", 2, "\xef\xbf\xbd"},
        {"\x3d\xd8", 2, "\xef\xbf\xbd"},
        {"a\0b", 3, "a"},
        {"a\0\0\0b\0", 6, "a"},
        {"", 0, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = utf16_to_utf8(cases[i].bytes, cases[i].len);
        assert_non_null(text);
        assert_string_equal(text, cases[i].text);
        free(text);
    }
    assert_true(utf16_is_likely("a\0", 2));
    assert_false(utf16_is_likely("a\r\n", 3));
    assert_false(utf16_is_likely("", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_the_first_line),   cmocka_unit_test(nonsense_is_shown_with_what_was_expected),
        cmocka_unit_test(nothing_is_said_to_be_nothing),  cmocka_unit_test(the_first_of_several_addresses_is_taken),
        cmocka_unit_test(lines_of_a_complaint_are_found), cmocka_unit_test(utf16_becomes_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
