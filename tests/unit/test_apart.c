/* Which of the connections that the peer offers may be a probe of ours that comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "forward/apart.h"

/* A -R that the peer was asked to listen on `host` for, and a connection from `from`. */
static bool may_be(const char *host, const char *from)
{
    struct forward forward = {.spec = &forward.own_spec};
    const struct channel_offer offer = {.originator_host = from};
    forward_spec_init(&forward.own_spec);
    forward.own_spec.type = FORWARD_REMOTE;
    forward.own_spec.listen = (struct endpoint){.kind = ENDPOINT_TCP, .host = (char *)host, .port = 14444};
    return apart_may_be(&forward, &offer);
}

static void the_peers_loopback(void **state)
{
    (void)state;
    const char *const hosts[] = {NULL, "localhost", "", "*", "127.0.0.1", "::1", "0.0.0.0", "10.0.0.7"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        assert_true(may_be(hosts[i], "127.0.0.1"));
        assert_true(may_be(hosts[i], "127.3.2.1"));
        assert_true(may_be(hosts[i], "::1"));
        assert_true(may_be(hosts[i], "::ffff:127.0.0.1"));
        assert_false(may_be(hosts[i], "10.0.0.8"));
        assert_false(may_be(hosts[i], "fd00::1"));
        assert_false(may_be(hosts[i], "::ffff:10.0.0.8"));
    }
}

/* The peer connects to an address of its own from that address, however either is written. */
static void the_address_that_it_listens_on(void **state)
{
    (void)state;
    assert_true(may_be("10.0.0.7", "10.0.0.7"));
    assert_true(may_be("10.0.0.7", "::ffff:10.0.0.7"));
    assert_true(may_be("FD00:0:0::5", "fd00::5"));
    assert_false(may_be("fd00::5", "fd00::6"));
}

/* Nobody here knows which address that is. */
static void a_name_that_it_listens_on(void **state)
{
    (void)state;
    assert_true(may_be("macbook.local", "192.168.1.3"));
    assert_true(may_be("macbook.local", "fe80::1%en0"));
}

static void what_says_no_address(void **state)
{
    (void)state;
    assert_true(may_be("10.0.0.7", ""));
    assert_true(may_be("10.0.0.7", "macbook"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_peers_loopback),
        cmocka_unit_test(the_address_that_it_listens_on),
        cmocka_unit_test(a_name_that_it_listens_on),
        cmocka_unit_test(what_says_no_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
