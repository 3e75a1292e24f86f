/* An agent that has no time: its queue of connections is full. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "platform/agent.h"

enum { CLIENTS = 64 };

struct agent {
    char folder[64];
    struct sockaddr_un address;
    int listener;
    int clients[CLIENTS];
    size_t count;
    bool is_full;
};

/* Connects until the system says that there is no room; macOS says that nobody listens. */
static int set_up(void **state)
{
    struct agent *agent = calloc(1, sizeof *agent);
    assert_non_null(agent);
    *state = agent;
    (void)strcpy(agent->folder, "/tmp/holdfast-agent-XXXXXX");
    assert_non_null(mkdtemp(agent->folder));
    agent->address.sun_family = AF_UNIX;
    (void)snprintf(agent->address.sun_path, sizeof agent->address.sun_path, "%s/agent", agent->folder);
    agent->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(agent->listener, (const struct sockaddr *)&agent->address, sizeof agent->address), 0);
    assert_int_equal(listen(agent->listener, 1), 0);
    while (agent->count < CLIENTS && !agent->is_full) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_true(fd >= 0);
        assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        agent->is_full = connect(fd, (const struct sockaddr *)&agent->address, sizeof agent->address) != 0;
        bool is_again = !agent->is_full || errno == EAGAIN;
        agent->clients[agent->count++] = fd;
        if (!is_again)
            agent->count = CLIENTS;
    }
    return 0;
}

static int tear_down(void **state)
{
    struct agent *agent = *state;
    for (size_t i = 0; i < CLIENTS; i++) {
        if (agent->clients[i] > 0)
            (void)close(agent->clients[i]);
    }
    (void)close(agent->listener);
    (void)unlink(agent->address.sun_path);
    int status = rmdir(agent->folder);
    free(agent);
    return status;
}

static void a_full_queue_is_a_busy_agent(void **state)
{
    struct agent *agent = *state;
    struct platform_agent *out = NULL;
    struct err_info info = {.code = OK};
    if (!agent->is_full || agent->count == CLIENTS)
        skip();
    assert_int_equal(platform_agent_connect(agent->address.sun_path, 100, &out, &info), ERR_TIMEOUT);
    assert_null(out);
    assert_non_null(strstr(info.message, agent->address.sun_path));
    assert_non_null(strstr(info.message, "is busy"));
    assert_non_null(strstr(info.message, "start it anew"));
}

static void take_all(void *arg)
{
    const struct agent *agent = arg;
    for (size_t i = 0; i < agent->count; i++) /* the last one has found no room; ours comes instead */
        (void)close(accept(agent->listener, NULL, NULL));
}

static void room_in_time_is_waited_for(void **state)
{
    struct agent *agent = *state;
    struct platform_agent *out = NULL;
    struct err_info info = {.code = OK};
    uv_thread_t thread;
    if (!agent->is_full || agent->count == CLIENTS)
        skip();
    assert_int_equal(uv_thread_create(&thread, take_all, agent), 0);
    assert_int_equal(platform_agent_connect(agent->address.sun_path, 20000, &out, &info), OK);
    assert_int_equal(uv_thread_join(&thread), 0);
    platform_agent_close(out);
}

static void nobody_is_no_busy_agent(void **state)
{
    struct platform_agent *out = NULL;
    struct err_info info = {.code = OK};
    (void)state;
    assert_int_equal(platform_agent_connect("/tmp/no-such-agent-of-holdfast", 100, &out, &info), ERR_CONNECT);
    assert_non_null(strstr(info.message, "no agent at /tmp/no-such-agent-of-holdfast: no such file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_full_queue_is_a_busy_agent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(room_in_time_is_waited_for, set_up, tear_down),
        cmocka_unit_test(nobody_is_no_busy_agent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
