/* What a person or a new set of definitions wants of the tunnels. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "supervisor/internal.h"

/* ---- one tunnel, by hand ---- */

/* Names are there once: one that is going, and comes back, is the same. */
static struct kept *find_any(const struct supervisor *supervisor, const char *name)
{
    for (size_t i = 0; i < supervisor->count; i++) {
        if (strcmp(tunnel_get_spec(supervisor->kept[i]->tunnel)->name, name) == 0)
            return supervisor->kept[i];
    }
    return NULL;
}

/* One that is wanted, or NULL. */
static struct kept *find(const struct supervisor *supervisor, const char *name, struct err_info *info)
{
    if (supervisor->was_asked_to_stop) {
        (void)err_set(info, ERR_CANCELLED, "holdfast is stopping");
        return NULL;
    }
    struct kept *kept = find_any(supervisor, name);
    if (kept != NULL && kept->is_wanted)
        return kept;
    (void)err_set(info, ERR_USAGE, "there is no tunnel '%s'; 'holdfast status' lists those there are", name);
    return NULL;
}

/* A tunnel that has stopped does not start again: one of the same definition takes its place. */
static enum err make_next(struct kept *kept, struct err_info *info)
{
    if (kept->next == NULL)
        kept->next = kept_tunnel_new(kept, tunnel_get_spec(kept->tunnel));
    return kept->next != NULL ? OK : err_set(info, ERR_MEMORY, "out of memory");
}

enum err supervisor_tunnel_start(struct supervisor *supervisor, const char *name, struct err_info *info)
{
    struct kept *kept = find(supervisor, name, info);
    if (kept == NULL)
        return supervisor->was_asked_to_stop ? ERR_CANCELLED : ERR_USAGE;
    if (kept->is_running && !kept->is_stopping) {
        tunnel_retry(kept->tunnel);
        return OK;
    }
    if (make_next(kept, info) != OK)
        return ERR_MEMORY;
    log_info(name, "asked to start");
    kept->is_held = false;
    kept_settle(kept);
    return OK;
}

enum err supervisor_tunnel_stop(struct supervisor *supervisor, const char *name, struct err_info *info)
{
    struct kept *kept = find(supervisor, name, info);
    if (kept == NULL)
        return supervisor->was_asked_to_stop ? ERR_CANCELLED : ERR_USAGE;
    log_info(name, "asked to stop%s", kept->is_running ? "" : "; it does not run");
    kept_stop(kept, kept->is_stopping && kept->is_held ? 0 : supervisor->grace_ms);
    kept->is_held = true;
    return OK;
}

enum err supervisor_tunnel_restart(struct supervisor *supervisor, const char *name, struct err_info *info)
{
    struct kept *kept = find(supervisor, name, info);
    if (kept == NULL)
        return supervisor->was_asked_to_stop ? ERR_CANCELLED : ERR_USAGE;
    if (make_next(kept, info) != OK)
        return ERR_MEMORY;
    log_info(name, "asked to restart");
    kept->is_held = false;
    if (!kept->is_stopping)
        kept_stop(kept, supervisor->grace_ms);
    kept_settle(kept);
    return OK;
}

/* ---- reload: mark, keep, sweep ---- */

/* What is to become of one spec of the new set. */
struct mark {
    struct kept *kept;     /* of this name; a new one when is_new */
    struct tunnel *tunnel; /* of a changed one: made as the new definition says */
    unsigned diff;         /* enum tunnel_diff */
    bool is_new;
};

/* Looks at one spec, and makes all that it needs. */
static enum err mark_one(struct supervisor *supervisor, const struct tunnel_spec *spec, struct mark *mark,
                         struct err_info *info)
{
    mark->kept = find_any(supervisor, spec->name);
    if (mark->kept == NULL) {
        mark->is_new = true;
        return kept_new(supervisor, spec, &mark->kept, info);
    }
    mark->diff = tunnel_spec_diff(kept_spec(mark->kept), spec);
    if (mark->diff == TUNNEL_DIFF_NONE && mark->kept->is_wanted)
        return OK;
    mark->tunnel = kept_tunnel_new(mark->kept, spec);
    return mark->tunnel != NULL ? OK : err_set(info, ERR_MEMORY, "out of memory");
}

static enum err mark_all(struct supervisor *supervisor, const struct tunnel_spec *specs, size_t count,
                         struct mark *marks, struct err_info *info)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(specs[j].name, specs[i].name) == 0)
                return err_set(info, ERR_DEFINITION, "tunnel '%s' is defined twice", specs[i].name);
        }
        enum err result = mark_one(supervisor, &specs[i], &marks[i], info);
        if (result != OK)
            return result;
    }
    return OK;
}

static void unmark_all(struct mark *marks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (marks[i].is_new)
            kept_free(marks[i].kept);
        tunnel_free(marks[i].tunnel);
    }
}

/* Stops those that no mark names, first of all, so that what they listen on is free. */
static void sweep(struct supervisor *supervisor, const struct mark *marks, size_t count,
                  struct supervisor_summary *summary)
{
    for (size_t i = 0; i < supervisor->count; i++) {
        struct kept *kept = supervisor->kept[i];
        bool was_wanted = kept->is_wanted;
        kept->is_held = kept->is_held && was_wanted; /* a name that comes back is a new one */
        kept->is_wanted = false;
        for (size_t j = 0; j < count && !kept->is_wanted; j++)
            kept->is_wanted = marks[j].kept == kept;
        if (!was_wanted || kept->is_wanted)
            continue;
        summary->removed++;
        log_info(tunnel_get_spec(kept->tunnel)->name, "removed: its definition is gone");
        kept_stop(kept, supervisor->grace_ms);
    }
}

/* Its definition has changed. */
static void change(struct supervisor *supervisor, struct mark *mark, struct supervisor_summary *summary)
{
    struct kept *kept = mark->kept;
    bool is_live = kept->is_running && !kept->is_stopping && kept->next == NULL;
    if (is_live && (mark->diff & TUNNEL_DIFF_SESSION) == 0 &&
        tunnel_update(kept->tunnel, tunnel_get_spec(mark->tunnel)) == OK) {
        summary->updated++;
        tunnel_free(mark->tunnel);
        mark->tunnel = NULL;
        return;
    }
    log_info(tunnel_get_spec(kept->tunnel)->name, "its definition has changed%s", is_live ? ": it is restarted" : "");
    tunnel_free(kept->next);
    kept->next = mark->tunnel;
    mark->tunnel = NULL;
    summary->restarted++;
    if (is_live)
        kept_stop(kept, supervisor->grace_ms);
}

static void retry(struct mark *mark, struct supervisor_summary *summary)
{
    struct kept *kept = mark->kept;
    if (kept->is_running && !kept->is_stopping && tunnel_get_state(kept->tunnel) == TUNNEL_FAILED) {
        summary->retried++;
        tunnel_retry(kept->tunnel);
    }
}

static void keep(struct supervisor *supervisor, struct mark *marks, size_t count, struct supervisor_summary *summary)
{
    for (size_t i = 0; i < count; i++) {
        struct mark *mark = &marks[i];
        if (mark->is_new) {
            summary->added++;
        } else if (mark->tunnel != NULL) {
            change(supervisor, mark, summary);
        } else {
            summary->unchanged++;
        }
    }
    for (size_t i = 0; i < count; i++) { /* all that was to be let go of has been */
        retry(&marks[i], summary);
        kept_settle(marks[i].kept);
    }
}

/* The wanted ones in their new order, then those that are going. */
static void arrange(struct supervisor *supervisor, const struct mark *marks, size_t count, struct kept **list)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        list[len++] = marks[i].kept;
    for (size_t i = 0; i < supervisor->count; i++) {
        if (!supervisor->kept[i]->is_wanted)
            list[len++] = supervisor->kept[i];
    }
    free((void *)supervisor->kept);
    supervisor->kept = list;
    supervisor->count = len;
}

static enum err may_reload(const struct supervisor *supervisor, struct err_info *info)
{
    if (supervisor->was_asked_to_stop)
        return err_set(info, ERR_CANCELLED, "holdfast is stopping");
    if (supervisor->count > 0 && tunnel_get_spec(supervisor->kept[0]->tunnel)->one_line)
        return err_set(info, ERR_UNSUPPORTED, "a tunnel from a command line has no definitions to load again");
    return OK;
}

enum err supervisor_reload(struct supervisor *supervisor, const struct tunnel_spec *specs, size_t count,
                           struct supervisor_summary *summary, struct err_info *info)
{
    struct supervisor_summary own;
    struct mark *marks = NULL;
    struct kept **list = NULL;
    char text[160];
    if (summary == NULL)
        summary = &own;
    memset(summary, 0, sizeof *summary);
    enum err result = may_reload(supervisor, info);
    if (result != OK)
        return result;
    marks = calloc(count + 1, sizeof *marks);
    list = calloc(count + supervisor->count + 1, sizeof(struct kept *));
    if (marks == NULL || list == NULL) {
        result = ERR_MEMORY;
        (void)err_set(info, result, "out of memory");
        goto out;
    }
    result = mark_all(supervisor, specs, count, marks, info);
    if (result != OK) {
        unmark_all(marks, count);
        goto out;
    }
    sweep(supervisor, marks, count, summary);
    arrange(supervisor, marks, count, list);
    list = NULL;
    keep(supervisor, marks, count, summary);
    (void)uv_async_send(&supervisor->wake); /* removed ones that did not run */
    log_info(NULL, "reloaded: %s", supervisor_summary_text(summary, text, sizeof text));
out:
    free((void *)list);
    free(marks);
    return result;
}

static size_t add(char *out, size_t cap_bytes, size_t len, size_t count, const char *what)
{
    if (count == 0 || len >= cap_bytes)
        return len;
    return len + (size_t)snprintf(out + len, cap_bytes - len, "%s%zu %s", len > 0 ? ", " : "", count, what);
}

const char *supervisor_summary_text(const struct supervisor_summary *summary, char *out, size_t cap_bytes)
{
    size_t len = add(out, cap_bytes, 0, summary->updated, "changed");
    len = add(out, cap_bytes, len, summary->restarted, "restarted");
    len = add(out, cap_bytes, len, summary->added, "added");
    len = add(out, cap_bytes, len, summary->removed, "removed");
    len = add(out, cap_bytes, len, summary->retried, "tried again");
    if (len == 0)
        (void)snprintf(out, cap_bytes, "nothing changed");
    else if (len < cap_bytes && summary->unchanged > 0)
        (void)snprintf(out + len, cap_bytes - len, "; %zu unchanged", summary->unchanged);
    return out;
}
