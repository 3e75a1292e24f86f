/* The programs of a tunnel's definition that are run when it comes up and when it is up no more. One at a time; while
 * it runs, what happens last is remembered and comes next. The tunnel waits for none of them. On the loop's thread.
 * Room-internal. */
#ifndef HOLDFAST_TUNNEL_HOOKS_H
#define HOLDFAST_TUNNEL_HOOKS_H

#include <stdbool.h>
#include <uv.h>

#include "tunnel/spec.h"

struct hooks;

enum hook { HOOK_UP, HOOK_DOWN };

/* What the program is told, in its environment. The strings are copied. */
struct hook_facts {
    const char *state;    /* HOLDFAST_STATE */
    const char *reason;   /* HOLDFAST_REASON, "" where nothing failed */
    const char *forwards; /* HOLDFAST_FORWARDS, a line for each */
    bool is_last;         /* the tunnel ends: its program has 5 s at most */
};

/* `on_idle` comes when no program runs any more, never from inside a call. NULL: out of memory. */
struct hooks *hooks_new(uv_loop_t *loop, void (*on_idle)(void *arg), void *arg);
/* Runs the hook of the spec, if it has one, now or after the one that runs; one that waits is forgotten. */
void hooks_run(struct hooks *hooks, const struct tunnel_spec *spec, enum hook which, const struct hook_facts *facts);
/* The tunnel ends: what waits is forgotten, an on_up that runs is killed, and an on_down has 5 s more. */
void hooks_end(struct hooks *hooks);
/* Kills what runs and forgets what waits; on_idle comes soon. */
void hooks_kill(struct hooks *hooks);
/* Nothing runs and nothing waits. `hooks` may be NULL. */
bool hooks_are_idle(const struct hooks *hooks);
/* When idle. May be NULL. */
void hooks_free(struct hooks *hooks);

#endif
