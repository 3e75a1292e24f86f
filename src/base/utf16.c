#include "base/utf16.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { REPLACEMENT = 0xFFFD, BYTE_ORDER_MARK = 0xFEFF, UTF8_PER_UNIT_BYTES = 3 };

bool utf16_is_likely(const char *bytes, size_t len)
{
    return memchr(bytes, '\0', len) != NULL;
}

static uint32_t unit_at(const char *bytes, size_t index)
{
    return (uint32_t)((unsigned char)bytes[2 * index] | ((unsigned char)bytes[2 * index + 1] << 8));
}

static bool is_high(uint32_t unit)
{
    return unit >= 0xD800 && unit <= 0xDBFF;
}

static bool is_low(uint32_t unit)
{
    return unit >= 0xDC00 && unit <= 0xDFFF;
}

/* Writes one character, returns how many bytes it took. */
static size_t put_utf8(char *out, uint32_t code)
{
    unsigned char *to = (unsigned char *)out;
    if (code < 0x80) {
        to[0] = (unsigned char)code;
        return 1;
    }
    if (code < 0x800) {
        to[0] = (unsigned char)(0xC0 | (code >> 6));
        to[1] = (unsigned char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        to[0] = (unsigned char)(0xE0 | (code >> 12));
        to[1] = (unsigned char)(0x80 | ((code >> 6) & 0x3F));
        to[2] = (unsigned char)(0x80 | (code & 0x3F));
        return 3;
    }
    to[0] = (unsigned char)(0xF0 | (code >> 18));
    to[1] = (unsigned char)(0x80 | ((code >> 12) & 0x3F));
    to[2] = (unsigned char)(0x80 | ((code >> 6) & 0x3F));
    to[3] = (unsigned char)(0x80 | (code & 0x3F));
    return 4;
}

char *utf16_to_utf8(const char *bytes, size_t len)
{
    size_t units = len / 2;
    size_t used = 0;
    char *out = malloc(units * UTF8_PER_UNIT_BYTES + 1);
    if (out == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < units; i++) {
        uint32_t code = unit_at(bytes, i);
        if (code == 0) {
            break;
        }
        if (i == 0 && code == BYTE_ORDER_MARK) {
            continue;
        }
        if (is_high(code) && i + 1 < units && is_low(unit_at(bytes, i + 1))) {
            code = 0x10000 + ((code - 0xD800) << 10) + (unit_at(bytes, ++i) - 0xDC00);
        } else if (is_high(code) || is_low(code)) {
            code = REPLACEMENT;
        }
        used += put_utf8(out + used, code);
    }
    out[used] = '\0';
    return out;
}
