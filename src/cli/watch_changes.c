/* The lines of `status --watch` where there is no screen. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/text_buffer.h"
#include "cli/watch_view.h"
#include "control/status_read.h"

/* "up", or "waiting: cannot connect; -R 127.0.0.1:1 failed: ..." */
static char *sentence_of(const json_t *tunnel)
{
    struct text_buffer out = {.text = NULL};
    const char *state = status_text_or(tunnel, "state", "");
    const char *error = status_text_of(json_object_get(tunnel, "last_error"), "message");
    text_buffer_add_shown(&out, state);
    if (error != NULL && (strcmp(state, "waiting") == 0 || strcmp(state, "failed") == 0)) {
        text_buffer_add(&out, ": ");
        text_buffer_add_shown(&out, error);
    }
    for (size_t i = 0; i < status_forward_count(tunnel); i++) {
        const json_t *forward = status_forward(tunnel, i);
        if (status_text_of(forward, "error") == NULL)
            continue;
        text_buffer_format(&out, "; %s ", status_text_or(forward, "type", ""));
        text_buffer_add_shown(&out, status_text_or(forward, "listen", ""));
        text_buffer_format(&out, " %s: ", status_text_or(forward, "state", ""));
        text_buffer_add_shown(&out, status_text_or(forward, "error", ""));
    }
    return text_buffer_take(&out);
}

static void add_line(struct text_buffer *out, const char *now, const char *name, const char *sentence)
{
    text_buffer_format(out, "%s ", now);
    text_buffer_add_shown(out, name);
    text_buffer_format(out, ": %s\n", sentence);
}

char *watch_view_changes(const json_t *before, const json_t *now, uint64_t now_unix_ms)
{
    struct text_buffer out = {.text = NULL};
    char time[32];
    (void)time_text(now_unix_ms, time, sizeof time);
    for (size_t i = 0; i < status_tunnel_count(now); i++) {
        const char *name = status_text_or(status_tunnel(now, i), "name", "");
        const json_t *old = status_find(before, name);
        char *sentence = sentence_of(status_tunnel(now, i));
        char *old_sentence = old != NULL ? sentence_of(old) : NULL;
        if (sentence == NULL)
            out.out_of_memory = true;
        else if (old_sentence == NULL || strcmp(sentence, old_sentence) != 0)
            add_line(&out, time, name, sentence);
        free(sentence);
        free(old_sentence);
    }
    for (size_t i = 0; i < status_tunnel_count(before); i++) {
        const char *name = status_text_or(status_tunnel(before, i), "name", "");
        if (status_find(now, name) == NULL)
            add_line(&out, time, name, "is no more");
    }
    return text_buffer_take(&out);
}
