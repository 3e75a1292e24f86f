#include "session/auth_agent.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "platform/platform.h"

#define REQUEST_IDENTITIES 11
#define IDENTITIES_ANSWER 12
#define SIGN_REQUEST 13
#define SIGN_RESPONSE 14
#define RSA_SHA2_256 2U
#define RSA_SHA2_512 4U

#define ANSWER_CAP_BYTES ((size_t)256 * 1024)
#define COMMENT_CAP_BYTES 128
#define CONNECT_TIMEOUT_MS 5000
#define LIST_TIMEOUT_MS 5000
#define SIGN_TIMEOUT_MS 60000 /* the agent may ask its owner, or wait for a touch */

static char *copy_comment(struct wire_slice comment)
{
    size_t len = comment.len < COMMENT_CAP_BYTES ? comment.len : COMMENT_CAP_BYTES;
    char *text = malloc(len + 1);
    if (text == NULL)
        return NULL;
    for (size_t i = 0; i < len; i++)
        text[i] = comment.data[i] < 0x20 || comment.data[i] >= 0x7f ? '?' : (char)comment.data[i];
    text[len] = '\0';
    return text;
}

enum err auth_agent_parse_identities(const uint8_t *answer, size_t len, struct auth_agent_keys *out,
                                     struct err_info *info)
{
    struct wire_reader reader;
    out->items = NULL;
    out->count = 0;
    wire_reader_init(&reader, answer, len);
    uint8_t type = wire_read_u8(&reader);
    uint32_t count = wire_read_u32(&reader);
    if (reader.bad || type != IDENTITIES_ANSWER)
        return err_set(info, ERR_PROTOCOL, "the agent did not list its keys");
    if (count > AUTH_AGENT_KEY_CAP || count > reader.left / 8)
        return err_set(info, ERR_PROTOCOL, "the agent claims to have %lu keys", (unsigned long)count);
    if (count == 0)
        return OK;
    out->items = calloc(count, sizeof *out->items);
    if (out->items == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    for (uint32_t i = 0; i < count; i++) {
        struct wire_slice blob = wire_read_string(&reader);
        struct wire_slice comment = wire_read_string(&reader);
        if (reader.bad || blob.len == 0) {
            auth_agent_keys_deinit(out);
            return err_set(info, ERR_PROTOCOL, "the agent's list of keys is broken");
        }
        struct auth_agent_key *key = &out->items[out->count++];
        key->blob = malloc(blob.len);
        key->comment = copy_comment(comment);
        if (key->blob == NULL || key->comment == NULL) {
            auth_agent_keys_deinit(out);
            return err_set(info, ERR_MEMORY, "out of memory");
        }
        memcpy(key->blob, blob.data, blob.len);
        key->len = blob.len;
    }
    return OK;
}

enum err auth_agent_parse_signature(const uint8_t *answer, size_t len, struct wire_slice algorithm,
                                    struct wire_slice *out, struct err_info *info)
{
    struct wire_reader reader;
    wire_reader_init(&reader, answer, len);
    uint8_t type = wire_read_u8(&reader);
    if (reader.bad || type != SIGN_RESPONSE)
        return err_set(info, ERR_REFUSED, "the agent refused to sign (locked, or not confirmed)");
    struct wire_slice whole = wire_read_string(&reader);
    wire_reader_init(&reader, whole.data, whole.len);
    struct wire_slice made_by = wire_read_string(&reader);
    *out = wire_read_string(&reader);
    if (reader.bad || out->len == 0)
        return err_set(info, ERR_PROTOCOL, "the agent's signature is broken");
    if (made_by.len != algorithm.len || memcmp(made_by.data, algorithm.data, algorithm.len) != 0)
        return err_set(info, ERR_PROTOCOL, "the agent signed by another algorithm than the one asked for (%.*s)",
                       algorithm.len < 64 ? (int)algorithm.len : 64, (const char *)algorithm.data);
    return OK;
}

void auth_agent_write_sign(struct wire_writer *out, const uint8_t *key, size_t key_len, const uint8_t *data, size_t len,
                           struct wire_slice algorithm)
{
    uint32_t flags = wire_slice_is(algorithm, "rsa-sha2-512")   ? RSA_SHA2_512
                     : wire_slice_is(algorithm, "rsa-sha2-256") ? RSA_SHA2_256
                                                                : 0;
    wire_write_u8(out, SIGN_REQUEST);
    wire_write_string(out, key, key_len);
    wire_write_string(out, data, len);
    wire_write_u32(out, flags);
}

static char *environment(const char *name)
{
    char probe[1];
    size_t size = sizeof probe;
    if (uv_os_getenv(name, probe, &size) != UV_ENOBUFS)
        return NULL; /* unset or empty */
    char *value = malloc(size);
    if (value != NULL && uv_os_getenv(name, value, &size) != 0) {
        free(value);
        value = NULL;
    }
    return value;
}

char *auth_agent_path(const struct host_spec *spec)
{
    const char *wanted = spec->identity_agent;
    if (wanted == NULL || strcmp(wanted, "SSH_AUTH_SOCK") == 0)
        return platform_agent_default();
    if (strcmp(wanted, "none") == 0)
        return NULL;
    if (wanted[0] == '$')
        return environment(wanted + 1);
    return strdup(wanted);
}

/* One question on a connection of its own. */
static enum err ask(const char *path, const uint8_t *request, size_t request_len, uint64_t timeout_ms,
                    uint8_t **out_answer, size_t *out_len, struct err_info *info)
{
    struct platform_agent *agent = NULL;
    enum err result = platform_agent_connect(path, CONNECT_TIMEOUT_MS, &agent, info);
    if (result == OK)
        result = platform_agent_exchange(agent, request, request_len, ANSWER_CAP_BYTES, timeout_ms, out_answer, out_len,
                                         info);
    platform_agent_close(agent);
    return result;
}

enum err auth_agent_list(const char *path, struct auth_agent_keys *out, struct err_info *info)
{
    static const uint8_t request[] = {REQUEST_IDENTITIES};
    uint8_t *answer = NULL;
    size_t len = 0;
    out->items = NULL;
    out->count = 0;
    enum err result = ask(path, request, sizeof request, LIST_TIMEOUT_MS, &answer, &len, info);
    if (result == OK)
        result = auth_agent_parse_identities(answer, len, out, info);
    free(answer);
    return result;
}

enum err auth_agent_sign(const char *path, const uint8_t *key, size_t key_len, const uint8_t *data, size_t len,
                         struct wire_slice algorithm, uint8_t **out_signature, size_t *out_len, struct err_info *info)
{
    struct wire_writer request;
    struct wire_slice signature = {NULL, 0};
    uint8_t *answer = NULL;
    size_t answer_len = 0;
    *out_signature = NULL;
    *out_len = 0;
    wire_writer_init(&request);
    auth_agent_write_sign(&request, key, key_len, data, len, algorithm);
    enum err result = request.failed
                          ? err_set(info, ERR_MEMORY, "out of memory")
                          : ask(path, request.data, request.len, SIGN_TIMEOUT_MS, &answer, &answer_len, info);
    if (result == OK)
        result = auth_agent_parse_signature(answer, answer_len, algorithm, &signature, info);
    if (result == OK) {
        *out_signature = malloc(signature.len + 1);
        if (*out_signature == NULL) {
            result = err_set(info, ERR_MEMORY, "out of memory");
        } else if (signature.data != NULL) {
            memcpy(*out_signature, signature.data, signature.len);
            *out_len = signature.len;
        }
    }
    free(answer);
    wire_writer_deinit(&request);
    return result;
}

void auth_agent_keys_deinit(struct auth_agent_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++) {
        free(keys->items[i].blob);
        free(keys->items[i].comment);
    }
    free(keys->items);
    keys->items = NULL;
    keys->count = 0;
}
