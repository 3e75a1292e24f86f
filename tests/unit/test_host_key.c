/* Which host key algorithms are asked for, and how keys are named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "session/host_key.h"
#include "session/wire.h"

#define EVERY "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256"
#define RSA "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAABAEBAQE=\n"
#define FILE_NAME "test_host_key.known_hosts"

static void expect_for(const char *known, const char *wanted, const char *host, uint16_t port, const char *expected)
{
    struct host_spec spec;
    FILE *file = fopen(FILE_NAME, "wb");
    assert_non_null(file);
    (void)fputs(known, file);
    (void)fclose(file);
    host_spec_init(&spec);
    assert_int_equal(string_list_add(&spec.known_hosts_files, "does-not-exist"), OK);
    assert_int_equal(string_list_add(&spec.known_hosts_files, FILE_NAME), OK);
    spec.host_key_algorithms = wanted != NULL ? strdup(wanted) : NULL;
    char *list = host_key_algorithms(&spec, host, port);
    assert_string_equal(list, expected);
    free(list);
    host_spec_deinit(&spec);
    (void)remove(FILE_NAME);
}

static void expect(const char *known, const char *wanted, const char *expected)
{
    expect_for(known, wanted, "host", 22, expected);
}

static void lists_as_ssh_config_has_them(void **state)
{
    (void)state;
    expect("", NULL, EVERY);
    expect("", "rsa-sha2-256,ssh-ed25519", "rsa-sha2-256,ssh-ed25519");
    expect("", "+ssh-rsa", EVERY);
    expect("", "-ecdsa-*,rsa-sha2-256", "ssh-ed25519,rsa-sha2-512");
    expect("", "^rsa-sha2-512,ecdsa-sha2-nistp521",
           "rsa-sha2-512,ecdsa-sha2-nistp521,ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,rsa-sha2-256");
    expect("", "rsa-sha2-256,rsa-sha2-256", "rsa-sha2-256");
    expect("", "ssh-rsa,ssh-dss,ssh-ed25519-cert-v01@openssh.com", "");
    expect("", "", "");
    expect("", ",,ssh-ed25519,,nonsense", "ssh-ed25519");
}

static void pinned_types_come_first(void **state)
{
    static const char rsa_first[] =
        "rsa-sha2-512,rsa-sha2-256,ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521";
    (void)state;
    expect("host " RSA, NULL, rsa_first);
    expect("other " RSA, NULL, EVERY);
    expect("@revoked host " RSA "@cert-authority host " RSA, NULL, EVERY);
    expect("host " RSA, "ssh-ed25519,rsa-sha2-512", "ssh-ed25519,rsa-sha2-512"); /* the user's order stays */
    expect("host " RSA, "-rsa-sha2-256",
           "rsa-sha2-512,ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521");
    expect_for("[host]:2222 " RSA, NULL, "HOST", 2222, rsa_first);
    expect_for("[host]:2222 " RSA, NULL, "host", 22, EVERY);
    expect_for("host " RSA, NULL, "host", 2222, rsa_first); /* as ssh: without the port when that is all there is */
}

static void keys_are_named_as_ssh_keygen_does(void **state)
{
    static const char key64[] = "AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";
    uint8_t key[128];
    size_t len = 0;
    char text[160];
    (void)state;
    assert_true(wire_base64_decode(key64, strlen(key64), key, sizeof key, &len));
    assert_string_equal(host_key_text(key, len, text, sizeof text),
                        "ssh-ed25519 SHA256:RXm/ruZ0eTzRXKwi1AQEDynB0VgHQ2ac9KPSFdf/YnA");
    assert_memory_equal(host_key_text((const uint8_t *)"\xff\xff\xff\xff", 4, text, sizeof text), " SHA256:", 8);
    assert_memory_equal(host_key_text((const uint8_t *)"", 0, text, sizeof text), " SHA256:", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_as_ssh_config_has_them),
        cmocka_unit_test(pinned_types_come_first),
        cmocka_unit_test(keys_are_named_as_ssh_keygen_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
