#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "supervisor/internal.h"
#include "supervisor/lock_name.h"

/* Takes the lock of the name of a defined tunnel. */
static enum err take_lock(struct supervisor *supervisor, const char *name, struct platform_lock **out,
                          struct err_info *info)
{
    char file[LOCK_NAME_CAP_BYTES];
    struct err_info why;
    if (supervisor->state_dir == NULL && (supervisor->state_dir = platform_state_dir(info)) == NULL)
        return ERR_IO;
    char *path = platform_path_resolve(supervisor->state_dir, lock_name(name, file, sizeof file));
    if (path == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    enum err result = platform_lock_take(path, out, &why);
    free(path);
    if (result == ERR_BUSY)
        return err_set(info, ERR_BUSY, "tunnel '%s' is %s; stop it or rename one", name, why.message);
    return result == OK ? OK : err_set(info, result, "tunnel '%s': %s", name, why.message);
}

/* Whoever has the lock of the name has its record too. */
static bool keep_record(const struct supervisor *supervisor, struct tunnel *tunnel)
{
    char file[LOCK_NAME_CAP_BYTES];
    const char *name = record_name(tunnel_get_spec(tunnel)->name, file, sizeof file);
    char *path = platform_path_resolve(supervisor->state_dir, name);
    enum err result = path != NULL ? tunnel_keep_record(tunnel, path) : ERR_MEMORY;
    free(path);
    return result == OK;
}

struct tunnel *kept_tunnel_new(struct kept *kept, const struct tunnel_spec *spec)
{
    struct tunnel_events events = {
        .on_state = supervisor_on_state, .on_up = supervisor_on_up, .on_stopped = supervisor_on_stopped, .arg = kept};
    struct tunnel *tunnel = tunnel_new(kept->supervisor->loop, spec, &events);
    if (tunnel != NULL && kept->lock != NULL && !keep_record(kept->supervisor, tunnel)) {
        tunnel_free(tunnel);
        tunnel = NULL;
    }
    return tunnel;
}

enum err kept_new(struct supervisor *supervisor, const struct tunnel_spec *spec, struct kept **out,
                  struct err_info *info)
{
    struct kept *kept = calloc(1, sizeof *kept);
    *out = NULL;
    if (kept == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    kept->supervisor = supervisor;
    kept->is_wanted = true;
    enum err result = spec->one_line ? OK : take_lock(supervisor, spec->name, &kept->lock, info);
    if (result == OK && (kept->tunnel = kept_tunnel_new(kept, spec)) == NULL)
        result = err_set(info, ERR_MEMORY, "out of memory");
    if (result == OK)
        *out = kept;
    else
        kept_free(kept);
    return result;
}

void kept_free(struct kept *kept)
{
    if (kept == NULL)
        return;
    tunnel_free(kept->next);
    tunnel_free(kept->tunnel);
    platform_lock_release(kept->lock);
    free(kept->allocated_ports);
    free(kept);
}

const struct tunnel_spec *kept_spec(const struct kept *kept)
{
    return tunnel_get_spec(kept->next != NULL ? kept->next : kept->tunnel);
}

void kept_stop(struct kept *kept, uint64_t grace_ms)
{
    if (!kept->is_running)
        return;
    kept->is_stopping = true;
    tunnel_stop(kept->tunnel, grace_ms);
}

/* It has stopped: the one that waited for this takes its place. */
static void replace(struct kept *kept)
{
    tunnel_free(kept->tunnel);
    kept->tunnel = kept->next;
    kept->next = NULL;
    free(kept->allocated_ports);
    kept->allocated_ports = NULL;
    kept->allocated_count = 0;
}

void kept_settle(struct kept *kept)
{
    struct supervisor *supervisor = kept->supervisor;
    if (kept->is_running || supervisor->was_asked_to_stop || kept->end_why.code != OK)
        return;
    if (kept->next != NULL)
        replace(kept);
    if (!supervisor->has_started || !kept->is_wanted || kept->is_held)
        return;
    kept->is_running = true;
    kept->is_stopping = false;
    supervisor->running++;
    tunnel_start(kept->tunnel);
}
