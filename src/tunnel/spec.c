#include "tunnel/spec.h"

#include <stdlib.h>
#include <string.h>

#include "base/same_text.h"

void tunnel_spec_init(struct tunnel_spec *spec)
{
    memset(spec, 0, sizeof *spec);
    host_spec_init(&spec->host);
    spec->backoff_first_ms = 500;
    spec->backoff_max_ms = 60000;
    spec->hook_timeout_ms = 30000;
}

enum err tunnel_spec_copy(struct tunnel_spec *to, const struct tunnel_spec *from)
{
    *to = *from;
    to->name = NULL;
    to->where = NULL;
    to->forwards = NULL;
    to->forward_count = 0;
    memset(&to->on_up, 0, sizeof to->on_up);
    memset(&to->on_down, 0, sizeof to->on_down);
    if (host_spec_copy(&to->host, &from->host) != OK) {
        return ERR_MEMORY;
    }
    if (string_list_copy(&to->on_up, &from->on_up) != OK || string_list_copy(&to->on_down, &from->on_down) != OK) {
        goto out;
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
    string_list_deinit(&spec->on_up);
    string_list_deinit(&spec->on_down);
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

static bool is_among(size_t value, const size_t *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (values[i] == value) {
            return true;
        }
    }
    return false;
}

/* The first forward of `old` like `wanted` that is not taken yet. */
static size_t find_forward(const struct tunnel_spec *old, const struct forward_spec *wanted, const size_t *taken,
                           size_t taken_count)
{
    for (size_t i = 0; i < old->forward_count; i++) {
        if (forward_spec_equal(&old->forwards[i], wanted) && !is_among(i, taken, taken_count)) {
            return i;
        }
    }
    return SIZE_MAX;
}

size_t tunnel_spec_match_forwards(const struct tunnel_spec *old, const struct tunnel_spec *wanted, size_t *out)
{
    size_t found = 0;
    for (size_t i = 0; i < wanted->forward_count; i++) {
        out[i] = find_forward(old, &wanted->forwards[i], out, i);
        found += out[i] != SIZE_MAX;
    }
    return found;
}

/* How many forwards of the one list are like this one. */
static size_t count_like(const struct tunnel_spec *spec, const struct forward_spec *forward)
{
    size_t count = 0;
    for (size_t i = 0; i < spec->forward_count; i++) {
        count += forward_spec_equal(&spec->forwards[i], forward);
    }
    return count;
}

static bool same_forwards(const struct tunnel_spec *old, const struct tunnel_spec *wanted)
{
    for (size_t i = 0; i < wanted->forward_count; i++) {
        if (count_like(old, &wanted->forwards[i]) != count_like(wanted, &wanted->forwards[i])) {
            return false;
        }
    }
    return old->forward_count == wanted->forward_count;
}

unsigned tunnel_spec_diff(const struct tunnel_spec *old, const struct tunnel_spec *wanted)
{
    unsigned diff = TUNNEL_DIFF_NONE;
    if (!same_text(old->name, wanted->name) || !host_spec_equal(&old->host, &wanted->host) ||
        old->once != wanted->once || old->one_line != wanted->one_line) {
        diff |= TUNNEL_DIFF_SESSION;
    }
    if (old->backoff_first_ms != wanted->backoff_first_ms || old->backoff_max_ms != wanted->backoff_max_ms ||
        old->exit_on_forward_failure != wanted->exit_on_forward_failure || old->no_reclaim != wanted->no_reclaim ||
        old->hook_timeout_ms != wanted->hook_timeout_ms || !string_list_equal(&old->on_up, &wanted->on_up) ||
        !string_list_equal(&old->on_down, &wanted->on_down)) {
        diff |= TUNNEL_DIFF_VALUES;
    }
    if (!same_forwards(old, wanted)) {
        diff |= TUNNEL_DIFF_FORWARDS;
    }
    return diff;
}
