/* One-shot multicast DNS: the query as RFC 6762 has it, answers of the kind responders send, and broken ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "session/mdns_wire.h"

#define HEADER(id, flags, questions, answers, more)                                                                    \
    (uint8_t)((id) >> 8), (uint8_t)(id), (uint8_t)((flags) >> 8), (uint8_t)(flags), 0, questions, 0, answers, 0, 0, 0, \
        more
#define NAME 3, 'm', 'a', 'c', 5, 'l', 'o', 'c', 'a', 'l', 0
#define POINTER 0xc0, 12
#define A_RECORD(last) 0, 1, 0, 1, 0, 0, 0, 10, 0, 4, 192, 0, 2, last

static void local_names(void **state)
{
    static const char *const yes[] = {"mac.local", "MAC.Local", "a.b.local", "mac.local."};
    static const char *const no[] = {"mac",        "local",    ".local", "mac.local.example",
                                     "mac.locale", "maclocal", "",       "192.0.2.1"};
    (void)state;
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        assert_true(mdns_is_local(yes[i]));
    }
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        assert_false(mdns_is_local(no[i]));
    }
}

static void the_query_is_as_it_should_be(void **state)
{
    static const uint8_t both[] = {HEADER(0x1234, 0, 2, 0, 0), NAME, 0, 1, 0, 1, POINTER, 0, 28, 0, 1};
    static const uint8_t six[] = {HEADER(0x1234, 0, 1, 0, 0), NAME, 0, 28, 0, 1};
    uint8_t out[MDNS_QUERY_MAX_BYTES];
    (void)state;
    assert_int_equal(mdns_encode_query("mac.local", 0x1234, true, true, out), sizeof both);
    assert_memory_equal(out, both, sizeof both);
    assert_int_equal(mdns_encode_query("mac.local.", 0x1234, false, true, out), sizeof six);
    assert_memory_equal(out, six, sizeof six);
}

static void names_that_cannot_be_asked_for(void **state)
{
    uint8_t out[MDNS_QUERY_MAX_BYTES];
    char name[400];
    (void)state;
    assert_int_equal(mdns_encode_query("", 1, true, true, out), 0);
    assert_int_equal(mdns_encode_query("a..local", 1, true, true, out), 0);
    memset(name, 'a', sizeof name);
    memcpy(name + 64, ".local", 7);
    assert_int_equal(mdns_encode_query(name, 1, true, true, out), 0);
    memcpy(name + 63, ".local", 7);
    assert_true(mdns_encode_query(name, 1, true, true, out) > 0);
    for (size_t i = 0; i < sizeof name; i++) {
        name[i] = i % 2 == 0 ? 'a' : '.';
    }
    name[253] = '\0';
    assert_true(mdns_encode_query(name, 1, true, true, out) > 0);
    name[253] = '.';
    name[255] = '\0';
    assert_int_equal(mdns_encode_query(name, 1, true, true, out), 0);
}

static void answers_are_read(void **state)
{
    static const uint8_t data[] = {HEADER(7, 0x8400, 1, 2, 2),
                                   NAME,
                                   0,
                                   1,
                                   0,
                                   1, /* the question */
                                   POINTER,
                                   A_RECORD(1), /* an answer */
                                   3,
                                   'M',
                                   'A',
                                   'C',
                                   0xc0,
                                   16,
                                   0,
                                   1,
                                   0x80,
                                   1,
                                   0,
                                   0,
                                   0,
                                   10,
                                   0,
                                   4,
                                   192,
                                   0,
                                   2,
                                   1, /* again */
                                   3,
                                   'x',
                                   'y',
                                   'z',
                                   0xc0,
                                   16,
                                   A_RECORD(9), /* of another name */
                                   POINTER,
                                   0,
                                   28,
                                   0x80,
                                   1,
                                   0,
                                   0,
                                   0,
                                   10,
                                   0,
                                   16,
                                   0xfe,
                                   0x80,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   1};
    struct mdns_addresses out = {.count = 0};
    (void)state;
    assert_true(mdns_parse_response(data, sizeof data, "Mac.local", 7, &out));
    assert_int_equal(out.count, 2);
    assert_false(out.items[0].is_ipv6);
    assert_memory_equal(out.items[0].bytes, ((const uint8_t[]){192, 0, 2, 1}), 4);
    assert_true(out.items[1].is_ipv6);
    assert_int_equal(out.items[1].bytes[0], 0xfe);
    assert_int_equal(out.items[1].bytes[15], 1);
}

static void what_is_no_answer_to_us(void **state)
{
    static const struct {
        const char *why;
        uint8_t data[64];
        size_t len;
    } cases[] = {
        {"another id", {HEADER(8, 0x8400, 0, 1, 0), NAME, A_RECORD(1)}, 37},
        {"a query", {HEADER(7, 0x0000, 0, 1, 0), NAME, A_RECORD(1)}, 37},
        {"another opcode", {HEADER(7, 0xa400, 0, 1, 0), NAME, A_RECORD(1)}, 37},
        {"an error", {HEADER(7, 0x8403, 0, 1, 0), NAME, A_RECORD(1)}, 37},
        {"questions that are not there", {HEADER(7, 0x8400, 9, 1, 0), NAME, A_RECORD(1)}, 37},
        {"no header", {0, 7, 0x84, 0}, 4},
        {"nothing", {0}, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mdns_addresses out = {.count = 0};
        assert_false(mdns_parse_response(cases[i].data, cases[i].len, "mac.local", 7, &out));
        assert_int_equal(out.count, 0);
    }
}

static void broken_records_add_nothing(void **state)
{
    static const uint8_t whole[] = {HEADER(7, 0x8400, 0, 1, 0), NAME, A_RECORD(1)};
    static const uint8_t self[] = {HEADER(7, 0x8400, 0, 1, 0), 0xc0, 12, A_RECORD(1)};
    static const uint8_t forward[] = {HEADER(7, 0x8400, 0, 1, 0), 0xc0, 40, A_RECORD(1), NAME};
    static const uint8_t short_a[] = {HEADER(7, 0x8400, 0, 1, 0), NAME, 0, 1, 0, 1, 0, 0, 0, 10, 0, 3, 1, 2, 3};
    static const uint8_t other_class[] = {HEADER(7, 0x8400, 0, 1, 0), NAME, 0, 1, 0, 3, 0, 0, 0, 10, 0, 4, 1, 2, 3, 4};
    struct mdns_addresses out = {.count = 0};
    (void)state;
    for (size_t len = 12; len < sizeof whole; len++) {
        uint8_t *copy = malloc(len); /* so that a sanitizer sees a step too far */
        assert_non_null(copy);
        memcpy(copy, whole, len);
        assert_true(mdns_parse_response(copy, len, "mac.local", 7, &out));
        assert_int_equal(out.count, 0);
        free(copy);
    }
    assert_true(mdns_parse_response(self, sizeof self, "mac.local", 7, &out));
    assert_true(mdns_parse_response(forward, sizeof forward, "mac.local", 7, &out));
    assert_true(mdns_parse_response(short_a, sizeof short_a, "mac.local", 7, &out));
    assert_true(mdns_parse_response(other_class, sizeof other_class, "mac.local", 7, &out));
    assert_int_equal(out.count, 0);
    assert_true(mdns_parse_response(whole, sizeof whole, "mac.local", 7, &out));
    assert_int_equal(out.count, 1);
}

static void too_many_addresses_are_cut(void **state)
{
    uint8_t data[2000] = {HEADER(7, 0x8400, 0, 40, 0)};
    static const uint8_t name[] = {NAME};
    struct mdns_addresses out = {.count = 0};
    size_t len = 12;
    (void)state;
    for (uint8_t i = 0; i < 40; i++) {
        const uint8_t record[] = {A_RECORD(i)};
        memcpy(data + len, name, sizeof name);
        memcpy(data + len + sizeof name, record, sizeof record);
        len += sizeof name + sizeof record;
    }
    assert_true(mdns_parse_response(data, len, "mac.local", 7, &out));
    assert_int_equal(out.count, MDNS_ADDRESSES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(local_names),
        cmocka_unit_test(the_query_is_as_it_should_be),
        cmocka_unit_test(names_that_cannot_be_asked_for),
        cmocka_unit_test(answers_are_read),
        cmocka_unit_test(what_is_no_answer_to_us),
        cmocka_unit_test(broken_records_add_nothing),
        cmocka_unit_test(too_many_addresses_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
