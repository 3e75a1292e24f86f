#include "supervisor/lock_name.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define ENCODED_CAP_BYTES 160

/* FNV-1a: only has to differ where two long names begin alike. */
static uint64_t hash(const char *text)
{
    uint64_t value = 0xcbf29ce484222325U;
    for (const unsigned char *at = (const unsigned char *)text; *at != 0; at++)
        value = (value ^ *at) * 0x100000001b3U;
    return value;
}

/* Names that are devices on Windows, whatever follows the first dot. */
static bool is_device(const char *name)
{
    static const char *const devices[] = {"con", "prn", "aux", "nul"};
    size_t len = strcspn(name, ".");
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        if (len == 3 && strncmp(name, devices[i], 3) == 0)
            return true;
    }
    return len == 4 && (strncmp(name, "com", 3) == 0 || strncmp(name, "lpt", 3) == 0);
}

static bool stays(unsigned char byte, bool is_first)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' || byte == '_' ||
           (byte == '.' && !is_first);
}

static const char *file_name(const char *tunnel, const char *ending, char *out, size_t cap_bytes)
{
    char encoded[ENCODED_CAP_BYTES];
    size_t len = 0;
    const unsigned char *at = (const unsigned char *)tunnel;
    bool is_first = true;
    for (; *at != 0 && len + sizeof "%xx" <= sizeof encoded; at++, is_first = false) {
        if (stays(*at, is_first) && !(is_first && is_device(tunnel)))
            encoded[len++] = (char)*at;
        else
            len += (size_t)snprintf(encoded + len, sizeof encoded - len, "%%%02x", (unsigned)*at);
    }
    encoded[len] = 0;
    if (*at == 0)
        (void)snprintf(out, cap_bytes, "%s.%s", encoded, ending);
    else
        (void)snprintf(out, cap_bytes, "%s%%.%016" PRIx64 ".%s", encoded, hash(tunnel), ending);
    return out;
}

const char *lock_name(const char *tunnel, char *out, size_t cap_bytes)
{
    return file_name(tunnel, "lock", out, cap_bytes);
}

const char *record_name(const char *tunnel, char *out, size_t cap_bytes)
{
    return file_name(tunnel, "record", out, cap_bytes);
}
