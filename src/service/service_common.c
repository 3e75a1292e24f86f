#include "service/service_common.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "platform/platform.h"
#include "platform/wake.h"
#include "service/service_control.h"

/* What a worker may still take for what it does once all tunnels have ended. */
enum { LAST_WORK_MS = 500 };

static bool left_work;

bool service_left_work(void)
{
    return left_work;
}

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

static void on_last_work(uv_timer_t *timer)
{
    left_work = true;
    uv_stop(timer->loop);
}

static void on_over(void *arg)
{
    (void)uv_timer_start(arg, on_last_work, LAST_WORK_MS, 0);
}

/* Runs the loop until nothing is left on it, or until all tunnels have ended and a worker takes too long. */
static void run_to_the_end(uv_loop_t *loop, struct supervisor *supervisor)
{
    uv_timer_t patience;
    (void)uv_timer_init(loop, &patience);
    uv_unref((uv_handle_t *)&patience);
    supervisor_tell_over(supervisor, on_over, &patience);
    (void)uv_run(loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&patience, NULL);
    (void)uv_run(loop, UV_RUN_NOWAIT); /* it is closed before it goes */
}

/* Opens what a running supervisor needs, and closes it when all is over. Returns 0 or the exit code of a failure. */
static int run_on(uv_loop_t *loop, struct supervisor *supervisor, const struct service_definitions *definitions,
                  const struct service_hooks *hooks)
{
    struct platform_wake *wake = NULL;
    struct reloader *reloader = NULL;
    struct service_control control = {.server = NULL};
    struct service_metrics metrics = {.loop = loop, .supervisor = supervisor};
    struct err_info why;
    int code = 0;
    if (definitions != NULL) {
        reloader = reloader_new(loop, supervisor, definitions, &metrics, hooks);
        service_metrics_set(&metrics, definitions->metrics_file);
    }
    int status = hooks->listen(hooks->arg, loop, supervisor, reloader);
    if (status != 0) {
        (void)err_set(&why, err_from_uv(status), "cannot handle signals: %s", err_uv_text(status));
        code = fail(hooks, &why);
        supervisor_stop(supervisor);
    } else {
        wake = platform_wake_start(loop, on_wake, supervisor);
        if (definitions != NULL)
            service_control_open(&control, loop, supervisor, reloader);
        supervisor_start(supervisor);
        if (hooks->on_ready != NULL)
            hooks->on_ready(hooks->arg);
    }
    run_to_the_end(loop, supervisor);
    hooks->unlisten(hooks->arg);
    service_control_close(&control);
    reloader_close(reloader);
    service_metrics_close(&metrics);
    platform_wake_stop(wake);
    return code;
}

int service_run_with(const struct tunnel_spec *specs, size_t count, const struct supervisor_options *options,
                     const struct service_definitions *definitions, const struct service_hooks *hooks)
{
    struct supervisor *supervisor = NULL;
    struct err_info why;
    /* Not on the stack: a worker that is left behind comes back to it. */
    uv_loop_t *loop = malloc(sizeof *loop);
    int status = loop == NULL ? UV_ENOMEM : uv_loop_init(loop);
    if (status != 0) {
        free(loop);
        (void)err_set(&why, err_from_uv(status), "cannot make an event loop: %s", err_uv_text(status));
        return fail(hooks, &why);
    }
    if (supervisor_new(loop, specs, count, options, &supervisor, &why) != OK) {
        int code = fail(hooks, &why);
        close_loop(loop);
        free(loop);
        return code;
    }
    int code = run_on(loop, supervisor, definitions, hooks);
    (void)uv_run(loop, left_work ? UV_RUN_NOWAIT : UV_RUN_DEFAULT);
    if (code == 0)
        code = supervisor_exit_code(supervisor);
    if (left_work) {
        log_info(NULL, "a worker still waits for the system, such as for a name server; ending without it");
        return code; /* loop and supervisor are the worker's now */
    }
    supervisor_free(supervisor);
    close_loop(loop);
    free(loop);
    return code;
}
