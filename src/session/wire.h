/* SSH wire format (RFC 4251 section 5): a bounded reader and a growing writer. Pure, room-internal. */
#ifndef HOLDFAST_SESSION_WIRE_H
#define HOLDFAST_SESSION_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads from borrowed bytes. After a failed read `ok` stays false and every further read gives zero. */
struct wire_reader {
    const uint8_t *at, *end;
    bool ok;
};

void wire_read_init(struct wire_reader *reader, const uint8_t *data, size_t len);
uint8_t wire_read_u8(struct wire_reader *reader);
uint32_t wire_read_u32(struct wire_reader *reader);
/* A string, borrowed from the reader's bytes. NULL when it does not fit. */
const uint8_t *wire_read_string(struct wire_reader *reader, size_t *out_len);
/* A string as heap text; NULL when malformed, over `max_len`, holding a NUL byte, or out of memory (ok turns false). */
char *wire_read_text(struct wire_reader *reader, size_t max_len);

/* Appends to a heap buffer that grows; `ok` turns false when out of memory. */
struct wire_writer {
    uint8_t *data;
    size_t len, cap;
    bool ok;
};

void wire_write_init(struct wire_writer *writer);
void wire_write_u8(struct wire_writer *writer, uint8_t value);
void wire_write_u32(struct wire_writer *writer, uint32_t value);
void wire_write_bytes(struct wire_writer *writer, const void *data, size_t len);
void wire_write_text(struct wire_writer *writer, const char *text);
/* Overwrites four bytes at `offset`. */
void wire_patch_u32(struct wire_writer *writer, size_t offset, uint32_t value);
void wire_write_deinit(struct wire_writer *writer);
void wire_store_u32(uint8_t *to, uint32_t value);

#endif
