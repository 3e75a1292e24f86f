/* The lock file of a tunnel name. Room-internal. Pure. */
#ifndef HOLDFAST_SUPERVISOR_LOCK_NAME_H
#define HOLDFAST_SUPERVISOR_LOCK_NAME_H

#include <stddef.h>

#define LOCK_NAME_CAP_BYTES 256

/* "xp-mode" -> "xp-mode.lock". Different names give different files on every system, also where case does not count and
 * where "con" is a device: lower-case letters, digits, '-', '_' and '.' (but at the start) stay, other bytes become
 * %xx. A long name is cut and ends in a hash of the whole. `cap_bytes` of LOCK_NAME_CAP_BYTES holds any. Returns `out`.
 */
const char *lock_name(const char *tunnel, char *out, size_t cap_bytes);
/* The same for NAME.record, in which the tunnel remembers who served it at the peer. */
const char *record_name(const char *tunnel, char *out, size_t cap_bytes);

#endif
