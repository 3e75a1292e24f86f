/* What a peer says before anything is encrypted: its greeting (RFC 4253 section 4.2) and the algorithms that it offers
 * (section 7.1). Pure; the bytes may be anything, since the peer may be no sshd. */
#ifndef HOLDFAST_SESSION_OPENING_H
#define HOLDFAST_SESSION_OPENING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "session/wire.h"

/* The lists of a KEXINIT that are of interest, in its order. */
enum opening_list {
    OPENING_KEX = 0,
    OPENING_HOST_KEY,
    OPENING_CIPHER_TO_PEER,
    OPENING_CIPHER_FROM_PEER,
    OPENING_MAC_TO_PEER,
    OPENING_MAC_FROM_PEER,
    OPENING_LIST_COUNT
};

struct opening {
    char line[160]; /* the greeting, or the first line of what came instead; made fit for a message; "": nothing came */
    bool is_ssh;    /* it is a greeting of SSH 2 */
    bool is_old_ssh;                             /* of SSH 1 alone */
    bool has_offer;                              /* `lists` are filled */
    struct wire_slice lists[OPENING_LIST_COUNT]; /* comma lists inside the bytes that were parsed */
};

void opening_parse(const uint8_t *bytes, size_t len, struct opening *out);
/* The first name of `ours` that is in `theirs` too, as a slice of `ours`; empty when there is none. */
struct wire_slice opening_common(struct wire_slice theirs, const char *ours);

#endif
