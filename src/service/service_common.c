#include "service/service_common.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "platform/platform.h"
#include "platform/wake.h"
#include "service/service_control.h"

void service_request_stop(struct supervisor *supervisor)
{
    platform_terminal_cancel();
    supervisor_stop(supervisor);
}

static void log_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    log_error(NULL, "left on the loop: %s handle%s", uv_handle_type_name(uv_handle_get_type(handle)),
              uv_is_active(handle) ? ", active" : "");
}

/* A handle left behind is a leak of ours: a debug build makes it a crash, a release build says so and goes on. */
static void close_loop(uv_loop_t *loop)
{
    if (uv_loop_close(loop) == 0)
        return;
    uv_walk(loop, log_handle, NULL);
#ifndef NDEBUG
    abort();
#endif
}

/* What a person reads and the code that the process ends with. */
static int fail(const struct service_hooks *hooks, const struct err_info *why)
{
    if (hooks->on_error != NULL)
        hooks->on_error(hooks->arg, why->message);
    else
        (void)fprintf(stderr, "holdfast: %s\n", why->message);
    return 1;
}

static void on_wake(void *arg, const char *why)
{
    log_info(NULL, "%s: looking at each tunnel now", why);
    supervisor_wake(arg);
}

int service_run_with(const struct tunnel_spec *specs, size_t count, const struct supervisor_options *options,
                     const struct service_definitions *definitions, const struct service_hooks *hooks)
{
    uv_loop_t loop;
    struct supervisor *supervisor = NULL;
    struct platform_wake *wake = NULL;
    struct reloader *reloader = NULL;
    struct service_control control = {.server = NULL};
    struct service_metrics metrics = {.loop = &loop};
    struct err_info why;
    int code = 0;
    int status = uv_loop_init(&loop);
    if (status != 0) {
        (void)err_set(&why, err_from_uv(status), "cannot make an event loop: %s", err_uv_text(status));
        return fail(hooks, &why);
    }
    if (supervisor_new(&loop, specs, count, options, &supervisor, &why) != OK) {
        code = fail(hooks, &why);
        goto out;
    }
    metrics.supervisor = supervisor;
    if (definitions != NULL) {
        reloader = reloader_new(&loop, supervisor, definitions, &metrics, hooks);
        service_metrics_set(&metrics, definitions->metrics_file);
    }
    status = hooks->listen(hooks->arg, &loop, supervisor, reloader);
    if (status != 0) {
        (void)err_set(&why, err_from_uv(status), "cannot handle signals: %s", err_uv_text(status));
        code = fail(hooks, &why);
        supervisor_stop(supervisor);
    } else {
        wake = platform_wake_start(&loop, on_wake, supervisor);
        if (definitions != NULL)
            service_control_open(&control, &loop, supervisor, reloader);
        supervisor_start(supervisor);
        if (hooks->on_ready != NULL)
            hooks->on_ready(hooks->arg);
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    hooks->unlisten(hooks->arg);
    service_control_close(&control);
    reloader_close(reloader);
    service_metrics_close(&metrics);
    platform_wake_stop(wake);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    if (code == 0)
        code = supervisor_exit_code(supervisor);
    supervisor_free(supervisor);
out:
    close_loop(&loop);
    return code;
}
