/* The status as a table for people. Pure. */
#ifndef HOLDFAST_CLI_STATUS_TABLE_H
#define HOLDFAST_CLI_STATUS_TABLE_H

#include <jansson.h>
#include <stdint.h>

/* Lines of text for `status` (docs/status.schema.json) at this time. What peers said is shown without control
 * characters. A heap string; NULL when out of memory. */
char *status_table(const json_t *status, uint64_t now_unix_ms);

#endif
