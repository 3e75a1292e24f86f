/* Which host keys does a peer have? One handshake per type of key; nobody logs in. For `holdfast trust`. */
#ifndef HOLDFAST_SESSION_KEY_SCAN_H
#define HOLDFAST_SESSION_KEY_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "session/spec.h"

#define KEY_SCAN_CAP 5 /* ed25519, three ECDSA curves, RSA */

struct key_scan_key {
    uint8_t *blob;
    size_t len;
};

struct key_scan {
    struct key_scan_key keys[KEY_SCAN_CAP];
    size_t count;
};

/* Connects to spec's host once per type of key. Blocking: runs a loop of its own, for at most the spec's timeouts. OK
 * with at least one key and all types asked for, else what went wrong. `out` is to be deinitialised in any case. */
enum err key_scan_run(const struct host_spec *spec, struct key_scan *out, struct err_info *info);
void key_scan_deinit(struct key_scan *scan);

#endif
