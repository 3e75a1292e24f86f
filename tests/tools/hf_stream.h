/* The bytes the tools send and expect: a seeded stream that any position of can be computed, and digests of it. */
#ifndef HF_STREAM_H
#define HF_STREAM_H

#include <stddef.h>
#include <stdint.h>

/* Fills `out` with `len` bytes of the stream of `seed` from `position` on. */
void hf_stream_fill(uint64_t seed, uint64_t position, unsigned char *out, size_t len);

/* A running SHA-256. Ends the program when the crypto library fails: nothing could be tested then. */
struct hf_digest;
struct hf_digest *hf_digest_new(void);
void hf_digest_add(struct hf_digest *digest, const unsigned char *data, size_t len);
/* Writes 64 hex digits and a NUL, and frees the digest. NULL gives an empty text. */
void hf_digest_finish(struct hf_digest *digest, char out[65]);

#endif
