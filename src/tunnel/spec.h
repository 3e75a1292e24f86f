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
    uint64_t backoff_first_ms;         /* 500 */
    uint64_t backoff_max_ms;           /* 60000 */
    struct string_list on_up, on_down; /* programs with their arguments; empty: none */
    uint64_t hook_timeout_ms;          /* how long these may run; 30000 */
    bool exit_on_forward_failure;      /* -o ExitOnForwardFailure=yes */
    bool once;                         /* --once: never reconnect */
    bool no_reclaim;                   /* a stale session of ours is not looked for at the peer, and none is ended */
    bool one_line;                     /* from flags: a first attempt that can never succeed ends it; prompts allowed */
    char *where;                       /* "FILE:LINE:COL" of the definition, or "command line" */
};

void tunnel_spec_init(struct tunnel_spec *spec);
enum err tunnel_spec_copy(struct tunnel_spec *to, const struct tunnel_spec *from);
void tunnel_spec_deinit(struct tunnel_spec *spec);
/* What has to be done to a tunnel that is kept as `old` says, so that it is as `wanted` says. */
enum tunnel_diff {
    TUNNEL_DIFF_NONE = 0,
    TUNNEL_DIFF_VALUES = 1,   /* of those that a running tunnel takes over: backoff, exit_on_forward_failure, hooks,
                                 reclaim */
    TUNNEL_DIFF_FORWARDS = 2, /* forwards are to be added or cancelled; the session is as it was */
    TUNNEL_DIFF_SESSION = 4   /* the session is another one */
};
/* Any of enum tunnel_diff, joined. Where a definition stands is no difference, nor is what stands in the files that it
 * names, nor the order of the forwards. Pure. */
unsigned tunnel_spec_diff(const struct tunnel_spec *old, const struct tunnel_spec *wanted);
/* For each forward of `wanted`, which of `old` it is: its index there, or SIZE_MAX for a new one. `out` has room for
 * wanted->forward_count. A forward of `old` is found once. Returns how many were found. */
size_t tunnel_spec_match_forwards(const struct tunnel_spec *old, const struct tunnel_spec *wanted, size_t *out);
/* Adds a deep copy of `forward`. */
enum err tunnel_spec_add_forward(struct tunnel_spec *spec, const struct forward_spec *forward);

#endif
