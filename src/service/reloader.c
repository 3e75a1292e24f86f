#include "service/reloader.h"

#include <stdlib.h>

#include "base/log.h"
#include "config/config.h"
#include "service/service_common.h"

/* Two looks in a row that are alike mean that whoever writes has finished. */
enum { WATCH_POLL_MS = 500 };

struct reloader {
    struct supervisor *supervisor;
    const struct service_definitions *definitions;
    struct service_metrics *metrics;
    const struct service_hooks *hooks;
    uv_timer_t timer;
    uint64_t loaded; /* fingerprint of what was loaded last, well or not */
    uint64_t seen;   /* at the last look */
};

static void on_look(uv_timer_t *timer)
{
    struct reloader *reloader = timer->data;
    const struct service_definitions *definitions = reloader->definitions;
    uint64_t now = config_fingerprint(definitions->paths, definitions->path_count);
    bool has_settled = now == reloader->seen;
    reloader->seen = now;
    if (now != reloader->loaded && has_settled)
        (void)reloader_reload(reloader, "the definitions have changed", NULL, NULL);
}

static void watch(struct reloader *reloader, bool is_wanted)
{
    if (!is_wanted)
        (void)uv_timer_stop(&reloader->timer);
    else if (!uv_is_active((uv_handle_t *)&reloader->timer))
        (void)uv_timer_start(&reloader->timer, on_look, WATCH_POLL_MS, WATCH_POLL_MS);
}

struct reloader *reloader_new(uv_loop_t *loop, struct supervisor *supervisor,
                              const struct service_definitions *definitions, struct service_metrics *metrics,
                              const struct service_hooks *hooks)
{
    struct reloader *reloader = calloc(1, sizeof *reloader);
    if (reloader == NULL) {
        log_error(NULL, "out of memory: the definitions will not be loaded again");
        return NULL;
    }
    reloader->supervisor = supervisor;
    reloader->definitions = definitions;
    reloader->metrics = metrics;
    reloader->hooks = hooks;
    reloader->loaded = reloader->seen = definitions->fingerprint;
    (void)uv_timer_init(loop, &reloader->timer);
    reloader->timer.data = reloader;
    watch(reloader, definitions->watch);
    uv_unref((uv_handle_t *)&reloader->timer);
    return reloader;
}

static enum err load(struct reloader *reloader, struct config *config, struct err_info *info)
{
    const struct service_definitions *definitions = reloader->definitions;
    struct config_errors errors;
    enum err result = config_load(definitions->paths, definitions->path_count, config, &errors);
    reloader->loaded = config->fingerprint;
    for (size_t i = 0; i < errors.count; i++)
        log_error(NULL, "%s", errors.lines[i]);
    if (result != OK && errors.count > 0)
        (void)err_set(info, result, "%s", errors.lines[0]);
    else if (result != OK)
        (void)err_set(info, result, "out of memory");
    config_errors_deinit(&errors);
    return result;
}

/* What the definitions say besides tunnels. */
static void follow(struct reloader *reloader, const struct config *config)
{
    watch(reloader, config->watch_definitions);
    service_metrics_set(reloader->metrics, config->metrics_file);
}

enum err reloader_reload(struct reloader *reloader, const char *asked_by, struct supervisor_summary *summary,
                         struct err_info *info)
{
    struct config config = {.tunnels = NULL};
    struct err_info why;
    if (supervisor_is_stopping(reloader->supervisor))
        return err_set(info, ERR_CANCELLED, "holdfast is stopping");
    log_info(NULL, "%s: loading the definitions again", asked_by);
    if (reloader->hooks->on_reloading != NULL)
        reloader->hooks->on_reloading(reloader->hooks->arg);
    enum err result = load(reloader, &config, &why);
    if (result != OK) {
        log_error(NULL, "not reloaded: the definitions are invalid; nothing has changed");
    } else {
        result = supervisor_reload(reloader->supervisor, config.tunnels, config.tunnel_count, summary, &why);
        if (result != OK)
            log_error(NULL, "not reloaded: %s; nothing has changed", why.message);
        else
            follow(reloader, &config);
    }
    if (result != OK)
        (void)err_set(info, result, "%s", why.message);
    if (reloader->hooks->on_reloading != NULL && reloader->hooks->on_ready != NULL)
        reloader->hooks->on_ready(reloader->hooks->arg);
    config_deinit(&config);
    return result;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void reloader_close(struct reloader *reloader)
{
    if (reloader != NULL)
        uv_close((uv_handle_t *)&reloader->timer, on_closed);
}
