/* UTF-8 as RFC 3629 has it: shortest form, no surrogates, up to U+10FFFF. Pure. */
#ifndef HOLDFAST_BASE_UTF8_H
#define HOLDFAST_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The length in bytes of the well-formed sequence at `text`, and its code point; 0 when there is none. `text` ends in a
 * zero byte. */
size_t utf8_sequence(const unsigned char *text, uint32_t *out_code_point);
/* C0, DEL and C1: what a terminal could act upon. */
bool utf8_is_control(uint32_t code_point);
/* A copy of `text` in which each byte that is part of no such sequence is U+FFFD: what a peer said becomes text. Heap
 * string; NULL when out of memory. */
char *utf8_repaired(const char *text);

#endif
