#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

size_t utf8_sequence(const unsigned char *text, uint32_t *out_code_point)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = text[0] < 0x80   ? 1
                 : text[0] < 0xc0 ? 0
                 : text[0] < 0xe0 ? 2
                 : text[0] < 0xf0 ? 3
                 : text[0] < 0xf8 ? 4
                                  : 0;
    if (len < 2) {
        *out_code_point = text[0];
        return len;
    }
    uint32_t code_point = text[0] & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code_point = code_point << 6 | (text[i] & 0x3fU);
    }
    if (code_point < least[len] || code_point > 0x10ffff || (code_point >= 0xd800 && code_point <= 0xdfff))
        return 0;
    *out_code_point = code_point;
    return len;
}

bool utf8_is_control(uint32_t code_point)
{
    return code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0);
}

char *utf8_repaired(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    char *copy = malloc(strlen(text) * strlen(REPLACEMENT) + 1);
    size_t len = 0;
    while (copy != NULL && *at != 0) {
        uint32_t code_point = 0;
        size_t taken = utf8_sequence(at, &code_point);
        if (taken == 0) {
            memcpy(copy + len, REPLACEMENT, strlen(REPLACEMENT));
            len += strlen(REPLACEMENT);
            at++;
            continue;
        }
        memcpy(copy + len, at, taken);
        len += taken;
        at += taken;
    }
    if (copy != NULL)
        copy[len] = 0;
    return copy;
}
