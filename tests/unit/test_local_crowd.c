/* The local endpoint under many clients and at its ends, both sides on one loop. */
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

enum { CLIENTS = 40, LIMIT = 8, STREAM_BYTES = 1024 * 1024, LOOP_LIMIT_MS = 60000 };

struct world {
    uv_loop_t loop;
    uv_timer_t limit; /* ends a test that hangs */
    char *folder;     /* NULL: the endpoint is no file */
    char path[300];
    struct local_server *server;
    uv_stream_t *served[CLIENTS + 1];
    size_t served_count;
    size_t limit_count; /* connections beyond it are closed at once */
    size_t turned_away;
};

struct client {
    struct world *world;
    uv_stream_t *stream;
    struct err_info why;
    unsigned calls;
    bool ended; /* by the server */
    size_t received;
    uint8_t next; /* byte that is to come */
};

/* ---- the world ---- */

static void on_limit(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("the loop did not come to its end in time");
}

/* A place of this test alone, on either system. */
static void choose_place(struct world *world)
{
    char tmp[200];
    char template[220];
    size_t len = sizeof tmp;
    uv_fs_t made;
    char *machine = local_path_of_machine();
    assert_non_null(machine);
    if (machine[0] == '\\') {
        (void)snprintf(world->path, sizeof world->path, "%s-test-%lu", machine, (unsigned long)uv_os_getpid());
    } else {
        assert_int_equal(uv_os_tmpdir(tmp, &len), 0);
        (void)snprintf(template, sizeof template, "%s/hf-XXXXXX", tmp);
        assert_int_equal(uv_fs_mkdtemp(NULL, &made, template, NULL), 0);
        world->folder = strdup(made.path);
        assert_non_null(world->folder);
        (void)snprintf(world->path, sizeof world->path, "%s/control.sock", world->folder);
        uv_fs_req_cleanup(&made);
    }
    free(machine);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    assert_int_equal(uv_loop_init(&world->loop), 0);
    assert_int_equal(uv_timer_init(&world->loop, &world->limit), 0);
    assert_int_equal(uv_timer_start(&world->limit, on_limit, LOOP_LIMIT_MS, 0), 0);
    uv_unref((uv_handle_t *)&world->limit);
    world->limit_count = CLIENTS;
    choose_place(world);
    *state = world;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void close_served(struct world *world)
{
    for (size_t i = 0; i < world->served_count; i++)
        uv_close((uv_handle_t *)world->served[i], on_closed);
    world->served_count = 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    uv_fs_t removed;
    local_server_stop(world->server);
    close_served(world);
    uv_close((uv_handle_t *)&world->limit, NULL);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    int left = uv_loop_close(&world->loop);
    if (world->folder != NULL) { /* empty again, or this fails */
        left |= uv_fs_rmdir(NULL, &removed, world->folder, NULL);
        uv_fs_req_cleanup(&removed);
    }
    free(world->folder);
    free(world);
    return left;
}

/* ---- the server: gives back what comes ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    static char bytes[65536];
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(bytes, sizeof bytes);
}

static void on_written(uv_write_t *request, int status)
{
    (void)status;
    free(request->data);
    free(request);
}

/* Writes a copy. */
static void put(uv_stream_t *stream, const void *data, size_t len)
{
    uv_write_t *request = calloc(1, sizeof *request);
    char *copy = malloc(len);
    assert_non_null(request);
    assert_non_null(copy);
    memcpy(copy, data, len);
    request->data = copy;
    uv_buf_t buf = uv_buf_init(copy, (unsigned)len);
    assert_int_equal(uv_write(request, stream, &buf, 1, on_written), 0);
}

static void on_served_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    if (count > 0)
        put(stream, buf->base, (size_t)count);
    else if (count < 0)
        (void)uv_read_stop(stream);
}

static void on_connection(void *arg, uv_stream_t *stream)
{
    struct world *world = arg;
    assert_null(stream->data);
    if (world->served_count == world->limit_count) {
        world->turned_away++;
        uv_close((uv_handle_t *)stream, on_closed);
        return;
    }
    world->served[world->served_count++] = stream;
    assert_int_equal(uv_read_start(stream, on_alloc, on_served_read), 0);
}

static void start(struct world *world)
{
    struct err_info why = {.message = ""};
    if (local_server_start(&world->loop, world->path, on_connection, world, &world->server, &why) != OK)
        fail_msg("%s", why.message);
}

/* ---- clients ---- */

static void on_connected(void *arg, uv_stream_t *stream, const struct err_info *why)
{
    struct client *client = arg;
    client->calls++;
    client->stream = stream;
    if (stream != NULL) {
        assert_null(why);
        assert_null(stream->data);
        stream->data = client;
    } else {
        client->why = *why;
    }
}

static void begin(struct world *world, struct client *client)
{
    memset(client, 0, sizeof *client);
    client->world = world;
    assert_int_equal(local_connect(&world->loop, world->path, on_connected, client), OK);
    assert_int_equal(client->calls, 0);
}

static void finish(struct client *client)
{
    while (client->calls == 0)
        (void)uv_run(&client->world->loop, UV_RUN_ONCE);
}

static void connect_one(struct world *world, struct client *client)
{
    begin(world, client);
    finish(client);
    if (client->stream == NULL)
        fail_msg("%s", client->why.message);
}

/* Reads the bytes 0, 1, 2... 250, 0... */
static void on_client_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct client *client = stream->data;
    if (count < 0) {
        client->ended = true;
        (void)uv_read_stop(stream);
        return;
    }
    for (ssize_t i = 0; i < count; i++) {
        assert_int_equal((uint8_t)buf->base[i], client->next);
        client->next = (uint8_t)((client->next + 1) % 251);
    }
    client->received += (size_t)count;
}

static void send_bytes(struct client *client, size_t len)
{
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i % 251);
    put(client->stream, bytes, len);
    free(bytes);
}

static void expect_echo(struct client *client, size_t len)
{
    client->received = 0;
    client->next = 0;
    send_bytes(client, len);
    (void)uv_read_stop(client->stream);
    assert_int_equal(uv_read_start(client->stream, on_alloc, on_client_read), 0);
    while (client->received < len && !client->ended)
        (void)uv_run(&client->world->loop, UV_RUN_ONCE);
    assert_int_equal(client->received, len);
    (void)uv_read_stop(client->stream);
}

static void leave(struct client *client)
{
    uv_close((uv_handle_t *)client->stream, on_closed);
    client->stream = NULL;
}

/* ---- tests ---- */

static void bytes_go_both_ways(void **state)
{
    struct world *world = *state;
    struct client client;
    start(world);
    connect_one(world, &client);
    expect_echo(&client, 6);
    expect_echo(&client, STREAM_BYTES);
    leave(&client);
    connect_one(world, &client); /* and somebody else, later */
    expect_echo(&client, 6);
    leave(&client);
}

static void many_come_at_once(void **state)
{
    struct world *world = *state;
    struct client clients[CLIENTS];
    start(world);
    for (size_t i = 0; i < CLIENTS; i++)
        begin(world, &clients[i]);
    for (size_t i = 0; i < CLIENTS; i++)
        finish(&clients[i]);
    for (size_t i = 0; i < CLIENTS; i++) {
        if (clients[i].stream == NULL)
            fail_msg("client %zu: %s", i, clients[i].why.message);
        assert_int_equal(clients[i].calls, 1);
        expect_echo(&clients[i], 100);
    }
    assert_int_equal(world->served_count, CLIENTS);
    for (size_t i = 0; i < CLIENTS; i++)
        leave(&clients[i]);
}

static void those_beyond_the_limit_are_closed(void **state)
{
    struct world *world = *state;
    struct client clients[CLIENTS];
    start(world);
    world->limit_count = LIMIT;
    for (size_t i = 0; i < CLIENTS; i++) {
        connect_one(world, &clients[i]);
        assert_int_equal(uv_read_start(clients[i].stream, on_alloc, on_client_read), 0);
        while (world->served_count + world->turned_away <= i || (i >= LIMIT && !clients[i].ended))
            (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    assert_int_equal(world->served_count, LIMIT);
    assert_int_equal(world->turned_away, CLIENTS - LIMIT);
    for (size_t i = 0; i < LIMIT; i++) {
        assert_false(clients[i].ended);
        expect_echo(&clients[i], 100);
    }
    for (size_t i = 0; i < CLIENTS; i++)
        leave(&clients[i]);
}

static void connections_outlive_the_server(void **state)
{
    struct world *world = *state;
    struct client client;
    start(world);
    connect_one(world, &client);
    expect_echo(&client, 100);
    local_server_stop(world->server);
    world->server = NULL;
    (void)uv_run(&world->loop, UV_RUN_NOWAIT);
    expect_echo(&client, 100);
    leave(&client);
    close_served(world);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    start(world); /* and the place is free again */
    connect_one(world, &client);
    expect_echo(&client, 100);
    leave(&client);
}

static void stopping_at_once_leaves_nothing(void **state)
{
    struct world *world = *state;
    struct client client;
    start(world);
    begin(world, &client);
    local_server_stop(world->server); /* with somebody on the way in */
    world->server = NULL;
    finish(&client);
    if (client.stream != NULL)
        leave(&client);
    assert_int_equal(client.calls, 1);
}

static void a_place_that_cannot_be_one_is_said(void **state)
{
    struct world *world = *state;
    struct err_info why = {.message = ""};
    struct client client;
    size_t len = strlen(world->path);
    memset(world->path + 1, 'x', sizeof world->path - 2); /* too long, and no pipe's name */
    assert_int_equal(local_server_start(&world->loop, world->path, on_connection, world, &world->server, &why),
                     ERR_USAGE);
    assert_null(world->server);
    assert_non_null(strstr(why.message, "HOLDFAST_CONTROL"));
    begin(world, &client);
    finish(&client);
    assert_null(client.stream);
    assert_int_equal(client.why.code, ERR_CONNECT);
    world->path[len] = 0;
}

#define IN_A_WORLD(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(bytes_go_both_ways),
        IN_A_WORLD(many_come_at_once),
        IN_A_WORLD(those_beyond_the_limit_are_closed),
        IN_A_WORLD(connections_outlive_the_server),
        IN_A_WORLD(stopping_at_once_leaves_nothing),
        IN_A_WORLD(a_place_that_cannot_be_one_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
