/* Who may be at which end of the control pipe. Wine keeps a pipe's owner and access list, and shows them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platform/local_server.h"
#include "platform/win/access.h"

#include <aclapi.h>

enum { ROUNDS = 50, HANDLES_SLACK = 8 };

struct world {
    uv_loop_t loop;
    char path[120];
    wchar_t *name;
    struct local_server *server;
    unsigned connections;
    unsigned told;
    bool connected;
    struct err_info why;
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    assert_int_equal(uv_loop_init(&world->loop), 0);
    (void)snprintf(world->path, sizeof world->path, "\\\\.\\pipe\\holdfast-rights-%lu", GetCurrentProcessId());
    world->name = win_wide(world->path);
    assert_non_null(world->name);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    local_server_stop(world->server);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    int left = uv_loop_close(&world->loop);
    free(world->name);
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

static void on_connected(void *arg, uv_stream_t *stream, const struct err_info *why)
{
    struct world *world = arg;
    world->told++;
    world->connected = stream != NULL;
    if (stream != NULL)
        uv_close((uv_handle_t *)stream, on_closed);
    else
        world->why = *why;
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

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

/* Returns when the client has been told, and the server too. */
static void connect_once(struct world *world)
{
    uv_timer_t tick; /* has the loop poll: the server's handles do not */
    unsigned told = world->told;
    unsigned connections = world->connections;
    assert_int_equal(local_connect(&world->loop, world->path, on_connected, world), OK);
    (void)uv_timer_init(&world->loop, &tick);
    (void)uv_timer_start(&tick, on_tick, 10, 10);
    while (world->told == told || (world->connected && world->server != NULL && world->connections == connections))
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&tick, NULL);
    (void)uv_run(&world->loop, UV_RUN_NOWAIT);
}

/* A pipe that local_server.c has not made, and that everybody may open; `owner` NULL: we own it. */
static HANDLE foreign_pipe(const struct world *world, PSID owner)
{
    SECURITY_DESCRIPTOR descriptor;
    SECURITY_ATTRIBUTES attributes = {.nLength = sizeof attributes, .lpSecurityDescriptor = &descriptor};
    assert_true(InitializeSecurityDescriptor(&descriptor, SECURITY_DESCRIPTOR_REVISION));
    assert_true(SetSecurityDescriptorDacl(&descriptor, TRUE, NULL, FALSE)); /* everybody */
    union win_sid us; /* Wine gives what is made without an owner to a group */
    assert_true(win_sid_of_us(&us));
    assert_true(SetSecurityDescriptorOwner(&descriptor, owner != NULL ? owner : &us.sid, FALSE));
    return CreateNamedPipeW(world->name, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED, PIPE_TYPE_BYTE, 4, 4096, 4096, 0,
                            &attributes);
}

/* ---- tests ---- */

static void its_list_names_us_and_the_keepers(void **state)
{
    struct world *world = *state;
    union win_sid us;
    PSID owner = NULL;
    PACL acl = NULL;
    PSECURITY_DESCRIPTOR descriptor = NULL;
    struct win_strangers strangers;
    start(world);
    HANDLE pipe = CreateFileW(world->name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
    assert_true(pipe != INVALID_HANDLE_VALUE);
    assert_int_equal(GetSecurityInfo(pipe, SE_KERNEL_OBJECT, OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION,
                                     &owner, NULL, &acl, NULL, &descriptor),
                     ERROR_SUCCESS);
    assert_true(win_sid_of_us(&us));
    assert_non_null(owner);
    assert_true(EqualSid(owner, &us.sid));
    assert_non_null(acl);
    assert_in_range(acl->AceCount, 2, 3); /* two, where we are SYSTEM */
    PSID admitted = &us.sid;
    win_acl_strangers(acl, &admitted, 1, &strangers);
    assert_int_equal(strangers.count + strangers.left_out, 0);
    assert_true(win_acl_lets_read(acl, &us.sid));
    (void)LocalFree(descriptor);
    (void)CloseHandle(pipe);
}

static void the_first_of_a_name_is_asked_for(void **state)
{
    struct world *world = *state;
    HANDLE squatter = foreign_pipe(world, NULL);
    assert_true(squatter != INVALID_HANDLE_VALUE);
    assert_int_equal(try_start(world), ERR_BUSY);
    assert_non_null(strstr(world->why.message, "already kept by"));
    (void)CloseHandle(squatter);
    start(world);
}

static void a_pipe_of_somebody_else_is_not_asked(void **state)
{
    struct world *world = *state;
    union win_sid users;
    assert_true(win_sid_known(WinBuiltinUsersSid, &users));
    HANDLE squatter = foreign_pipe(world, &users.sid);
    if (squatter == INVALID_HANDLE_VALUE && GetLastError() == ERROR_INVALID_OWNER)
        skip(); /* Windows lets nobody give what he makes to somebody else */
    assert_true(squatter != INVALID_HANDLE_VALUE);
    connect_once(world);
    assert_false(world->connected);
    assert_int_equal(world->why.code, ERR_REFUSED);
    assert_non_null(strstr(world->why.message, "belongs to"));
    (void)CloseHandle(squatter);
    squatter = foreign_pipe(world, NULL);
    connect_once(world);
    if (!world->connected)
        fail_msg("%s", world->why.message);
    (void)CloseHandle(squatter);
}

static void all_instances_taken_is_busy(void **state)
{
    struct world *world = *state;
    HANDLE taken[4];
    HANDLE ends[4];
    for (int i = 0; i < 4; i++) {
        ends[i] = foreign_pipe(world, NULL);
        taken[i] = CreateFileW(world->name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
        if (ends[i] == INVALID_HANDLE_VALUE || taken[i] == INVALID_HANDLE_VALUE)
            fail_msg("instance %d: %lu", i, GetLastError());
    }
    connect_once(world); /* after LOCAL_CONNECT_BUSY_MS */
    assert_false(world->connected);
    assert_int_equal(world->why.code, ERR_BUSY);
    for (int i = 0; i < 4; i++) {
        (void)CloseHandle(taken[i]);
        (void)CloseHandle(ends[i]);
    }
}

static void one_who_leaves_at_once_does_no_harm(void **state)
{
    struct world *world = *state;
    start(world);
    for (int i = 0; i < ROUNDS; i++) {
        HANDLE pipe = CreateFileW(world->name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
        if (pipe == INVALID_HANDLE_VALUE)
            assert_int_equal(GetLastError(), ERROR_PIPE_BUSY);
        else
            (void)CloseHandle(pipe);
        (void)uv_run(&world->loop, UV_RUN_NOWAIT);
    }
    connect_once(world);
    assert_true(world->connected);
}

static DWORD handle_count(void)
{
    DWORD count = 0;
    assert_true(GetProcessHandleCount(GetCurrentProcess(), &count));
    return count;
}

static void connections_leave_no_handles(void **state)
{
    struct world *world = *state;
    start(world);
    for (int i = 0; i < ROUNDS; i++) /* what the thread pool wants, it has after these */
        connect_once(world);
    DWORD before = handle_count();
    for (int i = 0; i < ROUNDS; i++)
        connect_once(world);
    assert_true(world->connected);
    assert_true(handle_count() <= before + HANDLES_SLACK);
}

static void places_are_pipes(void **state)
{
    union win_sid us;
    char wanted[200];
    (void)state;
    assert_true(win_sid_of_us(&us));
    char *sid = win_sid_text(&us.sid);
    char *machine = local_path_of_machine();
    char *person = local_path_of_person();
    (void)snprintf(wanted, sizeof wanted, "\\\\.\\pipe\\holdfast-%s", sid);
    assert_string_equal(machine, "\\\\.\\pipe\\holdfast");
    assert_string_equal(person, wanted);
    free(sid);
    free(machine);
    free(person);
}

#define IN_A_WORLD(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(its_list_names_us_and_the_keepers),
        IN_A_WORLD(the_first_of_a_name_is_asked_for),
        IN_A_WORLD(a_pipe_of_somebody_else_is_not_asked),
        IN_A_WORLD(all_instances_taken_is_busy),
        IN_A_WORLD(one_who_leaves_at_once_does_no_harm),
        IN_A_WORLD(connections_leave_no_handles),
        cmocka_unit_test(places_are_pipes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
