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

static void nothing_weak_is_offered_unasked(void **state)
{
    static const char *const weak[] = {"sha1", "cbc", "md5", "arcfour", "none", "3des", "group1-"};
    const char *const lists[] = {algorithms_default_kex, algorithms_default_ciphers, algorithms_default_macs};
    (void)state;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        for (size_t j = 0; j < sizeof weak / sizeof weak[0]; j++) {
            assert_null(strstr(lists[i], weak[j]));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_change_as_ssh_config_says),
        cmocka_unit_test(nothing_weak_is_offered_unasked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
