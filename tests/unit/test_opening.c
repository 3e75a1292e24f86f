/* What a peer says before anything is encrypted: greetings and offers of sshds, and what else may be behind a port. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "session/opening.h"

static const char greeting[] = "SSH-2.0-OpenSSH_9.9\r\n";

/* A greeting and a KEXINIT. */
static void write_opening(struct wire_writer *out)
{
    static const char *const lists[] = {"curve25519-sha256,kex-strict-s",
                                        "ssh-ed25519",
                                        "aes128-ctr",
                                        "aes256-ctr",
                                        "hmac-sha2-256",
                                        "",
                                        "none",
                                        "none",
                                        "",
                                        ""};
    wire_writer_init(out);
    wire_write_bytes(out, greeting, sizeof greeting - 1);
    wire_write_u32(out, 200);
    wire_write_u8(out, 4);
    wire_write_u8(out, 20);
    for (size_t i = 0; i < 16; i++) {
        wire_write_u8(out, (uint8_t)i);
    }
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        wire_write_string(out, lists[i], strlen(lists[i]));
    }
    assert_false(out->failed);
}

static void a_sshd_is_understood(void **state)
{
    struct wire_writer bytes;
    struct opening opening;
    (void)state;
    write_opening(&bytes);
    opening_parse(bytes.data, bytes.len, &opening);
    assert_string_equal(opening.line, "SSH-2.0-OpenSSH_9.9");
    assert_true(opening.is_ssh);
    assert_true(opening.has_offer);
    assert_false(opening.is_old_ssh);
    assert_true(wire_slice_is(opening.lists[OPENING_HOST_KEY], "ssh-ed25519"));
    assert_true(wire_slice_is(opening.lists[OPENING_CIPHER_FROM_PEER], "aes256-ctr"));
    assert_int_equal(opening.lists[OPENING_MAC_FROM_PEER].len, 0);
    wire_writer_deinit(&bytes);
}

static void any_part_of_it_is_read_within_its_bounds(void **state)
{
    struct wire_writer bytes;
    (void)state;
    write_opening(&bytes);
    for (size_t len = 0; len < bytes.len; len++) {
        struct opening opening;
        uint8_t *exact = malloc(len + 1);
        assert_non_null(exact);
        memcpy(exact, bytes.data, len);
        exact = realloc(exact, len > 0 ? len : 1); /* so that a sanitizer sees a byte too far */
        assert_non_null(exact);
        opening_parse(exact, len, &opening);
        assert_int_equal(opening.is_ssh, len >= sizeof greeting - 1);
        assert_true(len + 16 > bytes.len || !opening.has_offer || len > 100);
        free(exact);
    }
    wire_writer_deinit(&bytes);
}

static void other_servers_are_shown(void **state)
{
    static const struct {
        const char *bytes, *line;
        bool is_ssh, is_old;
    } cases[] = {
        {"", "", false, false},
        {"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n", "HTTP/1.1 400 Bad Request", false, false},
        {"220 mail\x1b[31m\r\n", "220 mail?[31m", false, false},
        {"\r\n\r\nhello", "hello", false, false},
        {"SSH-1.5-old\n", "SSH-1.5-old", false, true},
        {"SSH-1.99-both\n", "SSH-1.99-both", true, false},
        {"welcome\r\nSSH-2.0-x\r\n", "SSH-2.0-x", true, false},
        {"SSH-2.0-x", "SSH-2.0-x", false, false}, /* not yet whole */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct opening opening;
        opening_parse((const uint8_t *)cases[i].bytes, strlen(cases[i].bytes), &opening);
        assert_string_equal(opening.line, cases[i].line);
        assert_int_equal(opening.is_ssh, cases[i].is_ssh);
        assert_int_equal(opening.is_old_ssh, cases[i].is_old);
        assert_false(opening.has_offer);
    }
}

static struct wire_slice slice(const char *text)
{
    return (struct wire_slice){(const uint8_t *)text, strlen(text)};
}

static void the_first_of_ours_is_taken(void **state)
{
    (void)state;
    assert_true(wire_slice_is(opening_common(slice("a,bb,c"), "x,bb,a"), "bb"));
    assert_true(wire_slice_is(opening_common(slice("c"), "c"), "c"));
    assert_int_equal(opening_common(slice("aa,b"), "a,bb,").len, 0);
    assert_int_equal(opening_common(slice(""), "a").len, 0);
    assert_int_equal(opening_common(slice(","), "").len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sshd_is_understood),
        cmocka_unit_test(any_part_of_it_is_read_within_its_bounds),
        cmocka_unit_test(other_servers_are_shown),
        cmocka_unit_test(the_first_of_ours_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
