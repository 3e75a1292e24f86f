/* known_hosts files on disk: reading, adding, replacing. Blocking: from a worker thread, or where nothing else runs. */
#ifndef HOLDFAST_SESSION_KNOWN_HOSTS_FILE_H
#define HOLDFAST_SESSION_KNOWN_HOSTS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "session/known_hosts.h"
#include "session/spec.h"

/* A public key to be written. */
struct known_hosts_new_key {
    const uint8_t *data;
    size_t len;
};

/* The whole file as a heap string. A missing file is empty. At most 64 MiB. */
enum err known_hosts_read(const char *path, char **out_text, size_t *out_len, struct err_info *info);

/* Looks a key up in all files in order, under `name`, and, as ssh does for another port than 22, under `plain_name`
 * (may be NULL) when that would be a match. A file that cannot be read is logged and skipped; lines that are not
 * understood are logged at debug level. `out->file` points into `files`. */
void known_hosts_search_files(const struct string_list *files, const char *name, const char *plain_name,
                              const uint8_t *key, size_t key_len, const char *log_name, struct known_hosts_result *out);

/* Adds keys at the end of the file in one write; makes the file (0600) and its folder (0700) when missing. */
enum err known_hosts_append(const char *path, const char *name, bool hashed, const struct known_hosts_new_key *keys,
                            size_t key_count, struct err_info *info);

/* Takes the entries of `name` out of the file and adds `keys` (may be none), by a new file that takes the old one's
 * place at once. ERR_UNSUPPORTED, with FILE:LINE, for an entry that only a person can change (a pattern). */
enum err known_hosts_replace(const char *path, const char *name, bool hashed, const struct known_hosts_new_key *keys,
                             size_t key_count, struct err_info *info);

#endif
