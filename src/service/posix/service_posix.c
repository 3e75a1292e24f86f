/* SIGTERM and SIGINT stop; SIGHUP opens the log and loads the definitions again, unless it says that the terminal we
 * were started at has gone: then we end, as ssh does. */
#include <signal.h>
#include <stdbool.h>

#include "base/log.h"
#include "platform/platform.h"
#include "service/posix/notify.h"
#include "service/posix/status_line.h"
#include "service/service.h"
#include "service/service_common.h"

static const int signal_numbers[] = {SIGTERM, SIGINT, SIGHUP};
#define SIGNALS (sizeof signal_numbers / sizeof signal_numbers[0])

struct posix_service {
    struct supervisor *supervisor;
    struct reloader *reloader; /* NULL: there is nothing to load again */
    uv_signal_t signals[SIGNALS];
    size_t open_count;
    struct notify_watchdog watchdog;
    struct status_line status_line;
    bool ends_with_terminal; /* we were started at a terminal, and not under nohup */
};

static bool is_ignored(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_IGN;
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct posix_service *service = handle->data;
    if (number == SIGHUP && !(service->ends_with_terminal && !platform_has_terminal())) {
        log_reopen();
        log_info(NULL, "SIGHUP: the log has been opened again");
        if (service->reloader != NULL)
            (void)reloader_reload(service->reloader, "SIGHUP", NULL, NULL);
        return;
    }
    log_info(NULL, "%s: asked to stop",
             number == SIGTERM  ? "SIGTERM"
             : number == SIGINT ? "SIGINT"
                                : "the terminal is gone");
    notify_stopping();
    service_request_stop(service->supervisor);
}

static int listen_for_signals(void *arg, uv_loop_t *loop, struct supervisor *supervisor, struct reloader *reloader)
{
    struct posix_service *service = arg;
    service->supervisor = supervisor;
    service->reloader = reloader;
    for (size_t i = 0; i < SIGNALS; i++) {
        uv_signal_t *handle = &service->signals[i];
        int status = uv_signal_init(loop, handle);
        if (status != 0)
            return status;
        service->open_count++;
        handle->data = service;
        status = uv_signal_start(handle, on_signal, signal_numbers[i]);
        if (status != 0)
            return status;
        uv_unref((uv_handle_t *)handle);
    }
    int status = notify_watchdog_start(&service->watchdog, loop);
    return status == 0 ? status_line_start(&service->status_line, loop, supervisor) : status;
}

static void on_ready(void *arg)
{
    (void)arg;
    notify_ready();
}

static void on_reloading(void *arg)
{
    (void)arg;
    notify_reloading();
}

static void on_ignored(uv_signal_t *handle, int number)
{
    (void)handle;
    (void)number;
}

/* We are ending, and a signal that comes now would end us with the wrong exit code: libuv gives one back to the system
 * with the last handle for it. So there is one more for each, on a loop that never runs, until they are ignored. Not
 * blocked: the loop's worker threads have masks of their own. */
static void ignore_signals(void)
{
    static uv_signal_t last[SIGNALS];
    uv_loop_t *never_runs = uv_default_loop();
    for (size_t i = 0; never_runs != NULL && i < SIGNALS; i++) {
        if (uv_signal_init(never_runs, &last[i]) == 0)
            (void)uv_signal_start(&last[i], on_ignored, signal_numbers[i]);
    }
}

static void unlisten(void *arg)
{
    struct posix_service *service = arg;
    notify_watchdog_stop(&service->watchdog);
    status_line_stop(&service->status_line);
    ignore_signals();
    for (size_t i = 0; i < service->open_count && i < SIGNALS; i++) {
        uv_close((uv_handle_t *)&service->signals[i], NULL);
        (void)signal(signal_numbers[i], SIG_IGN);
    }
    service->open_count = 0;
}

int service_run(const struct tunnel_spec *specs, size_t count, const struct supervisor_options *options,
                const struct service_definitions *definitions)
{
    struct posix_service service = {.ends_with_terminal = !is_ignored(SIGHUP) && platform_has_terminal()};
    struct service_hooks hooks = {.listen = listen_for_signals,
                                  .on_ready = on_ready,
                                  .on_reloading = on_reloading,
                                  .unlisten = unlisten,
                                  .arg = &service};
    return service_run_with(specs, count, options, definitions, &hooks);
}
