/* Text that grows as it is written. A failure to grow is kept until the end, so that writers need not look after each
 * step. */
#ifndef HOLDFAST_BASE_TEXT_BUFFER_H
#define HOLDFAST_BASE_TEXT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/printf_like.h"

/* All zero is an empty one. */
struct text_buffer {
    char *text; /* ends in a zero byte once anything was written; NULL before */
    size_t len, cap_bytes;
    bool out_of_memory;
};

void text_buffer_add(struct text_buffer *buffer, const char *text);
void text_buffer_add_bytes(struct text_buffer *buffer, const char *bytes, size_t len);
/* Adds text of which a peer may have written a part: control characters, which a terminal could act upon, and bytes
 * that are not UTF-8 become '?'. */
void text_buffer_add_shown(struct text_buffer *buffer, const char *text);
/* printf-style. */
void text_buffer_format(struct text_buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);
/* Hands over the text as a heap string ("" when nothing was written) and leaves the buffer empty. NULL: there was not
 * enough memory somewhere. */
char *text_buffer_take(struct text_buffer *buffer);

#endif
