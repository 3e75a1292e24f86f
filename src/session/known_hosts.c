#include "session/known_hosts.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session/host_key.h"
#include "session/wire.h"

#define SALT_BYTES 20 /* ssh takes no other length */

bool known_hosts_next(struct known_hosts_cursor *cursor, const char **out_line, size_t *out_len)
{
    if (cursor->offset >= cursor->len)
        return false;
    const char *line = cursor->text + cursor->offset;
    size_t left = cursor->len - cursor->offset;
    const char *end = memchr(line, '\n', left);
    size_t len = end != NULL ? (size_t)(end - line) : left;
    cursor->offset += end != NULL ? len + 1 : len;
    cursor->line_number++;
    if (len > 0 && line[len - 1] == '\r')
        len--;
    *out_line = line;
    *out_len = len;
    return true;
}

static bool is_blank(char letter)
{
    return letter == ' ' || letter == '\t';
}

/* The next field between blanks; moves `*io_at`. Its length, 0 at the end. */
static size_t next_field(const char **io_at, const char *end, const char **out_field)
{
    const char *at = *io_at;
    while (at < end && is_blank(*at))
        at++;
    *out_field = at;
    while (at < end && !is_blank(*at))
        at++;
    *io_at = at;
    return (size_t)(at - *out_field);
}

static bool field_is(const char *field, size_t len, const char *word)
{
    return len == strlen(word) && memcmp(field, word, len) == 0;
}

enum known_hosts_line known_hosts_parse(const char *line, size_t len, struct known_hosts_entry *out)
{
    const char *at = line;
    const char *end = line + len;
    const char *field = NULL;
    memset(out, 0, sizeof *out);
    size_t field_len = next_field(&at, end, &field);
    if (field_len == 0 || field[0] == '#')
        return KNOWN_HOSTS_BLANK;
    if (field[0] == '@') {
        if (field_is(field, field_len, "@revoked"))
            out->marker = KNOWN_HOSTS_REVOKED;
        else if (field_is(field, field_len, "@cert-authority"))
            out->marker = KNOWN_HOSTS_CERT_AUTHORITY;
        else
            return KNOWN_HOSTS_GARBAGE;
        field_len = next_field(&at, end, &field);
    }
    out->names = field;
    out->names_len = field_len;
    out->type_len = next_field(&at, end, &out->type);
    out->key64_len = next_field(&at, end, &out->key64);
    if (out->names_len == 0 || out->type_len == 0 || out->key64_len == 0)
        return KNOWN_HOSTS_GARBAGE;
    return KNOWN_HOSTS_ENTRY;
}

/* A public key blob is its type and then one or more strings or mpints, with nothing after them. */
static bool has_fields(const uint8_t *blob, size_t len)
{
    struct wire_reader reader;
    size_t fields = 0;
    wire_reader_init(&reader, blob, len);
    for (; reader.left > 0 && !reader.bad; fields++)
        (void)wire_read_string(&reader);
    return !reader.bad && fields >= 2;
}

size_t known_hosts_key(const struct known_hosts_entry *entry, uint8_t *out)
{
    size_t len = 0;
    if (!wire_base64_decode(entry->key64, entry->key64_len, out, KNOWN_HOSTS_KEY_CAP_BYTES, &len))
        return 0;
    struct wire_slice type = wire_key_type(out, len);
    if (type.len == 0 || type.len != entry->type_len || memcmp(type.data, entry->type, type.len) != 0)
        return 0;
    return has_fields(out, len) ? len : 0;
}

static char lower(char letter)
{
    return letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
}

/* `*` and `?` over the whole name. One point of return is enough, so that no pattern takes more than len x len steps.
 */
static bool glob(const char *pattern, size_t pattern_len, const char *name)
{
    size_t name_len = strlen(name);
    size_t p = 0;
    size_t n = 0;
    size_t star = SIZE_MAX;
    size_t star_n = 0;
    while (n < name_len) {
        if (p < pattern_len && pattern[p] == '*') {
            star = p++;
            star_n = n;
        } else if (p < pattern_len && (pattern[p] == '?' || lower(pattern[p]) == lower(name[n]))) {
            p++;
            n++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            n = ++star_n;
        } else {
            return false;
        }
    }
    while (p < pattern_len && pattern[p] == '*')
        p++;
    return p == pattern_len;
}

static bool hash_name(const uint8_t *salt, const char *name, uint8_t *out)
{
    char folded[1100];
    size_t len = strlen(name);
    if (len >= sizeof folded)
        return false;
    for (size_t i = 0; i <= len; i++)
        folded[i] = lower(name[i]);
    unsigned out_len = 0;
    return HMAC(EVP_sha1(), salt, SALT_BYTES, (const unsigned char *)folded, len, out, &out_len) != NULL &&
           out_len == SALT_BYTES;
}

/* "|1|salt|hash": the HMAC-SHA1 of the name under the salt. */
static bool hashed_match(const char *names, size_t names_len, const char *name)
{
    uint8_t salt[SALT_BYTES];
    uint8_t wanted[SALT_BYTES];
    uint8_t found[EVP_MAX_MD_SIZE];
    size_t len = 0;
    if (names_len < 4 || memcmp(names, "|1|", 3) != 0)
        return false;
    const char *text = names + 3;
    const char *end = names + names_len;
    const char *bar = memchr(text, '|', (size_t)(end - text));
    if (bar == NULL || !wire_base64_decode(text, (size_t)(bar - text), salt, sizeof salt, &len) || len != sizeof salt)
        return false;
    bar++;
    if (!wire_base64_decode(bar, (size_t)(end - bar), wanted, sizeof wanted, &len) || len != sizeof wanted)
        return false;
    return hash_name(salt, name, found) && memcmp(wanted, found, sizeof wanted) == 0;
}

bool known_hosts_names_match(const char *names, size_t names_len, const char *name)
{
    if (names_len > 0 && names[0] == '|')
        return hashed_match(names, names_len, name);
    bool matched = false;
    for (size_t at = 0; at < names_len;) {
        const char *item = names + at;
        const char *comma = memchr(item, ',', names_len - at);
        size_t len = comma != NULL ? (size_t)(comma - item) : names_len - at;
        at += len + 1;
        bool negated = len > 0 && item[0] == '!';
        if (negated) {
            item++;
            len--;
        }
        if (len > 0 && glob(item, len, name)) {
            if (negated)
                return false;
            matched = true;
        }
    }
    return matched;
}

char *known_hosts_lookup_name(const char *host, uint16_t port, const char *alias)
{
    const char *source = alias != NULL ? alias : host;
    size_t cap_bytes = strlen(source) + sizeof "[]:65535";
    char *name = malloc(cap_bytes);
    if (name == NULL)
        return NULL;
    if (alias == NULL && port != 22)
        (void)snprintf(name, cap_bytes, "[%s]:%u", source, (unsigned)port);
    else
        (void)snprintf(name, cap_bytes, "%s", source);
    for (char *at = name; *at != '\0'; at++)
        *at = lower(*at);
    return name;
}

static enum known_hosts_status judge(const struct known_hosts_entry *entry, const uint8_t *known, size_t known_len,
                                     const uint8_t *key, size_t key_len)
{
    bool equal = known_len == key_len && memcmp(known, key, key_len) == 0;
    if (entry->marker == KNOWN_HOSTS_REVOKED)
        return equal ? KNOWN_HOSTS_IS_REVOKED : KNOWN_HOSTS_UNKNOWN;
    if (equal)
        return KNOWN_HOSTS_MATCH;
    struct wire_slice type = wire_key_type(key, key_len);
    bool same_type = type.len == entry->type_len && memcmp(type.data, entry->type, type.len) == 0;
    return same_type ? KNOWN_HOSTS_MISMATCH : KNOWN_HOSTS_OTHER_TYPE;
}

void known_hosts_search(const char *text, size_t len, const char *file, const char *name, const uint8_t *key,
                        size_t key_len, struct known_hosts_result *io_result)
{
    struct known_hosts_cursor cursor = {text, len, 0, 0};
    const char *line = NULL;
    size_t line_len = 0;
    uint8_t known[KNOWN_HOSTS_KEY_CAP_BYTES];
    while (known_hosts_next(&cursor, &line, &line_len)) {
        struct known_hosts_entry entry;
        if (known_hosts_parse(line, line_len, &entry) != KNOWN_HOSTS_ENTRY ||
            entry.marker == KNOWN_HOSTS_CERT_AUTHORITY || !known_hosts_names_match(entry.names, entry.names_len, name))
            continue;
        size_t known_len = known_hosts_key(&entry, known);
        if (known_len == 0)
            continue;
        enum known_hosts_status status = judge(&entry, known, known_len, key, key_len);
        if (status <= io_result->status)
            continue;
        io_result->status = status;
        io_result->file = file;
        io_result->line_number = cursor.line_number;
        (void)host_key_text(known, known_len, io_result->old_key, sizeof io_result->old_key);
    }
}

static char *hashed_name(const char *name)
{
    uint8_t salt[SALT_BYTES];
    uint8_t hash[EVP_MAX_MD_SIZE];
    char *text = NULL;
    if (RAND_bytes(salt, (int)sizeof salt) != 1 || !hash_name(salt, name, hash))
        return NULL;
    char *salt64 = wire_base64_encode(salt, sizeof salt);
    char *hash64 = wire_base64_encode(hash, SALT_BYTES);
    if (salt64 != NULL && hash64 != NULL) {
        size_t cap_bytes = strlen(salt64) + strlen(hash64) + sizeof "|1||";
        text = malloc(cap_bytes);
        if (text != NULL)
            (void)snprintf(text, cap_bytes, "|1|%s|%s", salt64, hash64);
    }
    free(salt64);
    free(hash64);
    return text;
}

char *known_hosts_format(const char *name, bool hashed, const uint8_t *key, size_t key_len)
{
    struct wire_slice type = wire_key_type(key, key_len);
    char *shown = hashed ? hashed_name(name) : strdup(name);
    char *key64 = wire_base64_encode(key, key_len);
    char *line = NULL;
    if (type.len > 0 && shown != NULL && key64 != NULL) {
        size_t cap_bytes = strlen(shown) + type.len + strlen(key64) + 4;
        line = malloc(cap_bytes);
        if (line != NULL)
            (void)snprintf(line, cap_bytes, "%s %.*s %s\n", shown, (int)type.len, (const char *)type.data, key64);
    }
    free(shown);
    free(key64);
    return line;
}

/* Copies a names field without those items that are `name`; the length written. */
static size_t copy_other_names(const struct known_hosts_entry *entry, const char *name, char *out)
{
    size_t written = 0;
    for (size_t at = 0; at < entry->names_len;) {
        const char *item = entry->names + at;
        const char *comma = memchr(item, ',', entry->names_len - at);
        size_t len = comma != NULL ? (size_t)(comma - item) : entry->names_len - at;
        at += len + 1;
        if (len == 0 || glob(item, len, name))
            continue;
        if (written > 0)
            out[written++] = ',';
        memcpy(out + written, item, len);
        written += len;
    }
    return written;
}

enum err known_hosts_without(const char *text, size_t len, const char *name, char **out_text, size_t *out_len,
                             unsigned *out_removed, unsigned *out_line_number)
{
    struct known_hosts_cursor cursor = {text, len, 0, 0};
    const char *line = NULL;
    size_t line_len = 0;
    *out_text = NULL;
    *out_len = 0;
    *out_removed = 0;
    char *kept = malloc(len + 1);
    if (kept == NULL)
        return ERR_MEMORY;
    size_t kept_len = 0;
    for (size_t start = 0; known_hosts_next(&cursor, &line, &line_len); start = cursor.offset) {
        struct known_hosts_entry entry;
        size_t whole_len = cursor.offset - start;
        if (known_hosts_parse(line, line_len, &entry) != KNOWN_HOSTS_ENTRY || entry.marker != KNOWN_HOSTS_PLAIN ||
            !known_hosts_names_match(entry.names, entry.names_len, name)) {
            memcpy(kept + kept_len, text + start, whole_len);
            kept_len += whole_len;
            continue;
        }
        if (entry.names[0] != '|' &&
            (memchr(entry.names, '*', entry.names_len) != NULL || memchr(entry.names, '?', entry.names_len) != NULL ||
             memchr(entry.names, '!', entry.names_len) != NULL)) {
            free(kept);
            *out_line_number = cursor.line_number;
            return ERR_UNSUPPORTED;
        }
        (*out_removed)++;
        size_t before_len = (size_t)(entry.names - (text + start));
        size_t names_len = entry.names[0] == '|' ? 0 : copy_other_names(&entry, name, kept + kept_len + before_len);
        if (names_len > 0) {
            const char *rest = entry.names + entry.names_len;
            size_t rest_len = whole_len - before_len - entry.names_len;
            memcpy(kept + kept_len, text + start, before_len);
            memcpy(kept + kept_len + before_len + names_len, rest, rest_len);
            kept_len += before_len + names_len + rest_len;
        }
    }
    kept[kept_len] = '\0';
    *out_text = kept;
    *out_len = kept_len;
    return OK;
}
