#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "config/endpoint.h"

/* `expected` is what forward_spec_text shows, or NULL for a mistake. */
struct flag_case {
    enum forward_type type;
    const char *text;
    const char *expected;
};

static const struct flag_case flags[] = {
    {FORWARD_LOCAL, "80:a:81", "-L 127.0.0.1:80 -> a:81"},
    {FORWARD_LOCAL, "b:80:a:81", "-L b:80 -> a:81"},
    {FORWARD_LOCAL, ":80:a:81", "-L *:80 -> a:81"},
    {FORWARD_LOCAL, "*:80:a:81", "-L *:80 -> a:81"},
    {FORWARD_LOCAL, "[::1]:80:[2001:db8::1]:81", "-L [::1]:80 -> [2001:db8::1]:81"},
    {FORWARD_LOCAL, "[localhost]:80:[a]:81", "-L localhost:80 -> a:81"},
    {FORWARD_LOCAL, "::1/80/2001:db8::1/81", "-L [::1]:80 -> [2001:db8::1]:81"},
    {FORWARD_LOCAL, "80/a/81", "-L 127.0.0.1:80 -> a:81"},
    {FORWARD_LOCAL, "80:/run/b", "-L 127.0.0.1:80 -> /run/b"},
    {FORWARD_LOCAL, "b:80:/run/b", "-L b:80 -> /run/b"},
    {FORWARD_LOCAL, "/run/a:/run/b", "-L /run/a -> /run/b"},
    {FORWARD_LOCAL, "/run/a:b:80", "-L /run/a -> b:80"},
    {FORWARD_LOCAL, "[/run/a:1]:b:80", "-L /run/a:1 -> b:80"},
    {FORWARD_LOCAL, "/run/80/a/80:b:80", "-L /run/80/a/80 -> b:80"},
    {FORWARD_LOCAL, "C:\\a.sock:b:80", "-L C:\\a.sock -> b:80"},
    {FORWARD_LOCAL, "80:C:/run/b.sock", "-L 127.0.0.1:80 -> C:/run/b.sock"},
    {FORWARD_REMOTE, "0:a:81", "-R 127.0.0.1:0 -> a:81"},
    {FORWARD_REMOTE, "/tmp/x:C:\\b", "-R /tmp/x -> C:\\b"},
    {FORWARD_REMOTE, "14444:wsl:Debian-12.1:80", "-R 127.0.0.1:14444 -> wsl:Debian-12.1:80"},
    {FORWARD_REMOTE, "*:14444:wsl:Debian:80", "-R *:14444 -> wsl:Debian:80"},
    {FORWARD_REMOTE, "[::1]:14444:wsl:Debian:80", "-R [::1]:14444 -> wsl:Debian:80"},
    {FORWARD_REMOTE, "/tmp/x:wsl:Debian:80", "-R /tmp/x -> wsl:Debian:80"},
    {FORWARD_REMOTE, "14444:wsl:80", "-R 127.0.0.1:14444 -> wsl:80"},
    {FORWARD_REMOTE, "wsl:14444:a:80", "-R wsl:14444 -> a:80"},
    {FORWARD_REMOTE, "14444:command:where:80", "-R 127.0.0.1:14444 -> command:where:80"},
    {FORWARD_LOCAL, "b:80:command:/usr/bin/where:81", "-L b:80 -> command:/usr/bin/where:81"},
    {FORWARD_REMOTE, "80:command:C:\\where.exe:81", "-R 127.0.0.1:80 -> command:C:\\where.exe:81"},
    {FORWARD_REMOTE, "14444:wsl::80", NULL},
    {FORWARD_REMOTE, "14444:wsl:-d:80", NULL},
    {FORWARD_REMOTE, "14444:wsl:a b:80", NULL},
    {FORWARD_REMOTE, "14444:wsl:Debian:0", NULL},
    {FORWARD_REMOTE, "14444:wsl:Debian:", NULL},
    {FORWARD_REMOTE, "a:b:c:wsl:Debian:80", NULL},
    {FORWARD_REMOTE, "14444:command::80", NULL},
    {FORWARD_LOCAL, "", NULL},
    {FORWARD_LOCAL, ":", NULL},
    {FORWARD_LOCAL, "80", NULL},
    {FORWARD_LOCAL, "/run/a", NULL},
    {FORWARD_LOCAL, "80:a", NULL},
    {FORWARD_LOCAL, "80:a:", NULL},
    {FORWARD_LOCAL, "80::81", NULL},
    {FORWARD_LOCAL, ":a:81", NULL},
    {FORWARD_LOCAL, "0:a:81", NULL},
    {FORWARD_LOCAL, "80:a:0", NULL},
    {FORWARD_LOCAL, "80:a:b", NULL},
    {FORWARD_LOCAL, "99999:a:81", NULL},
    {FORWARD_LOCAL, "a:1:b:2:c", NULL},
    {FORWARD_LOCAL, "a:1:b:2:", NULL},
    {FORWARD_LOCAL, "[::1:80:a:81", NULL},
    {FORWARD_LOCAL, "[::1]80:a:81", NULL},
    {FORWARD_LOCAL, "[::g]:80:a:81", NULL},
    {FORWARD_LOCAL, "80:a b:81", NULL},
    {FORWARD_LOCAL, "/a:/b:80", NULL},
    {FORWARD_LOCAL, "80:a:81:/b", NULL},
    {FORWARD_LOCAL, "////", NULL},
};

static void flags_mean_what_ssh_means(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        struct forward_spec spec;
        struct err_info info = {.code = OK, .message = ""};
        char text[700];
        enum err result = forward_parse_flag(flags[i].type, flags[i].text, &spec, &info);
        if (flags[i].expected == NULL) {
            assert_int_equal(result, ERR_DEFINITION);
            assert_true(strlen(info.message) > 0);
        } else {
            assert_int_equal(result, OK);
            assert_string_equal(forward_spec_text(&spec, 0, text, sizeof text), flags[i].expected);
            forward_spec_deinit(&spec);
        }
    }
}

static void socks_is_of_a_later_version(void **state)
{
    static const char *const remote_dynamic[] = {"1080", "localhost:1080", "[::1]:1080", ":1080", "*:1080"};
    struct forward_spec spec;
    struct err_info info;
    (void)state;
    assert_int_equal(forward_parse_flag(FORWARD_DYNAMIC, "1080", &spec, &info), ERR_UNSUPPORTED);
    assert_string_equal(info.message, "not in this version");
    for (size_t i = 0; i < sizeof remote_dynamic / sizeof remote_dynamic[0]; i++) {
        assert_int_equal(forward_parse_flag(FORWARD_REMOTE, remote_dynamic[i], &spec, &info), ERR_UNSUPPORTED);
    }
}

static void the_bound_port_is_shown(void **state)
{
    struct forward_spec spec;
    char text[700];
    (void)state;
    assert_int_equal(forward_parse_flag(FORWARD_REMOTE, "0:a:81", &spec, NULL), OK);
    assert_string_equal(forward_spec_text(&spec, 4711, text, sizeof text), "-R 127.0.0.1:4711 -> a:81");
    forward_spec_deinit(&spec);
    assert_int_equal(forward_parse_flag(FORWARD_LOCAL, "80:a:81", &spec, NULL), OK);
    spec.gateway_ports = true;
    assert_string_equal(forward_spec_text(&spec, 0, text, sizeof text), "-L *:80 -> a:81");
    forward_spec_deinit(&spec);
}

static void an_absent_bind_address_is_no_empty_one(void **state)
{
    struct endpoint end;
    (void)state;
    assert_int_equal(endpoint_parse_listen("80", false, &end, NULL), OK);
    assert_null(end.host);
    endpoint_deinit(&end);
    assert_int_equal(endpoint_parse_listen(":80", false, &end, NULL), OK);
    assert_string_equal(end.host, "");
    endpoint_deinit(&end);
    assert_int_equal(endpoint_parse_listen("0", true, &end, NULL), OK);
    assert_int_equal(end.port, 0);
    endpoint_deinit(&end);
    assert_int_equal(endpoint_parse_listen("0", false, &end, NULL), ERR_DEFINITION);
}

static void targets_need_host_and_port(void **state)
{
    static const char *const bad[] = {"",        "a",          ":80",     "a:",         "::1:80",
                                      "[::1]",   "a:80:81",    "a:65536", "a@b:80",     "*:80",
                                      "wsl:a:b", "wsl:a:b:80", "wsl::80", "command:a:", "command::80"};
    struct endpoint end;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(endpoint_parse_target(bad[i], &end, NULL), ERR_DEFINITION);
    }
    assert_int_equal(endpoint_parse_target("wsl:Debian:80", &end, NULL), OK);
    assert_int_equal(end.kind, ENDPOINT_WSL);
    assert_string_equal(end.host, "Debian");
    assert_int_equal(end.port, 80);
    endpoint_deinit(&end);
    assert_int_equal(endpoint_parse_target("command:/usr/bin/a b:80", &end, NULL), OK);
    assert_int_equal(end.kind, ENDPOINT_COMMAND);
    assert_string_equal(end.words[0], "/usr/bin/a b");
    assert_null(end.words[1]);
    endpoint_deinit(&end);
    assert_int_equal(endpoint_parse_target("wsl:80", &end, NULL), OK); /* a machine of that name */
    assert_int_equal(end.kind, ENDPOINT_TCP);
    endpoint_deinit(&end);
    assert_int_equal(endpoint_parse_target("[fe80::1%lo]:80", &end, NULL), OK);
    assert_string_equal(end.host, "fe80::1%lo");
    endpoint_deinit(&end);
}

static void destinations(void **state)
{
    static const struct {
        const char *text, *user, *host;
        uint16_t port;
    } good[] = {
        {"h", NULL, "h", 0},
        {"me@h", "me", "h", 0},
        {"me@domain@h", "me@domain", "h", 0},
        {"h:2222", NULL, "h", 2222},
        {"me@[::1]:2222", "me", "::1", 2222},
        {"::1", NULL, "::1", 0},
        {"[::1]", NULL, "::1", 0},
        {"ssh://h", NULL, "h", 0},
        {"ssh://me@h:22/", "me", "h", 22},
        {"ssh://me;fingerprint=x@[::1]:22", "me", "::1", 22},
        {"ssh://a%40b@h", "a@b", "h", 0},
    };
    static const char *const bad[] = {"",          "@h",        "me@",         "-h",        "h:0",           "h:99999",
                                      "ssh://h/x", "ssh://",    "ssh://a%4@h", "ssh://%@h", "ssh://a%00b@h", "a b",
                                      "me@h:1:2",  "[::1]x:22", "[::1",        "ssh://h:x"};
    char *user = NULL;
    char *host = NULL;
    uint16_t port = 0;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(destination_parse(good[i].text, &user, &host, &port, NULL), OK);
        assert_string_equal(host, good[i].host);
        assert_int_equal(port, good[i].port);
        if (good[i].user == NULL) {
            assert_null(user);
        } else {
            assert_string_equal(user, good[i].user);
        }
        free(user);
        free(host);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err_info info = {.code = OK, .message = ""};
        assert_int_equal(destination_parse(bad[i], &user, &host, &port, &info), ERR_DEFINITION);
        assert_true(strlen(info.message) > 0);
        assert_null(user);
        assert_null(host);
    }
}

static void specs_are_copied_deeply(void **state)
{
    struct forward_spec one;
    struct forward_spec two;
    char text[700];
    (void)state;
    assert_int_equal(forward_parse_flag(FORWARD_LOCAL, "/run/a:b:80", &one, NULL), OK);
    one.hold_ms = 7;
    assert_int_equal(forward_spec_copy(&two, &one), OK);
    forward_spec_deinit(&one);
    assert_string_equal(forward_spec_text(&two, 0, text, sizeof text), "-L /run/a -> b:80");
    assert_int_equal(two.hold_ms, 7);
    forward_spec_deinit(&two);
    assert_int_equal(forward_parse_flag(FORWARD_REMOTE, "1:command:a:80", &one, NULL), OK);
    assert_int_equal(endpoint_add_word(&one.to, "b"), OK);
    assert_int_equal(forward_spec_copy(&two, &one), OK);
    forward_spec_deinit(&one);
    assert_string_equal(two.to.words[0], "a");
    assert_string_equal(two.to.words[1], "b");
    assert_null(two.to.words[2]);
    forward_spec_deinit(&two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_mean_what_ssh_means),  cmocka_unit_test(socks_is_of_a_later_version),
        cmocka_unit_test(the_bound_port_is_shown),    cmocka_unit_test(an_absent_bind_address_is_no_empty_one),
        cmocka_unit_test(targets_need_host_and_port), cmocka_unit_test(destinations),
        cmocka_unit_test(specs_are_copied_deeply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
