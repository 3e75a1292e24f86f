/* A Unix socket of mode 0600 in a folder of mode 0700. Beside the modes, which a person may loosen, each client is
 * asked who it is: ours or root. A lock beside the socket tells a socket that is served from one that was left behind.
 */
#include "platform/local_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "platform/platform.h"

#ifdef __APPLE__
#define MACHINE_DIR "/var/run/holdfast"
#else
#define MACHINE_DIR "/run/holdfast"
#endif
#define NAME "control.sock"

enum { BACKLOG = 128, REFUSAL_LOG_INTERVAL_MS = 60000 };

struct local_server {
    uv_loop_t *loop;
    uv_pipe_t pipe;
    struct platform_lock *lock;
    local_server_cb *on_connection;
    void *arg;
    uint64_t refused_logged_ms;
};

/* ---- where ---- */

static char *below(const char *folder, const char *rest)
{
    return platform_path_resolve(folder, rest);
}

char *local_path_given(void)
{
    const char *given = getenv("HOLDFAST_CONTROL");
    return given != NULL && given[0] != 0 ? strdup(given) : NULL;
}

char *local_path_of_machine(void)
{
    return strdup(MACHINE_DIR "/" NAME);
}

char *local_path_of_person(void)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (runtime != NULL && platform_path_is_absolute(runtime))
        return below(runtime, "holdfast/" NAME);
    struct err_info why;
    char *state = platform_state_dir(&why);
    char *path = state != NULL ? below(state, NAME) : NULL;
    free(state);
    return path;
}

char *local_path_to_listen(void)
{
    char *given = local_path_given();
    const char *systemd = getenv("RUNTIME_DIRECTORY"); /* systemd.exec(5): several are separated by colons */
    const char *person = getenv("XDG_RUNTIME_DIR");
    if (given != NULL)
        return given;
    if (systemd != NULL && platform_path_is_absolute(systemd)) {
        char *folder = strndup(systemd, strcspn(systemd, ":"));
        char *path = folder != NULL ? below(folder, NAME) : NULL;
        free(folder);
        return path;
    }
    if (geteuid() == 0 && (person == NULL || !platform_path_is_absolute(person)))
        return local_path_of_machine();
    return local_path_of_person();
}

/* ---- the server ---- */

/* The other end's user, or false where the system does not tell. */
static bool user_of(int fd, uid_t *out)
{
#ifdef SO_PEERCRED
    struct ucred who;
    socklen_t len = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
        return false;
    *out = who.uid;
    return true;
#else
    gid_t group;
    return getpeereid(fd, out, &group) == 0;
#endif
}

static bool is_admitted(struct local_server *server, const uv_pipe_t *client)
{
    uv_os_fd_t fd;
    uid_t user = 0;
    uint64_t now = uv_now(server->loop);
    bool known = uv_fileno((const uv_handle_t *)client, &fd) == 0 && user_of(fd, &user);
    if (known && (user == 0 || user == geteuid()))
        return true;
    if (server->refused_logged_ms == 0 || now - server->refused_logged_ms >= REFUSAL_LOG_INTERVAL_MS) {
        server->refused_logged_ms = now;
        if (known)
            log_warning(NULL, "user %lu tried the control channel, which is not theirs; refused", (unsigned long)user);
        else
            log_warning(NULL, "somebody tried the control channel whom the system does not name; refused");
    }
    return false;
}

static void on_client_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct local_server *server = stream->data;
    uv_pipe_t *client = status == 0 ? calloc(1, sizeof *client) : NULL;
    if (client == NULL || uv_pipe_init(server->loop, client, 0) != 0) {
        free(client);
        return;
    }
    if (uv_accept(stream, (uv_stream_t *)client) != 0 || !is_admitted(server, client)) {
        uv_close((uv_handle_t *)client, on_client_closed);
        return;
    }
    server->on_connection(server->arg, (uv_stream_t *)client);
}

static enum err make_folder(const char *path, struct err_info *info)
{
    char *folder = strdup(path);
    char *slash = folder != NULL ? strrchr(folder, '/') : NULL;
    enum err result = OK;
    if (folder == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    if (slash != NULL && slash != folder) {
        *slash = 0;
        if (mkdir(folder, 0700) != 0 && errno != EEXIST)
            result = err_set(info, ERR_IO, "cannot make the folder %.300s: %s", folder, strerror(errno));
    }
    free(folder);
    return result;
}

static enum err lock_beside(const char *path, struct platform_lock **out, struct err_info *info)
{
    struct err_info why;
    size_t cap_bytes = strlen(path) + sizeof ".lock";
    char *file = malloc(cap_bytes);
    if (file == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    (void)snprintf(file, cap_bytes, "%s.lock", path);
    enum err result = platform_lock_take(file, out, &why);
    free(file);
    return result == OK ? OK : err_set(info, result, "%.300s is %s", path, why.message);
}

/* With the lock held, a socket that is there was left behind. Anything else is somebody's. */
static enum err remove_left_behind(const char *path, struct err_info *info)
{
    struct stat found;
    if (lstat(path, &found) != 0)
        return errno == ENOENT ? OK : err_set(info, ERR_IO, "%.300s: %s", path, strerror(errno));
    if (!S_ISSOCK(found.st_mode))
        return err_set(info, ERR_IO, "%.300s is no socket, and is left alone", path);
    return unlink(path) == 0 ? OK : err_set(info, ERR_IO, "cannot remove the old %.300s: %s", path, strerror(errno));
}

static enum err listen_at(struct local_server *server, const char *path, struct err_info *info)
{
    struct sockaddr_un address;
    if (strlen(path) >= sizeof address.sun_path)
        return err_set(info, ERR_USAGE, "the path %.300s is too long for a socket (%zu bytes at most)", path,
                       sizeof address.sun_path - 1);
    enum err result = make_folder(path, info);
    if (result == OK)
        result = lock_beside(path, &server->lock, info);
    if (result == OK)
        result = remove_left_behind(path, info);
    if (result != OK)
        return result;
    mode_t old = umask(0177); /* the socket is private from its first moment on */
    int status = uv_pipe_bind(&server->pipe, path);
    (void)umask(old);
    if (status == 0)
        status = uv_listen((uv_stream_t *)&server->pipe, BACKLOG, on_connection);
    return status == 0 ? OK
                       : err_set(info, err_from_uv(status), "cannot listen at %.300s: %s", path, err_uv_text(status));
}

static void on_server_closed(uv_handle_t *handle)
{
    struct local_server *server = handle->data;
    platform_lock_release(server->lock);
    free(server);
}

enum err local_server_start(uv_loop_t *loop, const char *path, local_server_cb *on_connection_cb, void *arg,
                            struct local_server **out, struct err_info *info)
{
    struct local_server *server = calloc(1, sizeof *server);
    *out = NULL;
    if (server == NULL || uv_pipe_init(loop, &server->pipe, 0) != 0) {
        free(server);
        return err_set(info, ERR_MEMORY, "out of memory");
    }
    server->loop = loop;
    server->pipe.data = server;
    server->on_connection = on_connection_cb;
    server->arg = arg;
    uv_unref((uv_handle_t *)&server->pipe);
    enum err result = listen_at(server, path, info);
    if (result != OK) {
        local_server_stop(server);
        return result;
    }
    *out = server;
    return OK;
}

void local_server_stop(struct local_server *server)
{
    if (server != NULL)
        uv_close((uv_handle_t *)&server->pipe, on_server_closed); /* removes the socket, too */
}

/* ---- the client ---- */

struct connecting {
    uv_connect_t request;
    uv_pipe_t *pipe;
    local_connect_cb *on_connected;
    void *arg;
    char path[300];
};

static void on_connected(uv_connect_t *request, int status)
{
    struct connecting *connecting = request->data;
    struct err_info why = {.code = OK};
    uv_stream_t *stream = (uv_stream_t *)connecting->pipe;
    if (status != 0) {
        enum err code = status == UV_EACCES || status == UV_EPERM ? ERR_REFUSED : ERR_CONNECT;
        (void)err_set(&why, code, "%s: %s", connecting->path, err_uv_text(status));
        uv_close((uv_handle_t *)stream, on_client_closed);
        stream = NULL;
    } else {
        stream->data = NULL;
    }
    connecting->on_connected(connecting->arg, stream, stream != NULL ? NULL : &why);
    free(connecting);
}

enum err local_connect(uv_loop_t *loop, const char *path, local_connect_cb *on_connected_cb, void *arg)
{
    struct connecting *connecting = calloc(1, sizeof *connecting);
    uv_pipe_t *pipe = calloc(1, sizeof *pipe);
    if (connecting == NULL || pipe == NULL || uv_pipe_init(loop, pipe, 0) != 0) {
        free(connecting);
        free(pipe);
        return ERR_MEMORY;
    }
    connecting->pipe = pipe;
    connecting->on_connected = on_connected_cb;
    connecting->arg = arg;
    connecting->request.data = connecting;
    (void)snprintf(connecting->path, sizeof connecting->path, "%s", path);
    uv_pipe_connect(&connecting->request, pipe, path, on_connected);
    return OK;
}
