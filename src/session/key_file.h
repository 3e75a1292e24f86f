/* Identity files: what kind of key is in one, its public half where that is not secret, and whether a passphrase is
 * needed. Decryption and signing are libssh2's. */
#ifndef HOLDFAST_SESSION_KEY_FILE_H
#define HOLDFAST_SESSION_KEY_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct key_file {
    char *path;
    char *text; /* the private key as it is in the file; NULL when only a public key was found. Wiped by deinit */
    size_t len;
    bool encrypted;
    bool missing;        /* load failed because there is no such file */
    uint8_t *public_key; /* blob; NULL when a passphrase is needed to learn it */
    size_t public_key_len;
};

/* Recognises the text of a private key (OpenSSH, PEM, PKCS#8) or of a public key line. Fills text (a copy), encrypted,
 * public_key. ERR_UNSUPPORTED names a kind that this version cannot use, ERR_IO means that it is no key at all; the
 * sentences begin with `path`. */
enum err key_file_parse(struct key_file *key, const char *path, const char *text, size_t len, struct err_info *info);
/* Reads `path`, or the copy of it that a service manager has made for us (platform_credential), and `path`.pub where
 * the private file cannot tell the public half or is missing. A private key that others can read is refused. Blocking.
 * `key` is to be deinitialised in any case. */
enum err key_file_load(struct key_file *key, const char *path, struct err_info *info);
/* Learns the public key of an encrypted PEM or PKCS#8 file. ERR_AUTH: a wrong passphrase. Blocking. */
enum err key_file_unlock(struct key_file *key, const char *passphrase, struct err_info *info);
void key_file_deinit(struct key_file *key);

/* True for the types of public keys we can use: ed25519, ECDSA on the three NIST curves, RSA. */
bool key_file_type_is_usable(const uint8_t *public_key, size_t len);

#endif
