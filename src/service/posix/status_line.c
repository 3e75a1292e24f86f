#include "service/posix/status_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/text.h"
#include "service/posix/notify.h"

enum { DELAY_MS = 200, NAMED_MAX = 3, NAME_CAP_BYTES = 41, REASON_CAP_BYTES = 80, LINE_CAP_BYTES = 480 };

static void add(char *out, size_t cap_bytes, const char *text)
{
    size_t len = strlen(out);
    (void)snprintf(out + len, cap_bytes - len, "%s", text);
}

const char *status_line_text(const struct status_line_item *items, size_t count, char *out, size_t cap_bytes)
{
    size_t up = 0;
    size_t named = 0;
    for (size_t i = 0; i < count; i++)
        up += items[i].state == TUNNEL_UP ? 1 : 0;
    (void)snprintf(out, cap_bytes, "%zu of %zu tunnel%s up", up, count, count == 1 ? "" : "s");
    for (size_t i = 0; i < count && named < NAMED_MAX; i++) {
        char part[NAME_CAP_BYTES + REASON_CAP_BYTES + 32];
        char name[NAME_CAP_BYTES];
        char reason[REASON_CAP_BYTES];
        if (items[i].state == TUNNEL_UP)
            continue;
        named++;
        const char *why = items[i].why != NULL ? items[i].why : "";
        (void)snprintf(part, sizeof part, "; %s %s%s%s", text_shown(items[i].name, name, sizeof name),
                       tunnel_state_name(items[i].state), why[0] != 0 ? ": " : "",
                       text_shown(why, reason, sizeof reason));
        add(out, cap_bytes, part);
    }
    if (count - up > named)
        add(out, cap_bytes, "; and others");
    return out;
}

static void tell(uv_timer_t *timer)
{
    const struct status_line *line = timer->data;
    char text[LINE_CAP_BYTES];
    size_t count = supervisor_tunnel_count(line->supervisor);
    struct status_line_item *items = calloc(count + 1, sizeof *items);
    if (items == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        const struct tunnel *tunnel = supervisor_tunnel_at(line->supervisor, i);
        const struct err_info *why = tunnel_last_error(tunnel);
        items[i].name = tunnel_get_spec(tunnel)->name;
        items[i].state = tunnel_get_state(tunnel);
        items[i].why = why != NULL && why->code != OK ? why->message : NULL;
    }
    notify_status(status_line_text(items, count, text, sizeof text));
    free(items);
}

static void on_change(void *arg)
{
    struct status_line *line = arg;
    if (line->is_open && !uv_is_active((uv_handle_t *)&line->timer))
        (void)uv_timer_start(&line->timer, tell, DELAY_MS, 0);
}

int status_line_start(struct status_line *line, uv_loop_t *loop, struct supervisor *supervisor)
{
    const char *manager = getenv("NOTIFY_SOCKET");
    if (manager == NULL || manager[0] == 0)
        return 0;
    int status = uv_timer_init(loop, &line->timer);
    if (status != 0)
        return status;
    uv_unref((uv_handle_t *)&line->timer);
    line->timer.data = line;
    line->supervisor = supervisor;
    line->is_open = true;
    line->watcher.on_change = on_change;
    line->watcher.arg = line;
    supervisor_watch(supervisor, &line->watcher);
    return 0;
}

void status_line_stop(struct status_line *line)
{
    if (!line->is_open)
        return;
    line->is_open = false;
    supervisor_unwatch(line->supervisor, &line->watcher);
    uv_close((uv_handle_t *)&line->timer, NULL);
}
