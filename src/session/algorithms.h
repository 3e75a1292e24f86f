/* Which algorithms are offered. Pure, room-internal. */
#ifndef HOLDFAST_SESSION_ALGORITHMS_H
#define HOLDFAST_SESSION_ALGORITHMS_H

#include <stdbool.h>
#include <stddef.h>

/* What is offered when nothing else is said, as comma lists with the best first. Static storage. */
extern const char algorithms_default_kex[];
extern const char algorithms_default_macs[];
/* AES-GCM comes first where the processor has instructions for it (platform_has_aes), else ChaCha20-Poly1305. Of
 * AES-GCM, the key of 128 bits comes before that of 256: it is as far out of reach, and takes less time. */
const char *algorithms_default_ciphers(bool has_aes);

/* The list to offer: `defaults`, changed by `wanted` as ssh_config(5) says (NULL: unchanged; leading + adds, - removes,
 * ^ puts first; else replaces). Heap string, NULL when out of memory. */
char *algorithms_apply(const char *defaults, const char *wanted);
/* Those of `list` that are not among the `have_count` names in `have`, as a list too ("" when there is none), and how
 * many are, in *out_known. Heap string, NULL when out of memory. */
char *algorithms_unknown(const char *list, const char *const *have, size_t have_count, size_t *out_known);

#endif
