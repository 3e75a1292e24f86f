#include "supervisor/supervisor.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/log.h"
#include "config/text.h"
#include "platform/platform.h"
#include "supervisor/internal.h"

#define DEFAULT_GRACE_MS 5000
#define SAY_CAP_BYTES 2048

/* The process's exit codes (DESIGN section 5). */
enum exit_code { EXIT_STOPPED = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_AUTH = 3, EXIT_HOST_KEY = 4, EXIT_BIND = 5 };

static int exit_code_of(enum err code)
{
    switch (code) {
    case ERR_USAGE:
    case ERR_DEFINITION:
    case ERR_UNSUPPORTED: return EXIT_USAGE;
    case ERR_AUTH: return EXIT_AUTH;
    case ERR_HOST_KEY: return EXIT_HOST_KEY;
    case ERR_BIND: return EXIT_BIND;
    default: return EXIT_FAILED;
    }
}

/* One line in one write. Peers have a say in messages, so control characters do not reach a terminal. */
static void say(FILE *to, const char *text)
{
    char line[SAY_CAP_BYTES];
    if (to == NULL)
        return;
    size_t len = strlen(text_shown(text, line, sizeof line - 1));
    memcpy(line + len, "\n", sizeof "\n");
    (void)fputs(line, to);
    (void)fflush(to);
}

/* As ssh does: the port that the peer chose, when it is a new one. */
static void say_allocated_port(struct kept *kept, size_t index, const struct forward_spec *forward, uint16_t port)
{
    char target[512];
    char text[SAY_CAP_BYTES];
    if (forward->type != FORWARD_REMOTE || forward->listen.kind != ENDPOINT_TCP || forward->listen.port != 0 ||
        port == 0 || index >= kept->allocated_count || kept->allocated_ports[index] == port)
        return;
    kept->allocated_ports[index] = port;
    (void)snprintf(text, sizeof text, "Allocated port %u for remote forward to %s", (unsigned)port,
                   endpoint_text(&forward->to, target, sizeof target));
    say(kept->supervisor->up_lines, text);
}

/* Room for one port per forward; without it no port is told. */
static void make_ports(struct kept *kept, size_t count)
{
    if (kept->allocated_count == count)
        return;
    free(kept->allocated_ports);
    kept->allocated_ports = calloc(count + 1, sizeof kept->allocated_ports[0]);
    kept->allocated_count = kept->allocated_ports != NULL ? count : 0;
}

void supervisor_on_up(void *arg, struct tunnel *tunnel)
{
    struct kept *kept = arg;
    const struct tunnel_spec *spec = tunnel_get_spec(tunnel);
    make_ports(kept, spec->forward_count);
    for (size_t i = 0; i < spec->forward_count; i++) {
        char forward[1024];
        char text[SAY_CAP_BYTES];
        uint16_t port = tunnel_forward_bound_port(tunnel, i);
        say_allocated_port(kept, i, &spec->forwards[i], port);
        (void)snprintf(text, sizeof text, "holdfast: up: %s via %s@%s",
                       forward_spec_text(&spec->forwards[i], port, forward, sizeof forward), spec->host.user,
                       spec->host.name);
        say(kept->supervisor->up_lines, text);
    }
}

/* True when this change of state is the end of a tunnel from a command line: it will not come up, or not again. */
static bool is_end(const struct kept *kept, enum tunnel_state state, const struct err_info *why)
{
    const struct tunnel_spec *spec = tunnel_get_spec(kept->tunnel);
    if (!spec->one_line && !spec->once)
        return false;
    if (state == TUNNEL_FAILED || (state == TUNNEL_WAITING && spec->once))
        return true;
    if (tunnel_has_been_up(kept->tunnel))
        return false;
    if (state == TUNNEL_WAITING)
        return tunnel_is_hopeless(kept->tunnel);
    bool is_short = state == TUNNEL_DEGRADED || state == TUNNEL_PORT_BUSY;
    return is_short && (spec->once || spec->exit_on_forward_failure) && why->code != OK;
}

static void tell_change(const struct supervisor *supervisor)
{
    for (const struct supervisor_watcher *watcher = supervisor->watchers; watcher != NULL; watcher = watcher->next)
        watcher->on_change(watcher->arg);
}

void supervisor_watch(struct supervisor *supervisor, struct supervisor_watcher *watcher)
{
    watcher->next = supervisor->watchers;
    supervisor->watchers = watcher;
}

void supervisor_unwatch(struct supervisor *supervisor, const struct supervisor_watcher *watcher)
{
    struct supervisor_watcher **at = &supervisor->watchers;
    while (*at != NULL && *at != watcher)
        at = &(*at)->next;
    if (*at != NULL)
        *at = watcher->next;
}

void supervisor_on_state(void *arg, struct tunnel *tunnel, enum tunnel_state state, const struct err_info *why)
{
    struct kept *kept = arg;
    if (why == NULL)
        why = tunnel_last_error(tunnel);
    tell_change(kept->supervisor);
    if (kept->is_stopping || kept->end_why.code != OK || !is_end(kept, state, why))
        return;
    kept->end_why = *why;
    if (kept->end_why.code == OK)
        (void)err_set(&kept->end_why, ERR_CLOSED, "the session ended");
    (void)uv_async_send(&kept->supervisor->wake);
}

/* Ends the tunnels that supervisor_on_state found at their end. */
static void end_those_that_end(struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->count; i++) {
        struct kept *kept = supervisor->kept[i];
        char text[sizeof kept->end_why.message + 16];
        if (kept->end_why.code == OK || kept->is_stopping)
            continue;
        if (supervisor->exit_code == EXIT_STOPPED)
            supervisor->exit_code = exit_code_of(kept->end_why.code);
        (void)snprintf(text, sizeof text, "holdfast: %s", kept->end_why.message);
        say(stderr, text);
        kept_stop(kept, 0);
    }
}

/* Settles what has stopped, and lets those go that nobody wants. */
static void settle_all(struct supervisor *supervisor)
{
    size_t left = 0;
    for (size_t i = 0; i < supervisor->count; i++) {
        struct kept *kept = supervisor->kept[i];
        if (!kept->is_wanted && !kept->is_running) {
            kept_free(kept);
            continue;
        }
        supervisor->kept[left++] = kept;
        kept_settle(kept);
    }
    supervisor->count = left;
}

static void on_wake(uv_async_t *wake)
{
    struct supervisor *supervisor = wake->data;
    end_those_that_end(supervisor);
    settle_all(supervisor);
    tell_change(supervisor);
}

/* All is over when nothing runs and nothing is to. */
static bool is_over(const struct supervisor *supervisor)
{
    if (supervisor->running > 0)
        return false;
    for (size_t i = 0; i < supervisor->count && !supervisor->was_asked_to_stop; i++) {
        if (supervisor->kept[i]->end_why.code == OK)
            return false;
    }
    return true;
}

static void end_if_over(struct supervisor *supervisor)
{
    if (!is_over(supervisor) || uv_is_closing((uv_handle_t *)&supervisor->wake))
        return;
    uv_close((uv_handle_t *)&supervisor->wake, NULL);
    if (supervisor->on_over != NULL)
        supervisor->on_over(supervisor->on_over_arg);
}

void supervisor_on_stopped(void *arg, struct tunnel *tunnel)
{
    struct kept *kept = arg;
    struct supervisor *supervisor = kept->supervisor;
    (void)tunnel;
    kept->is_running = false;
    supervisor->running--;
    if (supervisor->was_asked_to_stop || kept->end_why.code != OK) {
        platform_lock_release(kept->lock);
        kept->lock = NULL;
    } else {
        (void)uv_async_send(&supervisor->wake);
    }
    end_if_over(supervisor);
}

/* Its wake is not open yet, or has been closed. */
static void free_all(struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->count; i++)
        kept_free(supervisor->kept[i]);
    free((void *)supervisor->kept);
    free(supervisor->state_dir);
    free(supervisor);
}

enum err supervisor_new(uv_loop_t *loop, const struct tunnel_spec *specs, size_t count,
                        const struct supervisor_options *options, struct supervisor **out, struct err_info *info)
{
    *out = NULL;
    struct supervisor *supervisor = calloc(1, sizeof *supervisor);
    struct kept **kept = calloc(count + 1, sizeof(struct kept *));
    if (supervisor == NULL || kept == NULL ||
        (options->state_dir != NULL && (supervisor->state_dir = strdup(options->state_dir)) == NULL)) {
        free(supervisor);
        free((void *)kept);
        return err_set(info, ERR_MEMORY, "out of memory");
    }
    enum err result = OK;
    supervisor->loop = loop;
    supervisor->started_unix_ms = time_unix_ms();
    supervisor->kept = kept;
    supervisor->up_lines = options->up_lines;
    supervisor->grace_ms = options->grace_ms != 0 ? options->grace_ms : DEFAULT_GRACE_MS;
    for (size_t i = 0; i < count && result == OK; i++) {
        result = kept_new(supervisor, &specs[i], &kept[i], info);
        if (result == OK)
            supervisor->count++;
    }
    if (result == OK) {
        int status = uv_async_init(loop, &supervisor->wake, on_wake);
        if (status != 0)
            result = err_set(info, err_from_uv(status), "cannot use the event loop: %s", err_uv_text(status));
    }
    if (result != OK) {
        free_all(supervisor);
        return result;
    }
    supervisor->wake.data = supervisor;
    *out = supervisor;
    return OK;
}

void supervisor_start(struct supervisor *supervisor)
{
    supervisor->has_started = true;
    for (size_t i = 0; i < supervisor->count; i++)
        kept_settle(supervisor->kept[i]);
}

void supervisor_wake(struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->count; i++) {
        if (supervisor->kept[i]->is_running)
            tunnel_wake(supervisor->kept[i]->tunnel);
    }
}

void supervisor_stop(struct supervisor *supervisor)
{
    uint64_t grace_ms = supervisor->was_asked_to_stop ? 0 : supervisor->grace_ms;
    if (supervisor->running > 0 && grace_ms == 0)
        log_info(NULL, "stopping %zu of %zu tunnels at once", supervisor->running, supervisor->count);
    else if (supervisor->running > 0)
        log_info(NULL, "stopping %zu of %zu tunnels; connections may finish for %" PRIu64 " ms", supervisor->running,
                 supervisor->count, grace_ms);
    supervisor->was_asked_to_stop = true;
    for (size_t i = 0; i < supervisor->count; i++)
        kept_stop(supervisor->kept[i], grace_ms);
    end_if_over(supervisor);
}

void supervisor_tell_over(struct supervisor *supervisor, void (*on_over)(void *arg), void *arg)
{
    supervisor->on_over = on_over;
    supervisor->on_over_arg = arg;
    if (uv_is_closing((uv_handle_t *)&supervisor->wake))
        on_over(arg);
}

bool supervisor_is_stopping(const struct supervisor *supervisor)
{
    return supervisor->was_asked_to_stop;
}

size_t supervisor_tunnel_count(const struct supervisor *supervisor)
{
    return supervisor->count;
}

const struct tunnel *supervisor_tunnel_at(const struct supervisor *supervisor, size_t index)
{
    return supervisor->kept[index]->tunnel;
}

uint64_t supervisor_started_unix_ms(const struct supervisor *supervisor)
{
    return supervisor->started_unix_ms;
}

int supervisor_exit_code(const struct supervisor *supervisor)
{
    return supervisor->exit_code;
}

void supervisor_free(struct supervisor *supervisor)
{
    if (supervisor != NULL)
        free_all(supervisor);
}
