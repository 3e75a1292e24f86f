/* The ssh-agent's answers, honest and hostile, and what is in key files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "session/auth_agent.h"
#include "session/key_file.h"

static struct wire_slice slice(const char *text)
{
    return (struct wire_slice){(const uint8_t *)text, strlen(text)};
}

static void write_text(struct wire_writer *out, const char *text)
{
    wire_write_string(out, text, strlen(text));
}

/* An answer that lists two keys. */
static void two_keys(struct wire_writer *out)
{
    wire_writer_init(out);
    wire_write_u8(out, 12);
    wire_write_u32(out, 2);
    write_text(out, "blob one");
    write_text(out, "me@desk");
    write_text(out, "blob two");
    write_text(out, "evil \x1b[2J\n comment");
}

static void lists_keys(void **state)
{
    struct wire_writer answer;
    struct auth_agent_keys keys;
    (void)state;
    two_keys(&answer);
    assert_int_equal(auth_agent_parse_identities(answer.data, answer.len, &keys, NULL), OK);
    assert_int_equal(keys.count, 2);
    assert_memory_equal(keys.items[0].blob, "blob one", 8);
    assert_string_equal(keys.items[0].comment, "me@desk");
    assert_string_equal(keys.items[1].comment, "evil ?[2J? comment");
    auth_agent_keys_deinit(&keys);
    wire_writer_deinit(&answer);
}

static void every_cut_of_a_list_is_an_error(void **state)
{
    struct wire_writer answer;
    struct auth_agent_keys keys;
    struct err_info info;
    (void)state;
    two_keys(&answer);
    for (size_t len = 0; len < answer.len; len++) {
        uint8_t *cut = malloc(len > 0 ? len : 1); /* the sanitizers watch its end */
        assert_non_null(cut);
        memcpy(cut, answer.data, len);
        assert_int_equal(auth_agent_parse_identities(cut, len, &keys, &info), ERR_PROTOCOL);
        assert_int_equal(keys.count, 0);
        assert_null(keys.items);
        free(cut);
    }
    wire_writer_deinit(&answer);
}

static void absurd_lists_are_errors(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
        {"\x05", 1},                                                  /* SSH_AGENT_FAILURE */
        {"\x0c\xff\xff\xff\xff", 5},                                  /* four thousand million keys */
        {"\x0c\x00\x00\x08\x01", 5},                                  /* one more than we take */
        {"\x0c\x00\x00\x00\x01\xff\xff\xff\xff\x00\x00\x00\x00", 13}, /* a key of 4 GiB */
        {"\x0c\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00", 13}, /* an empty key */
    };
    struct auth_agent_keys keys;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(auth_agent_parse_identities((const uint8_t *)rows[i].bytes, rows[i].len, &keys, NULL),
                         ERR_PROTOCOL);
        assert_int_equal(keys.count, 0);
    }
    assert_int_equal(auth_agent_parse_identities((const uint8_t *)"\x0c\x00\x00\x00\x00", 5, &keys, NULL), OK);
    assert_int_equal(keys.count, 0);
}

static enum err signature_of(const char *made_by, const char *asked, struct wire_slice *out, struct wire_writer *answer)
{
    struct wire_writer inner;
    wire_writer_init(&inner);
    write_text(&inner, made_by);
    write_text(&inner, "signature");
    wire_writer_init(answer);
    wire_write_u8(answer, 14);
    wire_write_string(answer, inner.data, inner.len);
    wire_writer_deinit(&inner);
    return auth_agent_parse_signature(answer->data, answer->len, slice(asked), out, NULL);
}

static void takes_signatures_of_the_algorithm_asked_for(void **state)
{
    struct wire_writer answer;
    struct wire_slice signature;
    (void)state;
    assert_int_equal(signature_of("rsa-sha2-512", "rsa-sha2-512", &signature, &answer), OK);
    assert_true(wire_slice_is(signature, "signature"));
    for (size_t len = 0; len < answer.len; len++)
        assert_int_not_equal(auth_agent_parse_signature(answer.data, len, slice("rsa-sha2-512"), &signature, NULL), OK);
    wire_writer_deinit(&answer);
    assert_int_equal(signature_of("ssh-rsa", "rsa-sha2-512", &signature, &answer), ERR_PROTOCOL); /* SHA-1 */
    wire_writer_deinit(&answer);
    assert_int_equal(auth_agent_parse_signature((const uint8_t *)"\x05", 1, slice("x"), &signature, NULL), ERR_REFUSED);
}

static uint32_t flags_for(const char *algorithm)
{
    struct wire_writer request;
    struct wire_reader reader;
    wire_writer_init(&request);
    auth_agent_write_sign(&request, (const uint8_t *)"key", 3, (const uint8_t *)"data", 4, slice(algorithm));
    wire_reader_init(&reader, request.data, request.len);
    assert_int_equal(wire_read_u8(&reader), 13);
    assert_true(wire_slice_is(wire_read_string(&reader), "key"));
    assert_true(wire_slice_is(wire_read_string(&reader), "data"));
    uint32_t flags = wire_read_u32(&reader);
    assert_false(reader.bad);
    assert_int_equal(reader.left, 0);
    wire_writer_deinit(&request);
    return flags;
}

static void rsa_is_signed_by_sha2(void **state)
{
    (void)state;
    assert_int_equal(flags_for("rsa-sha2-512"), 4);
    assert_int_equal(flags_for("rsa-sha2-256"), 2);
    assert_int_equal(flags_for("ssh-ed25519"), 0);
}

static void numbers_are_written_as_mpint(void **state)
{
    struct wire_writer out;
    (void)state;
    wire_writer_init(&out);
    wire_write_mpint(&out, (const uint8_t *)"\x00\x00\x80", 3);
    wire_write_mpint(&out, (const uint8_t *)"\x00\x7f", 2);
    wire_write_mpint(&out, (const uint8_t *)"\x00", 1);
    assert_int_equal(out.len, 15);
    assert_memory_equal(out.data, "\0\0\0\2\0\x80\0\0\0\1\x7f\0\0\0\0", 15);
    wire_writer_deinit(&out);
}

static void expect_key(const char *text, enum err result, bool has_public)
{
    struct key_file key;
    assert_int_equal(key_file_parse(&key, "file", text, strlen(text), NULL), result);
    assert_int_equal(key.public_key != NULL, has_public);
    key_file_deinit(&key);
}

static void files_that_are_keys_and_files_that_are_not(void **state)
{
    (void)state;
    expect_key("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB me\n", OK, true);
    expect_key("\r\n ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\r\n", OK, true);
    expect_key("ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB", ERR_IO, false);
    expect_key("ssh-dss AAAAB3NzaC1kc3MAAAAA", ERR_UNSUPPORTED, false);
    expect_key("sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t", ERR_UNSUPPORTED, false);
    expect_key("", ERR_IO, false);
    expect_key("ssh-ed25519", ERR_IO, false);
    expect_key("ssh-ed25519 ", ERR_IO, false);
    expect_key("PuTTY-User-Key-File-2: ssh-rsa", ERR_UNSUPPORTED, false);
    expect_key("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----", ERR_UNSUPPORTED, false);
    expect_key("-----BEGIN ", ERR_AUTH, false);
    expect_key("-----BEGIN OPENSSH PRIVATE KEY-----", ERR_IO, false);
    expect_key("-----BEGIN OPENSSH PRIVATE KEY-----\n-----END OPENSSH PRIVATE KEY-----\n", ERR_IO, false);
    expect_key("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n", ERR_IO, false);
    expect_key("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA/////w==\n", ERR_IO, false);
    expect_key("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n", OK, false); /* only a passphrase would tell */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_keys),
        cmocka_unit_test(every_cut_of_a_list_is_an_error),
        cmocka_unit_test(absurd_lists_are_errors),
        cmocka_unit_test(takes_signatures_of_the_algorithm_asked_for),
        cmocka_unit_test(rsa_is_signed_by_sha2),
        cmocka_unit_test(numbers_are_written_as_mpint),
        cmocka_unit_test(files_that_are_keys_and_files_that_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
