/* What `status --watch` shows: a picture, or lines where there is no screen. Pure: status in, text out. */
#ifndef HOLDFAST_CLI_WATCH_VIEW_H
#define HOLDFAST_CLI_WATCH_VIEW_H

#include <jansson.h>

#include "platform/screen.h"

/* A status and when it came, as milliseconds since 1970-01-01 UTC. */
struct watch_status {
    const json_t *json; /* NULL: none */
    uint64_t at_unix_ms;
};

struct watch_view {
    struct watch_status now, before; /* rates are the difference */
    const char *trouble;             /* why nothing newer comes; NULL: it does */
    uint64_t now_unix_ms;
    size_t scroll; /* how many lines of the list are above the picture */
};

/* Draws all into a blank picture of any size; a width of 120 and more has more columns. */
void watch_view_draw(const struct watch_view *view, struct screen_frame *frame);
/* How many lines the whole list has in a picture of that width. */
size_t watch_view_lines(const struct watch_view *view, unsigned width);
/* How many lines of the list a picture of that size has room for, below what `trouble` takes. */
size_t watch_view_room(const struct watch_view *view, unsigned width, unsigned height);

/* One line for each tunnel whose state, error or forwards are others than `before` (NULL: all), and one for each that
 * is gone. Without control characters. Heap text, "" when nothing changed; NULL when out of memory. */
char *watch_view_changes(const json_t *before, const json_t *now, uint64_t now_unix_ms);

#endif
