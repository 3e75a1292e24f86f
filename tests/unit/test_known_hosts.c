/* The known_hosts format: names, patterns, hashes, markers, and what people and attackers put between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "session/known_hosts.h"
#include "session/wire.h"

#define KEY_A "AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
#define KEY_B "AAAAC3NzaC1lZDI1NTE5AAAAIAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC"
#define LINE_A "ssh-ed25519 " KEY_A "\n"
#define LINE_B "ssh-ed25519 " KEY_B "\n"
#define LINE_RSA "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAABAEBAQE=\n"

static size_t key_a(uint8_t *out)
{
    size_t len = 0;
    assert_true(wire_base64_decode(KEY_A, strlen(KEY_A), out, KNOWN_HOSTS_KEY_CAP_BYTES, &len));
    return len;
}

static struct known_hosts_result search_len(const char *text, size_t len, const char *name)
{
    static uint8_t key[KNOWN_HOSTS_KEY_CAP_BYTES];
    struct known_hosts_result result;
    memset(&result, 0, sizeof result);
    known_hosts_search(text, len, "file", name, key, key_a(key), &result);
    return result;
}

static struct known_hosts_result search(const char *text, const char *name)
{
    return search_len(text, strlen(text), name);
}

static void expect(const char *text, const char *name, enum known_hosts_status status, unsigned line_number)
{
    struct known_hosts_result result = search(text, name);
    assert_int_equal(result.status, status);
    assert_int_equal(result.line_number, line_number);
}

static bool matches(const char *names, const char *name)
{
    return known_hosts_names_match(names, strlen(names), name);
}

static void names_and_patterns(void **state)
{
    (void)state;
    assert_true(matches("host", "host"));
    assert_true(matches("HOST.Example", "host.example"));
    assert_true(matches("a,b,host", "host"));
    assert_true(matches("[host]:2222", "[host]:2222"));
    assert_true(matches("*.example", "a.b.example"));
    assert_true(matches("h?st", "host"));
    assert_true(matches("*", ""));
    assert_true(matches("*,!other", "host"));
    assert_false(matches("host", "hos"));
    assert_false(matches("host", "hosts"));
    assert_false(matches("host", "[host]:2222"));
    assert_false(matches("h?st", "hst"));
    assert_false(matches("!host,*", "host"));
    assert_false(matches("*,!h*", "host"));
    assert_false(matches("!other", "host"));
    assert_false(matches("", "host"));
    assert_false(matches(",,", "host"));
    assert_false(matches("!", "host"));
}

static void hostile_patterns_take_no_time(void **state)
{
    static char pattern[4001];
    static char name[4001];
    (void)state;
    for (size_t i = 0; i < 4000; i += 2)
        pattern[i] = '*', pattern[i + 1] = 'a';
    memset(name, 'a', 4000);
    name[3999] = 'b';
    assert_false(known_hosts_names_match(pattern, 4000, name));
}

static void hashed_names(void **state)
{
    (void)state;
    uint8_t key[KNOWN_HOSTS_KEY_CAP_BYTES];
    size_t len = key_a(key);
    char *line = known_hosts_format("[host]:2222", true, key, len);
    assert_non_null(line);
    assert_memory_equal(line, "|1|", 3);
    expect(line, "[host]:2222", KNOWN_HOSTS_MATCH, 1);
    expect(line, "[HOST]:2222", KNOWN_HOSTS_MATCH, 1);
    expect(line, "host", KNOWN_HOSTS_UNKNOWN, 0);
    free(line);
    assert_false(matches("|1||", "host"));
    assert_false(matches("|1|", "host"));
    assert_false(matches("|", "host"));
    assert_false(matches("|2|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "host"));
    assert_false(matches("|1|AAAA|AAAA", "host"));
    assert_false(matches("|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|", "host"));
    assert_false(matches("|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "host"));
}

static void verdicts(void **state)
{
    (void)state;
    expect("", "host", KNOWN_HOSTS_UNKNOWN, 0);
    expect("host " LINE_A, "host", KNOWN_HOSTS_MATCH, 1);
    expect("# c\n\n  \t\nhost " LINE_A, "host", KNOWN_HOSTS_MATCH, 4);
    expect("\t host \t ssh-ed25519\t" KEY_A " and a comment\n", "host", KNOWN_HOSTS_MATCH, 1);
    expect("host ssh-ed25519 " KEY_A, "host", KNOWN_HOSTS_MATCH, 1); /* no newline */
    expect("host ssh-ed25519 " KEY_A "\r\n", "host", KNOWN_HOSTS_MATCH, 1);
    expect("host " LINE_B, "host", KNOWN_HOSTS_MISMATCH, 1);
    expect("host " LINE_B "host " LINE_A, "host", KNOWN_HOSTS_MATCH, 2);
    expect("host " LINE_RSA, "host", KNOWN_HOSTS_OTHER_TYPE, 1);
    expect("host " LINE_RSA "host " LINE_B, "host", KNOWN_HOSTS_MISMATCH, 2);
    expect("@revoked * " LINE_A "host " LINE_A, "host", KNOWN_HOSTS_IS_REVOKED, 1);
    expect("host " LINE_A "@revoked host " LINE_A, "host", KNOWN_HOSTS_IS_REVOKED, 2);
    expect("host " LINE_A "@revoked host " LINE_B, "host", KNOWN_HOSTS_MATCH, 1);
    expect("@revoked host " LINE_B, "host", KNOWN_HOSTS_UNKNOWN, 0);
    expect("@cert-authority * " LINE_A, "host", KNOWN_HOSTS_UNKNOWN, 0);
    expect("@cert-authority * " LINE_B "host " LINE_A, "host", KNOWN_HOSTS_MATCH, 2);
    assert_string_equal(search("host " LINE_B, "host").file, "file");
    assert_non_null(strstr(search("host " LINE_B, "host").old_key, "ssh-ed25519 SHA256:"));
}

static void garbage_is_passed_over(void **state)
{
    static const char *const lines[] = {
        "host",
        "host ssh-ed25519",
        "@other host ssh-ed25519 " KEY_A, /* NOLINT(bugprone-suspicious-missing-comma): joined on purpose */
        "@revoked",
        "@revoked host ssh-ed25519",
        "host ssh-ed25519 !!!!",
        "host ssh-ed25519 AAAA",
        "host ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",     /* the type alone */
        "host ssh-ed25519 /////2NzaC1lZDI1NTE5AAAA", /* a length beyond the end */
        "host ssh-rsa " KEY_A,                       /* another type inside */
        "host 1024 35 1234567890",
        "\x01\x02\xff",
        "@",
        "|",
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char text[1024];
        expect(lines[i], "host", KNOWN_HOSTS_UNKNOWN, 0);
        (void)snprintf(text, sizeof text, "%s\nhost %s", lines[i], LINE_A);
        expect(text, "host", KNOWN_HOSTS_MATCH, 2);
    }
    static const char with_nul[] = "ho\0st x\n\0\0\nhost " LINE_A;
    assert_int_equal(search_len(with_nul, sizeof with_nul - 1, "host").status, KNOWN_HOSTS_MATCH);
}

static void very_long_lines(void **state)
{
    (void)state;
    size_t long_len = (size_t)1 << 20;
    char *text = malloc(long_len + 200);
    assert_non_null(text);
    memset(text, 'x', long_len);
    int rest = snprintf(text + long_len, 200, ",host " LINE_A);
    assert_int_equal(search_len(text, long_len + (size_t)rest, "host").status, KNOWN_HOSTS_MATCH);
    memset(text, 'A', long_len);
    memcpy(text, "host ssh-ed25519 ", strlen("host ssh-ed25519 ")); /* NOLINT(bugprone-not-null-terminated-result) */
    assert_int_equal(search_len(text, long_len, "host").status, KNOWN_HOSTS_UNKNOWN);
    free(text);
}

/* Every prefix of a file with everything in it: nothing is read beyond the end (the sanitizers tell). */
static void any_end_is_an_end(void **state)
{
    static const char text[] =
        "@revoked *,!a ssh-ed25519 " KEY_B "\n|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAA="
        " " LINE_RSA "host,[h?st]:22,!x " LINE_A;
    (void)state;
    for (size_t len = 0; len < sizeof text; len++) {
        char *copy = malloc(len > 0 ? len : 1);
        assert_non_null(copy);
        memcpy(copy, text, len);
        (void)search_len(copy, len, "host");
        free(copy);
    }
}

static void lookup_names(void **state)
{
    static const struct {
        const char *host;
        uint16_t port;
        const char *alias;
        const char *name;
    } rows[] = {
        {"Host.Example", 22, NULL, "host.example"},      {"host", 2222, NULL, "[host]:2222"},
        {"192.168.1.3", 22, NULL, "192.168.1.3"},        {"2001:DB8::1", 22, NULL, "2001:db8::1"},
        {"2001:DB8::1", 222, NULL, "[2001:db8::1]:222"}, {"host", 2222, "Alias", "alias"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *name = known_hosts_lookup_name(rows[i].host, rows[i].port, rows[i].alias);
        assert_string_equal(name, rows[i].name);
        free(name);
    }
}

static void expect_without(const char *before, const char *after, unsigned removed)
{
    char *text = NULL;
    size_t len = 0;
    unsigned count = 0;
    unsigned line_number = 0;
    assert_int_equal(known_hosts_without(before, strlen(before), "host", &text, &len, &count, &line_number), OK);
    assert_string_equal(text, after);
    assert_int_equal(len, strlen(after));
    assert_int_equal(count, removed);
    free(text);
}

static void taking_a_host_out_keeps_the_rest(void **state)
{
    char *text = NULL;
    size_t len = 0;
    unsigned count = 0;
    unsigned line_number = 0;
    (void)state;
    expect_without("", "", 0);
    expect_without("other " LINE_A, "other " LINE_A, 0);
    expect_without("# a\r\n host " LINE_B "odd\nother " LINE_A "host " LINE_RSA "no newline",
                   "# a\r\nodd\nother " LINE_A "no newline", 2);
    expect_without("  a,host,b  " LINE_A, "  a,b  " LINE_A, 1);
    expect_without("host,a " LINE_A "a,HOST " LINE_A, "a " LINE_A "a " LINE_A, 2);
    expect_without("@revoked host " LINE_A "@cert-authority host " LINE_A,
                   "@revoked host " LINE_A "@cert-authority host " LINE_A, 0);
    expect_without("host,host " LINE_A, "", 1);
    assert_int_equal(known_hosts_without("x " LINE_A "h*t " LINE_A, strlen("x " LINE_A "h*t " LINE_A), "host", &text,
                                         &len, &count, &line_number),
                     ERR_UNSUPPORTED);
    assert_int_equal(line_number, 2);
    assert_null(text);
}

static void base64_is_strict(void **state)
{
    static const char *const bad[] = {
        "", "A", "AA", "AAA", "A===", "====", "AA=A", "AAAA=", "AA==AAAA", "AA A", "AA\nA", "AA-_"};
    uint8_t out[16];
    size_t len = 0;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(wire_base64_decode(bad[i], strlen(bad[i]), out, sizeof out, &len));
    assert_true(wire_base64_decode("AQID", 4, out, 3, &len));
    assert_int_equal(len, 3);
    assert_false(wire_base64_decode("AQID", 4, out, 2, &len));
    assert_true(wire_base64_decode("AQ==", 4, out, 1, &len));
    assert_int_equal(len, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_patterns),
        cmocka_unit_test(hostile_patterns_take_no_time),
        cmocka_unit_test(hashed_names),
        cmocka_unit_test(verdicts),
        cmocka_unit_test(garbage_is_passed_over),
        cmocka_unit_test(very_long_lines),
        cmocka_unit_test(any_end_is_an_end),
        cmocka_unit_test(lookup_names),
        cmocka_unit_test(taking_a_host_out_keeps_the_rest),
        cmocka_unit_test(base64_is_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
