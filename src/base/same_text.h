/* Texts that may be unset. */
#ifndef HOLDFAST_BASE_SAME_TEXT_H
#define HOLDFAST_BASE_SAME_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Whether both are unset (NULL), or both are set and equal. */
static inline bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

#endif
