/* Console events, which libuv delivers as signals: Ctrl-C is SIGINT, Ctrl-Break SIGBREAK, and the closing of the window
 * SIGHUP, after which Windows leaves us a few seconds. */
#include <signal.h>

#include "base/log.h"
#include "service/service.h"
#include "service/service_common.h"
#include "service/win/scm.h"

static const int signal_numbers[] = {SIGINT, SIGBREAK, SIGHUP};
#define SIGNALS (sizeof signal_numbers / sizeof signal_numbers[0])

struct console_service {
    struct supervisor *supervisor;
    uv_signal_t signals[SIGNALS];
    size_t open_count;
};

static void on_signal(uv_signal_t *handle, int number)
{
    struct console_service *service = handle->data;
    log_info(NULL, "%s: asked to stop",
             number == SIGINT     ? "Ctrl-C"
             : number == SIGBREAK ? "Ctrl-Break"
                                  : "the console was closed");
    service_request_stop(service->supervisor);
}

static int listen_for_events(void *arg, uv_loop_t *loop, struct supervisor *supervisor, struct reloader *reloader)
{
    struct console_service *service = arg;
    (void)reloader; /* a console has no signal for it */
    service->supervisor = supervisor;
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
    return 0;
}

static void unlisten(void *arg)
{
    struct console_service *service = arg;
    for (size_t i = 0; i < service->open_count; i++)
        uv_close((uv_handle_t *)&service->signals[i], NULL);
    service->open_count = 0;
}

int service_run(const struct tunnel_spec *specs, size_t count, const struct supervisor_options *options,
                const struct service_definitions *definitions)
{
    if (scm_hooks() != NULL)
        return service_run_with(specs, count, options, definitions, scm_hooks());
    struct console_service service = {.open_count = 0};
    struct service_hooks hooks = {.listen = listen_for_events, .unlisten = unlisten, .arg = &service};
    return service_run_with(specs, count, options, definitions, &hooks);
}

bool service_log_begin(void)
{
    return false;
}

void service_log_end(void)
{
}
