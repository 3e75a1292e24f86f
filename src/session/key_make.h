/* Making an Ed25519 key pair, and the public line of an existing one. */
#ifndef HOLDFAST_SESSION_KEY_MAKE_H
#define HOLDFAST_SESSION_KEY_MAKE_H

#include "base/err.h"
#include "session/key_file.h"

/* Makes a key without a passphrase: the private half in `path` (OpenSSH's form, for its owner alone, never over an
 * existing file), the public line in `path`.pub. `comment` ends the public line. Blocking. ERR_IO names the file. */
enum err key_make(const char *path, const char *comment, struct err_info *info);

/* "type base64 comment" of a key whose public half is known; heap string, or NULL when out of memory. */
char *key_public_line(const struct key_file *key, const char *comment);

#endif
