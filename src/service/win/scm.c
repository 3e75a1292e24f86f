/* Our side of the Service Control Manager. Its requests come in a thread of its own and go to the loop by one
 * uv_async_t; what we tell it is always true: START_PENDING until the tunnels have been started, STOP_PENDING with a
 * counter that moves every second while connections may finish, STOPPED with our exit code. */
#include "service/win/scm.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <windows.h>

#include "base/log.h"
#include "platform/win/common.h"
#include "service/service.h"
#include "service/win/event_log.h"

enum { START_HINT_MS = 20000, STOP_HINT_MS = 10000, STOP_TICK_MS = 1000 };
enum { ASKED_STOP = 1, ASKED_SHUTDOWN = 2, ASKED_WAKE = 4, ASKED_RELOAD = 8 };

static struct {
    wchar_t *name;
    int (*body)(void *arg);
    void *body_arg;
    int code;
    SERVICE_STATUS_HANDLE handle;
    CRITICAL_SECTION lock; /* guards status, asked and has_loop */
    SERVICE_STATUS status;
    int asked; /* ASKED_* that the loop has not taken yet */
    bool has_loop;
    uv_async_t async;
    uv_timer_t tick;
    struct supervisor *supervisor;
    struct reloader *reloader;
} scm;

/* ---- what the manager is told ---- */

static void tell_manager(DWORD state, DWORD hint_ms)
{
    EnterCriticalSection(&scm.lock);
    if (scm.status.dwCurrentState == SERVICE_STOPPED) { /* the last word has been said */
        LeaveCriticalSection(&scm.lock);
        return;
    }
    bool pending = state == SERVICE_START_PENDING || state == SERVICE_STOP_PENDING;
    scm.status.dwCheckPoint = !pending ? 0 : scm.status.dwCurrentState == state ? scm.status.dwCheckPoint + 1 : 1;
    scm.status.dwCurrentState = state;
    scm.status.dwWaitHint = hint_ms;
    scm.status.dwControlsAccepted =
        state != SERVICE_RUNNING
            ? 0
            : SERVICE_ACCEPT_STOP | SERVICE_ACCEPT_PRESHUTDOWN | SERVICE_ACCEPT_POWEREVENT | SERVICE_ACCEPT_PARAMCHANGE;
    (void)SetServiceStatus(scm.handle, &scm.status);
    LeaveCriticalSection(&scm.lock);
}

static void tell_end(int code)
{
    scm.status.dwWin32ExitCode = code == 0 ? NO_ERROR : ERROR_SERVICE_SPECIFIC_ERROR;
    scm.status.dwServiceSpecificExitCode = (DWORD)code;
    tell_manager(SERVICE_STOPPED, 0);
}

/* ---- what the manager asks ---- */

static void ask(int what)
{
    EnterCriticalSection(&scm.lock);
    scm.asked |= what;
    if (scm.has_loop)
        (void)uv_async_send(&scm.async);
    LeaveCriticalSection(&scm.lock);
}

static DWORD WINAPI on_control(DWORD control, DWORD type, void *data, void *context)
{
    (void)data;
    (void)context;
    switch (control) {
    case SERVICE_CONTROL_STOP:
    case SERVICE_CONTROL_PRESHUTDOWN:
        tell_manager(SERVICE_STOP_PENDING, STOP_HINT_MS);
        ask(control == SERVICE_CONTROL_STOP ? ASKED_STOP : ASKED_SHUTDOWN);
        return NO_ERROR;
    case SERVICE_CONTROL_POWEREVENT:
        if (type == PBT_APMRESUMEAUTOMATIC || type == PBT_APMRESUMESUSPEND)
            ask(ASKED_WAKE);
        return NO_ERROR;
    case SERVICE_CONTROL_PARAMCHANGE: ask(ASKED_RELOAD); return NO_ERROR;
    case SERVICE_CONTROL_INTERROGATE: return NO_ERROR;
    default: return ERROR_CALL_NOT_IMPLEMENTED;
    }
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
    tell_manager(SERVICE_STOP_PENDING, STOP_HINT_MS);
}

static void on_asked(uv_async_t *async)
{
    (void)async;
    EnterCriticalSection(&scm.lock);
    int asked = scm.asked;
    scm.asked = 0;
    LeaveCriticalSection(&scm.lock);
    if ((asked & ASKED_WAKE) != 0) {
        log_info(NULL, "the system is awake again");
        supervisor_wake(scm.supervisor);
    }
    if ((asked & ASKED_RELOAD) != 0 && scm.reloader != NULL)
        (void)reloader_reload(scm.reloader, "the service manager", NULL, NULL);
    if ((asked & (ASKED_STOP | ASKED_SHUTDOWN)) != 0) {
        log_info(NULL, "%s: asked to stop",
                 (asked & ASKED_STOP) != 0 ? "the service manager" : "the system is shutting down");
        (void)uv_timer_start(&scm.tick, on_tick, STOP_TICK_MS, STOP_TICK_MS);
        service_request_stop(scm.supervisor);
    }
}

/* ---- the hooks ---- */

static int listen_for_requests(void *arg, uv_loop_t *loop, struct supervisor *supervisor, struct reloader *reloader)
{
    (void)arg;
    scm.supervisor = supervisor;
    scm.reloader = reloader;
    int status = uv_timer_init(loop, &scm.tick);
    if (status == 0)
        status = uv_async_init(loop, &scm.async, on_asked);
    if (status != 0)
        return status;
    uv_unref((uv_handle_t *)&scm.tick);
    uv_unref((uv_handle_t *)&scm.async);
    EnterCriticalSection(&scm.lock);
    scm.has_loop = true;
    bool asked_already = scm.asked != 0;
    LeaveCriticalSection(&scm.lock);
    if (asked_already)
        (void)uv_async_send(&scm.async);
    return 0;
}

static void on_ready(void *arg)
{
    (void)arg;
    tell_manager(SERVICE_RUNNING, 0);
}

static void unlisten(void *arg)
{
    (void)arg;
    EnterCriticalSection(&scm.lock);
    bool had_loop = scm.has_loop;
    scm.has_loop = false;
    LeaveCriticalSection(&scm.lock);
    if (had_loop) {
        uv_close((uv_handle_t *)&scm.async, NULL);
        uv_close((uv_handle_t *)&scm.tick, NULL);
    }
}

static void on_error(void *arg, const char *message)
{
    (void)arg;
    log_error(NULL, "%s", message);
}

const struct service_hooks *scm_hooks(void)
{
    static const struct service_hooks hooks = {
        .listen = listen_for_requests, .on_ready = on_ready, .unlisten = unlisten, .on_error = on_error};
    return scm.handle != NULL ? &hooks : NULL;
}

/* ---- the beginning and the end ---- */

static void WINAPI service_main(DWORD argc, wchar_t **argv)
{
    (void)argc;
    (void)argv;
    scm.status.dwServiceType = SERVICE_WIN32_OWN_PROCESS;
    scm.handle = RegisterServiceCtrlHandlerExW(scm.name, on_control, NULL);
    if (scm.handle == NULL) {
        scm.code = 1;
        return;
    }
    tell_manager(SERVICE_START_PENDING, START_HINT_MS);
    event_log_open(scm.name);
    scm.code = scm.body(scm.body_arg);
    event_log_close();
    tell_end(scm.code);
}

enum err service_host(const char *name, int (*body)(void *arg), void *arg, int *out_code, struct err_info *info)
{
    enum err result = OK;
    scm.name = win_wide(name);
    if (scm.name == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    InitializeCriticalSection(&scm.lock);
    scm.body = body;
    scm.body_arg = arg;
    const SERVICE_TABLE_ENTRYW table[] = {{scm.name, service_main}, {NULL, NULL}};
    if (StartServiceCtrlDispatcherW(table)) {
        *out_code = scm.code;
    } else if (GetLastError() == ERROR_FAILED_SERVICE_CONTROLLER_CONNECT) {
        result =
            err_set(info, ERR_USAGE,
                    "service run is what the Service Control Manager starts; by hand, use 'holdfast service start' "
                    "for the service or 'holdfast run' for this window");
    } else {
        DWORD code = GetLastError();
        result = err_set(info, win_err(code), "the Service Control Manager does not answer: %s", win_err_text(code));
    }
    DeleteCriticalSection(&scm.lock);
    free(scm.name);
    scm.name = NULL;
    return result;
}
