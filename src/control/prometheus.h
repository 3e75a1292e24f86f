/* A status in Prometheus' text format (version 0.0.4), for `status --prometheus` and the metrics file alike. Pure. */
#ifndef HOLDFAST_CONTROL_PROMETHEUS_H
#define HOLDFAST_CONTROL_PROMETHEUS_H

#include <jansson.h>

/* The media type of the text, for whoever serves it. */
#define PROMETHEUS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* All of a status (DESIGN section 8): names begin with holdfast_, units are seconds and bytes, what is not known is
 * left out. Labels are `tunnel`, and for a forward `forward` (where it listens as it was asked to; a second one that is
 * the same gets "#2" behind it) and `type`. Heap text; NULL when out of memory. */
char *prometheus_text(const json_t *status);

#endif
