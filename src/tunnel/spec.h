/* What is wanted of one tunnel: one host and its forwards. Plain data, filled by config/, read by tunnel/. */
#ifndef HOLDFAST_TUNNEL_SPEC_H
#define HOLDFAST_TUNNEL_SPEC_H

#include "forward/spec.h"
#include "session/spec.h"

struct tunnel_spec {
    char *name; /* the key under `tunnels:`; in the one-line form the host as written */
    struct host_spec host;
    struct forward_spec *forwards; /* never empty for `run`; may be empty in the one-line form (-N alone) */
    size_t forward_count;
    uint64_t backoff_first_ms;    /* 500 */
    uint64_t backoff_max_ms;      /* 60000 */
    bool exit_on_forward_failure; /* -o ExitOnForwardFailure=yes */
    bool once;                    /* --once: never reconnect */
    bool one_line;                /* from flags: a first attempt that can never succeed ends it; prompts allowed */
    char *where;                  /* "FILE:LINE:COL" of the definition, or "command line" */
};

void tunnel_spec_init(struct tunnel_spec *spec);
enum err tunnel_spec_copy(struct tunnel_spec *to, const struct tunnel_spec *from);
void tunnel_spec_deinit(struct tunnel_spec *spec);
/* Adds a deep copy of `forward`. */
enum err tunnel_spec_add_forward(struct tunnel_spec *spec, const struct forward_spec *forward);

#endif
