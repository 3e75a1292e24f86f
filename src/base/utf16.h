/* What programs of Windows print: UTF-16, in little-endian order. Pure. */
#ifndef HOLDFAST_BASE_UTF16_H
#define HOLDFAST_BASE_UTF16_H

#include <stdbool.h>
#include <stddef.h>

/* Whether these bytes are UTF-16LE rather than text in bytes: no such text has a NUL, and every line in UTF-16 does. */
bool utf16_is_likely(const char *bytes, size_t len);
/* As a heap string in UTF-8, up to the first NUL character. A byte order mark is left out; half a surrogate pair
 * becomes U+FFFD, half a character at the end is left out. NULL when out of memory. */
char *utf16_to_utf8(const char *bytes, size_t len);

#endif
