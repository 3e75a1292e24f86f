/* A status snapshot as JSON (DESIGN section 8, docs/status.schema.json). Pure. */
#ifndef HOLDFAST_CONTROL_STATUS_JSON_H
#define HOLDFAST_CONTROL_STATUS_JSON_H

#include <jansson.h>

#include "supervisor/status.h"

/* The whole object, with the tunnels of these names alone unless `name_count` is 0; names that are no tunnel's are
 * passed over. What is not known is null. A new reference; NULL when out of memory. */
json_t *status_to_json(const struct status *status, char *const *names, size_t name_count);

#endif
