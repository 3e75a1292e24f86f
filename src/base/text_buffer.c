#include "base/text_buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* Makes room for `len` bytes and the zero byte after them. */
static bool reserve(struct text_buffer *buffer, size_t len)
{
    size_t needed = buffer->len + len + 1;
    if (buffer->out_of_memory || needed < len)
        return false;
    if (needed <= buffer->cap_bytes)
        return true;
    size_t cap_bytes = buffer->cap_bytes < 256 ? 256 : buffer->cap_bytes * 2;
    cap_bytes = cap_bytes < needed ? needed : cap_bytes;
    char *text = realloc(buffer->text, cap_bytes);
    if (text == NULL) {
        buffer->out_of_memory = true;
        return false;
    }
    buffer->text = text;
    buffer->cap_bytes = cap_bytes;
    return true;
}

void text_buffer_add_bytes(struct text_buffer *buffer, const char *bytes, size_t len)
{
    if (!reserve(buffer, len))
        return;
    memcpy(buffer->text + buffer->len, bytes, len);
    buffer->len += len;
    buffer->text[buffer->len] = '\0';
}

void text_buffer_add(struct text_buffer *buffer, const char *text)
{
    text_buffer_add_bytes(buffer, text, strlen(text));
}

void text_buffer_add_shown(struct text_buffer *buffer, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at != 0) {
        uint32_t code_point = 0;
        size_t len = utf8_sequence(at, &code_point);
        if (len == 0 || utf8_is_control(code_point))
            text_buffer_add(buffer, "?");
        else
            text_buffer_add_bytes(buffer, (const char *)at, len);
        at += len != 0 ? len : 1;
    }
}

void text_buffer_format(struct text_buffer *buffer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0 || !reserve(buffer, (size_t)len)) {
        buffer->out_of_memory = true;
        return;
    }
    va_start(args, format);
    (void)vsnprintf(buffer->text + buffer->len, (size_t)len + 1, format, args);
    va_end(args);
    buffer->len += (size_t)len;
}

char *text_buffer_take(struct text_buffer *buffer)
{
    char *text = NULL;
    if (reserve(buffer, 0)) {
        buffer->text[buffer->len] = '\0';
        text = buffer->text;
    } else {
        free(buffer->text);
    }
    *buffer = (struct text_buffer){.text = NULL};
    return text;
}
