#include "tunnel/spec.h"

#include <stdlib.h>
#include <string.h>

void tunnel_spec_init(struct tunnel_spec *spec)
{
    memset(spec, 0, sizeof *spec);
    host_spec_init(&spec->host);
    spec->backoff_first_ms = 500;
    spec->backoff_max_ms = 60000;
}

enum err tunnel_spec_copy(struct tunnel_spec *to, const struct tunnel_spec *from)
{
    *to = *from;
    to->name = NULL;
    to->where = NULL;
    to->forwards = NULL;
    to->forward_count = 0;
    if (host_spec_copy(&to->host, &from->host) != OK) {
        return ERR_MEMORY;
    }
    if ((from->name != NULL && (to->name = strdup(from->name)) == NULL) ||
        (from->where != NULL && (to->where = strdup(from->where)) == NULL)) {
        goto out;
    }
    for (size_t i = 0; i < from->forward_count; i++) {
        if (tunnel_spec_add_forward(to, &from->forwards[i]) != OK) {
            goto out;
        }
    }
    return OK;
out:
    tunnel_spec_deinit(to);
    return ERR_MEMORY;
}

void tunnel_spec_deinit(struct tunnel_spec *spec)
{
    for (size_t i = 0; i < spec->forward_count; i++) {
        forward_spec_deinit(&spec->forwards[i]);
    }
    free(spec->forwards);
    free(spec->name);
    free(spec->where);
    host_spec_deinit(&spec->host);
    memset(spec, 0, sizeof *spec);
}

enum err tunnel_spec_add_forward(struct tunnel_spec *spec, const struct forward_spec *forward)
{
    struct forward_spec *forwards = realloc(spec->forwards, (spec->forward_count + 1) * sizeof *forwards);
    if (forwards == NULL) {
        return ERR_MEMORY;
    }
    spec->forwards = forwards;
    if (forward_spec_copy(&forwards[spec->forward_count], forward) != OK) {
        return ERR_MEMORY;
    }
    spec->forward_count++;
    return OK;
}
