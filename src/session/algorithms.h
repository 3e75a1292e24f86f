/* Which algorithms are offered. Pure, room-internal. */
#ifndef HOLDFAST_SESSION_ALGORITHMS_H
#define HOLDFAST_SESSION_ALGORITHMS_H

/* The list to offer: `defaults`, changed by `wanted` as ssh_config(5) says (NULL: unchanged; leading + adds, - removes,
 * ^ puts first; else replaces). Heap string, NULL when out of memory. */
char *algorithms_apply(const char *defaults, const char *wanted);
extern const char algorithms_default_kex[];
extern const char algorithms_default_ciphers[];
extern const char algorithms_default_macs[];

#endif
