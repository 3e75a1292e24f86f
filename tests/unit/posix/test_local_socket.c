/* Who may be at which end of the control socket, and what may lie where it is to be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/local_server.h"

enum { SOMEBODY = 65534, SOMEBODY_ELSE = 65533 };

struct world {
    uv_loop_t loop;
    char top[64];
    char folder[80];
    char path[100];
    struct local_server *server;
    unsigned connections;
    struct err_info why;
    bool connected;
    bool told;
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    assert_int_equal(uv_loop_init(&world->loop), 0);
    strcpy(world->top, "/tmp/hf-XXXXXX");
    assert_non_null(mkdtemp(world->top));
    (void)snprintf(world->folder, sizeof world->folder, "%s/run", world->top);
    (void)snprintf(world->path, sizeof world->path, "%s/control.sock", world->folder);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    local_server_stop(world->server);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    int left = uv_loop_close(&world->loop);
    (void)unlink(world->path);
    (void)rmdir(world->folder);
    left |= rmdir(world->top);
    free(world);
    return left;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_connection(void *arg, uv_stream_t *stream)
{
    struct world *world = arg;
    world->connections++;
    uv_close((uv_handle_t *)stream, on_closed);
}

static enum err try_start(struct world *world)
{
    return local_server_start(&world->loop, world->path, on_connection, world, &world->server, &world->why);
}

static void start(struct world *world)
{
    if (try_start(world) != OK)
        fail_msg("%s", world->why.message);
}

static void on_connected(void *arg, uv_stream_t *stream, const struct err_info *why)
{
    struct world *world = arg;
    world->told = true;
    world->connected = stream != NULL;
    if (stream != NULL)
        uv_close((uv_handle_t *)stream, on_closed);
    else
        world->why = *why;
}

static unsigned mode_of(const char *path)
{
    struct stat found;
    assert_int_equal(lstat(path, &found), 0);
    return (unsigned)found.st_mode & 07777U;
}

/* A listening socket that is not one of ours, whose listener is `user`. */
static int foreign_listener(const struct world *world, int type, uid_t user, int backlog)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type, 0);
    assert_true(fd >= 0);
    memcpy(address.sun_path, world->path, strlen(world->path) + 1);
    (void)mkdir(world->folder, 0700);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    if (type == SOCK_STREAM) {
        assert_int_equal(user == geteuid() ? 0 : seteuid(user), 0);
        assert_int_equal(listen(fd, backlog), 0);
        assert_int_equal(user == geteuid() ? seteuid(getuid()) : 0, 0);
    }
    return fd;
}

/* ---- what lies there ---- */

static void it_is_private_and_gone_at_the_end(void **state)
{
    struct world *world = *state;
    mode_t old = umask(0);
    start(world);
    assert_int_equal(umask(old), 0); /* as it was */
    assert_int_equal(mode_of(world->folder), 0700);
    assert_int_equal(mode_of(world->path), 0600);
    local_server_stop(world->server);
    world->server = NULL;
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(access(world->path, F_OK), -1);
    assert_int_equal(rmdir(world->folder), 0); /* with the lock gone, too */
}

static void what_was_left_behind_is_taken_over(void **state)
{
    struct world *world = *state;
    (void)close(foreign_listener(world, SOCK_STREAM, geteuid(), 1));
    assert_int_equal(access(world->path, F_OK), 0);
    start(world);
    assert_int_equal(mode_of(world->path), 0600);
}

static void what_another_program_serves_is_left(void **state)
{
    struct world *world = *state;
    struct stat before;
    struct stat after;
    char pid[40];
    int fd = foreign_listener(world, SOCK_STREAM, geteuid(), 1);
    assert_int_equal(stat(world->path, &before), 0);
    assert_int_equal(try_start(world), ERR_BUSY);
    (void)snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(world->why.message, pid));
    assert_int_equal(stat(world->path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    (void)close(fd);
    start(world); /* now it is nobody's */
}

static void a_datagram_socket_is_left(void **state)
{
    struct world *world = *state;
    int fd = foreign_listener(world, SOCK_DGRAM, geteuid(), 1);
    assert_int_equal(try_start(world), ERR_BUSY);
    assert_int_equal(access(world->path, F_OK), 0);
    (void)close(fd);
}

static void what_is_no_socket_is_left(void **state)
{
    struct world *world = *state;
    assert_int_equal(mkdir(world->folder, 0700), 0);
    int fd = open(world->path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "mine", 4), 4);
    (void)close(fd);
    assert_int_equal(try_start(world), ERR_IO);
    assert_non_null(strstr(world->why.message, "is no socket"));
    assert_int_equal(access(world->path, F_OK), 0);
    assert_int_equal(unlink(world->path), 0);
    assert_int_equal(symlink("/nowhere", world->path), 0);
    assert_int_equal(try_start(world), ERR_IO);
    assert_int_equal(mode_of(world->folder), 0700);
}

/* ---- who comes, and to whom ---- */

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

/* Runs `act` as another user in a process of its own, turning our loop meanwhile; its result. */
static int as_user(struct world *world, uid_t user, int (*act)(const struct world *world))
{
    int status = -1;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(setgid(user) == 0 && setuid(user) == 0 ? act(world) : 100);
    uv_timer_t tick; /* looks for the child's end, and has the loop poll: the server's handles do not */
    (void)uv_timer_init(&world->loop, &tick);
    (void)uv_timer_start(&tick, on_tick, 5, 5);
    while (waitpid(child, &status, WNOHANG) == 0)
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&tick, NULL);
    (void)uv_run(&world->loop, UV_RUN_NOWAIT);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int raw_connect_and_read(const struct world *world)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char byte;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    memcpy(address.sun_path, world->path, strlen(world->path) + 1);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        return 50;
    return read(fd, &byte, 1) == 0 ? 0 : 51; /* closed without a word */
}

static void another_user_is_refused(void **state)
{
    struct world *world = *state;
    if (geteuid() != 0)
        skip();
    start(world);
    assert_int_equal(as_user(world, SOMEBODY, raw_connect_and_read), 50); /* by the folder's mode */
    assert_int_equal(chmod(world->top, 0755), 0);
    assert_int_equal(chmod(world->folder, 0755), 0);
    assert_int_equal(as_user(world, SOMEBODY, raw_connect_and_read), 50); /* by the socket's */
    assert_int_equal(chmod(world->path, 0666), 0);
    assert_int_equal(as_user(world, SOMEBODY, raw_connect_and_read), 0); /* by who it is */
    assert_int_equal(world->connections, 0);
    assert_int_equal(as_user(world, 0, raw_connect_and_read), 0);
    assert_int_equal(world->connections, 1);
}

/* 0: it was connected; else the error. */
static int connect_as_client(const struct world *world)
{
    struct world mine = {.told = false};
    (void)uv_loop_init(&mine.loop);
    if (local_connect(&mine.loop, world->path, on_connected, &mine) != OK)
        return 60;
    (void)uv_run(&mine.loop, UV_RUN_DEFAULT);
    return !mine.told ? 61 : mine.connected ? 0 : (int)mine.why.code;
}

static void another_users_server_is_not_asked(void **state)
{
    struct world *world = *state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(world->top, 0755), 0);
    int fd = foreign_listener(world, SOCK_STREAM, SOMEBODY, 8);
    assert_int_equal(chmod(world->folder, 0755), 0);
    assert_int_equal(chmod(world->path, 0666), 0);
    assert_int_equal(as_user(world, SOMEBODY_ELSE, connect_as_client), ERR_REFUSED);
    assert_int_equal(as_user(world, SOMEBODY, connect_as_client), 0);
    assert_int_equal(as_user(world, 0, connect_as_client), 0);
    (void)close(fd);
    assert_int_equal(unlink(world->path), 0);
    fd = foreign_listener(world, SOCK_STREAM, 0, 8);
    assert_int_equal(chmod(world->path, 0666), 0);
    assert_int_equal(as_user(world, SOMEBODY_ELSE, connect_as_client), 0); /* root's */
    (void)close(fd);
}

static void one_that_we_may_not_open_refuses(void **state)
{
    struct world *world = *state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(world->top, 0755), 0);
    start(world);
    assert_int_equal(as_user(world, SOMEBODY, connect_as_client), ERR_REFUSED);
}

#ifdef __linux__ /* elsewhere a full queue looks as if nobody listened */
struct crowd {
    int listener;
    int waiting[16];
    size_t count;
    uv_timer_t timer;
};

static void on_room(uv_timer_t *timer)
{
    struct crowd *crowd = timer->data;
    int taken = accept(crowd->listener, NULL, NULL);
    assert_true(taken >= 0);
    (void)close(taken);
    uv_close((uv_handle_t *)timer, NULL);
}

static void a_full_queue_is_waited_for(void **state)
{
    struct world *world = *state;
    struct crowd crowd = {.count = 0};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    crowd.listener = foreign_listener(world, SOCK_STREAM, geteuid(), 1);
    memcpy(address.sun_path, world->path, strlen(world->path) + 1);
    for (bool full = false; !full;) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        full = connect(fd, (const struct sockaddr *)&address, sizeof address) != 0;
        assert_true(crowd.count < 16);
        crowd.waiting[crowd.count++] = fd;
    }
    assert_int_equal(try_start(world), ERR_BUSY); /* full is not left behind */
    assert_int_equal(local_connect(&world->loop, world->path, on_connected, world), OK);
    (void)uv_timer_init(&world->loop, &crowd.timer);
    crowd.timer.data = &crowd;
    (void)uv_timer_start(&crowd.timer, on_room, 3ULL * LOCAL_CONNECT_RETRY_MS, 0);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_true(world->told);
    if (!world->connected)
        fail_msg("%s", world->why.message);
    for (size_t i = 0; i < crowd.count; i++)
        (void)close(crowd.waiting[i]);
    (void)close(crowd.listener);
}
#endif

/* ---- places ---- */

static void expect_place(char *found, const char *wanted)
{
    assert_string_equal(found, wanted);
    free(found);
}

static void places_follow_the_environment(void **state)
{
    (void)state;
    (void)unsetenv("HOLDFAST_CONTROL");
    (void)setenv("XDG_RUNTIME_DIR", "/run/user/1", 1);
    (void)setenv("RUNTIME_DIRECTORY", "/run/hf:/run/other", 1);
    expect_place(local_path_of_person(), "/run/user/1/holdfast/control.sock");
    expect_place(local_path_to_listen(), "/run/hf/control.sock");
    (void)unsetenv("RUNTIME_DIRECTORY");
    expect_place(local_path_to_listen(), "/run/user/1/holdfast/control.sock");
    (void)setenv("XDG_RUNTIME_DIR", "relative", 1);
    (void)setenv("STATE_DIRECTORY", "/tmp", 1);
    expect_place(local_path_of_person(), "/tmp/control.sock");
    (void)unsetenv("STATE_DIRECTORY");
    (void)unsetenv("XDG_RUNTIME_DIR");
}

#define IN_A_WORLD(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(it_is_private_and_gone_at_the_end),   IN_A_WORLD(what_was_left_behind_is_taken_over),
        IN_A_WORLD(what_another_program_serves_is_left), IN_A_WORLD(a_datagram_socket_is_left),
        IN_A_WORLD(what_is_no_socket_is_left),           IN_A_WORLD(another_user_is_refused),
        IN_A_WORLD(another_users_server_is_not_asked),   IN_A_WORLD(one_that_we_may_not_open_refuses),
#ifdef __linux__
        IN_A_WORLD(a_full_queue_is_waited_for),
#endif
        cmocka_unit_test(places_follow_the_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
