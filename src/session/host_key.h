/* Is this the peer's host key? known_hosts by our own matching (DESIGN section 4, rule 11). Room-internal but for
 * trust. */
#ifndef HOLDFAST_SESSION_HOST_KEY_H
#define HOLDFAST_SESSION_HOST_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "session/spec.h"

/* The host key algorithms to offer, as a comma list, those of keys already pinned for this host first (as ssh does),
 * from spec->host_key_algorithms or our defaults (no SHA-1, no certificates). Reads the known_hosts files, so blocks
 * for as long as that takes. Heap string; "" when the spec leaves nothing that we have; NULL when out of memory. */
char *host_key_algorithms(const struct host_spec *spec, const char *hostname, uint16_t port);
/* The same when nothing is said and nothing is pinned. Static storage. */
extern const char host_key_all_algorithms[];
/* True when known_hosts has a key for the host. Blocking, as above. */
bool host_key_is_pinned(const struct host_spec *spec, const char *hostname, uint16_t port);

/* A decision on its way (a terminal may have to be asked, off the loop). */
struct host_key_check;
/* OK: trusted (pinned now if the policy says so); `why` is then NULL, or says that the key is not the pinned one and
 * was taken because the policy is `no`: no password may be sent then (auth_forbid_passwords). ERR_HOST_KEY: the
 * sentence names both SHA-256 fingerprints and FILE:LINE of a mismatch, or for an unknown key its fingerprint and
 * `holdfast trust` as the mend. Exactly once, on the loop, never inside _start. */
typedef void host_key_cb(void *arg, enum err result, const struct err_info *why);
/* `hostname` is the name to look up (unless spec->host_key_alias is set); `key` is copied. NULL: out of memory. */
struct host_key_check *host_key_check_start(uv_loop_t *loop, const struct host_spec *spec, const char *hostname,
                                            uint16_t port, const uint8_t *key, size_t key_len, bool interactive,
                                            const char *log_name, host_key_cb *done, void *arg);
/* Completes with ERR_CANCELLED, as soon as the worker has returned; one that waits at a terminal prompt returns when
 * the prompt is answered or ended, and pins nothing then. The check frees itself after `done`; `spec` must live until
 * then. */
void host_key_check_cancel(struct host_key_check *check);

/* The `holdfast trust` that pins this host's key where `spec` looks for it, into `out`; one that does not fit names the
 * host alone. Returns `out`. */
const char *host_key_trust_command(const struct host_spec *spec, const char *hostname, uint16_t port, char *out,
                                   size_t cap_bytes);
/* "ssh-ed25519 SHA256:base64..." of a public key blob. Returns `out`. */
const char *host_key_text(const uint8_t *key, size_t key_len, char *out, size_t cap_bytes);

#endif
