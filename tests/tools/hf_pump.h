/* One connection that sends one stream and receives another at the same time, and checks what it gets. Both tools are
 * made of these: hf_blast starts them by connecting, hf_sinksource by accepting. */
#ifndef HF_PUMP_H
#define HF_PUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hf_stream.h"

enum hf_check {
    HF_CHECK_SHA256, /* compare every byte, and report the SHA-256 of both directions */
    HF_CHECK_BYTES,  /* compare every byte */
    HF_CHECK_COUNT   /* count only: for measurements, where the tool must cost nothing */
};

/* What the client asks of an hf_sinksource, sent ahead of its stream. Both ends run on one machine, so as it lies. */
struct hf_request {
    char magic[8];
    uint64_t up_seed, up_bytes;     /* client to server */
    uint64_t down_seed, down_bytes; /* server to client */
    uint64_t check;                 /* enum hf_check */
    uint64_t server_ends_last;      /* the server ends its side only after the client's end */
};
#define HF_REQUEST_MAGIC "HFPUMP01"

struct hf_pump {
    int fd;
    enum hf_check check;
    bool ends_last; /* end our side only after the other's end */
    bool held;      /* do not end our side yet, whatever else holds */
    bool echo;      /* send back what comes; the out_ fields below count it */

    uint64_t out_seed, out_bytes, out_done;
    bool out_ended;
    unsigned char *out_chunk;
    size_t chunk_bytes, chunk_len, chunk_sent;
    struct hf_digest *out_digest;

    uint64_t in_seed, in_bytes, in_done;
    bool in_ended;
    struct hf_digest *in_digest;

    const char *failure; /* NULL: none so far. Static text */
};

/* Prepares a pump on a connected or connecting socket. The caller sets seeds, byte counts and flags after it. */
void hf_pump_init(struct hf_pump *pump, int fd, size_t chunk_bytes);
/* After the flags are set: begins the digests. */
void hf_pump_begin(struct hf_pump *pump);
/* The poll events it waits for. */
short hf_pump_events(const struct hf_pump *pump);
/* Does what can be done now; true when both directions have ended or it failed. */
bool hf_pump_turn(struct hf_pump *pump, short revents);
/* Prints one JSON line about it under `label`, closes and frees. */
void hf_pump_finish(struct hf_pump *pump, const char *label, uint64_t number);

#endif
