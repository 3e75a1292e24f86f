#include "service/posix/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static bool make_room(struct text *text, size_t len)
{
    size_t needed = text->len + len + 1;
    if (!text->failed && needed > text->cap_bytes) {
        char *longer = realloc(text->bytes, 2 * needed);
        text->failed = longer == NULL;
        if (longer != NULL) {
            text->bytes = longer;
            text->cap_bytes = 2 * needed;
        }
    }
    return !text->failed;
}

void text_add(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0 || !make_room(text, (size_t)len))
        return;
    va_start(args, format);
    (void)vsnprintf(text->bytes + text->len, (size_t)len + 1, format, args);
    va_end(args);
    text->len += (size_t)len;
}

void text_add_char(struct text *text, char byte)
{
    if (!make_room(text, 1))
        return;
    text->bytes[text->len++] = byte;
    text->bytes[text->len] = 0;
}

bool text_has_control(const char *word)
{
    for (; *word != 0; word++) {
        if ((unsigned char)*word < 0x20 || *word == 0x7f)
            return true;
    }
    return false;
}
