/* Accounts and access lists of Windows, made in memory: Wine keeps no more of a file's list than its mode. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platform/platform.h"
#include "platform/win/access.h"

static union win_sid sid_of(const char *account)
{
    union win_sid sid;
    struct err_info why = {.code = OK, .message = ""};
    if (win_sid_of_account(account, &sid, &why) != OK)
        fail_msg("%s", why.message);
    return sid;
}

static void expect_sid(const char *account, const char *text)
{
    union win_sid sid = sid_of(account);
    char *found = win_sid_text(&sid.sid);
    assert_non_null(found);
    assert_string_equal(found, text);
    free(found);
}

static void a_service_has_a_sid_before_it_exists(void **state)
{
    (void)state;
    /* the one service whose SID is in every book */
    expect_sid("NT SERVICE\\TrustedInstaller", "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464");
    expect_sid("nt service\\TRUSTEDINSTALLER", "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464");
}

static void accounts_have_sids(void **state)
{
    union win_sid sid;
    struct err_info why;
    (void)state;
    expect_sid("LocalSystem", "S-1-5-18");
    expect_sid("NT AUTHORITY\\NetworkService", "S-1-5-20");
    expect_sid("S-1-5-32-545", "S-1-5-32-545");
    assert_int_equal(win_sid_of_account("NT SERVICE\\", &sid, &why), ERR_USAGE);
    assert_int_equal(win_sid_of_account("S-1-x", &sid, &why), ERR_USAGE);
    assert_int_equal(win_sid_of_account("nobody-of-that-name", &sid, &why), ERR_USAGE);
    assert_string_equal(why.message, "there is no account 'nobody-of-that-name' on this machine");
}

static void we_have_a_sid_and_a_name(void **state)
{
    union win_sid us;
    union win_sid again;
    (void)state;
    assert_true(win_sid_of_us(&us));
    assert_true(win_sid_of_process(GetCurrentProcessId(), &again));
    assert_true(EqualSid(&us.sid, &again.sid));
    assert_false(win_sid_is_keeper(&us.sid));
    char *name = win_sid_name(&us.sid);
    assert_non_null(name);
    assert_non_null(strchr(name, '\\'));
    free(name);
}

struct entry {
    const char *sid;
    DWORD mask;
    bool deny;
    DWORD flags;
};

static void make_list(struct win_acl *acl, const struct entry *entries, size_t count)
{
    assert_true(win_acl_begin(acl));
    for (size_t i = 0; i < count; i++) {
        union win_sid sid = sid_of(entries[i].sid);
        BOOL added = entries[i].deny ? AddAccessDeniedAceEx(win_acl_list(acl), ACL_REVISION, entries[i].flags,
                                                            entries[i].mask, &sid.sid)
                                     : win_acl_allow(acl, &sid.sid, entries[i].mask, entries[i].flags);
        assert_true(added);
    }
}

#define ME "S-1-5-21-1-2-3-1001"
#define OTHER "S-1-5-21-1-2-3-1002"
#define HOLDFAST "NT SERVICE\\holdfast"

static void strangers_are_found(void **state)
{
    static const struct {
        struct entry entry;
        bool stranger;
    } rows[] = {
        {{ME, FILE_ALL_ACCESS, false, 0}, false},
        {{"LocalSystem", FILE_ALL_ACCESS, false, 0}, false},
        {{"S-1-5-32-544", FILE_ALL_ACCESS, false, 0}, false},
        {{HOLDFAST, FILE_GENERIC_READ, false, 0}, false},
        {{"S-1-3-0", FILE_ALL_ACCESS, false, 0}, false},                    /* CREATOR OWNER */
        {{"S-1-3-4", FILE_ALL_ACCESS, false, 0}, false},                    /* OWNER RIGHTS */
        {{"S-1-1-0", FILE_READ_ATTRIBUTES | SYNCHRONIZE, false, 0}, false}, /* sees that it is there */
        {{"S-1-1-0", FILE_GENERIC_READ, false, INHERIT_ONLY_ACE}, false},   /* not about this file */
        {{"S-1-1-0", FILE_GENERIC_READ, true, 0}, false},                   /* a denial */
        {{"S-1-1-0", FILE_GENERIC_READ, false, 0}, true},                   /* Everyone */
        {{"S-1-5-11", FILE_GENERIC_READ, false, INHERITED_ACE}, true},      /* Authenticated Users */
        {{"S-1-5-32-545", FILE_GENERIC_READ, false, 0}, true},              /* Users */
        {{"S-1-5-80-0", FILE_GENERIC_READ, false, 0}, true},                /* all services */
        {{OTHER, FILE_READ_DATA, false, 0}, true},
        {{OTHER, FILE_WRITE_DATA, false, 0}, true},
        {{OTHER, WRITE_DAC, false, 0}, true}, /* would let itself in */
        {{OTHER, GENERIC_ALL, false, 0}, true},
    };
    union win_sid me = sid_of(ME);
    PSID admitted[] = {&me.sid};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct win_acl acl;
        struct win_strangers strangers;
        make_list(&acl, &rows[i].entry, 1);
        win_acl_strangers(win_acl_list(&acl), admitted, 1, &strangers);
        if (strangers.count != (rows[i].stranger ? 1U : 0U))
            fail_msg("row %lu: %s", (unsigned long)i, rows[i].entry.sid);
        if (rows[i].stranger)
            assert_int_equal(strangers.items[0].inherited, rows[i].entry.flags == INHERITED_ACE);
    }
}

static void many_strangers_are_counted(void **state)
{
    struct win_acl acl;
    struct win_strangers strangers;
    (void)state;
    assert_true(win_acl_begin(&acl));
    for (unsigned i = 0; i < 12; i++) { /* six accounts, twice each */
        char text[40];
        (void)snprintf(text, sizeof text, "S-1-5-21-1-2-3-%u", 2000 + i / 2);
        union win_sid sid = sid_of(text);
        assert_true(win_acl_allow(&acl, &sid.sid, FILE_GENERIC_READ, i % 2 == 0 ? INHERITED_ACE : 0));
    }
    win_acl_strangers(win_acl_list(&acl), NULL, 0, &strangers);
    assert_int_equal(strangers.count, WIN_STRANGERS_CAP);
    assert_int_equal(strangers.left_out, 4);
    assert_false(strangers.items[0].inherited); /* once in its own right is enough */
}

static bool lets(bool (*ask)(PACL acl, PSID account), const char *account, const struct entry *entries, size_t count)
{
    struct win_acl acl;
    union win_sid sid = sid_of(account);
    make_list(&acl, entries, count);
    return ask(win_acl_list(&acl), &sid.sid);
}

static bool reads(const char *account, const struct entry *entries, size_t count)
{
    return lets(win_acl_lets_read, account, entries, count);
}

static void readers_are_known(void **state)
{
    static const struct entry own[] = {{HOLDFAST, FILE_GENERIC_READ, false, 0}};
    static const struct entry none[] = {{ME, FILE_ALL_ACCESS, false, 0}};
    static const struct entry everyone[] = {{"S-1-1-0", FILE_GENERIC_READ, false, 0}};
    static const struct entry services[] = {{"S-1-5-80-0", FILE_GENERIC_READ, false, 0}};
    static const struct entry users[] = {{"S-1-5-32-545", FILE_GENERIC_READ, false, 0}};
    static const struct entry keepers[] = {{"S-1-5-32-544", FILE_ALL_ACCESS, false, 0}};
    static const struct entry denied[] = {{HOLDFAST, FILE_READ_DATA, true, 0}, {"S-1-1-0", FILE_ALL_ACCESS, false, 0}};
    static const struct entry late[] = {{"S-1-1-0", FILE_ALL_ACCESS, false, 0}, {HOLDFAST, FILE_READ_DATA, true, 0}};
    static const struct entry write_only[] = {{HOLDFAST, FILE_WRITE_DATA, false, 0}};
    (void)state;
    assert_true(reads(HOLDFAST, own, 1));
    assert_false(reads("NT SERVICE\\other", own, 1));
    assert_false(reads(HOLDFAST, none, 1));
    assert_true(reads(HOLDFAST, everyone, 1));
    assert_true(reads(HOLDFAST, services, 1));
    assert_true(reads(HOLDFAST, users, 1));
    assert_false(reads(OTHER, services, 1));
    assert_false(reads(HOLDFAST, keepers, 1));
    assert_true(reads("LocalSystem", keepers, 1));
    assert_false(reads(HOLDFAST, denied, 2));
    assert_true(reads(HOLDFAST, late, 2));
    assert_false(reads(HOLDFAST, write_only, 1));
    assert_false(reads(HOLDFAST, none, 0));
}

static bool writes(const char *account, const struct entry *entries, size_t count)
{
    return lets(win_acl_lets_write, account, entries, count);
}

static void writers_are_known(void **state)
{
    static const struct entry reader[] = {{HOLDFAST, FILE_GENERIC_READ | FILE_GENERIC_EXECUTE, false, 0}};
    static const struct entry own[] = {{HOLDFAST, FILE_GENERIC_READ | FILE_GENERIC_WRITE, false, 0}};
    static const struct entry users[] = {{"S-1-5-32-545", FILE_ADD_FILE, false, 0}};
    static const struct entry keepers[] = {{"S-1-5-32-544", FILE_ALL_ACCESS, false, 0}};
    static const struct entry below[] = {{HOLDFAST, FILE_ALL_ACCESS, false, INHERIT_ONLY_ACE}};
    (void)state;
    assert_false(writes(HOLDFAST, reader, 1));
    assert_true(writes(HOLDFAST, own, 1));
    assert_true(writes(HOLDFAST, users, 1));
    assert_false(writes(HOLDFAST, keepers, 1));
    assert_true(writes("LocalSystem", keepers, 1));
    assert_false(writes(HOLDFAST, below, 1));
}

static void a_private_file_is_made_once_and_is_fit_for_a_key(void **state)
{
    wchar_t folder[MAX_PATH];
    wchar_t wide[MAX_PATH];
    struct err_info why = {.code = OK, .message = ""};
    (void)state;
    assert_true(GetTempPathW(MAX_PATH, folder) > 0);
    assert_true(GetTempFileNameW(folder, L"hf", 0, wide) > 0);
    assert_true(DeleteFileW(wide));
    char *path = win_utf8(wide);
    assert_non_null(path);
    if (platform_private_file_new(path, "secret", 6, &why) != OK)
        fail_msg("%s", why.message);
    if (platform_key_file_check(path, &why) != OK)
        fail_msg("%s", why.message);
    assert_int_equal(platform_private_file_new(path, "other", 5, &why), ERR_IO);
    assert_non_null(strstr(why.message, path));
    assert_int_equal(platform_key_file_check_for(path, "LocalSystem", false, &why), OK);
    assert_int_equal(platform_key_file_check_for(path, HOLDFAST, false, &why), ERR_REFUSED);
    assert_non_null(strstr(why.message, "cannot be read by NT SERVICE\\holdfast"));
    assert_non_null(strstr(why.message, "; run: icacls \""));
    assert_non_null(strstr(why.message, "\" /inheritance:r /grant:r \""));
    assert_int_equal(platform_key_file_check_for(path, "no-such-one", false, &why), ERR_USAGE);
    assert_true(DeleteFileW(wide));
    assert_int_equal(platform_key_file_check(path, &why), ERR_IO);
    assert_int_equal(platform_key_file_check_for(path, HOLDFAST, true, &why), ERR_IO);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_service_has_a_sid_before_it_exists),
        cmocka_unit_test(accounts_have_sids),
        cmocka_unit_test(we_have_a_sid_and_a_name),
        cmocka_unit_test(strangers_are_found),
        cmocka_unit_test(many_strangers_are_counted),
        cmocka_unit_test(readers_are_known),
        cmocka_unit_test(writers_are_known),
        cmocka_unit_test(a_private_file_is_made_once_and_is_fit_for_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
