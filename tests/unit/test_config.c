/* What a definition becomes: the structs that the rest of the program reads. Messages are in the integration tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/yaml_tree.h"
#include "platform/platform.h"

static const char path[] = "test_config.yaml.tmp";

static void write_file(const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static void load(const char *text, struct config *config)
{
    const char *paths[] = {path};
    struct config_errors errors;
    write_file(text);
    if (config_load(paths, 1, config, &errors) != OK) {
        fail_msg("%s", errors.lines[0]);
    }
    assert_int_equal(errors.count, 0);
    (void)remove(path);
}

static void every_word_arrives(void **state)
{
    struct config config;
    (void)state;
    load("hosts:\n"
         "  h:\n"
         "    hostname: [a, b]\n    port: 2222\n    user: me\n    identity_file: [k1, /k2]\n"
         "    identities_only: yes\n    identity_agent: none\n    known_hosts_file: kh\n"
         "    strict_host_key_checking: accept_new\n    host_key_alias: x\n    hash_known_hosts: true\n"
         "    address_family: inet6\n    bind_address: 10.0.0.1\n    connect_timeout: 5s\n"
         "    server_alive_interval: 0s\n    server_alive_count_max: 5\n    tcp_keepalive: no\n    compression: yes\n"
         "    batch_mode: yes\n    password_authentication: no\n    ciphers: c\n    macs: m\n    kex_algorithms: k\n"
         "    host_key_algorithms: l\n    rekey_limit: 1GiB 1h\n    gateway_ports: yes\n"
         "    exit_on_forward_failure: yes\n    stream_local_bind_unlink: yes\n"
         "tunnels:\n"
         "  t:\n    host: h\n    forwards:\n"
         "      - {local: 1, to: 'x:2', hold: 1m}\n"
         "      - {local: 2, to: 'x:2', gateway_ports: no}\n"
         "      - {remote: 0, to: 'x:3'}\n"
         "    backoff: {first: 10ms, max: 1h}\n",
         &config);
    assert_int_equal(config.tunnel_count, 1);
    const struct tunnel_spec *tunnel = &config.tunnels[0];
    const struct host_spec *host = &tunnel->host;
    assert_string_equal(tunnel->name, "t");
    assert_string_equal(tunnel->where, "test_config.yaml.tmp:31:3");
    assert_false(tunnel->one_line);
    assert_true(tunnel->exit_on_forward_failure);
    assert_int_equal(tunnel->backoff_first_ms, 10);
    assert_int_equal(tunnel->backoff_max_ms, 3600000);
    assert_string_equal(host->name, "h");
    assert_int_equal(host->hostnames.count, 2);
    assert_string_equal(host->hostnames.items[1], "b");
    assert_int_equal(host->port, 2222);
    assert_string_equal(host->user, "me");
    assert_int_equal(host->identity_files.count, 2);
    assert_non_null(strstr(host->identity_files.items[0], "k1"));
    assert_true(strlen(host->identity_files.items[0]) > strlen("k1")); /* absolute */
    assert_false(host->identity_files_are_default);
    assert_true(host->identities_only);
    assert_string_equal(host->identity_agent, "none");
    assert_int_equal(host->known_hosts_files.count, 1);
    assert_int_equal(host->strict_host_key_checking, HOST_KEY_ACCEPT_NEW);
    assert_string_equal(host->host_key_alias, "x");
    assert_true(host->hash_known_hosts);
    assert_int_equal(host->address_family, 6);
    assert_string_equal(host->bind_address, "10.0.0.1");
    assert_int_equal(host->connect_timeout_ms, 5000);
    assert_int_equal(host->server_alive_interval_ms, 0);
    assert_int_equal(host->server_alive_count_max, 5);
    assert_false(host->tcp_keepalive);
    assert_true(host->compression);
    assert_true(host->batch_mode);
    assert_false(host->password_authentication);
    assert_string_equal(host->ciphers, "c");
    assert_string_equal(host->macs, "m");
    assert_string_equal(host->kex_algorithms, "k");
    assert_string_equal(host->host_key_algorithms, "l");
    assert_int_equal(host->rekey_limit_bytes, 1073741824);
    assert_int_equal(host->rekey_limit_ms, 3600000);
    assert_int_equal(tunnel->forward_count, 3);
    assert_true(tunnel->forwards[0].gateway_ports);
    assert_int_equal(tunnel->forwards[0].hold_ms, 60000);
    assert_false(tunnel->forwards[1].gateway_ports);
    assert_int_equal(tunnel->forwards[1].hold_ms, 10000);
    assert_false(tunnel->forwards[2].gateway_ports);
    assert_true(tunnel->forwards[2].stream_local_bind_unlink);
    config_deinit(&config);
}

static void sockets_of_ours_lie_beside_the_file(void **state)
{
    static const char text[] = "tunnels:\n  t:\n    host: h\n    forwards: [{remote: 0, to: ./sock}]\n";
    const char *paths[] = {path};
    struct config config;
    struct config_errors errors;
    (void)state;
    if (platform_has_local_sockets()) {
        load(text, &config);
        assert_true(strlen(config.tunnels[0].forwards[0].to.path) > strlen("./sock"));
        config_deinit(&config);
        return;
    }
    write_file(text);
    assert_int_equal(config_load(paths, 1, &config, &errors), ERR_DEFINITION);
    assert_int_equal(errors.count, 1);
    assert_string_equal(errors.lines[0],
                        "test_config.yaml.tmp:4:32: tunnels.t.forwards[0].to: './sock' would be a socket "
                        "on this machine, which on Windows is not in this version; use a port");
    config_errors_deinit(&errors);
    (void)remove(path);
}

static void nothing_said_is_our_default(void **state)
{
    struct config config;
    (void)state;
    load("tunnels:\n  t:\n    host: h\n    forwards: [{local: 1, to: 'x:2'}]\n", &config);
    const struct host_spec *host = &config.tunnels[0].host;
    assert_int_equal(host->port, 22);
    assert_non_null(host->user);
    assert_int_equal(host->strict_host_key_checking, HOST_KEY_YES);
    assert_int_equal(host->server_alive_interval_ms, 15000);
    assert_int_equal(host->server_alive_count_max, 3);
    assert_int_equal(host->connect_timeout_ms, 10000);
    assert_true(host->identity_files_are_default);
    assert_int_equal(host->known_hosts_files.count, 3);
    assert_int_equal(config.tunnels[0].backoff_first_ms, 500);
    assert_int_equal(config.tunnels[0].backoff_max_ms, 60000);
    assert_null(config.tunnels[0].forwards[0].listen.host);
    config_deinit(&config);
}

static void log_error_is(const char *log, const char *expected)
{
    const char *paths[] = {path};
    struct config config;
    struct config_errors errors;
    char text[256];
    (void)snprintf(text, sizeof text, "log: %s\ntunnels:\n  t:\n    host: h\n    forwards: [{local: 1, to: 'x:2'}]\n",
                   log);
    write_file(text);
    assert_int_equal(config_load(paths, 1, &config, &errors), ERR_DEFINITION);
    assert_string_equal(errors.lines[0], expected);
    config_errors_deinit(&errors);
    (void)remove(path);
}

static void a_log_has_limits(void **state)
{
    static const char rest[] = "tunnels:\n  t:\n    host: h\n    forwards: [{local: 1, to: 'x:2'}]\n";
    char text[256];
    struct config config;
    (void)state;
    load(rest, &config);
    assert_null(config.log.path);
    config_deinit(&config);
    (void)snprintf(text, sizeof text, "log: a.log\n%s", rest);
    load(text, &config);
    assert_true(platform_path_is_absolute(config.log.path));
    assert_int_equal(config.log.max_bytes, 10 << 20);
    assert_int_equal(config.log.keep, 5);
    config_deinit(&config);
    (void)snprintf(text, sizeof text, "log: {path: a.log, max_size: 64KiB, keep: 99}\n%s", rest);
    load(text, &config);
    assert_int_equal(config.log.max_bytes, 65536);
    assert_int_equal(config.log.keep, 99);
    config_deinit(&config);
    log_error_is("{max_size: 1MiB}", "test_config.yaml.tmp:1:6: log: 'path' is missing; name a file");
    log_error_is("{path: a, max_size: 63KiB}", "test_config.yaml.tmp:1:26: log.max_size: 63KiB is not in 64KiB-1TiB");
    log_error_is("{path: a, max_size: 5}",
                 "test_config.yaml.tmp:1:26: log.max_size: '5' is not a size such as 64KiB, 1MiB or 1GiB");
    log_error_is("{path: a, keep: 0}", "test_config.yaml.tmp:1:22: log.keep: 0 is not in 1-99");
    log_error_is("{path: a, keep: 100}", "test_config.yaml.tmp:1:22: log.keep: 100 is not in 1-99");
    log_error_is("{path: a, keap: 1}", "test_config.yaml.tmp:1:16: log: unknown key 'keap'; did you mean 'keep'?");
}

static void one_file_says_where_metrics_go(void **state)
{
    static const char rest[] = "tunnels:\n  t:\n    host: h\n    forwards: [{local: 1, to: 'x:2'}]\n";
    static const char second[] = "second.yaml.tmp";
    const char *paths[] = {path, second};
    char text[256];
    struct config config;
    struct config_errors errors;
    (void)state;
    load(rest, &config);
    assert_null(config.metrics_file);
    config_deinit(&config);
    (void)snprintf(text, sizeof text, "metrics_file: a.prom\n%s", rest);
    load(text, &config);
    assert_true(platform_path_is_absolute(config.metrics_file));
    config_deinit(&config);
    write_file(text);
    FILE *file = fopen(second, "wb");
    assert_non_null(file);
    (void)fputs("metrics_file: b.prom\n", file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(config_load(paths, 2, &config, &errors), ERR_DEFINITION);
    assert_string_equal(errors.lines[0],
                        "second.yaml.tmp:1:15: metrics_file: already said at test_config.yaml.tmp:1:15");
    assert_null(config.metrics_file);
    config_errors_deinit(&errors);
    (void)remove(second);
    (void)remove(path);
}

static void an_error_leaves_nothing(void **state)
{
    const char *paths[] = {path, "none.yaml"};
    struct config config;
    struct config_errors errors;
    (void)state;
    write_file("tunnels:\n  t:\n    host: h\n    forwards: [{local: 1, to: 'x:99999'}]\n");
    assert_int_equal(config_load(paths, 2, &config, &errors), ERR_DEFINITION);
    assert_int_equal(config.tunnel_count, 0);
    assert_null(config.tunnels);
    assert_int_equal(errors.count, 2);
    assert_string_equal(errors.lines[0],
                        "test_config.yaml.tmp:4:31: tunnels.t.forwards[0].to: port 99999 is not in 1-65535");
    config_errors_deinit(&errors);
    (void)remove(path);
}

static void trees_know_their_places(void **state)
{
    static const char text[] = "a: 1\n\"b\":\n  - \u00e9: x\n";
    struct yaml_node *root = NULL;
    struct yaml_problem problem;
    (void)state;
    assert_int_equal(yaml_tree_parse(text, strlen(text), &root, &problem), OK);
    assert_int_equal(root->child_count, 4);
    assert_true(root->children[1]->plain);
    assert_false(root->children[2]->plain);
    const struct yaml_node *value = root->children[3]->children[0]->children[1];
    assert_string_equal(value->text, "x");
    assert_int_equal(value->line, 3);
    assert_int_equal(value->column, 8); /* characters, not bytes */
    yaml_tree_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_word_arrives),
        cmocka_unit_test(sockets_of_ours_lie_beside_the_file),
        cmocka_unit_test(nothing_said_is_our_default),
        cmocka_unit_test(a_log_has_limits),
        cmocka_unit_test(one_file_says_where_metrics_go),
        cmocka_unit_test(an_error_leaves_nothing),
        cmocka_unit_test(trees_know_their_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
