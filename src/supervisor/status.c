#include "supervisor/status.h"

#include <stdlib.h>
#include <string.h>

#include "base_generated/version.h"

static void describe(const struct forward_spec *spec, struct status_forward *out)
{
    out->type = spec->type;
    (void)forward_listen_text(spec, 0, out->listen, sizeof out->listen);
    if (spec->to.kind != ENDPOINT_NONE)
        (void)endpoint_text(&spec->to, out->to, sizeof out->to);
}

static void look_at_forward(const struct forward *forward, struct status_forward *out)
{
    const struct err_info *why = forward_error(forward);
    describe(forward_get_spec(forward), out);
    out->state = forward_get_state(forward);
    if (out->state == FORWARD_UP || out->state == FORWARD_DEGRADED)
        (void)forward_listen_text(forward_get_spec(forward), forward_bound_port(forward), out->bound,
                                  sizeof out->bound);
    if (out->state != FORWARD_UP && why->code != OK)
        out->error = why->message;
    forward_get_counts(forward, &out->counts);
}

static enum err look_at_tunnel(const struct tunnel *tunnel, struct status_tunnel *out)
{
    const struct tunnel_spec *spec = tunnel_get_spec(tunnel);
    size_t made = tunnel_forward_count(tunnel);
    size_t count = made != 0 ? made : spec->forward_count; /* not started: as they are wanted */
    out->name = spec->name;
    out->host = spec->host.name;
    tunnel_get_facts(tunnel, &out->facts);
    out->forwards = calloc(count + 1, sizeof *out->forwards);
    if (out->forwards == NULL)
        return ERR_MEMORY;
    out->forward_count = count;
    for (size_t i = 0; i < count; i++) {
        if (made != 0)
            look_at_forward(tunnel_forward(tunnel, i), &out->forwards[i]);
        else
            describe(&spec->forwards[i], &out->forwards[i]);
    }
    return OK;
}

enum err status_take(const struct supervisor *supervisor, struct status *out)
{
    size_t count = supervisor_tunnel_count(supervisor);
    *out = (struct status){.version = HOLDFAST_VERSION,
                           .pid = (int)uv_os_getpid(),
                           .started_unix_ms = supervisor_started_unix_ms(supervisor)};
    out->tunnels = calloc(count + 1, sizeof *out->tunnels);
    if (out->tunnels == NULL)
        return ERR_MEMORY;
    out->tunnel_count = count;
    for (size_t i = 0; i < count; i++) {
        if (look_at_tunnel(supervisor_tunnel_at(supervisor, i), &out->tunnels[i]) != OK) {
            status_deinit(out);
            return ERR_MEMORY;
        }
    }
    return OK;
}

void status_deinit(struct status *status)
{
    for (size_t i = 0; i < status->tunnel_count; i++)
        free(status->tunnels[i].forwards);
    free(status->tunnels);
    memset(status, 0, sizeof *status);
}
