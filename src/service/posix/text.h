/* Text that grows, and what a service manager's file may have in it. Room-internal. */
#ifndef HOLDFAST_SERVICE_POSIX_TEXT_H
#define HOLDFAST_SERVICE_POSIX_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/printf_like.h"

/* Zero before the first call. `bytes` is heap memory and ends in a zero byte. */
struct text {
    char *bytes;
    size_t len, cap_bytes;
    bool failed; /* out of memory */
};

void text_add(struct text *text, const char *format, ...) PRINTF_LIKE(2, 3);
void text_add_char(struct text *text, char byte);
/* True for a word that has control characters in it, which no such file can hold. */
bool text_has_control(const char *word);

#endif
