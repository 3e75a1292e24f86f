#include "session/wire.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/platform.h"

void wire_reader_init(struct wire_reader *reader, const void *data, size_t len)
{
    reader->at = data;
    reader->left = len;
    reader->bad = false;
}

static const uint8_t *take(struct wire_reader *reader, size_t len)
{
    if (reader->bad || reader->left < len) {
        reader->bad = true;
        return NULL;
    }
    const uint8_t *at = reader->at;
    reader->at += len;
    reader->left -= len;
    return at;
}

uint8_t wire_read_u8(struct wire_reader *reader)
{
    const uint8_t *at = take(reader, 1);
    return at != NULL ? *at : 0;
}

uint32_t wire_read_u32(struct wire_reader *reader)
{
    const uint8_t *at = take(reader, 4);
    if (at == NULL)
        return 0;
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

struct wire_slice wire_read_string(struct wire_reader *reader)
{
    struct wire_slice slice = {NULL, 0};
    uint32_t len = wire_read_u32(reader);
    const uint8_t *at = take(reader, len);
    if (at != NULL) {
        slice.data = at;
        slice.len = len;
    }
    return slice;
}

bool wire_slice_is(struct wire_slice slice, const char *text)
{
    return slice.len == strlen(text) && slice.data != NULL && memcmp(slice.data, text, slice.len) == 0;
}

void wire_writer_init(struct wire_writer *writer)
{
    memset(writer, 0, sizeof *writer);
}

void wire_writer_deinit(struct wire_writer *writer)
{
    if (writer->data != NULL)
        platform_wipe(writer->data, writer->cap_bytes);
    free(writer->data);
    wire_writer_init(writer);
}

void wire_write_bytes(struct wire_writer *writer, const void *data, size_t len)
{
    if (writer->failed || len == 0)
        return;
    if (writer->cap_bytes - writer->len < len) {
        size_t cap_bytes = writer->cap_bytes * 2 + len + 64;
        uint8_t *grown = malloc(cap_bytes); /* not realloc: what moves away must be wiped */
        if (grown == NULL) {
            writer->failed = true;
            return;
        }
        if (writer->data != NULL) {
            memcpy(grown, writer->data, writer->len);
            platform_wipe(writer->data, writer->cap_bytes);
            free(writer->data);
        }
        writer->data = grown;
        writer->cap_bytes = cap_bytes;
    }
    memcpy(writer->data + writer->len, data, len);
    writer->len += len;
}

void wire_store_u32(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)(value >> 24);
    to[1] = (uint8_t)(value >> 16);
    to[2] = (uint8_t)(value >> 8);
    to[3] = (uint8_t)value;
}

void wire_write_u8(struct wire_writer *writer, uint8_t value)
{
    wire_write_bytes(writer, &value, 1);
}

void wire_write_u32(struct wire_writer *writer, uint32_t value)
{
    const uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
    wire_write_bytes(writer, bytes, sizeof bytes);
}

void wire_write_string(struct wire_writer *writer, const void *data, size_t len)
{
    if (len > UINT32_MAX) {
        writer->failed = true;
        return;
    }
    wire_write_u32(writer, (uint32_t)len);
    wire_write_bytes(writer, data, len);
}

void wire_write_mpint(struct wire_writer *writer, const uint8_t *data, size_t len)
{
    while (len > 0 && *data == 0) {
        data++;
        len--;
    }
    bool top_bit = len > 0 && (*data & 0x80) != 0;
    wire_write_u32(writer, (uint32_t)(len + (top_bit ? 1 : 0)));
    if (top_bit)
        wire_write_u8(writer, 0);
    wire_write_bytes(writer, data, len);
}

struct wire_slice wire_key_type(const uint8_t *key, size_t key_len)
{
    struct wire_reader reader;
    wire_reader_init(&reader, key, key_len);
    struct wire_slice type = wire_read_string(&reader);
    for (size_t i = 0; i < type.len; i++) {
        if (type.data[i] <= 0x20 || type.data[i] >= 0x7f)
            return (struct wire_slice){NULL, 0};
    }
    return type;
}

static int base64_value(char letter)
{
    if (letter >= 'A' && letter <= 'Z')
        return letter - 'A';
    if (letter >= 'a' && letter <= 'z')
        return letter - 'a' + 26;
    if (letter >= '0' && letter <= '9')
        return letter - '0' + 52;
    if (letter == '+')
        return 62;
    return letter == '/' ? 63 : -1;
}

bool wire_base64_decode(const char *text, size_t len, uint8_t *out, size_t cap_bytes, size_t *out_len)
{
    *out_len = 0;
    if (len == 0 || len % 4 != 0)
        return false;
    for (size_t i = 0; i < len; i += 4) {
        uint32_t group = 0;
        size_t padding = 0;
        for (size_t j = 0; j < 4; j++) {
            char letter = text[i + j];
            bool may_pad = i + 4 == len && j >= 2;
            if (letter == '=' && may_pad) {
                padding++;
                group <<= 6;
                continue;
            }
            int value = base64_value(letter);
            if (value < 0 || padding > 0)
                return false;
            group = group << 6 | (uint32_t)value;
        }
        for (size_t j = 0; j < 3 - padding; j++) {
            if (*out_len == cap_bytes)
                return false;
            out[(*out_len)++] = (uint8_t)(group >> (16 - 8 * j));
        }
    }
    return true;
}

char *wire_base64_encode(const uint8_t *data, size_t len)
{
    if (len > 1U << 20)
        return NULL;
    char *text = malloc((len + 2) / 3 * 4 + 1);
    if (text != NULL)
        text[EVP_EncodeBlock((unsigned char *)text, data, (int)len)] = '\0';
    return text;
}

const char *wire_fingerprint(const uint8_t *key, size_t key_len, char *out, size_t cap_bytes)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    char text[64];
    (void)SHA256(key, key_len, digest);
    (void)EVP_EncodeBlock((unsigned char *)text, digest, (int)sizeof digest);
    text[strcspn(text, "=")] = '\0';
    (void)snprintf(out, cap_bytes, "SHA256:%s", text);
    return out;
}
