/* Loads the definitions of a running process again: when asked to, and by itself when they change and say that they are
 * to be watched. On the loop's thread. Room-internal. */
#ifndef HOLDFAST_SERVICE_RELOADER_H
#define HOLDFAST_SERVICE_RELOADER_H

#include "service/service.h"
#include "service/service_metrics.h"

struct reloader;
struct service_hooks;

/* `definitions`, `metrics` and `hooks` are borrowed; `metrics` follows the definitions; hooks->on_reloading and
 * on_ready enclose each reload. Begins to watch if that is asked for; its handle does not keep the loop running. NULL
 * when out of memory (logged): there is no reload then.
 */
struct reloader *reloader_new(uv_loop_t *loop, struct supervisor *supervisor,
                              const struct service_definitions *definitions, struct service_metrics *metrics,
                              const struct service_hooks *hooks);
/* Loads and checks the whole set, and has the supervisor reload it. `asked_by` is for the log. An invalid set changes
 * nothing: every error goes to the log, the first one to `info`, with "FILE:LINE:COLUMN: ". `summary` and `info` may be
 * NULL. */
enum err reloader_reload(struct reloader *reloader, const char *asked_by, struct supervisor_summary *summary,
                         struct err_info *info);
/* Frees it when the loop has run once more. */
void reloader_close(struct reloader *reloader);

#endif
