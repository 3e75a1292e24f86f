#include "supervisor/supervisor.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/log.h"
#include "platform/platform.h"
#include "supervisor/lock_name.h"

#define DEFAULT_GRACE_MS 5000
#define SAY_CAP_BYTES 2048

/* The process's exit codes (DESIGN section 5). */
enum exit_code { EXIT_STOPPED = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_AUTH = 3, EXIT_HOST_KEY = 4, EXIT_BIND = 5 };

/* One tunnel that is kept. */
struct kept {
    struct supervisor *supervisor;
    struct tunnel *tunnel;
    struct platform_lock *lock; /* NULL for a one-line tunnel */
    uint16_t *allocated_ports;  /* per forward: the port last told of, for -R with port 0 */
    struct err_info end_why;    /* why it is to end by itself; OK while it is not */
    bool is_stopping;
    bool has_stopped;
};

struct supervisor {
    uv_loop_t *loop;
    /* Holds the loop while all tunnels wait for nothing but a person, and carries out what a tunnel's callback asked
     * for, since a tunnel is not stopped from inside its own callback. */
    uv_async_t wake;
    FILE *up_lines;
    uint64_t started_unix_ms;
    uint64_t grace_ms;
    struct kept *kept;
    size_t count;
    size_t running;
    bool has_started;
    bool was_asked_to_stop;
    int exit_code;
};

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
    size_t len = strlen(text);
    if (len > sizeof line - 2)
        len = sizeof line - 2;
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)text[i];
        line[i] = byte < 0x20 || byte == 0x7f ? '?' : text[i];
    }
    line[len] = '\n';
    line[len + 1] = 0;
    (void)fputs(line, to);
    (void)fflush(to);
}

/* As ssh does: the port that the peer chose, when it is a new one. */
static void say_allocated_port(struct kept *kept, size_t index, const struct forward_spec *forward, uint16_t port)
{
    char target[512];
    char text[SAY_CAP_BYTES];
    if (forward->type != FORWARD_REMOTE || forward->listen.kind != ENDPOINT_TCP || forward->listen.port != 0 ||
        port == 0 || kept->allocated_ports[index] == port)
        return;
    kept->allocated_ports[index] = port;
    (void)snprintf(text, sizeof text, "Allocated port %u for remote forward to %s", (unsigned)port,
                   endpoint_text(&forward->to, target, sizeof target));
    say(kept->supervisor->up_lines, text);
}

static void on_up(void *arg, struct tunnel *tunnel)
{
    struct kept *kept = arg;
    const struct tunnel_spec *spec = tunnel_get_spec(tunnel);
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
    return state == TUNNEL_DEGRADED && (spec->once || spec->exit_on_forward_failure) && why->code != OK;
}

static void on_state(void *arg, struct tunnel *tunnel, enum tunnel_state state, const struct err_info *why)
{
    struct kept *kept = arg;
    if (why == NULL)
        why = tunnel_last_error(tunnel);
    if (kept->is_stopping || kept->end_why.code != OK || !is_end(kept, state, why))
        return;
    kept->end_why = *why;
    if (kept->end_why.code == OK)
        (void)err_set(&kept->end_why, ERR_CLOSED, "the session ended");
    (void)uv_async_send(&kept->supervisor->wake);
}

static void stop_one(struct kept *kept, uint64_t grace_ms)
{
    if (kept->has_stopped)
        return;
    kept->is_stopping = true;
    tunnel_stop(kept->tunnel, grace_ms);
}

/* Ends the tunnels that on_state found at their end. */
static void on_wake(uv_async_t *wake)
{
    struct supervisor *supervisor = wake->data;
    for (size_t i = 0; i < supervisor->count; i++) {
        struct kept *kept = &supervisor->kept[i];
        char text[sizeof kept->end_why.message + 16];
        if (kept->end_why.code == OK || kept->is_stopping)
            continue;
        if (supervisor->exit_code == EXIT_STOPPED)
            supervisor->exit_code = exit_code_of(kept->end_why.code);
        (void)snprintf(text, sizeof text, "holdfast: %s", kept->end_why.message);
        say(stderr, text);
        stop_one(kept, 0);
    }
}

static void on_stopped(void *arg, struct tunnel *tunnel)
{
    struct kept *kept = arg;
    struct supervisor *supervisor = kept->supervisor;
    (void)tunnel;
    kept->has_stopped = true;
    platform_lock_release(kept->lock);
    kept->lock = NULL;
    supervisor->running--;
    if (supervisor->running == 0)
        uv_close((uv_handle_t *)&supervisor->wake, NULL);
}

/* Takes the lock of the name of a defined tunnel in `state_dir`. */
static enum err take_lock(const char *name, const char *state_dir, struct platform_lock **out, struct err_info *info)
{
    char file[LOCK_NAME_CAP_BYTES];
    struct err_info why;
    char *path = platform_path_resolve(state_dir, lock_name(name, file, sizeof file));
    if (path == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    enum err result = platform_lock_take(path, out, &why);
    free(path);
    if (result == ERR_BUSY)
        return err_set(info, ERR_BUSY, "tunnel '%s' is %s; stop it or rename one", name, why.message);
    return result == OK ? OK : err_set(info, result, "tunnel '%s': %s", name, why.message);
}

/* Makes the tunnel of one spec; what it leaves behind on failure is freed with the supervisor. */
static enum err make_kept(struct supervisor *supervisor, struct kept *kept, const struct tunnel_spec *spec,
                          struct err_info *info)
{
    struct tunnel_events events = {.on_state = on_state, .on_up = on_up, .on_stopped = on_stopped, .arg = kept};
    kept->supervisor = supervisor;
    kept->allocated_ports = calloc(spec->forward_count + 1, sizeof kept->allocated_ports[0]);
    if (kept->allocated_ports != NULL)
        kept->tunnel = tunnel_new(supervisor->loop, spec, &events);
    return kept->tunnel != NULL ? OK : err_set(info, ERR_MEMORY, "out of memory");
}

static enum err take_locks(struct kept *kept, const struct tunnel_spec *specs, size_t count, const char *state_dir,
                           struct err_info *info)
{
    char *default_dir = NULL;
    enum err result = OK;
    for (size_t i = 0; i < count && result == OK; i++) {
        if (specs[i].one_line)
            continue;
        if (state_dir == NULL)
            state_dir = default_dir = platform_state_dir(info);
        result = state_dir != NULL ? take_lock(specs[i].name, state_dir, &kept[i].lock, info) : ERR_IO;
    }
    free(default_dir);
    return result;
}

enum err supervisor_new(uv_loop_t *loop, const struct tunnel_spec *specs, size_t count,
                        const struct supervisor_options *options, struct supervisor **out, struct err_info *info)
{
    *out = NULL;
    struct supervisor *supervisor = calloc(1, sizeof *supervisor);
    struct kept *kept = calloc(count + 1, sizeof *kept);
    if (supervisor == NULL || kept == NULL) {
        free(supervisor);
        free(kept);
        return err_set(info, ERR_MEMORY, "out of memory");
    }
    supervisor->loop = loop;
    supervisor->started_unix_ms = time_unix_ms();
    supervisor->kept = kept;
    supervisor->up_lines = options->up_lines;
    supervisor->grace_ms = options->grace_ms != 0 ? options->grace_ms : DEFAULT_GRACE_MS;
    supervisor->count = count;
    enum err result = take_locks(kept, specs, count, options->state_dir, info);
    for (size_t i = 0; i < count && result == OK; i++)
        result = make_kept(supervisor, &kept[i], &specs[i], info);
    if (result == OK) {
        int status = uv_async_init(loop, &supervisor->wake, on_wake);
        if (status != 0)
            result = err_set(info, err_from_uv(status), "cannot use the event loop: %s", err_uv_text(status));
    }
    if (result != OK) {
        supervisor_free(supervisor);
        return result;
    }
    supervisor->wake.data = supervisor;
    *out = supervisor;
    return OK;
}

void supervisor_start(struct supervisor *supervisor)
{
    supervisor->has_started = true;
    supervisor->running = supervisor->count;
    for (size_t i = 0; i < supervisor->count; i++)
        tunnel_start(supervisor->kept[i].tunnel);
}

void supervisor_wake(struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->count && supervisor->has_started; i++)
        tunnel_wake(supervisor->kept[i].tunnel);
}

void supervisor_stop(struct supervisor *supervisor)
{
    uint64_t grace_ms = supervisor->was_asked_to_stop ? 0 : supervisor->grace_ms;
    if (!supervisor->has_started || supervisor->count == 0) {
        if (!uv_is_closing((uv_handle_t *)&supervisor->wake))
            uv_close((uv_handle_t *)&supervisor->wake, NULL);
        return;
    }
    if (supervisor->running == 0)
        return;
    if (grace_ms == 0)
        log_info(NULL, "stopping %zu of %zu tunnels at once", supervisor->running, supervisor->count);
    else
        log_info(NULL, "stopping %zu of %zu tunnels; connections may finish for %" PRIu64 " ms", supervisor->running,
                 supervisor->count, grace_ms);
    supervisor->was_asked_to_stop = true;
    for (size_t i = 0; i < supervisor->count; i++)
        stop_one(&supervisor->kept[i], grace_ms);
}

size_t supervisor_tunnel_count(const struct supervisor *supervisor)
{
    return supervisor->count;
}

const struct tunnel *supervisor_tunnel_at(const struct supervisor *supervisor, size_t index)
{
    return supervisor->kept[index].tunnel;
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
    if (supervisor == NULL)
        return;
    for (size_t i = 0; i < supervisor->count; i++) {
        struct kept *kept = &supervisor->kept[i];
        if (kept->tunnel != NULL)
            tunnel_free(kept->tunnel);
        platform_lock_release(kept->lock);
        free(kept->allocated_ports);
    }
    free(supervisor->kept);
    free(supervisor);
}
