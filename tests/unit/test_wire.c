/* SSH's data types in memory: what is written is read back, and nothing is read that is not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "session/wire.h"

static void what_is_written_is_read_back(void **state)
{
    struct wire_writer writer;
    struct wire_reader reader;
    (void)state;
    wire_writer_init(&writer);
    wire_write_u8(&writer, 255);
    wire_write_u32(&writer, 0x01020304);
    wire_write_u32(&writer, UINT32_MAX);
    wire_write_string(&writer, "hello", 5);
    wire_write_string(&writer, "", 0);
    assert_false(writer.failed);
    assert_int_equal(writer.len, 1 + 4 + 4 + 9 + 4);
    wire_reader_init(&reader, writer.data, writer.len);
    assert_int_equal(wire_read_u8(&reader), 255);
    assert_int_equal(wire_read_u32(&reader), 0x01020304);
    assert_int_equal(wire_read_u32(&reader), UINT32_MAX);
    assert_true(wire_slice_is(wire_read_string(&reader), "hello"));
    struct wire_slice empty = wire_read_string(&reader);
    assert_int_equal(empty.len, 0);
    assert_false(reader.bad);
    assert_int_equal(reader.left, 0);
    wire_writer_deinit(&writer);
    assert_null(writer.data);
}

static void what_does_not_fit_turns_the_reader_bad(void **state)
{
    static const uint8_t bytes[] = {0, 0, 0, 5, 'h', 'e', 'l', 'l', 'o'};
    (void)state;
    for (size_t len = 0; len < sizeof bytes; len++) {
        struct wire_reader reader;
        uint8_t *exact = malloc(len + 1); /* so that a sanitizer sees a byte too far */
        assert_non_null(exact);
        memcpy(exact, bytes, len);
        exact = realloc(exact, len > 0 ? len : 1);
        assert_non_null(exact);
        wire_reader_init(&reader, exact, len);
        struct wire_slice slice = wire_read_string(&reader);
        assert_true(reader.bad);
        assert_int_equal(slice.len, 0);
        assert_null(slice.data);
        assert_int_equal(wire_read_u8(&reader), 0); /* it stays bad */
        assert_int_equal(wire_read_u32(&reader), 0);
        free(exact);
    }
}

static void huge_lengths_do_not_wrap(void **state)
{
    static const uint8_t bytes[] = {255, 255, 255, 255, 1, 2, 3, 4, 5};
    struct wire_reader reader;
    (void)state;
    wire_reader_init(&reader, bytes, sizeof bytes);
    (void)wire_read_string(&reader);
    assert_true(reader.bad);
}

static void slices_compare_by_length_and_bytes(void **state)
{
    static const uint8_t bytes[] = "abc";
    (void)state;
    assert_true(wire_slice_is((struct wire_slice){bytes, 3}, "abc"));
    assert_false(wire_slice_is((struct wire_slice){bytes, 2}, "abc"));
    assert_false(wire_slice_is((struct wire_slice){bytes, 4}, "abc"));
    assert_false(wire_slice_is((struct wire_slice){NULL, 0}, ""));
}

static void a_writer_grows_with_what_is_written(void **state)
{
    struct wire_writer writer;
    uint8_t part[1000];
    (void)state;
    memset(part, 7, sizeof part);
    wire_writer_init(&writer);
    for (int i = 0; i < 1000; i++) {
        wire_write_bytes(&writer, part, sizeof part);
        wire_write_bytes(&writer, part, 0);
    }
    assert_int_equal(writer.len, 1000 * sizeof part);
    assert_true(writer.cap_bytes < 4 * writer.len);
    assert_int_equal(writer.data[writer.len - 1], 7);
    wire_writer_deinit(&writer);
}

static void numbers_are_mpints(void **state)
{
    static const struct {
        uint8_t in[4];
        size_t in_len;
        uint8_t out[9];
        size_t out_len;
    } cases[] = {
        {{0}, 0, {0, 0, 0, 0}, 4},
        {{0, 0}, 2, {0, 0, 0, 0}, 4},
        {{0x7f}, 1, {0, 0, 0, 1, 0x7f}, 5},
        {{0x80}, 1, {0, 0, 0, 2, 0, 0x80}, 6},
        {{0, 0, 0x80, 1}, 4, {0, 0, 0, 3, 0, 0x80, 1}, 7},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wire_writer writer;
        wire_writer_init(&writer);
        wire_write_mpint(&writer, cases[i].in, cases[i].in_len);
        assert_int_equal(writer.len, cases[i].out_len);
        assert_memory_equal(writer.data, cases[i].out, cases[i].out_len);
        wire_writer_deinit(&writer);
    }
}

static void base64_goes_both_ways(void **state)
{
    uint8_t data[64];
    uint8_t back[64];
    size_t back_len = 0;
    (void)state;
    for (size_t len = 1; len <= sizeof data; len++) {
        for (size_t i = 0; i < len; i++) {
            data[i] = (uint8_t)(i * 37 + len);
        }
        char *text = wire_base64_encode(data, len);
        assert_non_null(text);
        assert_true(wire_base64_decode(text, strlen(text), back, sizeof back, &back_len));
        assert_int_equal(back_len, len);
        assert_memory_equal(back, data, len);
        assert_false(wire_base64_decode(text, strlen(text), back, len - 1, &back_len));
        free(text);
    }
}

static void what_is_not_base64_is_refused(void **state)
{
    static const char *const texts[] = {"",     "A",    "AA",   "AAA",      "A===",  "====", "AA=A",
                                        "=AAA", "AA A", "AA-_", "AAA=AAAA", "AAAAA", "AAA\n"};
    uint8_t out[16];
    size_t len = 0;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_false(wire_base64_decode(texts[i], strlen(texts[i]), out, sizeof out, &len));
    }
}

static void a_key_type_is_printable(void **state)
{
    static const uint8_t good[] = {0, 0, 0, 3, 'r', 's', 'a', 9};
    static const uint8_t bad[] = {0, 0, 0, 3, 'r', 27, 'a', 9};
    (void)state;
    assert_true(wire_slice_is(wire_key_type(good, sizeof good), "rsa"));
    assert_null(wire_key_type(bad, sizeof bad).data);
    assert_null(wire_key_type(good, 6).data);
}

/* "abc" has a SHA-256 that the standard itself prints (FIPS 180-4). */
static void a_fingerprint_is_written_as_ssh_does(void **state)
{
    char out[64];
    (void)state;
    assert_string_equal(wire_fingerprint((const uint8_t *)"abc", 3, out, sizeof out),
                        "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(what_does_not_fit_turns_the_reader_bad),
        cmocka_unit_test(huge_lengths_do_not_wrap),
        cmocka_unit_test(slices_compare_by_length_and_bytes),
        cmocka_unit_test(a_writer_grows_with_what_is_written),
        cmocka_unit_test(numbers_are_mpints),
        cmocka_unit_test(base64_goes_both_ways),
        cmocka_unit_test(what_is_not_base64_is_refused),
        cmocka_unit_test(a_key_type_is_printable),
        cmocka_unit_test(a_fingerprint_is_written_as_ssh_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
