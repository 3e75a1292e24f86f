#include "session/wire.h"

#include <stdlib.h>
#include <string.h>

void wire_read_init(struct wire_reader *reader, const uint8_t *data, size_t len)
{
    *reader = (struct wire_reader){.at = data, .end = data + len, .ok = true};
}

static const uint8_t *take(struct wire_reader *reader, size_t len)
{
    if (!reader->ok || (size_t)(reader->end - reader->at) < len) {
        reader->ok = false;
        return NULL;
    }
    const uint8_t *at = reader->at;
    reader->at += len;
    return at;
}

uint8_t wire_read_u8(struct wire_reader *reader)
{
    const uint8_t *at = take(reader, 1);
    return at == NULL ? 0 : *at;
}

uint32_t wire_read_u32(struct wire_reader *reader)
{
    const uint8_t *at = take(reader, 4);
    return at == NULL ? 0
                      : (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | (uint32_t)at[3];
}

const uint8_t *wire_read_string(struct wire_reader *reader, size_t *out_len)
{
    size_t len = wire_read_u32(reader);
    const uint8_t *at = take(reader, len);
    *out_len = at == NULL ? 0 : len;
    return at;
}

char *wire_read_text(struct wire_reader *reader, size_t max_len)
{
    size_t len;
    const uint8_t *at = wire_read_string(reader, &len);
    if (at == NULL || len > max_len || memchr(at, 0, len) != NULL) {
        reader->ok = false;
        return NULL;
    }
    char *text = malloc(len + 1);
    if (text == NULL) {
        reader->ok = false;
        return NULL;
    }
    memcpy(text, at, len);
    text[len] = '\0';
    return text;
}

void wire_write_init(struct wire_writer *writer)
{
    *writer = (struct wire_writer){.ok = true};
}

void wire_write_bytes(struct wire_writer *writer, const void *data, size_t len)
{
    if (!writer->ok || len == 0) {
        return;
    }
    if (writer->cap - writer->len < len) {
        size_t cap = writer->cap * 2 > writer->len + len ? writer->cap * 2 : writer->len + len + 64;
        uint8_t *grown = realloc(writer->data, cap);
        if (grown == NULL) {
            writer->ok = false;
            return;
        }
        writer->data = grown;
        writer->cap = cap;
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
    uint8_t bytes[4];
    wire_store_u32(bytes, value);
    wire_write_bytes(writer, bytes, sizeof bytes);
}

void wire_write_text(struct wire_writer *writer, const char *text)
{
    size_t len = strlen(text);
    wire_write_u32(writer, (uint32_t)len);
    wire_write_bytes(writer, text, len);
}

void wire_patch_u32(struct wire_writer *writer, size_t offset, uint32_t value)
{
    if (writer->ok && offset + 4 <= writer->len) {
        wire_store_u32(writer->data + offset, value);
    }
}

void wire_write_deinit(struct wire_writer *writer)
{
    free(writer->data);
    wire_write_init(writer);
}
