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
#include "platform/win/pipe_service.h"
#include "platform/win/private_file.h"

#define MACHINE_PIPE "\\\\.\\pipe\\holdfast"

enum { PIPE_BUFFER_BYTES = 64 * 1024, RETRY_MS = 1000, INSTANCES = 4, PATH_CAP = 256 };

/* An end of the pipe that waits for a client. */
struct instance {
    HANDLE pipe; /* INVALID_HANDLE_VALUE: there is none */
    OVERLAPPED connecting;
    HANDLE wait; /* of the thread pool, for connecting.hEvent; NULL: nothing is awaited */
};

struct local_server {
    uv_loop_t *loop;
    wchar_t *name;
    union win_sid us;
    struct win_private access;
    struct instance instances[INSTANCES]; /* several, so that those who come at once find one each */
    uv_async_t ready;                     /* the event of an instance was set */
    uv_timer_t retry;                     /* an instance could not be made */
    int handles;
    bool stopped;
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

char *local_path_of_person_elsewhere(void)
{
    return NULL;
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

static DWORD make_instance(struct local_server *server, struct instance *instance, bool is_first)
{
    DWORD mode = PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | (is_first ? FILE_FLAG_FIRST_PIPE_INSTANCE : 0);
    instance->pipe = CreateNamedPipeW(
        server->name, mode, PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS,
        PIPE_UNLIMITED_INSTANCES, PIPE_BUFFER_BYTES, PIPE_BUFFER_BYTES, 0, &server->access.attributes);
    return instance->pipe != INVALID_HANDLE_VALUE ? ERROR_SUCCESS : GetLastError();
}

/* Waits for a client of the instance that was made. */
static DWORD await_client(struct local_server *server, struct instance *instance)
{
    DWORD failed = ERROR_SUCCESS;
    (void)ResetEvent(instance->connecting.hEvent);
    if (!ConnectNamedPipe(instance->pipe, &instance->connecting))
        failed = GetLastError();
    /* It came between the two calls, and may have gone again; nothing else sets the event then. */
    if (failed == ERROR_PIPE_CONNECTED || failed == ERROR_NO_DATA) {
        (void)SetEvent(instance->connecting.hEvent);
        instance->connecting.Internal = 0;
        failed = ERROR_SUCCESS;
    }
    if (failed != ERROR_SUCCESS && failed != ERROR_IO_PENDING)
        return failed;
    /* Not WT_EXECUTEINWAITTHREAD: Wine 8 crashes where such a callback is cancelled at the moment that it begins. */
    return RegisterWaitForSingleObject(&instance->wait, instance->connecting.hEvent, on_event, server, INFINITE,
                                       WT_EXECUTEONLYONCE)
               ? ERROR_SUCCESS
               : GetLastError();
}

static void stop_waiting(struct instance *instance)
{
    if (instance->wait != NULL)
        (void)UnregisterWaitEx(instance->wait, INVALID_HANDLE_VALUE);
    instance->wait = NULL;
}

static void drop_instance(struct instance *instance)
{
    DWORD count = 0;
    if (instance->pipe == INVALID_HANDLE_VALUE)
        return;
    /* In this order: cancelling sets the event, and Wine 8 may run the callback of a wait that is being ended when its
     * event is set, after it has ended. */
    stop_waiting(instance);
    if (CancelIoEx(instance->pipe, &instance->connecting))
        (void)GetOverlappedResult(instance->pipe, &instance->connecting, &count, TRUE);
    (void)CloseHandle(instance->pipe);
    instance->pipe = INVALID_HANDLE_VALUE;
}

static void on_retry(uv_timer_t *timer);

/* Has another end of the pipe wait, now or a little later. */
static void renew(struct local_server *server, struct instance *instance)
{
    DWORD failed = make_instance(server, instance, false);
    if (failed == ERROR_SUCCESS)
        failed = await_client(server, instance);
    if (failed == ERROR_SUCCESS)
        return;
    log_debug(NULL, "control channel: no instance of the pipe: %s", win_err_text(failed));
    drop_instance(instance);
    (void)uv_timer_start(&server->retry, on_retry, RETRY_MS, 0);
}

static void on_retry(uv_timer_t *timer)
{
    struct local_server *server = timer->data;
    for (size_t i = 0; i < INSTANCES; i++) {
        if (server->instances[i].pipe == INVALID_HANDLE_VALUE)
            renew(server, &server->instances[i]);
    }
}

/* The connected end, which is the caller's, or NULL; another one waits in its place. */
static uv_stream_t *take_client(struct local_server *server, struct instance *instance)
{
    DWORD count = 0;
    HANDLE pipe = instance->pipe;
    if (pipe == INVALID_HANDLE_VALUE || instance->wait == NULL)
        return NULL;
    bool connected = GetOverlappedResult(pipe, &instance->connecting, &count, FALSE) != 0;
    if (!connected && GetLastError() == ERROR_IO_INCOMPLETE)
        return NULL;
    stop_waiting(instance);
    instance->pipe = INVALID_HANDLE_VALUE;
    renew(server, instance); /* before this one may go, so that the name never is nobody's */
    if (connected)
        return stream_of(server->loop, pipe);
    (void)CloseHandle(pipe);
    return NULL;
}

static void on_ready(uv_async_t *async)
{
    struct local_server *server = async->data;
    uv_stream_t *streams[INSTANCES];
    for (size_t i = 0; i < INSTANCES; i++)
        streams[i] = take_client(server, &server->instances[i]);
    for (size_t i = 0; i < INSTANCES; i++) {
        if (streams[i] == NULL)
            continue;
        if (server->stopped) /* by whom the one before was handed to; our memory goes later */
            uv_close((uv_handle_t *)streams[i], on_client_closed);
        else
            server->on_connection(server->arg, streams[i]);
    }
}

static DWORD open_instances(struct local_server *server)
{
    DWORD failed = ERROR_SUCCESS;
    for (size_t i = 0; i < INSTANCES && failed == ERROR_SUCCESS; i++) {
        struct instance *instance = &server->instances[i];
        instance->connecting.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL);
        if (instance->connecting.hEvent == NULL)
            return GetLastError();
        failed = make_instance(server, instance, i == 0);
        if (failed == ERROR_SUCCESS)
            failed = await_client(server, instance);
    }
    return failed;
}

static enum err open_pipe(struct local_server *server, const char *path, struct err_info *info)
{
    if (!win_agent_pipe_is_name(path) || strlen(path) > PATH_CAP)
        return err_set(info, ERR_USAGE,
                       "%.200s is no name of a pipe; write \\\\.\\pipe\\NAME, of %d bytes at most, in HOLDFAST_CONTROL",
                       path, PATH_CAP);
    server->name = win_agent_pipe_wide(path);
    if (server->name == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    if (!win_sid_of_us(&server->us) || !win_private_init(&server->access, &server->us.sid, NULL, 0)) {
        DWORD code = GetLastError();
        return err_set(info, win_err(code), "cannot make an access list for %.200s: %s", path, win_err_text(code));
    }
    /* Windows says so by itself (FILE_FLAG_FIRST_PIPE_INSTANCE); a Wine that does not know the flag would share the
     * name. */
    DWORD failed = win_agent_pipe_exists(path) ? ERROR_PIPE_BUSY : open_instances(server);
    if (failed == ERROR_ACCESS_DENIED || failed == ERROR_PIPE_BUSY)
        return err_set(info, ERR_BUSY, "%.200s is already kept by another process", path);
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
    for (size_t i = 0; i < INSTANCES; i++)
        server->instances[i].pipe = INVALID_HANDLE_VALUE;
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
    server->stopped = true;
    for (size_t i = 0; i < INSTANCES; i++) {
        drop_instance(&server->instances[i]);
        if (server->instances[i].connecting.hEvent != NULL)
            (void)CloseHandle(server->instances[i].connecting.hEvent);
    }
    if (server->handles > 1)
        uv_close((uv_handle_t *)&server->ready, on_handle_closed);
    uv_close((uv_handle_t *)&server->retry, on_handle_closed);
}

/* ---- the client ---- */

struct connecting {
    uv_timer_t timer;     /* for the first attempt, outside of local_connect, and for the later ones */
    uint64_t deadline_ms; /* of uv_now */
    struct err_info why;
    local_connect_cb *on_connected;
    void *arg;
    char *path;
};

/* A name is taken by who comes first, so its owner is looked at: us, the system's own, one service alone, or the
 * ordinary account of a service of ours. */
static bool is_trusted(HANDLE pipe, const char *path, struct err_info *why)
{
    union win_sid us;
    union win_sid theirs;
    if (!win_sid_of_us(&us) || !win_agent_pipe_server(pipe, &theirs)) {
        (void)err_set(why, ERR_REFUSED, "%.200s: the system does not tell whose it is", path);
        return false;
    }
    if (EqualSid(&theirs.sid, &us.sid) || win_sid_is_keeper(&theirs.sid) || win_sid_is_one_service(&theirs.sid) ||
        win_pipe_service_serves(pipe, &theirs.sid))
        return true;
    char *name = win_sid_name(&theirs.sid);
    (void)err_set(why, ERR_REFUSED, "%.200s: it belongs to %.100s", path, name != NULL ? name : "somebody else");
    free(name);
    return false;
}

/* One attempt. NULL: connecting->why tells, with ERR_BUSY where another one may do. */
static uv_stream_t *open_stream(struct connecting *connecting)
{
    const char *path = connecting->path;
    wchar_t *name = win_agent_pipe_wide(path);
    HANDLE pipe = INVALID_HANDLE_VALUE;
    DWORD failed = ERROR_FILE_NOT_FOUND;
    if (name != NULL) {
        pipe = CreateFileW(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
                           FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION, NULL);
        failed = pipe != INVALID_HANDLE_VALUE ? ERROR_SUCCESS : GetLastError();
    }
    free(name);
    if (failed != ERROR_SUCCESS) {
        enum err code = failed == ERROR_PIPE_BUSY       ? ERR_BUSY
                        : failed == ERROR_ACCESS_DENIED ? ERR_REFUSED
                                                        : ERR_CONNECT;
        (void)err_set(&connecting->why, code, "%.200s: %s", path, win_err_text(failed));
        return NULL;
    }
    if (!is_trusted(pipe, path, &connecting->why)) {
        (void)CloseHandle(pipe);
        return NULL;
    }
    uv_stream_t *stream = stream_of(connecting->timer.loop, pipe);
    if (stream == NULL)
        (void)err_set(&connecting->why, ERR_IO, "%.200s cannot be used", path);
    return stream;
}

static void on_connecting_closed(uv_handle_t *handle)
{
    struct connecting *connecting = handle->data;
    free(connecting->path);
    free(connecting);
}

static void on_timer(uv_timer_t *timer)
{
    struct connecting *connecting = timer->data;
    uv_stream_t *stream = open_stream(connecting);
    if (stream == NULL && connecting->why.code == ERR_BUSY && uv_now(timer->loop) < connecting->deadline_ms) {
        (void)uv_timer_start(timer, on_timer, LOCAL_CONNECT_RETRY_MS, 0);
        return;
    }
    uv_close((uv_handle_t *)timer, on_connecting_closed);
    connecting->on_connected(connecting->arg, stream, stream != NULL ? NULL : &connecting->why);
}

enum err local_connect(uv_loop_t *loop, const char *path, local_connect_cb *on_connected, void *arg)
{
    struct connecting *connecting = calloc(1, sizeof *connecting);
    char *copy = _strdup(path);
    if (connecting == NULL || copy == NULL || uv_timer_init(loop, &connecting->timer) != 0) {
        free(connecting);
        free(copy);
        return ERR_MEMORY;
    }
    connecting->timer.data = connecting;
    connecting->path = copy;
    connecting->on_connected = on_connected;
    connecting->arg = arg;
    uv_update_time(loop);
    connecting->deadline_ms = uv_now(loop) + LOCAL_CONNECT_BUSY_MS;
    (void)uv_timer_start(&connecting->timer, on_timer, 0, 0);
    return OK;
}
