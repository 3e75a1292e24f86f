/* Reading and writing SSH's data types in memory (RFC 4251 section 5), base64, and fingerprints. Pure. */
#ifndef HOLDFAST_SESSION_WIRE_H
#define HOLDFAST_SESSION_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is left to read. Once something did not fit, `bad` stays true and every read gives zero or nothing. */
struct wire_reader {
    const uint8_t *at;
    size_t left;
    bool bad;
};

/* A string inside somebody else's memory. */
struct wire_slice {
    const uint8_t *data;
    size_t len;
};

void wire_reader_init(struct wire_reader *reader, const void *data, size_t len);
uint8_t wire_read_u8(struct wire_reader *reader);
uint32_t wire_read_u32(struct wire_reader *reader);
struct wire_slice wire_read_string(struct wire_reader *reader);
bool wire_slice_is(struct wire_slice slice, const char *text);

/* A growing buffer; `failed` after running out of memory, then further writes do nothing. */
struct wire_writer {
    uint8_t *data;
    size_t len;
    size_t cap_bytes;
    bool failed;
};

void wire_writer_init(struct wire_writer *writer);
/* Wipes and frees what was written. */
void wire_writer_deinit(struct wire_writer *writer);
void wire_write_bytes(struct wire_writer *writer, const void *data, size_t len);
void wire_write_u8(struct wire_writer *writer, uint8_t value);
void wire_write_u32(struct wire_writer *writer, uint32_t value);
void wire_write_string(struct wire_writer *writer, const void *data, size_t len);
/* Stores four bytes, big-endian. */
void wire_store_u32(uint8_t *to, uint32_t value);
/* A non-negative big-endian number as mpint: leading zeros dropped, one put in front of a set top bit. */
void wire_write_mpint(struct wire_writer *writer, const uint8_t *data, size_t len);

/* The type of a public key blob ("ssh-ed25519"), empty when the blob is broken. */
struct wire_slice wire_key_type(const uint8_t *key, size_t key_len);

/* Strict base64 (RFC 4648 section 4, padding needed) of at most `cap_bytes` of output. False when it is anything else.
 */
bool wire_base64_decode(const char *text, size_t len, uint8_t *out, size_t cap_bytes, size_t *out_len);
/* Heap string with padding, or NULL. */
char *wire_base64_encode(const uint8_t *data, size_t len);
/* "SHA256:" and the unpadded base64 of the hash, as ssh-keygen -l prints it. Returns `out` of at least 64 bytes. */
const char *wire_fingerprint(const uint8_t *key, size_t key_len, char *out, size_t cap_bytes);

#endif
