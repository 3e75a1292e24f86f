/* The lists of algorithms as ssh_config(5) lets people change them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "session/algorithms.h"

static void lists_change_as_ssh_config_says(void **state)
{
    static const struct {
        const char *wanted, *result;
    } cases[] = {
        {NULL, "aes128-gcm,aes256-gcm,aes128-ctr"},
        {"aes256-cbc", "aes256-cbc"},
        {"aes256-cbc,3des-cbc", "aes256-cbc,3des-cbc"},
        {"+3des-cbc", "aes128-gcm,aes256-gcm,aes128-ctr,3des-cbc"},
        {"+aes128-ctr", "aes128-gcm,aes256-gcm,aes128-ctr"}, /* it is there already */
        {"-aes256-gcm", "aes128-gcm,aes128-ctr"},
        {"-*-gcm", "aes128-ctr"},
        {"-aes*-*", ""},
        {"-aes?28-ctr", "aes128-gcm,aes256-gcm"},
        {"-nothing", "aes128-gcm,aes256-gcm,aes128-ctr"},
        {"^aes128-ctr", "aes128-ctr,aes128-gcm,aes256-gcm"},
        {"^3des-cbc,aes256-gcm", "3des-cbc,aes256-gcm,aes128-gcm,aes128-ctr"},
        {"+", "aes128-gcm,aes256-gcm,aes128-ctr"},
        {"-", "aes128-gcm,aes256-gcm,aes128-ctr"},
        {"^", "aes128-gcm,aes256-gcm,aes128-ctr"},
        {"", ""},
        {",,a,,b,", "a,b"},
        {"+,x,,y", "aes128-gcm,aes256-gcm,aes128-ctr,x,y"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *list = algorithms_apply("aes128-gcm,aes256-gcm,aes128-ctr", cases[i].wanted);
        assert_non_null(list);
        assert_string_equal(list, cases[i].result);
        free(list);
    }
}

static void the_processor_decides_which_cipher_is_first(void **state)
{
    (void)state;
    assert_string_equal(algorithms_default_ciphers(true),
                        "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,"
                        "aes128-ctr,aes192-ctr,aes256-ctr");
    assert_string_equal(algorithms_default_ciphers(false),
                        "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,"
                        "aes128-ctr,aes192-ctr,aes256-ctr");
}

static void nothing_weak_is_offered_unasked(void **state)
{
    static const char *const weak[] = {"sha1", "cbc", "md5", "arcfour", "none", "3des", "group1-"};
    const char *const lists[] = {algorithms_default_kex, algorithms_default_ciphers(true),
                                 algorithms_default_ciphers(false), algorithms_default_macs};
    (void)state;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        for (size_t j = 0; j < sizeof weak / sizeof weak[0]; j++) {
            assert_null(strstr(lists[i], weak[j]));
        }
    }
}

/* What has one of the marks in its name comes before all that has none. */
static void assert_first(const char *list, const char *const *marks, size_t mark_count)
{
    bool over = false;
    while (*list != '\0') {
        size_t len = strcspn(list, ",");
        bool marked = false;
        for (size_t i = 0; i < mark_count; i++) {
            const char *at = strstr(list, marks[i]);
            marked = marked || (at != NULL && at < list + len);
        }
        assert_false(marked && over);
        over = !marked;
        list += len + (list[len] == ',');
    }
    assert_true(over);
}

static void what_authenticates_best_comes_first(void **state)
{
    static const char *const aead[] = {"-gcm@", "-poly1305@"};
    static const char *const etm[] = {"-etm@"};
    (void)state;
    assert_first(algorithms_default_ciphers(true), aead, 2);
    assert_first(algorithms_default_ciphers(false), aead, 2);
    assert_first(algorithms_default_macs, etm, 1);
}

static void names_that_we_do_not_have_are_told_apart(void **state)
{
    static const char *const have[] = {"a", "bb", "c"};
    static const struct {
        const char *list, *unknown;
        size_t known;
    } cases[] = {
        {"a,bb", "", 2}, {"b,a,x", "b,x", 1}, {"bbb,", "bbb", 0}, {"", "", 0}, {",,c,", "", 1}, {"a,y,c,z", "y,z", 2},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t known = 99;
        char *unknown = algorithms_unknown(cases[i].list, have, 3, &known);
        assert_non_null(unknown);
        assert_string_equal(unknown, cases[i].unknown);
        assert_int_equal(known, cases[i].known);
        free(unknown);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_change_as_ssh_config_says),
        cmocka_unit_test(the_processor_decides_which_cipher_is_first),
        cmocka_unit_test(nothing_weak_is_offered_unasked),
        cmocka_unit_test(what_authenticates_best_comes_first),
        cmocka_unit_test(names_that_we_do_not_have_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
