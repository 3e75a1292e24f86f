#include "session/key_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "platform/platform.h"
#include "session/key_pem.h"
#include "session/wire.h"

#define FILE_CAP_BYTES 65536

static const char openssh_magic[] = "openssh-key-v1";

bool key_file_type_is_usable(const uint8_t *public_key, size_t len)
{
    static const char *const types[] = {"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
                                        "ecdsa-sha2-nistp521", "ssh-rsa"};
    struct wire_slice type = wire_key_type(public_key, len);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (wire_slice_is(type, types[i]))
            return true;
    }
    return false;
}

static enum err set_public(struct key_file *key, const uint8_t *blob, size_t len, struct err_info *info)
{
    struct wire_slice type = wire_key_type(blob, len);
    if (type.len == 0 || type.len > 100)
        return err_set(info, ERR_IO, "%s: the public key in it is broken", key->path);
    if (!key_file_type_is_usable(blob, len))
        return err_set(info, ERR_UNSUPPORTED, "%s: keys of type %.*s are not in this version; use ssh-ed25519",
                       key->path, (int)type.len, (const char *)type.data);
    free(key->public_key);
    key->public_key = malloc(len);
    if (key->public_key == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    memcpy(key->public_key, blob, len);
    key->public_key_len = len;
    return OK;
}

/* The base64 between the first line and "-----END", line ends taken out, decoded. Heap memory to be wiped. */
static uint8_t *decode_armour(const char *text, size_t len, size_t *out_len)
{
    const char *end = text + len;
    const char *at = memchr(text, '\n', len);
    char *packed = malloc(len + 1);
    uint8_t *data = malloc(len + 1);
    size_t packed_len = 0;
    bool good = false;
    *out_len = 0;
    if (packed != NULL && data != NULL && at != NULL) {
        for (; at < end && *at != '-'; at++) {
            if (*at != '\n' && *at != '\r' && *at != ' ' && *at != '\t')
                packed[packed_len++] = *at;
        }
        good = wire_base64_decode(packed, packed_len, data, len, out_len);
    }
    if (packed != NULL)
        platform_wipe(packed, len + 1);
    free(packed);
    if (!good && data != NULL) {
        platform_wipe(data, len + 1);
        free(data);
        data = NULL;
    }
    return data;
}

/* PROTOCOL.key: magic, cipher, kdf, kdf options, number of keys, public key, (encrypted) private part. */
static enum err parse_openssh(struct key_file *key, const char *text, size_t len, struct err_info *info)
{
    size_t data_len = 0;
    uint8_t *data = decode_armour(text, len, &data_len);
    enum err result = err_set(info, ERR_IO, "%s: the OpenSSH private key in it is broken", key->path);
    if (data == NULL)
        return result;
    if (data_len > sizeof openssh_magic && memcmp(data, openssh_magic, sizeof openssh_magic) == 0) {
        struct wire_reader reader;
        wire_reader_init(&reader, data + sizeof openssh_magic, data_len - sizeof openssh_magic);
        struct wire_slice cipher = wire_read_string(&reader);
        (void)wire_read_string(&reader); /* kdf */
        (void)wire_read_string(&reader); /* its options */
        uint32_t count = wire_read_u32(&reader);
        struct wire_slice public_key = wire_read_string(&reader);
        (void)wire_read_string(&reader); /* the private part */
        key->encrypted = !wire_slice_is(cipher, "none");
        if (!reader.bad && count == 1)
            result = set_public(key, public_key.data, public_key.len, info);
    }
    platform_wipe(data, data_len);
    free(data);
    return result;
}

static bool starts_with(const char *text, size_t len, const char *word)
{
    return len >= strlen(word) && memcmp(text, word, strlen(word)) == 0;
}

static bool contains(const char *text, size_t len, const char *word)
{
    size_t word_len = strlen(word);
    for (size_t i = 0; i + word_len <= len; i++) {
        if (memcmp(text + i, word, word_len) == 0)
            return true;
    }
    return false;
}

static enum err parse_pem(struct key_file *key, const char *text, size_t len, struct err_info *info)
{
    struct wire_writer blob;
    key->encrypted =
        starts_with(text, len, "-----BEGIN ENCRYPTED PRIVATE KEY") || contains(text, len, "Proc-Type: 4,ENCRYPTED");
    if (key->encrypted)
        return OK;
    wire_writer_init(&blob);
    enum err result = key_pem_public(text, len, "", &blob);
    if (result == OK)
        result = set_public(key, blob.data, blob.len, info);
    else
        (void)err_set(info, result, "%s: the private key in it is broken, or of a kind that is not in this version",
                      key->path);
    wire_writer_deinit(&blob);
    return result;
}

/* "type base64 [comment]" on the first line. */
static enum err parse_public_line(struct key_file *key, const char *text, size_t len, struct err_info *info)
{
    uint8_t blob[FILE_CAP_BYTES / 4];
    size_t blob_len = 0;
    const char *end = memchr(text, '\n', len);
    size_t line_len = end != NULL ? (size_t)(end - text) : len;
    const char *space = memchr(text, ' ', line_len);
    if (space != NULL) {
        const char *key64 = space + 1;
        size_t rest = line_len - (size_t)(key64 - text);
        size_t key64_len = 0;
        while (key64_len < rest && key64[key64_len] != ' ' && key64[key64_len] != '\r' && key64[key64_len] != '\t')
            key64_len++;
        struct wire_slice type = {NULL, 0};
        if (wire_base64_decode(key64, key64_len, blob, sizeof blob, &blob_len))
            type = wire_key_type(blob, blob_len);
        if (type.len > 0 && type.len == (size_t)(space - text) && memcmp(type.data, text, type.len) == 0)
            return set_public(key, blob, blob_len, info);
    }
    return err_set(info, ERR_IO, "%s is not a private key file", key->path);
}

static enum err keep_text(struct key_file *key, const char *text, size_t len, struct err_info *info)
{
    key->text = malloc(len + 1);
    if (key->text == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    memcpy(key->text, text, len);
    key->text[len] = '\0';
    key->len = len;
    return OK;
}

enum err key_file_parse(struct key_file *key, const char *path, const char *text, size_t len, struct err_info *info)
{
    memset(key, 0, sizeof *key);
    key->path = strdup(path);
    if (key->path == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    while (len > 0 && (*text == ' ' || *text == '\t' || *text == '\r' || *text == '\n')) {
        text++;
        len--;
    }
    if (starts_with(text, len, "PuTTY-User-Key-File"))
        return err_set(info, ERR_UNSUPPORTED, "%s is a PuTTY key: export it as an OpenSSH key with puttygen", path);
    if (starts_with(text, len, "---- BEGIN SSH2"))
        return err_set(info, ERR_UNSUPPORTED, "%s is in RFC 4716 form: convert it with ssh-keygen -i", path);
    if (starts_with(text, len, "-----BEGIN DSA PRIVATE KEY"))
        return err_set(info, ERR_UNSUPPORTED, "%s: DSA keys are not in this version; use ssh-ed25519", path);
    if (!starts_with(text, len, "-----BEGIN "))
        return parse_public_line(key, text, len, info);
    enum err result = keep_text(key, text, len, info);
    if (result != OK)
        return result;
    if (starts_with(text, len, "-----BEGIN OPENSSH PRIVATE KEY-----"))
        return parse_openssh(key, text, len, info);
    return parse_pem(key, text, len, info);
}

/* Reads at most FILE_CAP_BYTES into `buffer`; the length, or a libuv status. */
static ssize_t read_small(const char *path, char *buffer)
{
    uv_fs_t request;
    int file = uv_fs_open(NULL, &request, path, UV_FS_O_RDONLY, 0, NULL);
    uv_fs_req_cleanup(&request);
    if (file < 0)
        return file;
    ssize_t len = 0;
    for (;;) {
        uv_buf_t buf = uv_buf_init(buffer + len, (unsigned)(FILE_CAP_BYTES - len));
        int got = buf.len > 0 ? uv_fs_read(NULL, &request, file, &buf, 1, -1, NULL) : UV_EFBIG;
        uv_fs_req_cleanup(&request);
        if (got < 0)
            len = got;
        if (got <= 0)
            break;
        len += got;
    }
    (void)uv_fs_close(NULL, &request, file, NULL);
    uv_fs_req_cleanup(&request);
    return len;
}

/* Takes the public half from `path`.pub. */
static enum err load_public_half(struct key_file *key, char *buffer, struct err_info *info)
{
    size_t cap_bytes = strlen(key->path) + sizeof ".pub";
    char *path = malloc(cap_bytes);
    if (path == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    (void)snprintf(path, cap_bytes, "%s.pub", key->path);
    ssize_t len = read_small(path, buffer);
    free(path);
    if (len < 0)
        return err_set(info, ERR_IO, "%s cannot be read: %s", key->path, err_uv_text((int)len));
    return parse_public_line(key, buffer, (size_t)len, info);
}

enum err key_file_load(struct key_file *key, const char *path, struct err_info *info)
{
    enum err result = OK;
    memset(key, 0, sizeof *key);
    char *copy = NULL;
    char *buffer = malloc(FILE_CAP_BYTES);
    if (buffer == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    ssize_t len = read_small(path, buffer);
    if (len < 0 && (copy = platform_credential(path)) != NULL)
        len = read_small(copy, buffer);
    if (len < 0) {
        key->path = strdup(path);
        key->missing = len == UV_ENOENT || len == UV_ENOTDIR;
        result = key->path == NULL ? err_set(info, ERR_MEMORY, "out of memory")
                 : key->missing    ? load_public_half(key, buffer, info)
                                   : ERR_IO;
        if (result == OK)
            key->missing = false;
        else if (!key->missing)
            (void)err_set(info, result, "%s cannot be read: %s%s", path, err_uv_text((int)len),
                          platform_has_credentials() ? "; 'holdfast service install' hands it to the service" : "");
        goto out;
    }
    result = key_file_parse(key, path, buffer, (size_t)len, info);
    if (result == OK && key->text != NULL)
        result = platform_key_file_check(copy != NULL ? copy : path, info);
    if (result == OK && key->public_key == NULL)
        (void)load_public_half(key, buffer, NULL); /* the passphrase will tell otherwise */
out:
    platform_wipe(buffer, FILE_CAP_BYTES);
    free(buffer);
    free(copy);
    return result;
}

enum err key_file_unlock(struct key_file *key, const char *passphrase, struct err_info *info)
{
    struct wire_writer blob;
    wire_writer_init(&blob);
    enum err result = key_pem_public(key->text, key->len, passphrase, &blob);
    if (result == OK)
        result = set_public(key, blob.data, blob.len, info);
    else
        (void)err_set(info, result, "%s: wrong passphrase", key->path);
    wire_writer_deinit(&blob);
    return result;
}

void key_file_deinit(struct key_file *key)
{
    if (key->text != NULL)
        platform_wipe(key->text, key->len);
    free(key->text);
    free(key->path);
    free(key->public_key);
    memset(key, 0, sizeof *key);
}
