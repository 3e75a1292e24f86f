/* Which algorithms we offer: AEAD first, encrypt-then-MAC next, no SHA-1, no CBC unless asked for. */
#include "session/algorithms.h"

#include <stdlib.h>
#include <string.h>

const char algorithms_default_kex[] = "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,"
                                      "ecdh-sha2-nistp384,ecdh-sha2-nistp521,diffie-hellman-group16-sha512,"
                                      "diffie-hellman-group18-sha512,diffie-hellman-group-exchange-sha256,"
                                      "diffie-hellman-group14-sha256";
#define AES_GCM "aes128-gcm@openssh.com,aes256-gcm@openssh.com"
#define CHACHA "chacha20-poly1305@openssh.com"
#define AES_CTR "aes128-ctr,aes192-ctr,aes256-ctr"
const char algorithms_default_macs[] = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,"
                                       "hmac-sha2-512";

const char *algorithms_default_ciphers(bool has_aes)
{
    return has_aes ? AES_GCM "," CHACHA "," AES_CTR : CHACHA "," AES_GCM "," AES_CTR;
}

/* Whether `list` names `item` (of `len` bytes); `*` and `?` in the list match as in patterns. */
static bool matches(const char *pattern, size_t pattern_len, const char *item, size_t len)
{
    while (pattern_len > 0) {
        if (*pattern == '*') {
            for (size_t skip = 0; skip <= len; skip++) {
                if (matches(pattern + 1, pattern_len - 1, item + skip, len - skip)) {
                    return true;
                }
            }
            return false;
        }
        if (len == 0 || (*pattern != '?' && *pattern != *item)) {
            return false;
        }
        pattern++, pattern_len--, item++, len--;
    }
    return len == 0;
}

static bool names(const char *list, const char *item, size_t len)
{
    while (list != NULL && *list != '\0') {
        size_t part = strcspn(list, ",");
        if (matches(list, part, item, len)) {
            return true;
        }
        list += part + (list[part] == ',');
    }
    return false;
}

/* Appends to `out` (with room for all of it) the items of `from` that `but_not` does not name. */
static void append_without(char *out, const char *from, const char *but_not)
{
    size_t len = strlen(out);
    while (*from != '\0') {
        size_t part = strcspn(from, ",");
        if (part > 0 && !names(but_not, from, part)) {
            if (len > 0) {
                out[len++] = ',';
            }
            memcpy(out + len, from, part);
            len += part;
        }
        from += part + (from[part] == ',');
    }
    out[len] = '\0';
}

char *algorithms_unknown(const char *list, const char *const *have, size_t have_count, size_t *out_known)
{
    char *out = calloc(1, strlen(list) + 1);
    size_t len = 0;
    *out_known = 0;
    while (out != NULL && *list != '\0') {
        size_t part = strcspn(list, ",");
        bool known = false;
        for (size_t i = 0; i < have_count && !known; i++) {
            known = strlen(have[i]) == part && memcmp(have[i], list, part) == 0;
        }
        if (known) {
            (*out_known)++;
        } else if (part > 0) {
            if (len > 0) {
                out[len++] = ',';
            }
            memcpy(out + len, list, part);
            len += part;
        }
        list += part + (list[part] == ',');
    }
    return out;
}

char *algorithms_apply(const char *defaults, const char *wanted)
{
    size_t cap = strlen(defaults) + (wanted != NULL ? strlen(wanted) : 0) + 2;
    char *out = calloc(1, cap);
    if (out == NULL) {
        return NULL;
    }
    if (wanted == NULL) {
        append_without(out, defaults, NULL);
    } else if (*wanted == '+') {
        append_without(out, defaults, NULL);
        append_without(out, wanted + 1, defaults);
    } else if (*wanted == '-') {
        append_without(out, defaults, wanted + 1);
    } else if (*wanted == '^') {
        append_without(out, wanted + 1, NULL);
        append_without(out, defaults, wanted + 1);
    } else {
        append_without(out, wanted, NULL);
    }
    return out;
}
