/* A named pipe whose access list names its owner, SYSTEM and Administrators, and that refuses other machines; libuv's
 * own pipes can do neither. Instances are made and awaited here, and handed to libuv once somebody is connected. */
#include "platform/local_server.h"

#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "platform/platform.h"
#include "platform/win/agent_pipe.h"
#include "platform/win/private_file.h"

#define MACHINE_PIPE "\\\\.\\pipe\\holdfast"

enum { PIPE_BUFFER_BYTES = 64 * 1024, RETRY_MS = 1000, BUSY_LIMIT_MS = 5000 };

struct local_server {
    uv_loop_t *loop;
    wchar_t *name;
    union win_sid us;
    struct win_private access;
    HANDLE pipe; /* the instance that waits for a client; INVALID_HANDLE_VALUE: none does */
    OVERLAPPED connecting;
    HANDLE wait;      /* of the thread pool, for connecting.hEvent; NULL: nothing is awaited */
    uv_async_t ready; /* connecting.hEvent was set */
    uv_timer_t retry; /* an instance could not be made */
    int handles;
    local_server_cb *on_connection;
    void *arg;
};

/* ---- where ---- */

char *local_path_given(void)
{
    return win_environment(L"HOLDFAST_CONTROL");
}

char *local_path_of_machine(void)
{
    return _strdup(MACHINE_PIPE);
}

char *local_path_of_person(void)
{
    union win_sid us;
    char *sid = win_sid_of_us(&us) ? win_sid_text(&us.sid) : NULL;
    size_t cap_bytes = sid != NULL ? sizeof MACHINE_PIPE "-" + strlen(sid) : 0;
    char *path = sid != NULL ? malloc(cap_bytes) : NULL;
    if (path != NULL)
        (void)snprintf(path, cap_bytes, MACHINE_PIPE "-%s", sid);
    free(sid);
    return path;
}

char *local_path_to_listen(void)
{
    char *given = local_path_given();
    if (given != NULL)
        return given;
    return platform_is_service() ? local_path_of_machine() : local_path_of_person();
}

/* ---- the server ---- */

static void on_client_closed(uv_handle_t *handle)
{
    free(handle);
}

/* Makes a libuv handle of a connected pipe, which it takes over. NULL: that is not possible. */
static uv_stream_t *stream_of(uv_loop_t *loop, HANDLE pipe)
{
    uv_pipe_t *stream = calloc(1, sizeof *stream);
    int fd = _open_osfhandle((intptr_t)pipe, _O_BINARY);
    if (fd < 0)
        (void)CloseHandle(pipe);
    if (stream == NULL || fd < 0 || uv_pipe_init(loop, stream, 0) != 0) {
        if (fd >= 0)
            (void)_close(fd);
        free(stream);
        return NULL;
    }
    if (uv_pipe_open(stream, fd) != 0) {
        (void)_close(fd);
        uv_close((uv_handle_t *)stream, on_client_closed);
        return NULL;
    }
    return (uv_stream_t *)stream;
}

/* In a thread of the system's pool. */
static void CALLBACK on_event(void *context, BOOLEAN timed_out)
{
    struct local_server *server = context;
    (void)timed_out;
    (void)uv_async_send(&server->ready);
}

static DWORD make_instance(struct local_server *server, bool is_first)
{
    DWORD mode = PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | (is_first ? FILE_FLAG_FIRST_PIPE_INSTANCE : 0);
    server->pipe = CreateNamedPipeW(
        server->name, mode, PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS,
        PIPE_UNLIMITED_INSTANCES, PIPE_BUFFER_BYTES, PIPE_BUFFER_BYTES, 0, &server->access.attributes);
    return server->pipe != INVALID_HANDLE_VALUE ? ERROR_SUCCESS : GetLastError();
}

/* Waits for a client of the instance that was made. */
static DWORD await_client(struct local_server *server)
{
    DWORD failed = ERROR_SUCCESS;
    (void)ResetEvent(server->connecting.hEvent);
    if (!ConnectNamedPipe(server->pipe, &server->connecting))
        failed = GetLastError();
    if (failed == ERROR_PIPE_CONNECTED) { /* it came between the two calls; nothing else sets the event then */
        (void)SetEvent(server->connecting.hEvent);
        server->connecting.Internal = 0;
        failed = ERROR_SUCCESS;
    }
    if (failed != ERROR_SUCCESS && failed != ERROR_IO_PENDING)
        return failed;
    return RegisterWaitForSingleObject(&server->wait, server->connecting.hEvent, on_event, server, INFINITE,
                                       WT_EXECUTEONLYONCE | WT_EXECUTEINWAITTHREAD)
               ? ERROR_SUCCESS
               : GetLastError();
}

static void drop_instance(struct local_server *server)
{
    DWORD count = 0;
    if (server->pipe == INVALID_HANDLE_VALUE)
        return;
    if (CancelIoEx(server->pipe, &server->connecting))
        (void)GetOverlappedResult(server->pipe, &server->connecting, &count, TRUE);
    if (server->wait != NULL)
        (void)UnregisterWaitEx(server->wait, INVALID_HANDLE_VALUE);
    server->wait = NULL;
    (void)CloseHandle(server->pipe);
    server->pipe = INVALID_HANDLE_VALUE;
}

static void on_retry(uv_timer_t *timer);

/* Has the next instance wait, now or a little later. */
static void wait_for_next(struct local_server *server)
{
    DWORD failed = make_instance(server, false);
    if (failed == ERROR_SUCCESS)
        failed = await_client(server);
    if (failed == ERROR_SUCCESS)
        return;
    log_debug(NULL, "control channel: no instance of the pipe: %s", win_err_text(failed));
    drop_instance(server);
    (void)uv_timer_start(&server->retry, on_retry, RETRY_MS, 0);
}

static void on_retry(uv_timer_t *timer)
{
    wait_for_next(timer->data);
}

static void on_ready(uv_async_t *async)
{
    struct local_server *server = async->data;
    DWORD count = 0;
    if (server->pipe == INVALID_HANDLE_VALUE || server->wait == NULL)
        return;
    HANDLE pipe = server->pipe;
    bool connected = GetOverlappedResult(pipe, &server->connecting, &count, FALSE) != 0;
    if (!connected && GetLastError() == ERROR_IO_INCOMPLETE)
        return;
    (void)UnregisterWaitEx(server->wait, INVALID_HANDLE_VALUE);
    server->wait = NULL;
    server->pipe = INVALID_HANDLE_VALUE;
    wait_for_next(server); /* before this one may go, so that the name never is nobody's */
    uv_stream_t *stream = connected ? stream_of(server->loop, pipe) : NULL;
    if (!connected)
        (void)CloseHandle(pipe);
    if (stream != NULL)
        server->on_connection(server->arg, stream);
}

static enum err open_pipe(struct local_server *server, const char *path, struct err_info *info)
{
    server->name = win_agent_pipe_is_name(path) ? win_wide(path) : NULL;
    if (server->name == NULL)
        return err_set(info, ERR_USAGE, "%.200s is no name of a pipe; write \\\\.\\pipe\\NAME", path);
    server->connecting.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (server->connecting.hEvent == NULL || !win_sid_of_us(&server->us) ||
        !win_private_init(&server->access, &server->us.sid, NULL, 0)) {
        DWORD code = GetLastError();
        return err_set(info, win_err(code), "cannot make an access list for %.200s: %s", path, win_err_text(code));
    }
    /* Windows says so by itself (FILE_FLAG_FIRST_PIPE_INSTANCE); a Wine that does not know the flag would share the
     * name. */
    DWORD failed = win_agent_pipe_exists(path) ? ERROR_PIPE_BUSY : make_instance(server, true);
    if (failed == ERROR_ACCESS_DENIED || failed == ERROR_PIPE_BUSY)
        return err_set(info, ERR_BUSY, "%.200s is already kept by another process", path);
    if (failed == ERROR_SUCCESS)
        failed = await_client(server);
    return failed == ERROR_SUCCESS
               ? OK
               : err_set(info, win_err(failed), "cannot listen at %.200s: %s", path, win_err_text(failed));
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct local_server *server = handle->data;
    server->handles--;
    if (server->handles > 0)
        return;
    free(server->name);
    free(server);
}

enum err local_server_start(uv_loop_t *loop, const char *path, local_server_cb *on_connection, void *arg,
                            struct local_server **out, struct err_info *info)
{
    struct local_server *server = calloc(1, sizeof *server);
    *out = NULL;
    if (server == NULL || uv_timer_init(loop, &server->retry) != 0) {
        free(server);
        return err_set(info, ERR_MEMORY, "out of memory");
    }
    server->loop = loop;
    server->on_connection = on_connection;
    server->arg = arg;
    server->pipe = INVALID_HANDLE_VALUE;
    server->retry.data = server->ready.data = server;
    server->handles = 1;
    uv_unref((uv_handle_t *)&server->retry);
    int status = uv_async_init(loop, &server->ready, on_ready);
    enum err result = OK;
    if (status != 0) {
        result = err_set(info, err_from_uv(status), "cannot use the event loop: %s", err_uv_text(status));
    } else {
        server->handles = 2;
        uv_unref((uv_handle_t *)&server->ready);
        result = open_pipe(server, path, info);
    }
    if (result != OK) {
        local_server_stop(server);
        return result;
    }
    *out = server;
    return OK;
}

void local_server_stop(struct local_server *server)
{
    if (server == NULL)
        return;
    drop_instance(server);
    if (server->connecting.hEvent != NULL)
        (void)CloseHandle(server->connecting.hEvent);
    if (server->handles > 1)
        uv_close((uv_handle_t *)&server->ready, on_handle_closed);
    uv_close((uv_handle_t *)&server->retry, on_handle_closed);
}

/* ---- the client ---- */

struct connecting {
    uv_timer_t later; /* tells what became of it, outside of local_connect */
    uv_stream_t *stream;
    struct err_info why;
    local_connect_cb *on_connected;
    void *arg;
};

/* A name is taken by who comes first, so its owner is looked at: us, the system's own, or a service. */
static bool is_trusted(HANDLE pipe)
{
    union win_sid us;
    union win_sid theirs;
    return win_sid_of_us(&us) && win_agent_pipe_server(pipe, &theirs) &&
           (EqualSid(&theirs.sid, &us.sid) || win_sid_is_keeper(&theirs.sid) || win_sid_is_one_service(&theirs.sid));
}

static DWORD open_instance(const wchar_t *name, HANDLE *out)
{
    uint64_t deadline_ms = uv_hrtime() / 1000000 + BUSY_LIMIT_MS;
    for (;;) {
        *out = CreateFileW(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
                           FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION, NULL);
        DWORD failed = *out != INVALID_HANDLE_VALUE ? ERROR_SUCCESS : GetLastError();
        if (failed != ERROR_PIPE_BUSY || uv_hrtime() / 1000000 >= deadline_ms)
            return failed;
        (void)WaitNamedPipeW(name, BUSY_LIMIT_MS);
    }
}

/* Blocking, but only while all instances are taken. */
static void open_stream(struct connecting *connecting, uv_loop_t *loop, const char *path)
{
    HANDLE pipe = INVALID_HANDLE_VALUE;
    wchar_t *name = win_agent_pipe_is_name(path) ? win_wide(path) : NULL;
    DWORD failed = name != NULL ? open_instance(name, &pipe) : ERROR_FILE_NOT_FOUND;
    free(name);
    if (failed != ERROR_SUCCESS) {
        enum err code = failed == ERROR_ACCESS_DENIED || failed == ERROR_PIPE_BUSY ? ERR_REFUSED : ERR_CONNECT;
        (void)err_set(&connecting->why, code, "%.200s: %s", path, win_err_text(failed));
    } else if (!is_trusted(pipe)) {
        (void)err_set(&connecting->why, ERR_REFUSED, "%.200s: it belongs to somebody else", path);
        (void)CloseHandle(pipe);
    } else {
        connecting->stream = stream_of(loop, pipe);
        if (connecting->stream == NULL)
            (void)err_set(&connecting->why, ERR_IO, "%.200s cannot be used", path);
    }
}

static void on_connecting_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_later(uv_timer_t *timer)
{
    struct connecting *connecting = timer->data;
    uv_close((uv_handle_t *)timer, on_connecting_closed);
    connecting->on_connected(connecting->arg, connecting->stream, connecting->stream != NULL ? NULL : &connecting->why);
}

enum err local_connect(uv_loop_t *loop, const char *path, local_connect_cb *on_connected, void *arg)
{
    struct connecting *connecting = calloc(1, sizeof *connecting);
    if (connecting == NULL || uv_timer_init(loop, &connecting->later) != 0) {
        free(connecting);
        return ERR_MEMORY;
    }
    connecting->later.data = connecting;
    connecting->on_connected = on_connected;
    connecting->arg = arg;
    open_stream(connecting, loop, path);
    (void)uv_timer_start(&connecting->later, on_later, 0, 0);
    return OK;
}
