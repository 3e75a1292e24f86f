/* What systemd and launchd are given, and what is read of them, as text. tests/integration/test_systemd.py shows units
 * to systemd itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platform/platform.h"
#include "service/posix/account.h"
#include "service/posix/keepers.h"
#include "service/posix/plist.h"
#include "service/posix/unit.h"

static struct service_plan plan_with(const char *const *definitions, size_t count)
{
    return (struct service_plan){
        .name = "holdfast", .account = ACCOUNT_DYNAMIC, .definitions = definitions, .definition_count = count};
}

static char *unit_of(const struct service_plan *plan, const char *program, bool is_persons)
{
    char *text = NULL;
    struct err_info info;
    if (unit_text(plan, program, is_persons, &text, &info) != OK)
        fail_msg("%s", info.message);
    return text;
}

static void has(const char *text, const char *line)
{
    if (strstr(text, line) == NULL)
        fail_msg("no '%s' in:\n%s", line, text);
}

static void lacks(const char *text, const char *line)
{
    if (strstr(text, line) != NULL)
        fail_msg("'%s' in:\n%s", line, text);
}

static void words_are_quoted(void **state)
{
    static const char *const definitions[] = {"/etc/hold fast", "/a\"b\\c", "/100%i", "/$HOME"};
    struct service_plan plan = plan_with(definitions, 4);
    (void)state;
    char *text = unit_of(&plan, "/opt/my %n $tools/holdfast", false);
    has(text, "\nExecStart=\"/opt/my %%n $tools/holdfast\" run -c \"/etc/hold fast\" -c \"/a\\\"b\\\\c\" "
              "-c \"/100%%i\" -c \"/$$HOME\"\n");
    free(text);
}

static void what_a_unit_cannot_name(void **state)
{
    static const char *const bad[] = {"/a\nExecStartPre=/bin/false", "/a\x7f"};
    static const char *const bad_keys[] = {"/a\nb", "/ends in a blank ", "/ends in a backslash\\", ""};
    static const char *const good[] = {"/etc/holdfast"};
    char *text = NULL;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct service_plan plan = plan_with(&bad[i], 1);
        assert_int_equal(unit_text(&plan, "/h", false, &text, NULL), ERR_USAGE);
        plan = plan_with(good, 1);
        assert_int_equal(unit_text(&plan, bad[i], false, &text, NULL), ERR_USAGE);
    }
    for (size_t i = 0; i < 4; i++) {
        struct service_plan plan = plan_with(good, 1);
        plan.keys = &bad_keys[i];
        plan.key_count = 1;
        assert_int_equal(unit_text(&plan, "/h", false, &text, NULL), ERR_USAGE);
        plan.key_count = 0;
        plan.writable = &bad_keys[i];
        plan.writable_count = 1;
        assert_int_equal(unit_text(&plan, "/h", false, &text, NULL), ERR_USAGE);
    }
    assert_null(text);
}

static void a_machine_s_unit(void **state)
{
    static const char *const definitions[] = {"/etc/holdfast"};
    static const char *const keys[] = {"/etc/holdfast/desk 1.key", "/root/50%.key"};
    static const char *const writable[] = {"/var/log/holdfast", "/srv/my logs"};
    struct service_plan plan = plan_with(definitions, 1);
    (void)state;
    char *text = unit_of(&plan, "/usr/bin/holdfast", false);
    assert_int_equal(strncmp(text, UNIT_MARK "\n", sizeof UNIT_MARK), 0);
    has(text, "\nType=notify\nNotifyAccess=main\n");
    has(text, "\nExecReload=/bin/kill -HUP $MAINPID\nRestart=on-failure\nRestartSec=5\nRestartPreventExitStatus=2\n");
    has(text, "\nAfter=network.target ");
    has(text, "\nDynamicUser=yes\nStateDirectory=holdfast\n");
    has(text, "\nRuntimeDirectory=holdfast\nConfigurationDirectory=holdfast\n");
    has(text, "\nCapabilityBoundingSet=\n");
    has(text, "\nProtectHome=yes\n");
    has(text, "\nRestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n");
    has(text, "\nWantedBy=multi-user.target\n");
    lacks(text, "User=daemon");
    lacks(text, "LoadCredential");
    lacks(text, "network-online");
    free(text);
    plan.name = "other";
    plan.account = "daemon";
    plan.keys = keys;
    plan.key_count = 2;
    plan.writable = writable;
    plan.writable_count = 2;
    plan.binds_low_ports = true;
    plan.uses_homes = true;
    text = unit_of(&plan, "/usr/bin/holdfast", false);
    has(text, "\nUser=daemon\nStateDirectory=other\n");
    has(text, "\nRuntimeDirectory=other\nConfigurationDirectory=holdfast\n");
    has(text, "\nLoadCredential=etc-holdfast-desk_201.key:/etc/holdfast/desk 1.key\n");
    has(text, "\nLoadCredential=root-50_25.key:/root/50%%.key\n");
    has(text, "\nReadWritePaths=\"-/var/log/holdfast\"\nReadWritePaths=\"-/srv/my logs\"\n");
    has(text, "\nAmbientCapabilities=CAP_NET_BIND_SERVICE\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\n");
    has(text, "\nProtectHome=read-only\n");
    lacks(text, "DynamicUser");
    free(text);
    plan.name = "holdfast";
    text = unit_of(&plan, "/usr/bin/holdfast", false);
    has(text, "\nLogsDirectory=holdfast\n");
    free(text);
}

static void a_person_s_unit(void **state)
{
    static const char *const definitions[] = {"/home/me/.config/holdfast"};
    static const char *const keys[] = {"/home/me/.ssh/id_ed25519"};
    struct service_plan plan = plan_with(definitions, 1);
    (void)state;
    plan.account = "me";
    plan.keys = keys;
    plan.key_count = 1;
    char *text = unit_of(&plan, "/home/me/bin/holdfast", true);
    has(text, "\nType=notify\n");
    has(text, "\nWantedBy=default.target\n");
    lacks(text, "User=");
    lacks(text, "LoadCredential");
    lacks(text, "Protect");
    lacks(text, "network.target");
    free(text);
}

static void a_property_list(void **state)
{
    static const char *const definitions[] = {"/etc/a & <b>"};
    struct service_plan plan = plan_with(definitions, 1);
    char *text = NULL;
    (void)state;
    plan.account = "_me";
    assert_int_equal(plist_text(&plan, "/usr/local/bin/holdfast", "/l/h.log", "/l/e.log", false, &text, NULL), OK);
    has(text, PLIST_MARK);
    const char *copy = getenv("HOLDFAST_PLIST_COPY"); /* for what reads property lists better than we do */
    if (copy != NULL)
        assert_int_equal(platform_private_file_new(copy, text, strlen(text), NULL), OK);
    has(text, "<key>Label</key>\n\t<string>holdfast</string>");
    has(text, "<string>-c</string>\n\t\t<string>/etc/a &amp; &lt;b&gt;</string>\n\t\t<string>-E</string>\n\t\t"
              "<string>/l/h.log</string>\n\t\t<string>--log-max-size</string>\n\t\t<string>10MiB</string>\n\t</array>");
    has(text, "<string>run</string>\n\t\t<string>-q</string>\n\t\t<string>--log-level</string>\n\t\t"
              "<string>info</string>\n");
    has(text, "<key>UserName</key>\n\t<string>_me</string>");
    has(text, "<key>RunAtLoad</key>\n\t<true/>");
    has(text, "<key>ThrottleInterval</key>\n\t<integer>10</integer>");
    has(text, "<key>StandardErrorPath</key>\n\t<string>/l/e.log</string>");
    free(text);
    plan.has_log_file = true;
    assert_int_equal(plist_text(&plan, "/usr/local/bin/holdfast", "/l/h.log", "/l/e.log", true, &text, NULL), OK);
    lacks(text, "UserName");
    lacks(text, "<string>-E</string>");
    free(text);
    assert_int_equal(plist_text(&plan, "/a\nb", "/l", "/e", true, &text, NULL), ERR_USAGE);
}

static void a_name_is(const char *path, const char *expected)
{
    char *name = platform_credential_name(path);
    if (expected == NULL)
        assert_null(name);
    else
        assert_string_equal(name, expected);
    free(name);
}

static void credential_names(void **state)
{
    char path[400];
    (void)state;
    a_name_is("/etc/holdfast/macbook.key", "etc-holdfast-macbook.key");
    a_name_is("/a-b/c_d", "a_2db-c_5fd"); /* unlike /a/b/c_d */
    a_name_is("/a/b/c_d", "a-b-c_5fd");
    a_name_is("/.ssh/..", "_2essh-..");
    a_name_is("/gr\xc3\xbc\xc3\x9f:e", "gr_c3_bc_c3_9f_3ae");
    a_name_is("/", NULL);
    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[253] = 0;
    a_name_is(path, path + 1);
    path[253] = 'a';
    path[254] = 'a';
    path[255] = 0;
    a_name_is(path, NULL);
}

static void credentials(void **state)
{
    char folder[] = "/tmp/holdfast-credential-XXXXXX";
    char file[64];
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)unsetenv("CREDENTIALS_DIRECTORY");
    assert_null(platform_credential("/etc/a.key"));
    (void)setenv("CREDENTIALS_DIRECTORY", folder, 1);
    assert_true(platform_has_credentials());
    assert_null(platform_credential("/etc/a.key"));
    (void)snprintf(file, sizeof file, "%s/etc-a.key", folder);
    assert_int_equal(platform_private_file_new(file, "x", 1, NULL), OK);
    char *found = platform_credential("/etc/a.key");
    assert_string_equal(found, file);
    free(found);
    (void)remove(file);
    (void)remove(folder);
    (void)unsetenv("CREDENTIALS_DIRECTORY");
}

static void facts_of_systemd(void **state)
{
    struct service_facts facts;
    (void)state;
    systemd_read_facts("LoadState=not-found\nActiveState=inactive\n", &facts);
    assert_int_equal(facts.state, SERVICE_IS_ABSENT);
    systemd_read_facts("MainPID=12\nExecMainStatus=0\n"
                       "ExecStart={ path=/usr/bin/holdfast ; argv[]=/usr/bin/holdfast run -c /a ; b ; "
                       "ignore_errors=no ; start_time=[n/a] }\n"
                       "DynamicUser=yes\nUser=holdfast\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\n",
                       &facts);
    assert_int_equal(facts.state, SERVICE_IS_RUNNING);
    assert_int_equal(facts.pid, 12);
    assert_true(facts.starts_at_boot);
    assert_string_equal(facts.account, ACCOUNT_DYNAMIC);
    assert_string_equal(facts.command, "/usr/bin/holdfast run -c /a ; b");
    service_facts_deinit(&facts);
    systemd_read_facts("LoadState=loaded\nActiveState=failed\nExecMainStatus=2\nUser=\nUnitFileState=disabled", &facts);
    assert_int_equal(facts.state, SERVICE_IS_STOPPED);
    assert_int_equal(facts.exit_code, 2);
    assert_false(facts.starts_at_boot);
    assert_null(facts.account);
    assert_null(facts.command);
}

static void facts_of_launchd(void **state)
{
    struct service_facts facts;
    (void)state;
    launchd_read_facts("system/holdfast = {\n\tactive count = 1\n\tstate = running\n\n\tprogram = /usr/bin/holdfast\n"
                       "\tusername = _me\n\tpid = 77\n\tlast exit code = 0\n}\n",
                       &facts);
    assert_int_equal(facts.state, SERVICE_IS_RUNNING);
    assert_int_equal(facts.pid, 77);
    assert_string_equal(facts.account, "_me");
    service_facts_deinit(&facts);
    launchd_read_facts("gui/501/holdfast = {\n\tstate = not running\n\tlast exit code = 2\n}\n", &facts);
    assert_int_equal(facts.state, SERVICE_IS_STOPPED);
    assert_int_equal(facts.exit_code, 2);
    service_facts_deinit(&facts);
    launchd_read_facts("Could not find service\n", &facts);
    assert_int_equal(facts.state, SERVICE_IS_ABSENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_quoted), cmocka_unit_test(what_a_unit_cannot_name),
        cmocka_unit_test(a_machine_s_unit), cmocka_unit_test(a_person_s_unit),
        cmocka_unit_test(a_property_list),  cmocka_unit_test(credential_names),
        cmocka_unit_test(credentials),      cmocka_unit_test(facts_of_systemd),
        cmocka_unit_test(facts_of_launchd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
