/* What doctor says without any network: the networks of virtual machines, and how a report is shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/doctor_report.h"
#include "cli/doctor_situation.h"

#define IPV4(a, b, c, d) (((uint32_t)(a) << 24) | ((uint32_t)(b) << 16) | ((uint32_t)(c) << 8) | (uint32_t)(d))
#define MASK(bits) (UINT32_MAX << (32 - (bits)))

static void addresses_are_in_their_networks(void **state)
{
    static const struct doctor_network networks[] = {
        {"lo", IPV4(127, 0, 0, 1), MASK(8)},
        {"Ethernet", IPV4(192, 168, 1, 20), MASK(24)},
        {"Loopback", IPV4(192, 168, 200, 1), MASK(24)},
        {"VMware Network Adapter VMnet8", IPV4(192, 168, 157, 1), MASK(24)},
        {"VMware Network Adapter VMnet1", IPV4(192, 168, 99, 1), MASK(24)},
        {"vEthernet (WSL (Hyper-V firewall))", IPV4(172, 25, 96, 1), MASK(20)},
        {"vEthernet (Default Switch)", IPV4(172, 18, 16, 1), MASK(20)},
        {"eth1", IPV4(172, 30, 0, 1), MASK(16)},
    };
    static const struct {
        const char *host;
        enum doctor_situation situation;
    } cases[] = {
        {"192.168.131.64", DOCTOR_VIRTUAL_PC_NAT},
        {"192.168.200.2", DOCTOR_LOOPBACK_ADAPTER},
        {"192.168.157.128", DOCTOR_VMWARE_NAT},
        {"192.168.99.3", DOCTOR_VMWARE_HOST_ONLY},
        {"172.25.100.7", DOCTOR_WSL},
        {"172.18.30.9", DOCTOR_HYPER_V},
        {"172.20.1.1", DOCTOR_MOVING},
        {"172.30.200.2", DOCTOR_PLAIN},
        {"172.32.0.1", DOCTOR_PLAIN},
        {"169.254.9.9", DOCTOR_LINK_LOCAL},
        {"192.168.1.3", DOCTOR_PLAIN},
        {"8.8.8.8", DOCTOR_PLAIN},
        {"intranet", DOCTOR_PLAIN},
        {"fe80::1", DOCTOR_PLAIN},
        {"", DOCTOR_PLAIN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum doctor_situation found =
            doctor_situation_of(cases[i].host, networks, sizeof networks / sizeof networks[0]);
        assert_int_equal(found, cases[i].situation);
        assert_int_equal(doctor_situation_mend(found) != NULL, found != DOCTOR_PLAIN);
        assert_int_equal(doctor_situation_text(found)[0] != '\0', found != DOCTOR_PLAIN);
    }
}

static void a_usual_range_may_be_a_plain_network(void **state)
{
    static const struct doctor_network own[] = {{"eth0", IPV4(192, 168, 131, 5), MASK(24)}};
    static const struct doctor_network linux_vmware[] = {{"vmnet8", IPV4(172, 16, 5, 1), MASK(24)}};
    (void)state;
    assert_int_equal(doctor_situation_of("192.168.131.70", own, 1), DOCTOR_PLAIN);
    assert_int_equal(doctor_situation_of("172.16.5.128", linux_vmware, 1), DOCTOR_VMWARE_NAT);
    assert_int_equal(doctor_situation_if_reached(DOCTOR_VIRTUAL_PC_NAT), DOCTOR_PLAIN);
    assert_int_equal(doctor_situation_if_reached(DOCTOR_MOVING), DOCTOR_PLAIN);
    assert_int_equal(doctor_situation_if_reached(DOCTOR_WSL), DOCTOR_WSL);
}

static void mends_name_what_mends(void **state)
{
    (void)state;
    assert_non_null(strstr(doctor_situation_mend(DOCTOR_VIRTUAL_PC_NAT), "Loopback Adapter"));
    assert_non_null(strstr(doctor_situation_mend(DOCTOR_WSL), "wsl:"));
    assert_non_null(strstr(doctor_situation_text(DOCTOR_VMWARE_NAT), "only bytes"));
    assert_true(doctor_situation_is_passing(DOCTOR_WSL));
    assert_false(doctor_situation_is_passing(DOCTOR_VMWARE_NAT));
}

/* What a printer wrote, as a heap string. */
static char *printed(const struct doctor_report *report, bool json)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    if (json) {
        assert_true(doctor_report_print_json(report, 1, file));
    } else {
        doctor_report_print(report, file);
    }
    long len = ftell(file);
    char *text = calloc(1, (size_t)len + 1);
    assert_non_null(text);
    rewind(file);
    assert_int_equal(fread(text, 1, (size_t)len, file), len);
    (void)fclose(file);
    return text;
}

static void a_report_is_shown(void **state)
{
    struct doctor_report report;
    (void)state;
    doctor_report_init(&report, "xp-mode", "me@macbook");
    doctor_report_add(&report, DOCTOR_OK, "name", NULL, "macbook: %s", "192.0.2.1");
    assert_null(doctor_report_failure(&report));
    doctor_report_forward(&report, "-R 1 -> a:2");
    doctor_report_add(&report, DOCTOR_FAIL, "permission", "allow it", "refused\n\x1b[31m");
    doctor_report_add(&report, DOCTOR_SKIPPED, "target", NULL, "%s", "");
    doctor_report_add(&report, DOCTOR_FAIL, "path", "another", "second");
    char *text = printed(&report, false);
    assert_string_equal(text, "xp-mode (me@macbook)\n"
                              "  ok       name            macbook: 192.0.2.1\n"
                              "  -R 1 -> a:2\n"
                              "  fail     permission      refused??[31m; to do: allow it\n"
                              "  skipped  target\n"
                              "  fail     path            second; to do: another\n"
                              "  => permission of -R 1 -> a:2: allow it\n");
    free(text);
    assert_string_equal(doctor_report_failure(&report)->mend, "allow it");
    doctor_report_deinit(&report);
}

static void json_is_valid_whatever_was_seen(void **state)
{
    struct doctor_report report;
    (void)state;
    doctor_report_init(&report, NULL, NULL);
    doctor_report_add(&report, DOCTOR_WARNING, "banner", NULL, "broken \xff UTF-8 \"quoted\"");
    char *text = printed(&report, true);
    assert_non_null(strstr(text, "\"seen\": \"broken ? UTF-8 \\\"quoted\\\"\""));
    assert_non_null(strstr(text, "\"tunnel\": null"));
    assert_non_null(strstr(text, "\"forward\": null"));
    assert_non_null(strstr(text, "\"result\": \"warning\""));
    free(text);
    doctor_report_deinit(&report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_in_their_networks), cmocka_unit_test(a_usual_range_may_be_a_plain_network),
        cmocka_unit_test(mends_name_what_mends),           cmocka_unit_test(a_report_is_shown),
        cmocka_unit_test(json_is_valid_whatever_was_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
