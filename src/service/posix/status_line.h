/* One sentence about all tunnels, for `systemctl status`. Room-internal. */
#ifndef HOLDFAST_SERVICE_POSIX_STATUS_LINE_H
#define HOLDFAST_SERVICE_POSIX_STATUS_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "supervisor/supervisor.h"

/* A tunnel, as far as the sentence needs it. Strings are borrowed; `why` may be NULL. */
struct status_line_item {
    const char *name;
    enum tunnel_state state;
    const char *why;
};

/* "3 of 4 tunnels up; nas waiting: connection refused": the first three that are not up are named. Pure. Returns `out`.
 */
const char *status_line_text(const struct status_line_item *items, size_t count, char *out, size_t cap_bytes);

/* Tells the service manager that sentence whenever it has changed, a moment after the last change. Embedded; zero
 * before the first start. */
struct status_line {
    uv_timer_t timer;
    struct supervisor *supervisor;
    struct supervisor_watcher watcher;
    bool is_open;
};

/* 0, also where there is no manager to tell, or a libuv status. The handle does not keep the loop running. */
int status_line_start(struct status_line *line, uv_loop_t *loop, struct supervisor *supervisor);
/* Closes the handle: the struct lives until the loop has run once more. Before the supervisor goes. */
void status_line_stop(struct status_line *line);

#endif
