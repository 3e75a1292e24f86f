/* Small text helpers of this room: copies, comparison without case, patterns, the nearest known word. Pure. */
#ifndef HOLDFAST_CONFIG_TEXT_H
#define HOLDFAST_CONFIG_TEXT_H

#include "base/printf_like.h"

#include <stdbool.h>
#include <stddef.h>

/* A heap copy of the first `len` bytes; NULL when out of memory. */
char *text_dup(const char *text, size_t len);
/* printf to a heap string; NULL when out of memory. */
char *text_format(const char *format, ...) PRINTF_LIKE(1, 2);
/* ASCII letters compare without case. */
bool text_equal_nocase(const char *a, const char *b);
char text_lower(char letter);
/* True when `text` matches `pattern`, in which * stands for any run and ? for any one byte; without case if `nocase`.
 */
bool text_match(const char *pattern, const char *text, bool nocase);
/* ssh_config(5) PATTERNS: a list of patterns, of which one must match and no one with a leading ! may. `separators`
 * says what parts the list (",", or NULL when `patterns` is one pattern). Compares without case. */
bool text_match_list(const char *patterns, const char *separators, const char *text);
/* The word of `known` that `word` most probably means, without regard to case, or NULL when none is near. */
const char *text_nearest(const char *word, const char *const *known, size_t count);
/* `text` made fit for a message and for a terminal: control characters and what is not UTF-8 become '?', what does not
 * fit is cut. Returns `out`. */
const char *text_shown(const char *text, char *out, size_t cap_bytes);

#endif
