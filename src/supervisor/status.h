/* How all tunnels of one process are, as plain data (DESIGN section 8). Made anew for each who asks; it points into the
 * tunnels, so it is used up before the loop goes on. */
#ifndef HOLDFAST_SUPERVISOR_STATUS_H
#define HOLDFAST_SUPERVISOR_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "supervisor/supervisor.h"

enum { STATUS_ENDPOINT_CAP_BYTES = 320 };

struct status_forward {
    enum forward_type type;
    enum forward_state state;
    char listen[STATUS_ENDPOINT_CAP_BYTES]; /* where it is to listen */
    char bound[STATUS_ENDPOINT_CAP_BYTES];  /* where it does; "": nowhere */
    char to[STATUS_ENDPOINT_CAP_BYTES];     /* "": it leads where each client says */
    const char *error;                      /* why it is not up; NULL: nothing failed */
    struct forward_counts counts;           /* with the connections that are open now */
};

struct status_tunnel {
    const char *name;
    const char *host;
    struct tunnel_facts facts;
    struct status_forward *forwards;
    size_t forward_count;
};

struct status {
    const char *version;
    int pid;
    uint64_t started_unix_ms;
    struct status_tunnel *tunnels;
    size_t tunnel_count;
};

/* Looks at all tunnels. ERR_MEMORY leaves `out` empty. */
enum err status_take(const struct supervisor *supervisor, struct status *out);
/* Frees what it owns; an empty one is fine. */
void status_deinit(struct status *status);

#endif
