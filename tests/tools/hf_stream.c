#include "hf_stream.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hf_digest {
    EVP_MD_CTX *context;
};

/* One 64-bit word of the stream: a bijective mixing of its index, so that every position is reachable at once. */
static uint64_t word_at(uint64_t seed, uint64_t index)
{
    uint64_t x = (seed + 1) * 0x9E3779B97F4A7C15u + index * 0xD1B54A32D192ED03u;

    x ^= x >> 32;
    x *= 0xBF58476D1CE4E5B9u;
    x ^= x >> 29;
    return x;
}

void hf_stream_fill(uint64_t seed, uint64_t position, unsigned char *out, size_t len)
{
    while (len > 0) {
        uint64_t word = word_at(seed, position / sizeof word);
        size_t skip = (size_t)(position % sizeof word);
        size_t part = sizeof word - skip < len ? sizeof word - skip : len;

        memcpy(out, (const unsigned char *)&word + skip, part);
        out += part;
        position += part;
        len -= part;
    }
}

static void need(int ok)
{
    if (ok)
        return;
    fputs("SHA-256 is not to be had from the crypto library\n", stderr);
    exit(2);
}

struct hf_digest *hf_digest_new(void)
{
    struct hf_digest *digest = calloc(1, sizeof *digest);

    need(digest != NULL);
    digest->context = EVP_MD_CTX_new();
    need(digest->context != NULL);
    need(EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL));
    return digest;
}

void hf_digest_add(struct hf_digest *digest, const unsigned char *data, size_t len)
{
    need(EVP_DigestUpdate(digest->context, data, len));
}

void hf_digest_finish(struct hf_digest *digest, char out[65])
{
    unsigned char hash[32];

    out[0] = '\0';
    if (digest == NULL)
        return;
    need(EVP_DigestFinal_ex(digest->context, hash, NULL));
    for (size_t i = 0; i < sizeof hash; i++)
        snprintf(out + 2 * i, 3, "%02x", hash[i]);
    EVP_MD_CTX_free(digest->context);
    free(digest);
}
