/* A Unix socket of mode 0600 in a folder of mode 0700. Beside the modes, which a person may loosen, each client is
 * asked who it is: ours or root. A lock beside the socket keeps two of ours from taking one over at the same time. */
#include "platform/local_server.h"

#include <errno.h>
#include <fcntl.h>
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

static bool has_session(void)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    return runtime != NULL && platform_path_is_absolute(runtime);
}

static char *path_in_state_dir(void)
{
    struct err_info why;
    char *state = platform_state_dir(&why);
    char *path = state != NULL ? below(state, NAME) : NULL;
    free(state);
    return path;
}

char *local_path_of_person(void)
{
    return has_session() ? below(getenv("XDG_RUNTIME_DIR"), "holdfast/" NAME) : path_in_state_dir();
}

char *local_path_of_person_elsewhere(void)
{
    char path[64];
    if (geteuid() == 0) /* who has no session listens at the machine's */
        return NULL;
    if (has_session())
        return path_in_state_dir();
    (void)snprintf(path, sizeof path, "/run/user/%lu/holdfast/" NAME, (unsigned long)geteuid()); /* as systemd has it */
    return strdup(path);
}

char *local_path_to_listen(void)
{
    char *given = local_path_given();
    const char *systemd = getenv("RUNTIME_DIRECTORY"); /* systemd.exec(5): several are separated by colons */
    if (given != NULL)
        return given;
    if (systemd != NULL && platform_path_is_absolute(systemd)) {
        char *folder = strndup(systemd, strcspn(systemd, ":"));
        char *path = folder != NULL ? below(folder, NAME) : NULL;
        free(folder);
        return path;
    }
    if (geteuid() == 0 && !has_session())
        return local_path_of_machine();
    return local_path_of_person();
}

/* ---- the server ---- */

/* Who is at the other end. `pid` is 0 where the system does not tell. */
struct other {
    uid_t user;
    long pid;
};

static bool other_of(int fd, struct other *out)
{
#ifdef SO_PEERCRED
    struct ucred who;
    socklen_t len = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
        return false;
    out->user = who.uid;
    out->pid = who.pid;
    return true;
#else
    gid_t group;
    pid_t pid = 0;
    socklen_t len = sizeof pid;
    out->pid = getsockopt(fd, SOL_LOCAL, LOCAL_PEERPID, &pid, &len) == 0 ? pid : 0;
    return getpeereid(fd, &out->user, &group) == 0;
#endif
}

static bool other_of_pipe(const uv_pipe_t *pipe, struct other *out)
{
    uv_os_fd_t fd;
    return uv_fileno((const uv_handle_t *)pipe, &fd) == 0 && other_of(fd, out);
}

static bool is_admitted(struct local_server *server, const uv_pipe_t *client)
{
    struct other who = {.user = 0};
    uint64_t now = uv_now(server->loop);
    bool known = other_of_pipe(client, &who);
    if (known && (who.user == 0 || who.user == geteuid()))
        return true;
    if (server->refused_logged_ms == 0 || now - server->refused_logged_ms >= REFUSAL_LOG_INTERVAL_MS) {
        server->refused_logged_ms = now;
        if (known)
            log_warning(NULL, "user %lu tried the control channel, which is not theirs; refused",
                        (unsigned long)who.user);
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
    if (result == ERR_BUSY)
        return err_set(info, result, "%.300s is %s", path, why.message);
    return result == OK ? OK : err_set(info, result, "%s", why.message);
}

/* Asks the socket at `path` whether anybody listens there. OK: nobody does. */
static enum err look_for_listener(const char *path, struct err_info *info)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct other who = {.pid = 0};
    memcpy(address.sun_path, path, strlen(path) + 1); /* listen_at has seen that it fits */
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0)
        return err_set(info, ERR_IO, "cannot look who listens at %.300s: %s", path, strerror(errno));
    int flags = fcntl(fd, F_GETFL);
    (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    int failed = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
    if (failed == 0)
        (void)other_of(fd, &who);
    (void)close(fd);
    if (failed == ECONNREFUSED || failed == ENOENT)
        return OK;
    if (failed != 0 && failed != EAGAIN && failed != EINPROGRESS && failed != EPROTOTYPE)
        return err_set(info, ERR_IO, "cannot look who listens at %.300s: %s", path, strerror(failed));
    if (who.pid != 0)
        return err_set(info, ERR_BUSY, "%.300s is already kept by process %ld", path, who.pid);
    return err_set(info, ERR_BUSY, "%.300s is already kept by another process", path);
}

/* The lock keeps out others of ours; a socket that nobody answers at was left behind. Anything else is somebody's. */
static enum err remove_left_behind(const char *path, struct err_info *info)
{
    struct stat found;
    if (lstat(path, &found) != 0)
        return errno == ENOENT ? OK : err_set(info, ERR_IO, "%.300s: %s", path, strerror(errno));
    if (!S_ISSOCK(found.st_mode))
        return err_set(info, ERR_IO,
                       "%.300s is no socket, and is left alone; move it away, or name another place in "
                       "HOLDFAST_CONTROL",
                       path);
    enum err result = look_for_listener(path, info);
    if (result != OK)
        return result;
    return unlink(path) == 0 || errno == ENOENT
               ? OK
               : err_set(info, ERR_IO, "cannot remove the old %.300s: %s", path, strerror(errno));
}

static enum err listen_at(struct local_server *server, const char *path, struct err_info *info)
{
    struct sockaddr_un address;
    if (strlen(path) >= sizeof address.sun_path)
        return err_set(info, ERR_USAGE,
                       "the path %.300s is too long for a socket (%zu bytes at most); name a shorter one in "
                       "HOLDFAST_CONTROL",
                       path, sizeof address.sun_path - 1);
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
    free(handle->data);
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
    if (server == NULL)
        return;
    uv_close((uv_handle_t *)&server->pipe, on_server_closed); /* removes the socket, too, and at once */
    platform_lock_release(server->lock);
    server->lock = NULL;
}

/* ---- the client ---- */

struct connecting {
    uv_timer_t timer; /* for the first attempt, outside of local_connect, and for the later ones */
    uv_connect_t request;
    uv_pipe_t *pipe;
    uint64_t deadline_ms; /* of uv_now */
    struct err_info why;
    local_connect_cb *on_connected;
    void *arg;
    char *path;
};

static void on_connecting_closed(uv_handle_t *handle)
{
    struct connecting *connecting = handle->data;
    free(connecting->path);
    free(connecting);
}

/* Tells what became of it: `pipe`, or connecting->why when that is NULL. */
static void finish(struct connecting *connecting, uv_pipe_t *pipe)
{
    uv_close((uv_handle_t *)&connecting->timer, on_connecting_closed);
    connecting->on_connected(connecting->arg, (uv_stream_t *)pipe, pipe != NULL ? NULL : &connecting->why);
}

/* Root's service and our own are trusted. Root asks anybody's, as only root decides what is in its places. */
static bool is_trusted(const struct connecting *connecting, struct err_info *why)
{
    struct other who = {.user = 0};
    if (geteuid() == 0)
        return true;
    if (!other_of_pipe(connecting->pipe, &who)) {
        (void)err_set(why, ERR_REFUSED, "%.300s: the system does not tell whose it is", connecting->path);
        return false;
    }
    if (who.user == 0 || who.user == geteuid())
        return true;
    (void)err_set(why, ERR_REFUSED, "%.300s: it belongs to user %lu", connecting->path, (unsigned long)who.user);
    return false;
}

static void on_timer(uv_timer_t *timer);

static void on_connected(uv_connect_t *request, int status)
{
    struct connecting *connecting = request->data;
    uv_pipe_t *pipe = connecting->pipe;
    if (status == 0 && is_trusted(connecting, &connecting->why)) {
        pipe->data = NULL;
        finish(connecting, pipe);
        return;
    }
    uv_close((uv_handle_t *)pipe, on_client_closed);
    /* Too many are waiting there (Linux says so, others say that nobody listens). */
    if (status == UV_EAGAIN && uv_now(connecting->timer.loop) < connecting->deadline_ms) {
        (void)uv_timer_start(&connecting->timer, on_timer, LOCAL_CONNECT_RETRY_MS, 0);
        return;
    }
    if (status == UV_EAGAIN)
        (void)err_set(&connecting->why, ERR_BUSY, "%.300s: too many others wait there", connecting->path);
    else if (status != 0)
        (void)err_set(&connecting->why, status == UV_EACCES || status == UV_EPERM ? ERR_REFUSED : ERR_CONNECT,
                      "%.300s: %s", connecting->path, err_uv_text(status));
    finish(connecting, NULL);
}

static void on_timer(uv_timer_t *timer)
{
    struct connecting *connecting = timer->data;
    struct sockaddr_un address;
    if (strlen(connecting->path) >= sizeof address.sun_path) { /* libuv would take the beginning of it */
        (void)err_set(&connecting->why, ERR_CONNECT, "the path %.300s is too long for a socket (%zu bytes at most)",
                      connecting->path, sizeof address.sun_path - 1);
        finish(connecting, NULL);
        return;
    }
    connecting->pipe = calloc(1, sizeof *connecting->pipe);
    if (connecting->pipe == NULL || uv_pipe_init(timer->loop, connecting->pipe, 0) != 0) {
        free(connecting->pipe);
        (void)err_set(&connecting->why, ERR_MEMORY, "out of memory");
        finish(connecting, NULL);
        return;
    }
    uv_pipe_connect(&connecting->request, connecting->pipe, connecting->path, on_connected);
}

enum err local_connect(uv_loop_t *loop, const char *path, local_connect_cb *on_connected_cb, void *arg)
{
    struct connecting *connecting = calloc(1, sizeof *connecting);
    char *copy = strdup(path);
    if (connecting == NULL || copy == NULL || uv_timer_init(loop, &connecting->timer) != 0) {
        free(connecting);
        free(copy);
        return ERR_MEMORY;
    }
    connecting->timer.data = connecting->request.data = connecting;
    connecting->path = copy;
    connecting->on_connected = on_connected_cb;
    connecting->arg = arg;
    uv_update_time(loop);
    connecting->deadline_ms = uv_now(loop) + LOCAL_CONNECT_BUSY_MS;
    (void)uv_timer_start(&connecting->timer, on_timer, 0, 0);
    return OK;
}
