#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "config/ssh_config.h"

/* Reads `text` for `destination` and compares "user|hostname|port|alive seconds". */
static void check(const char *destination, const char *text, const char *user, const char *hostname, unsigned port)
{
    struct ssh_options options;
    struct tunnel_spec spec;
    struct err_info info = {.code = OK, .message = ""};
    ssh_options_init(&options);
    assert_int_equal(ssh_options_set_destination(&options, destination, NULL), OK);
    if (ssh_config_parse(&options, text, strlen(text), "config", NULL, &info) != OK) {
        fail_msg("%s", info.message);
    }
    assert_int_equal(ssh_options_complete(&options, &spec, NULL), OK);
    assert_string_equal(spec.host.user, user);
    assert_string_equal(spec.host.hostnames.items[0], hostname);
    assert_int_equal(spec.host.port, port);
    tunnel_spec_deinit(&spec);
    ssh_options_deinit(&options);
}

static void blocks_apply_to_their_hosts(void **state)
{
    static const char text[] = "User all\n"
                               "Host a b\n  Port 1\n"
                               "Host *.example.org !secret.example.org\n  Port 2\n"
                               "Host c?\n  HostName %h.lan\n"
                               "Host *\n  Port 3\n";
    (void)state;
    check("a", text, "all", "a", 1);
    check("b", text, "all", "b", 1);
    check("x.example.org", text, "all", "x.example.org", 2);
    check("secret.example.org", text, "all", "secret.example.org", 3);
    check("c1", text, "all", "c1.lan", 3);
    check("c12", text, "all", "c12", 3);
    check("me@a:9", text, "me", "a", 9);
}

static void match_blocks(void **state)
{
    static const char text[] = "Host short\n  HostName long.example.org\n"
                               "Match host long.example.org\n  Port 1\n"
                               "Match originalhost=o,p user=me\n  Port 2\n"
                               "Match originalhost o !user me\n  Port 3\n"
                               "Match all\n  User u\n";
    (void)state;
    check("short", text, "u", "long.example.org", 1);
    check("long.example.org", text, "u", "long.example.org", 1);
    check("me@o", text, "me", "o", 2);
    check("you@o", text, "you", "o", 3);
    check("x", text, "u", "x", 22);
}

static void writings(void **state)
{
    (void)state;
    check("h", "\xef\xbb\xbfUser me\r\nPORT=7\r\n", "me", "h", 7);
    check("h", "  # comment\n\tUser \"me\" # behind\n\n", "me", "h", 22);
    check("h", "User = \"a b\"\n", "a b", "h", 22);
    check("h", "User 'a \"b'\n", "a \"b", "h", 22);
    check("h", "User=a\\ b", "a b", "h", 22);
    check("h", "IgnoreUnknown Use*,X\nUsex y\nx z\nUser me\n", "me", "h", 22);
    check("h", "Host \"h\" i\nUser me\n", "me", "h", 22);
    check("h", "ForwardAgent yes\nControlMaster auto\nSendEnv LANG LC_*\nProxyJump none\nUser me\n", "me", "h", 22);
    check("h", "Host x\nProxyCommand nc %h %p\nPort 99999\nHost *\nUser me\n", "me", "h", 22);
}

static void mistakes_name_their_line(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"\nFrob x\n", "config:2: unknown option 'Frob'"},
        {"Host x\nUsr y\n", "config:2: unknown option 'Usr'; did you mean 'User'?"},
        {"Port x", "config:1: Port: 'x' is not a port number"},
        {"Port 1 2", "config:1: Port: '2' is too much; one value is expected"},
        {"ProxyJump x", "config:1: ProxyJump: not in this version"},
        {"LocalForward 80", "config:1: LocalForward: '80' is not [BIND:]PORT:HOST:HOSTPORT; an IPv6 address goes in "
                            "brackets: [::1]"},
        {"RemoteForward 80", "config:1: RemoteForward: not in this version"},
        {"Match", "config:1: Match: a criterion is missing"},
        {"Match host", "config:1: Match host: a pattern is missing"},
        {"\"\"", "config:1: a word of ssh_config is missing"},
        {"=", "config:1: a word of ssh_config is missing"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ssh_options options;
        struct err_info info = {.code = OK, .message = ""};
        ssh_options_init(&options);
        assert_int_equal(ssh_options_set_destination(&options, "h", NULL), OK);
        assert_int_not_equal(ssh_config_parse(&options, cases[i].text, strlen(cases[i].text), "config", NULL, &info),
                             OK);
        assert_string_equal(info.message, cases[i].message);
        ssh_options_deinit(&options);
    }
}

static void nul_bytes_are_refused(void **state)
{
    struct ssh_options options;
    struct err_info info = {.code = OK, .message = ""};
    (void)state;
    ssh_options_init(&options);
    assert_int_equal(ssh_options_set_destination(&options, "h", NULL), OK);
    assert_int_equal(ssh_config_parse(&options, "User a\0b\n", 9, "config", NULL, &info), ERR_USAGE);
    assert_string_equal(info.message, "config:1: a NUL byte");
    ssh_options_deinit(&options);
}

static void what_is_skipped_is_told(void **state)
{
    static const char text[] =
        "Match exec \"true\" host h\n  ProxyCommand x\nMatch final\n  User no\nHost *\n  User me\n";
    struct ssh_options options;
    (void)state;
    ssh_options_init(&options);
    assert_int_equal(ssh_options_set_destination(&options, "h", NULL), OK);
    assert_int_equal(ssh_config_parse(&options, text, strlen(text), "config", NULL, NULL), OK);
    assert_string_equal(options.settings.host.user, "me");
    assert_int_equal(options.warnings.count, 2);
    assert_string_equal(options.warnings.items[0], "config:1: Match exec: not in this version; the block is skipped");
    assert_string_equal(options.warnings.items[1], "config:3: Match final: not in this version; the block is skipped");
    ssh_options_deinit(&options);
}

static void forwards_add_to_those_of_the_flags(void **state)
{
    static const char text[] = "LocalForward 81 a:81\nRemoteForward [::1]:0 b:82\nLocalForward 83 /run/y\n";
    struct ssh_options options;
    (void)state;
    ssh_options_init(&options);
    assert_int_equal(ssh_options_set_destination(&options, "h", NULL), OK);
    assert_int_equal(ssh_options_add_forward(&options, FORWARD_LOCAL, "80:a:80", NULL), OK);
    assert_int_equal(ssh_config_parse(&options, text, strlen(text), "config", NULL, NULL), OK);
    assert_int_equal(options.forward_count, 4);
    assert_string_equal(options.forwards[3].to.path, "/run/y");
    ssh_options_deinit(&options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_apply_to_their_hosts),
        cmocka_unit_test(match_blocks),
        cmocka_unit_test(writings),
        cmocka_unit_test(mistakes_name_their_line),
        cmocka_unit_test(nul_bytes_are_refused),
        cmocka_unit_test(what_is_skipped_is_told),
        cmocka_unit_test(forwards_add_to_those_of_the_flags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
