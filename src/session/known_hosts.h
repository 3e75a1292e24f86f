/* The known_hosts format (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT): parsing, matching, editing of text in memory. Pure. */
#ifndef HOLDFAST_SESSION_KNOWN_HOSTS_H
#define HOLDFAST_SESSION_KNOWN_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define KNOWN_HOSTS_KEY_CAP_BYTES 16384 /* the largest public key we look at; RSA with 16384 bits has about 2 KiB */

enum known_hosts_marker { KNOWN_HOSTS_PLAIN = 0, KNOWN_HOSTS_REVOKED, KNOWN_HOSTS_CERT_AUTHORITY };

/* One entry, as slices of the line it came from. */
struct known_hosts_entry {
    enum known_hosts_marker marker;
    const char *names;
    size_t names_len;
    const char *type;
    size_t type_len;
    const char *key64;
    size_t key64_len;
};

enum known_hosts_line {
    KNOWN_HOSTS_BLANK = 0, /* also a comment */
    KNOWN_HOSTS_ENTRY,
    KNOWN_HOSTS_GARBAGE
};

/* Walks over the lines of a text: {text, len, 0, 0} at the start. */
struct known_hosts_cursor {
    const char *text;
    size_t len;
    size_t offset;        /* of the next line */
    unsigned line_number; /* of the current one, from 1 */
};

/* The next line without its end ("\n" or "\r\n"). False at the end of the text. */
bool known_hosts_next(struct known_hosts_cursor *cursor, const char **out_line, size_t *out_len);
/* Splits one line. The key itself is not decoded yet. */
enum known_hosts_line known_hosts_parse(const char *line, size_t len, struct known_hosts_entry *out);
/* Decodes an entry's key into `out` of KNOWN_HOSTS_KEY_CAP_BYTES; 0 when it is broken or its inner type is another one.
 */
size_t known_hosts_key(const struct known_hosts_entry *entry, uint8_t *out);
/* Does a names field (comma list with `*`, `?` and `!`, or a hashed name) apply to a lookup name? */
bool known_hosts_names_match(const char *names, size_t names_len, const char *name);

/* The name to look up, as ssh forms it: `alias` alone when set, else `host` in lower case, in [host]:port form when
 * port is not 22. Heap string or NULL. */
char *known_hosts_lookup_name(const char *host, uint16_t port, const char *alias);

/* Ascending: what is found later replaces only what says less. */
enum known_hosts_status {
    KNOWN_HOSTS_UNKNOWN = 0,
    KNOWN_HOSTS_OTHER_TYPE, /* keys of other types are known for this host, none of this type: ssh calls that changed
                               too */
    KNOWN_HOSTS_MISMATCH,   /* another key of this type is known */
    KNOWN_HOSTS_MATCH,
    KNOWN_HOSTS_IS_REVOKED
};

/* The verdict over one or more texts. `file` is the caller's string. */
struct known_hosts_result {
    enum known_hosts_status status;
    const char *file;
    unsigned line_number;
    char old_key[160]; /* "ssh-ed25519 SHA256:..." of the entry at file:line */
};

/* Looks `key` up among the lines of one file's text, and improves `io_result` (zeroed by the caller before the first
 * file). */
void known_hosts_search(const char *text, size_t len, const char *file, const char *name, const uint8_t *key,
                        size_t key_len, struct known_hosts_result *io_result);

/* One line with its newline, its name hashed with a fresh salt if `hashed`. Heap string or NULL. */
char *known_hosts_format(const char *name, bool hashed, const uint8_t *key, size_t key_len);

/* The text without the plain entries of `name`; a name in a list is taken out of the list; everything else stays byte
 * for byte. `*out_removed` counts the lines touched. A line that matches by a pattern cannot be taken out:
 * ERR_UNSUPPORTED and its number in `*out_line_number`. Heap memory in `*out_text`. */
enum err known_hosts_without(const char *text, size_t len, const char *name, char **out_text, size_t *out_len,
                             unsigned *out_removed, unsigned *out_line_number);

#endif
