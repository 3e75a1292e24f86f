/* The public half of PEM and PKCS#8 private keys, by OpenSSL. */
#ifndef HOLDFAST_SESSION_KEY_PEM_H
#define HOLDFAST_SESSION_KEY_PEM_H

#include <stddef.h>

#include "base/err.h"
#include "session/wire.h"

/* Writes the public key blob (RFC 4253 section 6.6, RFC 5656, RFC 8709). ERR_AUTH: unreadable, or a wrong passphrase;
 * ERR_UNSUPPORTED: a kind of key that SSH has no name for. May take long for an encrypted key: from a worker thread. */
enum err key_pem_public(const char *text, size_t len, const char *passphrase, struct wire_writer *out);

#endif
