#include "session/key_make.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "platform/platform.h"
#include "session/wire.h"

enum { HALF_BYTES = 32, CIPHER_BLOCK_BYTES = 8, LINE_CHARS = 70 };

static const char type[] = "ssh-ed25519";

struct pair {
    uint8_t public_half[HALF_BYTES];
    uint8_t private_half[HALF_BYTES];
};

static bool generate(struct pair *pair)
{
    size_t public_len = HALF_BYTES;
    size_t private_len = HALF_BYTES;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    bool good = key != NULL && EVP_PKEY_get_raw_public_key(key, pair->public_half, &public_len) == 1 &&
                EVP_PKEY_get_raw_private_key(key, pair->private_half, &private_len) == 1 && public_len == HALF_BYTES &&
                private_len == HALF_BYTES;
    EVP_PKEY_free(key);
    ERR_clear_error();
    return good;
}

static void write_public_blob(struct wire_writer *out, const struct pair *pair)
{
    wire_write_string(out, type, strlen(type));
    wire_write_string(out, pair->public_half, HALF_BYTES);
}

/* The part of the file that a passphrase would encrypt (PROTOCOL.key, section 3). */
static bool write_private_part(struct wire_writer *out, const struct pair *pair, const char *comment)
{
    uint32_t check = 0;
    if (RAND_bytes((unsigned char *)&check, sizeof check) != 1)
        return false;
    wire_write_u32(out, check);
    wire_write_u32(out, check);
    wire_write_string(out, type, strlen(type));
    wire_write_string(out, pair->public_half, HALF_BYTES);
    wire_write_u32(out, 2 * HALF_BYTES);
    wire_write_bytes(out, pair->private_half, HALF_BYTES);
    wire_write_bytes(out, pair->public_half, HALF_BYTES);
    wire_write_string(out, comment, strlen(comment));
    for (uint8_t pad = 1; out->len % CIPHER_BLOCK_BYTES != 0 && !out->failed; pad++)
        wire_write_u8(out, pad);
    return !out->failed;
}

static bool write_key(struct wire_writer *out, const struct pair *pair, const char *comment)
{
    static const char magic[] = "openssh-key-v1";
    struct wire_writer part;
    wire_writer_init(&part);
    wire_write_bytes(out, magic, sizeof magic);
    wire_write_string(out, "none", 4); /* cipher */
    wire_write_string(out, "none", 4); /* key derivation */
    wire_write_string(out, "", 0);
    wire_write_u32(out, 1);
    write_public_blob(&part, pair);
    wire_write_string(out, part.data, part.len);
    bool good = !part.failed;
    wire_writer_deinit(&part);
    wire_writer_init(&part);
    good = write_private_part(&part, pair, comment) && good;
    wire_write_string(out, part.data, part.len);
    wire_writer_deinit(&part);
    return good && !out->failed;
}

/* The file's text: base64 in lines between two marks. */
static bool write_armour(struct wire_writer *out, const struct wire_writer *key)
{
    static const char begin[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
    static const char end[] = "-----END OPENSSH PRIVATE KEY-----\n";
    char *text = wire_base64_encode(key->data, key->len);
    if (text == NULL)
        return false;
    size_t len = strlen(text);
    wire_write_bytes(out, begin, sizeof begin - 1);
    for (size_t at = 0; at < len; at += LINE_CHARS) {
        wire_write_bytes(out, text + at, len - at < LINE_CHARS ? len - at : LINE_CHARS);
        wire_write_u8(out, '\n');
    }
    wire_write_bytes(out, end, sizeof end - 1);
    platform_wipe(text, len);
    free(text);
    return !out->failed;
}

static int fs_status(uv_fs_t *request, ssize_t status)
{
    uv_fs_req_cleanup(request);
    return status < 0 ? (int)status : 0;
}

/* A new file with all of `data`, or none. */
static enum err write_public(const char *path, uint8_t *data, size_t len, struct err_info *info)
{
    uv_fs_t request;
    int file = uv_fs_open(NULL, &request, path, UV_FS_O_WRONLY | UV_FS_O_CREAT | UV_FS_O_EXCL, 0644, NULL);
    uv_fs_req_cleanup(&request);
    if (file < 0)
        return err_set(info, ERR_IO, "%s cannot be made: %s", path, err_uv_text(file));
    int status = 0;
    for (size_t done = 0; done < len && status == 0;) {
        uv_buf_t part = uv_buf_init((char *)data + done, (unsigned)(len - done));
        ssize_t written = uv_fs_write(NULL, &request, file, &part, 1, -1, NULL);
        status = fs_status(&request, written == 0 ? UV_EIO : written);
        done += status == 0 ? (size_t)written : 0;
    }
    if (status == 0)
        status = fs_status(&request, uv_fs_fsync(NULL, &request, file, NULL));
    int closed = fs_status(&request, uv_fs_close(NULL, &request, file, NULL));
    status = status == 0 ? closed : status;
    if (status != 0) {
        (void)fs_status(&request, uv_fs_unlink(NULL, &request, path, NULL));
        return err_set(info, ERR_IO, "%s cannot be written: %s", path, err_uv_text(status));
    }
    return OK;
}

static char *public_line(const uint8_t *blob, size_t len, const char *comment)
{
    struct wire_slice kind = wire_key_type(blob, len);
    char *text = wire_base64_encode(blob, len);
    char *line = NULL;
    if (text != NULL) {
        size_t cap_bytes = kind.len + strlen(text) + strlen(comment) + 3;
        line = malloc(cap_bytes);
        if (line != NULL)
            (void)snprintf(line, cap_bytes, "%.*s %s %s", (int)kind.len, (const char *)kind.data, text, comment);
    }
    free(text);
    return line;
}

char *key_public_line(const struct key_file *key, const char *comment)
{
    return key->public_key == NULL ? NULL : public_line(key->public_key, key->public_key_len, comment);
}

static enum err write_public_file(const char *path, const struct pair *pair, const char *comment, struct err_info *info)
{
    struct wire_writer blob;
    struct wire_writer text;
    char name[4096];
    enum err result = err_set(info, ERR_MEMORY, "out of memory");
    wire_writer_init(&blob);
    wire_writer_init(&text);
    write_public_blob(&blob, pair);
    char *line = blob.failed ? NULL : public_line(blob.data, blob.len, comment);
    if (line == NULL)
        goto out;
    wire_write_bytes(&text, line, strlen(line));
    wire_write_u8(&text, '\n');
    if (text.failed)
        goto out;
    if (snprintf(name, sizeof name, "%s.pub", path) >= (int)sizeof name)
        result = err_set(info, ERR_IO, "%s: the path is too long", path);
    else
        result = write_public(name, text.data, text.len, info);
out:
    free(line);
    wire_writer_deinit(&text);
    wire_writer_deinit(&blob);
    return result;
}

enum err key_make(const char *path, const char *comment, struct err_info *info)
{
    struct pair pair;
    struct wire_writer key;
    struct wire_writer text;
    enum err result;
    wire_writer_init(&key);
    wire_writer_init(&text);
    if (!generate(&pair)) {
        result =
            err_set(info, ERR_UNSUPPORTED, "OpenSSL here makes no Ed25519 key; make one with ssh-keygen elsewhere");
        goto out;
    }
    if (!write_key(&key, &pair, comment) || !write_armour(&text, &key)) {
        result = err_set(info, ERR_MEMORY, "out of memory");
        goto out;
    }
    result = platform_private_file_new(path, text.data, text.len, info);
    if (result == OK) {
        result = write_public_file(path, &pair, comment, info);
        if (result != OK) { /* a key whose public half nobody has is of no use */
            uv_fs_t request;
            (void)fs_status(&request, uv_fs_unlink(NULL, &request, path, NULL));
        }
    }
out:
    platform_wipe(&pair, sizeof pair);
    wire_writer_deinit(&text);
    wire_writer_deinit(&key);
    return result;
}
