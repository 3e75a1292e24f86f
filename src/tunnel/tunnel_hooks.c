/* When a tunnel's hooks are run, and what they are told. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "tunnel/hooks.h"
#include "tunnel/internal.h"
#include "tunnel/slots.h"

enum { FORWARDS_BYTES = 8192, FORWARD_BYTES = 700 };

static void on_idle(void *arg)
{
    tunnel_check_stopped(arg);
}

/* A line for each forward, with the port that it has. */
static void describe_forwards(const struct tunnel *tunnel, char *out, size_t cap_bytes)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        char text[FORWARD_BYTES];
        const struct forward *forward = tunnel->slots[i].forward;
        (void)forward_spec_text(forward_get_spec(forward), forward_bound_port(forward), text, sizeof text);
        size_t len = strlen(text);
        if (used + len + 2 > cap_bytes) {
            return;
        }
        if (used > 0) {
            out[used++] = '\n';
        }
        memcpy(out + used, text, len + 1);
        used += len;
    }
}

void tunnel_run_hooks(struct tunnel *tunnel, const char *reason)
{
    char forwards[FORWARDS_BYTES];
    bool is_up = tunnel->state == TUNNEL_UP;
    bool is_last = tunnel->state == TUNNEL_STOPPED;
    bool is_due = is_up != tunnel->is_told_up;
    tunnel->is_told_up = is_up;
    if (!is_due && is_last && tunnel->hooks != NULL) {
        hooks_end(tunnel->hooks); /* on_down runs already, or has run */
    }
    if (!is_due || (tunnel->spec.on_up.count == 0 && tunnel->spec.on_down.count == 0)) {
        return;
    }
    if (tunnel->hooks == NULL && (tunnel->hooks = hooks_new(tunnel->loop, on_idle, tunnel)) == NULL) {
        log_error(tunnel->spec.name, "out of memory; %s is not run", is_up ? "on_up" : "on_down");
        return;
    }
    describe_forwards(tunnel, forwards, sizeof forwards);
    const struct hook_facts facts = {
        .state = tunnel_state_name(tunnel->state), .reason = reason, .forwards = forwards, .is_last = is_last};
    hooks_run(tunnel->hooks, &tunnel->spec, is_up ? HOOK_UP : HOOK_DOWN, &facts);
}
