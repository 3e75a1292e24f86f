/* What is the same and what is not between two definitions. Each list of fields below makes an initializer for the
 * whole struct: a field that is added later does not compile until it stands in its list, and it fails the test until
 * the comparison looks at it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tunnel/spec.h"

static char *list_a[] = {"a", "b"};
static char *list_b[] = {"a", "c"};
static char *words_a[] = {"find", "it", NULL};
static char *words_b[] = {"find", NULL};

#define LIST_A                                                                                                         \
    {                                                                                                                  \
        list_a, 2                                                                                                      \
    }
#define LIST_B                                                                                                         \
    {                                                                                                                  \
        list_b, 2                                                                                                      \
    }
#define ENDPOINT_A                                                                                                     \
    {                                                                                                                  \
        ENDPOINT_TCP, "host", 80, NULL, NULL                                                                           \
    }
#define ENDPOINT_B                                                                                                     \
    {                                                                                                                  \
        ENDPOINT_TCP, "host", 81, NULL, NULL                                                                           \
    }

/* X(type, field, a value, another one) */
#define ENDPOINT_FIELDS(X)                                                                                             \
    X(enum endpoint_kind, kind, ENDPOINT_TCP, ENDPOINT_COMMAND)                                                        \
    X(char *, host, "host", "other")                                                                                   \
    X(uint16_t, port, 80, 81)                                                                                          \
    X(char *, path, NULL, "/run/x.sock")                                                                               \
    X(char **, words, words_a, words_b)

#define FORWARD_FIELDS(X)                                                                                              \
    X(enum forward_type, type, FORWARD_LOCAL, FORWARD_REMOTE)                                                          \
    X(struct endpoint, listen, ENDPOINT_A, ENDPOINT_B)                                                                 \
    X(struct endpoint, to, ENDPOINT_A, ENDPOINT_B)                                                                     \
    X(bool, gateway_ports, false, true)                                                                                \
    X(bool, stream_local_bind_unlink, false, true)                                                                     \
    X(uint64_t, hold_ms, 10000, 0)                                                                                     \
    X(unsigned, max_channels, 0, 1)                                                                                    \
    X(enum probe_kind, probe, PROBE_OFF, PROBE_TCP)                                                                    \
    X(uint64_t, probe_interval_ms, 30000, 1)

#define HOST_FIELDS(X)                                                                                                 \
    X(char *, name, "macbook", "pc")                                                                                   \
    X(struct string_list, hostnames, LIST_A, LIST_B)                                                                   \
    X(uint16_t, port, 22, 2222)                                                                                        \
    X(char *, user, "me", "you")                                                                                       \
    X(struct string_list, identity_files, LIST_A, LIST_B)                                                              \
    X(bool, identity_files_are_default, false, true)                                                                   \
    X(bool, identities_only, false, true)                                                                              \
    X(char *, identity_agent, NULL, "none")                                                                            \
    X(char *, passphrase_secret, "desk", NULL)                                                                         \
    X(struct string_list, known_hosts_files, LIST_A, LIST_B)                                                           \
    X(enum host_key_policy, strict_host_key_checking, HOST_KEY_YES, HOST_KEY_NO)                                       \
    X(char *, host_key_alias, NULL, "alias")                                                                           \
    X(bool, hash_known_hosts, false, true)                                                                             \
    X(int, address_family, 0, 4)                                                                                       \
    X(char *, bind_address, NULL, "192.168.1.2")                                                                       \
    X(uint64_t, connect_timeout_ms, 10000, 1)                                                                          \
    X(uint64_t, server_alive_interval_ms, 15000, 1)                                                                    \
    X(unsigned, server_alive_count_max, 3, 1)                                                                          \
    X(bool, tcp_keepalive, true, false)                                                                                \
    X(bool, compression, false, true)                                                                                  \
    X(bool, batch_mode, false, true)                                                                                   \
    X(bool, password_authentication, true, false)                                                                      \
    X(char *, ciphers, NULL, "aes256-ctr")                                                                             \
    X(char *, macs, NULL, "hmac-sha2-256")                                                                             \
    X(char *, kex_algorithms, NULL, "curve25519-sha256")                                                               \
    X(char *, host_key_algorithms, NULL, "ssh-ed25519")                                                                \
    X(uint64_t, rekey_limit_bytes, 0, 1)                                                                               \
    X(uint64_t, rekey_limit_ms, 0, 1)

/* X(type, field, a value, another one, what that makes of the tunnel) */
#define TUNNEL_FIELDS(X)                                                                                               \
    X(char *, name, "xp-mode", "other", TUNNEL_DIFF_SESSION)                                                           \
    X(struct host_spec, host, HOST_A, HOST_B, TUNNEL_DIFF_SESSION)                                                     \
    X(struct forward_spec *, forwards, forwards_a, forwards_b, TUNNEL_DIFF_FORWARDS)                                   \
    X(size_t, forward_count, 2, 1, TUNNEL_DIFF_FORWARDS)                                                               \
    X(uint64_t, backoff_first_ms, 500, 1, TUNNEL_DIFF_VALUES)                                                          \
    X(uint64_t, backoff_max_ms, 60000, 1, TUNNEL_DIFF_VALUES)                                                          \
    X(struct string_list, on_up, LIST_A, LIST_B, TUNNEL_DIFF_VALUES)                                                   \
    X(struct string_list, on_down, LIST_A, LIST_B, TUNNEL_DIFF_VALUES)                                                 \
    X(uint64_t, hook_timeout_ms, 30000, 1, TUNNEL_DIFF_VALUES)                                                         \
    X(bool, exit_on_forward_failure, false, true, TUNNEL_DIFF_VALUES)                                                  \
    X(bool, once, false, true, TUNNEL_DIFF_SESSION)                                                                    \
    X(bool, no_reclaim, false, true, TUNNEL_DIFF_VALUES)                                                               \
    X(bool, one_line, false, true, TUNNEL_DIFF_SESSION)                                                                \
    X(char *, where, "a.yaml:1:1", "a.yaml:2:1", TUNNEL_DIFF_NONE)

#define FIRST(type, field, a, b) a,

static const struct endpoint endpoint_a = {ENDPOINT_FIELDS(FIRST)};
static const struct forward_spec forward_a = {FORWARD_FIELDS(FIRST)};
static const struct host_spec host_a = {HOST_FIELDS(FIRST)};

#define DIFFERS(type, field, a, b)                                                                                     \
    {                                                                                                                  \
        type other = b;                                                                                                \
        changed.field = other;                                                                                         \
        if (is_equal(&changed, &original) || is_equal(&original, &changed))                                            \
            fail_msg("a difference in '%s' goes unseen", #field);                                                      \
        changed.field = original.field;                                                                                \
        assert_true(is_equal(&changed, &original));                                                                    \
    }

static void endpoints_differ_in_every_field(void **state)
{
    const struct endpoint original = endpoint_a;
    struct endpoint changed = original;
    bool (*is_equal)(const struct endpoint *, const struct endpoint *) = endpoint_equal;
    (void)state;
    ENDPOINT_FIELDS(DIFFERS)
}

static void forwards_differ_in_every_field(void **state)
{
    const struct forward_spec original = forward_a;
    struct forward_spec changed = original;
    bool (*is_equal)(const struct forward_spec *, const struct forward_spec *) = forward_spec_equal;
    (void)state;
    FORWARD_FIELDS(DIFFERS)
}

static void hosts_differ_in_every_field(void **state)
{
    const struct host_spec original = host_a;
    struct host_spec changed = original;
    bool (*is_equal)(const struct host_spec *, const struct host_spec *) = host_spec_equal;
    (void)state;
    HOST_FIELDS(DIFFERS)
}

#define TUNNEL_FIRST(type, field, a, b, diff) a,
#define TUNNEL_DIFFERS(type, field, a, b, diff)                                                                        \
    {                                                                                                                  \
        type other = b;                                                                                                \
        changed.field = other;                                                                                         \
        if (tunnel_spec_diff(&original, &changed) != (diff) || tunnel_spec_diff(&changed, &original) != (diff))        \
            fail_msg("a difference in '%s' is taken for %u", #field, tunnel_spec_diff(&original, &changed));           \
        changed.field = original.field;                                                                                \
        assert_int_equal(tunnel_spec_diff(&original, &changed), TUNNEL_DIFF_NONE);                                     \
    }
#define HOST_A                                                                                                         \
    {                                                                                                                  \
        HOST_FIELDS(FIRST)                                                                                             \
    }
#define SECOND(type, field, a, b) b,
#define HOST_B                                                                                                         \
    {                                                                                                                  \
        HOST_FIELDS(SECOND)                                                                                            \
    }

static void tunnels_differ_in_every_field(void **state)
{
    struct forward_spec forwards_a[] = {forward_a, {.type = FORWARD_REMOTE}};
    struct forward_spec forwards_b[] = {forward_a, {.type = FORWARD_LOCAL}};
    const struct tunnel_spec original = {TUNNEL_FIELDS(TUNNEL_FIRST)};
    struct tunnel_spec changed = original;
    (void)state;
    TUNNEL_FIELDS(TUNNEL_DIFFERS)
}

/* A copy has every field too. */
static void copies_are_equal(void **state)
{
    struct forward_spec forwards[] = {{FORWARD_FIELDS(SECOND)}, forward_a};
    struct tunnel_spec spec;
    struct tunnel_spec copy;
    (void)state;
    tunnel_spec_init(&spec);
    spec.name = "xp-mode";
    spec.host = (struct host_spec)HOST_B;
    spec.host.name = "macbook";
    spec.forwards = forwards;
    spec.forward_count = 2;
    spec.backoff_first_ms = 1;
    spec.backoff_max_ms = 2;
    spec.exit_on_forward_failure = true;
    spec.on_up = (struct string_list)LIST_A;
    spec.on_down = (struct string_list)LIST_B;
    spec.hook_timeout_ms = 3;
    assert_int_equal(tunnel_spec_copy(&copy, &spec), OK);
    assert_int_equal(tunnel_spec_diff(&spec, &copy), TUNNEL_DIFF_NONE);
    tunnel_spec_deinit(&copy);
}

static void forwards_are_found_wherever_they_stand(void **state)
{
    struct forward_spec a = {.type = FORWARD_LOCAL, .hold_ms = 1};
    struct forward_spec b = {.type = FORWARD_LOCAL, .hold_ms = 2};
    struct forward_spec c = {.type = FORWARD_LOCAL, .hold_ms = 3};
    struct forward_spec old_list[] = {a, b, a};
    struct forward_spec new_list[] = {b, c, a, a, a};
    struct tunnel_spec old = {.forwards = old_list, .forward_count = 3};
    struct tunnel_spec new = {.forwards = new_list, .forward_count = 5};
    size_t match[5];
    (void)state;
    assert_int_equal(tunnel_spec_match_forwards(&old, &new, match), 3);
    assert_int_equal(match[0], 1);
    assert_true(match[1] == SIZE_MAX);
    assert_int_equal(match[2], 0);
    assert_int_equal(match[3], 2);
    assert_true(match[4] == SIZE_MAX);
    /* the order alone is no difference; how often one is there is */
    struct forward_spec turned[] = {a, a, b};
    struct forward_spec twice[] = {a, b, b};
    new.forwards = turned;
    new.forward_count = 3;
    assert_int_equal(tunnel_spec_diff(&old, &new), TUNNEL_DIFF_NONE);
    new.forwards = twice;
    assert_int_equal(tunnel_spec_diff(&old, &new), TUNNEL_DIFF_FORWARDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_differ_in_every_field),
        cmocka_unit_test(forwards_differ_in_every_field),
        cmocka_unit_test(hosts_differ_in_every_field),
        cmocka_unit_test(tunnels_differ_in_every_field),
        cmocka_unit_test(copies_are_equal),
        cmocka_unit_test(forwards_are_found_wherever_they_stand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
