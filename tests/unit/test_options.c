/* What flags, -o and defaults make of a one-line tunnel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "config/files.h"
#include "config/options.h"
#include "config/text.h"
#include "platform/platform.h"

static int setup(void **state)
{
    static struct ssh_options options;
    ssh_options_init(&options);
    *state = &options;
    return ssh_options_set_destination(&options, "typed", NULL) == OK ? 0 : -1;
}

static int teardown(void **state)
{
    ssh_options_deinit(*state);
    return 0;
}

static void said(struct ssh_options *options, const char *line)
{
    assert_int_equal(ssh_options_set_line(options, line, NULL), OK);
}

static void defaults_are_those_of_the_one_line_form(void **state)
{
    struct tunnel_spec spec;
    assert_int_equal(ssh_options_complete(*state, &spec, NULL), OK);
    assert_string_equal(spec.name, "typed");
    assert_string_equal(spec.where, "command line");
    assert_true(spec.one_line);
    assert_false(spec.once);
    assert_false(spec.exit_on_forward_failure);
    assert_int_equal(spec.forward_count, 0);
    assert_int_equal(spec.host.port, 22);
    assert_int_equal(spec.host.strict_host_key_checking, HOST_KEY_ASK);
    assert_int_equal(spec.host.server_alive_interval_ms, 15000);
    assert_int_equal(spec.host.hostnames.count, 1);
    assert_string_equal(spec.host.hostnames.items[0], "typed");
    assert_non_null(spec.host.user);
    assert_true(spec.host.identity_files_are_default);
    assert_int_equal(spec.host.identity_files.count, 3);
    assert_int_equal(spec.host.known_hosts_files.count, 3);
    tunnel_spec_deinit(&spec);
}

static void the_first_value_wins(void **state)
{
    struct ssh_options *options = *state;
    struct tunnel_spec spec;
    said(options, "Port=1");
    said(options, "port 2");
    said(options, "User=a");
    assert_int_equal(ssh_options_set_destination(options, "b@host:3", NULL), OK);
    said(options, "ServerAliveInterval=0");
    said(options, "ServerAliveInterval=9");
    assert_int_equal(ssh_options_complete(options, &spec, NULL), OK);
    assert_int_equal(spec.host.port, 1);
    assert_string_equal(spec.host.user, "a");
    assert_string_equal(spec.host.name, "host");
    assert_int_equal(spec.host.server_alive_interval_ms, 0);
    tunnel_spec_deinit(&spec);
}

/* A path from the root is one on the current drive where systems have drives. */
static void expect_file(const char *path, const char *written)
{
    char *expected = file_absolute(written);
    assert_non_null(expected);
    assert_string_equal(path, expected);
    free(expected);
}

static void identities_add_up_once_each(void **state)
{
    struct ssh_options *options = *state;
    struct tunnel_spec spec;
    said(options, "IdentityFile=/k1");
    said(options, "IdentityFile=/k2-%h-%r-%p-%%");
    said(options, "IdentityFile=/k1");
    said(options, "User=me");
    said(options, "HostName=%h.example.org");
    said(options, "UserKnownHostsFile=\"/a b\" /c");
    said(options, "GlobalKnownHostsFile none");
    assert_int_equal(ssh_options_complete(options, &spec, NULL), OK);
    assert_false(spec.host.identity_files_are_default);
    assert_int_equal(spec.host.identity_files.count, 2);
    expect_file(spec.host.identity_files.items[0], "/k1");
    expect_file(spec.host.identity_files.items[1], "/k2-typed.example.org-me-22-%");
    assert_string_equal(spec.host.hostnames.items[0], "typed.example.org");
    assert_int_equal(spec.host.known_hosts_files.count, 2);
    expect_file(spec.host.known_hosts_files.items[0], "/a b");
    tunnel_spec_deinit(&spec);
}

static void none_is_none(void **state)
{
    struct ssh_options *options = *state;
    struct tunnel_spec spec;
    said(options, "IdentityFile=none");
    said(options, "UserKnownHostsFile=none");
    said(options, "IdentityAgent=none");
    said(options, "ConnectTimeout=none");
    assert_int_equal(ssh_options_complete(options, &spec, NULL), OK);
    assert_int_equal(spec.host.identity_files.count, 0);
    assert_false(spec.host.identity_files_are_default);
    assert_string_equal(spec.host.known_hosts_files.items[0], platform_null_device());
    assert_string_equal(spec.host.identity_agent, "none");
    assert_int_equal(spec.host.connect_timeout_ms, 3600000);
    tunnel_spec_deinit(&spec);
}

static void forwards_take_the_words_about_them(void **state)
{
    struct ssh_options *options = *state;
    struct tunnel_spec spec;
    said(options, "LocalForward=80 a:81");
    said(options, "RemoteForward=0 a:81");
    said(options, "GatewayPorts=yes");
    said(options, "StreamLocalBindUnlink=yes");
    said(options, "ExitOnForwardFailure=yes");
    assert_int_equal(ssh_options_complete(options, &spec, NULL), OK);
    assert_int_equal(spec.forward_count, 2);
    assert_true(spec.forwards[0].gateway_ports);
    assert_false(spec.forwards[1].gateway_ports);
    assert_true(spec.forwards[1].stream_local_bind_unlink);
    assert_true(spec.exit_on_forward_failure);
    tunnel_spec_deinit(&spec);
}

static void all_forwardings_can_be_cleared(void **state)
{
    struct ssh_options *options = *state;
    struct tunnel_spec spec;
    said(options, "LocalForward=80 a:81");
    said(options, "ClearAllForwardings=yes");
    assert_int_equal(ssh_options_complete(options, &spec, NULL), OK);
    assert_int_equal(spec.forward_count, 0);
    tunnel_spec_deinit(&spec);
}

static void values_of_each_kind(void **state)
{
    struct ssh_options *options = *state;
    struct tunnel_spec spec;
    said(options, "stricthostkeychecking=OFF");
    said(options, "AddressFamily=inet6");
    said(options, "RekeyLimit=512M 1h30m");
    said(options, "Ciphers=^aes256-gcm@openssh.com,aes*");
    said(options, "ConnectTimeout=1m");
    said(options, "ServerAliveCountMax=7");
    said(options, "TCPKeepAlive=no");
    said(options, "HostKeyAlias=alias");
    assert_int_equal(ssh_options_complete(options, &spec, NULL), OK);
    assert_int_equal(spec.host.strict_host_key_checking, HOST_KEY_NO);
    assert_int_equal(spec.host.address_family, 6);
    assert_int_equal(spec.host.rekey_limit_bytes, 536870912);
    assert_int_equal(spec.host.rekey_limit_ms, 5400000);
    assert_string_equal(spec.host.ciphers, "^aes256-gcm@openssh.com,aes*");
    assert_int_equal(spec.host.connect_timeout_ms, 60000);
    assert_int_equal(spec.host.server_alive_count_max, 7);
    assert_false(spec.host.tcp_keepalive);
    assert_string_equal(spec.host.host_key_alias, "alias");
    tunnel_spec_deinit(&spec);
}

static void a_copy_of_a_tunnel_stands_alone(void **state)
{
    struct ssh_options *options = *state;
    struct tunnel_spec spec;
    struct tunnel_spec copy;
    said(options, "LocalForward=80 a:81");
    said(options, "Ciphers=x");
    assert_int_equal(ssh_options_complete(options, &spec, NULL), OK);
    assert_int_equal(tunnel_spec_copy(&copy, &spec), OK);
    tunnel_spec_deinit(&spec);
    assert_string_equal(copy.host.ciphers, "x");
    assert_string_equal(copy.forwards[0].to.host, "a");
    assert_string_equal(copy.name, "typed");
    tunnel_spec_deinit(&copy);
}

static void flags_cluster(void **state)
{
    char *argv[] = {"holdfast",          "-NTL", "80:a:80", "-p22", "-vv", "host", "--once",
                    "--log-level=debug", "-",    "--",      "-x"};
    struct args args = {.argc = sizeof argv / sizeof argv[0], .argv = argv};
    (void)state;
    assert_int_equal(args_next(&args), ARG_FLAG);
    assert_int_equal(args.flag, 'N');
    assert_int_equal(args_next(&args), ARG_FLAG);
    assert_int_equal(args.flag, 'T');
    assert_int_equal(args_next(&args), ARG_FLAG);
    assert_int_equal(args.flag, 'L');
    assert_string_equal(args_value(&args), "80:a:80");
    assert_int_equal(args_next(&args), ARG_FLAG);
    assert_string_equal(args_value(&args), "22");
    assert_int_equal(args_next(&args), ARG_FLAG);
    assert_int_equal(args_next(&args), ARG_FLAG);
    assert_int_equal(args.flag, 'v');
    assert_int_equal(args_next(&args), ARG_OPERAND);
    assert_string_equal(args.text, "host");
    assert_int_equal(args_next(&args), ARG_LONG);
    assert_string_equal(args.text, "once");
    assert_false(args_has_joined(&args));
    assert_int_equal(args_next(&args), ARG_LONG);
    assert_string_equal(args_value(&args), "debug");
    assert_int_equal(args_next(&args), ARG_OPERAND);
    assert_string_equal(args.text, "-");
    assert_int_equal(args_next(&args), ARG_OPERAND);
    assert_string_equal(args.text, "-x");
    assert_int_equal(args_next(&args), ARG_END);
    assert_null(args_value(&args));
}

static void patterns(void **state)
{
    (void)state;
    assert_true(text_match("*", "", false));
    assert_true(text_match("a*b?d", "axxbcd", false));
    assert_false(text_match("a*b?d", "axxbd", false));
    assert_true(text_match("*.Example.org", "a.example.ORG", true));
    assert_false(text_match("a", "ab", false));
    assert_true(text_match_list("a*,!ab", ",", "ac"));
    assert_false(text_match_list("a*,!ab", ",", "ab"));
    assert_false(text_match_list("!ab", ",", "x"));
    assert_false(text_match("*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false));
}

static void the_nearest_word(void **state)
{
    static const char *const known[] = {"hostname", "port", "user", "identity_file"};
    (void)state;
    assert_string_equal(text_nearest("hostnme", known, 4), "hostname");
    assert_string_equal(text_nearest("prot", known, 4), "port");
    assert_string_equal(text_nearest("IdentityFile", known, 4), "identity_file");
    assert_null(text_nearest("x", known, 4));
    assert_null(text_nearest("colour", known, 4));
    assert_null(text_nearest("hostnamehostnamehostnamehostnamehostname", known, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults_are_those_of_the_one_line_form, setup, teardown),
        cmocka_unit_test_setup_teardown(the_first_value_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(identities_add_up_once_each, setup, teardown),
        cmocka_unit_test_setup_teardown(none_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(forwards_take_the_words_about_them, setup, teardown),
        cmocka_unit_test_setup_teardown(all_forwardings_can_be_cleared, setup, teardown),
        cmocka_unit_test_setup_teardown(values_of_each_kind, setup, teardown),
        cmocka_unit_test_setup_teardown(a_copy_of_a_tunnel_stands_alone, setup, teardown),
        cmocka_unit_test(flags_cluster),
        cmocka_unit_test(patterns),
        cmocka_unit_test(the_nearest_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
