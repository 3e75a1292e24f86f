/* Numbers and sentences of the live status, as short as they fit a table. Pure. */
#ifndef HOLDFAST_CLI_WATCH_TEXT_H
#define HOLDFAST_CLI_WATCH_TEXT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum { WATCH_TEXT_CAP_BYTES = 32, WATCH_TEXT_LINE_CAP_BYTES = 1024 };

/* 512 -> "512 B", 1300000 -> "1.2 MiB": at most 9 characters. Returns `out`. */
const char *watch_text_bytes(uint64_t bytes, char *out, size_t cap_bytes);
/* 42 s -> "42s", 725 s -> "12m05s", then "3h12m", "12d03h": at most 7 characters up to 27 years. Returns `out`. */
const char *watch_text_span(uint64_t ms, char *out, size_t cap_bytes);
/* "12 tunnels: 10 up, 2 waiting". */
void watch_text_summary(const json_t *status, char *out, size_t cap_bytes);
/* Puts the words of `text` that fit into so many columns into `line`, and returns where the rest begins. A word that is
 * longer is broken. */
const char *watch_text_break(const char *text, unsigned columns, char *line, size_t cap_bytes);

#endif
