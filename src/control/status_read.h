/* What stands in a status (DESIGN section 8), for those who show it. All of it takes what is missing, null or of
 * another type for not known, since the service may be of another version. Pure; texts and objects are borrowed. */
#ifndef HOLDFAST_CONTROL_STATUS_READ_H
#define HOLDFAST_CONTROL_STATUS_READ_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* NULL: not known. */
const char *status_text_of(const json_t *object, const char *key);
/* `otherwise`: not known. */
const char *status_text_or(const json_t *object, const char *key, const char *otherwise);
/* -1: not known. */
int64_t status_number_of(const json_t *object, const char *key);
/* A time as milliseconds since 1970-01-01 UTC; 0: not known. */
uint64_t status_time_of(const json_t *object, const char *key);
/* The tunnels of a status, or the forwards of a tunnel. */
size_t status_tunnel_count(const json_t *status);
const json_t *status_tunnel(const json_t *status, size_t index);
size_t status_forward_count(const json_t *tunnel);
const json_t *status_forward(const json_t *tunnel, size_t index);
/* The tunnel of that name, or NULL; `status` may be NULL. */
const json_t *status_find(const json_t *status, const char *name);
/* Whether both come from one run of the service, so that what they count may be compared. */
bool status_is_same_run(const json_t *a, const json_t *b);

#endif
