/* The supervisor over tunnels that are played: what it prints, when it ends, with which code, and in which order it
 * stops. The functions of tunnel/tunnel.h are defined here, so that the linker takes these for the real ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include <cmocka.h>

#include "base/log.h"
#include "platform/platform.h"
#include "supervisor/lock_name.h"
#include "supervisor/supervisor.h"

#define MAX_TUNNELS 8

/* What a played tunnel does once it is started, and what became of it. */
struct play {
    enum tunnel_state state; /* reached 1 ms after the start; TUNNEL_UP calls on_up */
    enum tunnel_state then;  /* reached 1 ms later, unless it is TUNNEL_STOPPED */
    enum err why;            /* the failure that comes with the last state */
    bool is_hopeless;
    bool was_up_before; /* tunnel_has_been_up from the start */
    bool is_slow;       /* stops only when asked to stop at once */
    uint16_t bound_port;
    bool update_fails;
    unsigned starts, stops, frees, retries, updates;
    uint64_t grace_ms[4]; /* of each stop */
};

struct tunnel {
    unsigned wakes;
    struct tunnel_spec spec;
    struct tunnel_events events;
    struct play *play;
    uv_timer_t timer;
    bool has_timer;
    bool is_stopping;
    bool has_been_up;
    int step;
    enum tunnel_state state;
    struct err_info last_error;
};

static struct play plays[MAX_TUNNELS];
static size_t made;
static uv_loop_t loop;
static char folder[256];
static FILE *up_lines;

struct tunnel *tunnel_new(uv_loop_t *on_loop, const struct tunnel_spec *spec, const struct tunnel_events *events)
{
    struct tunnel *tunnel = calloc(1, sizeof *tunnel);
    assert_non_null(tunnel);
    assert_ptr_equal(on_loop, &loop);
    assert_int_equal(tunnel_spec_copy(&tunnel->spec, spec), OK);
    tunnel->events = *events;
    tunnel->play = &plays[made++ % MAX_TUNNELS];
    tunnel->has_been_up = tunnel->play->was_up_before;
    return tunnel;
}

static void reach(struct tunnel *tunnel, enum tunnel_state state, bool is_last)
{
    struct err_info *why = NULL;
    tunnel->state = state;
    if (is_last && tunnel->play->why != OK) {
        why = &tunnel->last_error;
        (void)err_set(why, tunnel->play->why, "a failure of '%s'\x1b", tunnel->spec.name);
    }
    tunnel->events.on_state(tunnel->events.arg, tunnel, state, why);
    if (state == TUNNEL_UP) {
        tunnel->has_been_up = true;
        tunnel->events.on_up(tunnel->events.arg, tunnel);
    }
}

static void on_step(uv_timer_t *timer)
{
    struct tunnel *tunnel = timer->data;
    const struct play *play = tunnel->play;
    if (tunnel->is_stopping)
        return;
    if (tunnel->step++ == 0) {
        if (play->then != TUNNEL_STOPPED)
            (void)uv_timer_start(timer, on_step, 1, 0);
        reach(tunnel, play->state, play->then == TUNNEL_STOPPED);
    } else {
        reach(tunnel, play->then, true);
    }
}

void tunnel_start(struct tunnel *tunnel)
{
    tunnel->play->starts++;
    assert_int_equal(uv_timer_init(&loop, &tunnel->timer), 0);
    tunnel->has_timer = true;
    tunnel->timer.data = tunnel;
    (void)uv_timer_start(&tunnel->timer, on_step, 1, 0);
}

static void on_closed(uv_handle_t *handle)
{
    struct tunnel *tunnel = handle->data;
    tunnel->has_timer = false;
    tunnel->state = TUNNEL_STOPPED;
    tunnel->events.on_state(tunnel->events.arg, tunnel, TUNNEL_STOPPED, NULL);
    tunnel->events.on_stopped(tunnel->events.arg, tunnel);
}

void tunnel_wake(struct tunnel *tunnel)
{
    tunnel->wakes++;
}

void tunnel_retry(struct tunnel *tunnel)
{
    tunnel->play->retries++;
}

enum err tunnel_update(struct tunnel *tunnel, const struct tunnel_spec *wanted)
{
    if (tunnel->play->update_fails)
        return ERR_MEMORY;
    tunnel->play->updates++;
    tunnel_spec_deinit(&tunnel->spec);
    return tunnel_spec_copy(&tunnel->spec, wanted);
}

void tunnel_stop(struct tunnel *tunnel, uint64_t grace_ms)
{
    assert_true(tunnel->play->stops < 4);
    tunnel->play->grace_ms[tunnel->play->stops++] = grace_ms;
    tunnel->is_stopping = true;
    if ((!tunnel->play->is_slow || grace_ms == 0) && !uv_is_closing((uv_handle_t *)&tunnel->timer))
        uv_close((uv_handle_t *)&tunnel->timer, on_closed);
}

void tunnel_free(struct tunnel *tunnel)
{
    if (tunnel == NULL)
        return;
    assert_false(tunnel->has_timer);
    tunnel->play->frees++;
    tunnel_spec_deinit(&tunnel->spec);
    free(tunnel);
}

enum tunnel_state tunnel_get_state(const struct tunnel *tunnel)
{
    return tunnel->state;
}

const char *tunnel_state_name(enum tunnel_state state)
{
    return state == TUNNEL_UP ? "up" : "other";
}

const struct tunnel_spec *tunnel_get_spec(const struct tunnel *tunnel)
{
    return &tunnel->spec;
}

bool tunnel_has_been_up(const struct tunnel *tunnel)
{
    return tunnel->has_been_up;
}

enum err tunnel_keep_record(struct tunnel *tunnel, const char *path)
{
    (void)tunnel;
    assert_non_null(strstr(path, ".record"));
    return OK;
}

const struct err_info *tunnel_last_error(const struct tunnel *tunnel)
{
    return &tunnel->last_error;
}

bool tunnel_is_hopeless(const struct tunnel *tunnel)
{
    return tunnel->play->is_hopeless;
}

uint16_t tunnel_forward_bound_port(const struct tunnel *tunnel, size_t forward_index)
{
    return forward_index == 0 ? tunnel->play->bound_port : 0;
}

static int set_up(void **state)
{
    char temporary[200];
    size_t size = sizeof temporary;
    uv_fs_t request;
    (void)state;
    if (uv_os_tmpdir(temporary, &size) != 0)
        return -1;
    (void)snprintf(folder, sizeof folder, "%s/holdfast-supervisor-XXXXXX", temporary);
    int status = uv_fs_mkdtemp(NULL, &request, folder, NULL);
    if (status == 0)
        (void)snprintf(folder, sizeof folder, "%s", request.path);
    uv_fs_req_cleanup(&request);
    return status;
}

static int tear_down(void **state)
{
    uv_fs_t request;
    (void)state;
    int status = uv_fs_rmdir(NULL, &request, folder, NULL); /* fails when a lock was left behind */
    uv_fs_req_cleanup(&request);
    return status;
}

static int begin(void **state)
{
    (void)state;
    memset(plays, 0, sizeof plays);
    made = 0;
    up_lines = tmpfile();
    (void)log_open(NULL, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    return up_lines != NULL ? uv_loop_init(&loop) : -1;
}

/* Every test must leave the loop empty. */
static int end(void **state)
{
    (void)state;
    (void)fclose(up_lines);
    return uv_loop_close(&loop);
}

static struct tunnel_spec make_spec(const char *name, bool one_line)
{
    struct tunnel_spec spec;
    tunnel_spec_init(&spec);
    spec.name = strdup(name);
    spec.host.name = strdup("macbook");
    spec.host.user = strdup("me");
    spec.one_line = one_line;
    return spec;
}

static void add_remote(struct tunnel_spec *spec, uint16_t port)
{
    struct forward_spec forward;
    forward_spec_init(&forward);
    forward.type = FORWARD_REMOTE;
    forward.listen.kind = ENDPOINT_TCP;
    forward.listen.port = port;
    forward.to.kind = ENDPOINT_TCP;
    forward.to.host = strdup("192.168.200.2");
    forward.to.port = 4444;
    assert_int_equal(tunnel_spec_add_forward(spec, &forward), OK);
    forward_spec_deinit(&forward);
}

static struct supervisor *make(const struct tunnel_spec *specs, size_t count)
{
    struct supervisor_options options = {.up_lines = up_lines, .state_dir = folder, .grace_ms = 1234};
    struct supervisor *supervisor = NULL;
    struct err_info why;
    assert_int_equal(supervisor_new(&loop, specs, count, &options, &supervisor, &why), OK);
    return supervisor;
}

/* Runs one one-line tunnel that ends by itself; returns the exit code. */
static int run_alone(struct tunnel_spec *spec)
{
    struct supervisor *supervisor = make(spec, 1);
    supervisor_start(supervisor);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    int code = supervisor_exit_code(supervisor);
    supervisor_free(supervisor);
    assert_int_equal(plays[0].starts, 1);
    assert_int_equal(plays[0].stops, 1);
    assert_int_equal(plays[0].grace_ms[0], 0);
    assert_int_equal(plays[0].frees, 1);
    tunnel_spec_deinit(spec);
    return code;
}

static void on_stop_timer(uv_timer_t *timer)
{
    supervisor_stop(timer->data);
    uv_close((uv_handle_t *)timer, NULL);
}

static void stop_after(uv_timer_t *timer, struct supervisor *supervisor, uint64_t after_ms)
{
    assert_int_equal(uv_timer_init(&loop, timer), 0);
    timer->data = supervisor;
    (void)uv_timer_start(timer, on_stop_timer, after_ms, 0);
}

static void expect_up_lines(const char *expected)
{
    char text[1024];
    rewind(up_lines);
    size_t len = fread(text, 1, sizeof text - 1, up_lines);
    text[len] = 0;
    assert_string_equal(text, expected);
}

static void says_each_forward_that_is_up(void **state)
{
    uv_timer_t timer;
    struct tunnel_spec spec = make_spec("xp-mode", true);
    (void)state;
    add_remote(&spec, 14444);
    add_remote(&spec, 14445);
    plays[0].state = TUNNEL_UP;
    struct supervisor *supervisor = make(&spec, 1);
    supervisor_start(supervisor);
    stop_after(&timer, supervisor, 20);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(supervisor_exit_code(supervisor), 0);
    assert_int_equal(plays[0].stops, 1);
    assert_int_equal(plays[0].grace_ms[0], 1234);
    supervisor_free(supervisor);
    expect_up_lines("holdfast: up: -R 127.0.0.1:14444 -> 192.168.200.2:4444 via me@macbook\n"
                    "holdfast: up: -R 127.0.0.1:14445 -> 192.168.200.2:4444 via me@macbook\n");
    tunnel_spec_deinit(&spec);
}

static void says_the_allocated_port_once(void **state)
{
    uv_timer_t timer;
    struct tunnel_spec spec = make_spec("xp-mode", true);
    (void)state;
    add_remote(&spec, 0);
    plays[0].state = TUNNEL_UP;
    plays[0].then = TUNNEL_UP; /* healed, with the port it had */
    plays[0].bound_port = 40123;
    struct supervisor *supervisor = make(&spec, 1);
    supervisor_start(supervisor);
    stop_after(&timer, supervisor, 20);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    supervisor_free(supervisor);
    expect_up_lines("Allocated port 40123 for remote forward to 192.168.200.2:4444\n"
                    "holdfast: up: -R 127.0.0.1:40123 -> 192.168.200.2:4444 via me@macbook\n"
                    "holdfast: up: -R 127.0.0.1:40123 -> 192.168.200.2:4444 via me@macbook\n");
    tunnel_spec_deinit(&spec);
}

static void a_hopeless_first_attempt_ends_with_its_code(void **state)
{
    static const struct {
        enum tunnel_state state;
        enum err why;
        int code;
    } cases[] = {
        {TUNNEL_WAITING, ERR_AUTH, 3},       {TUNNEL_FAILED, ERR_HOST_KEY, 4}, {TUNNEL_FAILED, ERR_DEFINITION, 2},
        {TUNNEL_FAILED, ERR_UNSUPPORTED, 2}, {TUNNEL_WAITING, ERR_BIND, 5},    {TUNNEL_WAITING, ERR_PROTOCOL, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tunnel_spec spec = make_spec("one", true);
        memset(plays, 0, sizeof plays);
        made = 0;
        plays[0].state = cases[i].state;
        plays[0].why = cases[i].why;
        plays[0].is_hopeless = true;
        assert_int_equal(run_alone(&spec), cases[i].code);
    }
}

static void a_forward_that_cannot_bind_ends_where_asked(void **state)
{
    (void)state;
    for (int once = 0; once < 2; once++) {
        struct tunnel_spec spec = make_spec("one", true);
        memset(plays, 0, sizeof plays);
        made = 0;
        spec.once = once == 1;
        spec.exit_on_forward_failure = once == 0;
        plays[0].state = TUNNEL_BINDING;
        plays[0].then = TUNNEL_DEGRADED;
        plays[0].why = ERR_BIND;
        assert_int_equal(run_alone(&spec), 5);
    }
}

static void once_ends_with_its_session(void **state)
{
    static const struct {
        enum tunnel_state first, then;
        enum err why;
        int code;
    } cases[] = {
        {TUNNEL_UP, TUNNEL_WAITING, ERR_CLOSED, 1},       {TUNNEL_UP, TUNNEL_WAITING, OK, 1},
        {TUNNEL_UP, TUNNEL_FAILED, ERR_TIMEOUT, 1},       {TUNNEL_CONNECTING, TUNNEL_WAITING, ERR_REFUSED, 1},
        {TUNNEL_CONNECTING, TUNNEL_WAITING, ERR_AUTH, 3},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tunnel_spec spec = make_spec("one", true);
        memset(plays, 0, sizeof plays);
        made = 0;
        spec.once = true;
        plays[0].state = cases[i].first;
        plays[0].then = cases[i].then;
        plays[0].why = cases[i].why;
        assert_int_equal(run_alone(&spec), cases[i].code);
    }
}

/* None of these ends the process: only the request to stop does, with 0. */
static void others_go_on(void **state)
{
    static const struct {
        bool one_line, has_been_up, is_hopeless;
        enum tunnel_state state;
        enum err why;
    } cases[] = {
        {false, false, true, TUNNEL_FAILED, ERR_HOST_KEY}, {false, false, true, TUNNEL_WAITING, ERR_AUTH},
        {true, false, false, TUNNEL_WAITING, ERR_REFUSED}, {true, true, true, TUNNEL_WAITING, ERR_AUTH},
        {true, false, false, TUNNEL_DEGRADED, ERR_BIND},   {false, true, false, TUNNEL_DEGRADED, ERR_BIND},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uv_timer_t timer;
        struct tunnel_spec spec = make_spec("goes-on", cases[i].one_line);
        memset(plays, 0, sizeof plays);
        made = 0;
        plays[0].was_up_before = cases[i].has_been_up;
        plays[0].is_hopeless = cases[i].is_hopeless;
        plays[0].state = cases[i].state;
        plays[0].why = cases[i].why;
        struct supervisor *supervisor = make(&spec, 1);
        supervisor_start(supervisor);
        stop_after(&timer, supervisor, 20);
        assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
        assert_int_equal(supervisor_exit_code(supervisor), 0);
        assert_int_equal(plays[0].stops, 1);
        assert_int_equal(plays[0].grace_ms[0], 1234);
        supervisor_free(supervisor);
        tunnel_spec_deinit(&spec);
    }
}

static void a_second_stop_is_at_once(void **state)
{
    struct tunnel_spec specs[] = {make_spec("a", false), make_spec("b", false), make_spec("c", false)};
    uv_timer_t first;
    uv_timer_t second;
    (void)state;
    plays[1].is_slow = true;
    plays[2].is_slow = true;
    struct supervisor *supervisor = make(specs, 3);
    supervisor_start(supervisor);
    stop_after(&first, supervisor, 5);
    stop_after(&second, supervisor, 30);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(supervisor_exit_code(supervisor), 0);
    supervisor_free(supervisor);
    assert_int_equal(plays[0].stops, 1);
    for (int i = 1; i < 3; i++) {
        assert_int_equal(plays[i].stops, 2);
        assert_int_equal(plays[i].grace_ms[0], 1234);
        assert_int_equal(plays[i].grace_ms[1], 0);
    }
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(plays[i].frees, 1);
        tunnel_spec_deinit(&specs[i]);
    }
}

static void a_stop_before_the_start_leaves_nothing(void **state)
{
    struct tunnel_spec spec = make_spec("a", false);
    (void)state;
    struct supervisor *supervisor = make(&spec, 1);
    supervisor_stop(supervisor);
    supervisor_stop(supervisor);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    supervisor_free(supervisor);
    assert_int_equal(plays[0].starts, 0);
    assert_int_equal(plays[0].frees, 1);
    tunnel_spec_deinit(&spec);
}

static void a_name_is_kept_once(void **state)
{
    struct tunnel_spec specs[] = {make_spec("free", false), make_spec("xp-mode", false)};
    struct supervisor_options options = {.up_lines = up_lines, .state_dir = folder, .grace_ms = 0};
    struct platform_lock *lock = NULL;
    struct supervisor *supervisor = NULL;
    struct err_info why;
    char path[300];
    char expected[200];
    (void)state;
    (void)snprintf(path, sizeof path, "%s/xp-mode.lock", folder);
    assert_int_equal(platform_lock_take(path, &lock, NULL), OK);
    assert_int_equal(supervisor_new(&loop, specs, 2, &options, &supervisor, &why), ERR_BUSY);
    assert_null(supervisor);
    (void)snprintf(expected, sizeof expected, "tunnel 'xp-mode' is already kept by process %ld; stop it or rename one",
                   (long)uv_os_getpid());
    assert_string_equal(why.message, expected);
    assert_int_equal(plays[0].starts, 0);
    assert_int_equal(plays[0].frees, made);
    /* The same name on a command line is another matter. */
    specs[1].one_line = true;
    supervisor = make(specs, 2);
    supervisor_stop(supervisor);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    supervisor_free(supervisor);
    platform_lock_release(lock);
    tunnel_spec_deinit(&specs[0]);
    tunnel_spec_deinit(&specs[1]);
}

static void expect_lock_name(const char *tunnel, const char *expected)
{
    char name[LOCK_NAME_CAP_BYTES];
    assert_string_equal(lock_name(tunnel, name, sizeof name), expected);
}

static void lock_names_are_safe_and_differ(void **state)
{
    char longest[400];
    char other[400];
    char first_name[LOCK_NAME_CAP_BYTES];
    char other_name[LOCK_NAME_CAP_BYTES];
    (void)state;
    expect_lock_name("xp-mode", "xp-mode.lock");
    expect_lock_name("a.b_2", "a.b_2.lock");
    expect_lock_name("XP", "%58%50.lock");
    expect_lock_name("../x", "%2e.%2fx.lock");
    expect_lock_name("a/b\\c:d", "a%2fb%5cc%3ad.lock");
    expect_lock_name("a%2fb", "a%252fb.lock");
    expect_lock_name("con", "%63on.lock");
    expect_lock_name("nul.x", "%6eul.x.lock");
    expect_lock_name("com1", "%63om1.lock");
    expect_lock_name("console", "console.lock");
    expect_lock_name("\xc3\xbc", "%c3%bc.lock");
    expect_lock_name("", ".lock");
    memset(longest, '/', sizeof longest);
    longest[sizeof longest - 1] = 0;
    memcpy(other, longest, sizeof other);
    other[sizeof other - 2] = 'x';
    (void)lock_name(longest, first_name, sizeof first_name);
    (void)lock_name(other, other_name, sizeof other_name);
    assert_string_not_equal(first_name, other_name);
    assert_in_range(strlen(first_name), 100, 200);
    assert_string_equal(first_name + strlen(first_name) - 5, ".lock");
}

/* ---- reload, and by hand ---- */

/* Gives the loop time for the steps of the played tunnels, which take 1 ms each. */
static void on_pass_over(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static void pass(uint64_t ms)
{
    uv_timer_t timer;
    uv_update_time(&loop);
    assert_int_equal(uv_timer_init(&loop, &timer), 0);
    (void)uv_timer_start(&timer, on_pass_over, ms, 0);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&timer, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
}

static void reload(struct supervisor *supervisor, const struct tunnel_spec *specs, size_t count, const char *expected)
{
    struct supervisor_summary summary;
    struct err_info why;
    char text[160];
    assert_int_equal(supervisor_reload(supervisor, specs, count, &summary, &why), OK);
    assert_string_equal(supervisor_summary_text(&summary, text, sizeof text), expected);
}

static void finish(struct supervisor *supervisor)
{
    supervisor_stop(supervisor);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(supervisor_exit_code(supervisor), 0);
    supervisor_free(supervisor);
}

static void free_specs(struct tunnel_spec *specs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        tunnel_spec_deinit(&specs[i]);
}

static void a_reload_keeps_what_is_the_same(void **state)
{
    /* kept, changed in its forwards, changed in its session, removed; then added */
    struct tunnel_spec old[] = {make_spec("same", false), make_spec("live", false), make_spec("host", false),
                                make_spec("gone", false)};
    struct tunnel_spec new[] = {make_spec("new", false), make_spec("host", false), make_spec("live", false),
                                make_spec("same", false)};
    (void)state;
    add_remote(&new[2], 14444);
    new[1].host.port = 2222;
    for (size_t i = 0; i < MAX_TUNNELS; i++)
        plays[i].state = TUNNEL_UP;
    struct supervisor *supervisor = make(old, 4);
    supervisor_start(supervisor);
    pass(5);
    reload(supervisor, old, 4, "nothing changed");
    reload(supervisor, new, 4, "1 changed, 1 restarted, 1 added, 1 removed; 1 unchanged");
    pass(10);
    assert_int_equal(supervisor_tunnel_count(supervisor), 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(tunnel_get_spec(supervisor_tunnel_at(supervisor, i))->name, new[i].name);
    assert_int_equal(plays[0].stops + plays[0].updates, 0); /* same */
    assert_int_equal(plays[1].stops, 0);                    /* live */
    assert_int_equal(plays[1].updates, 1);
    assert_int_equal(plays[2].stops, 1); /* host */
    assert_int_equal(plays[2].grace_ms[0], 1234);
    assert_int_equal(plays[2].frees, 1);
    assert_int_equal(plays[3].stops, 1); /* gone */
    assert_int_equal(plays[3].frees, 1);
    assert_int_equal(plays[4].starts, 1); /* new */
    assert_int_equal(plays[5].starts, 1); /* host, in its new form */
    assert_int_equal(tunnel_get_spec(supervisor_tunnel_at(supervisor, 1))->host.port, 2222);
    reload(supervisor, new, 4, "nothing changed");
    finish(supervisor);
    free_specs(old, 4);
    free_specs(new, 4);
}

static void a_reload_that_cannot_be_changes_nothing(void **state)
{
    struct tunnel_spec old[] = {make_spec("a", false), make_spec("b", false)};
    struct tunnel_spec new[] = {make_spec("c", false), make_spec("b", false), make_spec("taken", false)};
    struct tunnel_spec doubled[] = {make_spec("c", false), make_spec("c", false)};
    struct platform_lock *lock = NULL;
    struct err_info why;
    char path[300];
    (void)state;
    new[1].host.port = 2222;
    (void)snprintf(path, sizeof path, "%s/taken.lock", folder);
    assert_int_equal(platform_lock_take(path, &lock, NULL), OK);
    struct supervisor *supervisor = make(old, 2);
    supervisor_start(supervisor);
    pass(5);
    assert_int_equal(supervisor_reload(supervisor, new, 3, NULL, &why), ERR_BUSY);
    assert_non_null(strstr(why.message, "tunnel 'taken' is already kept"));
    assert_int_equal(supervisor_reload(supervisor, doubled, 2, NULL, &why), ERR_DEFINITION);
    assert_string_equal(why.message, "tunnel 'c' is defined twice");
    pass(5);
    assert_int_equal(supervisor_tunnel_count(supervisor), 2);
    assert_int_equal(plays[0].stops + plays[1].stops + plays[0].updates + plays[1].updates, 0);
    assert_int_equal(made, 2 + plays[2].frees + plays[3].frees + plays[4].frees + plays[5].frees);
    platform_lock_release(lock);
    reload(supervisor, new, 3, "1 restarted, 2 added, 1 removed"); /* c's lock was given back */
    finish(supervisor);
    free_specs(old, 2);
    free_specs(new, 3);
    free_specs(doubled, 2);
}

/* A name waits for its predecessor's end, whatever comes meanwhile. */
static void one_that_comes_back_waits_for_its_predecessor(void **state)
{
    struct tunnel_spec specs[] = {make_spec("a", false), make_spec("b", false)};
    (void)state;
    plays[1].is_slow = true;
    struct supervisor *supervisor = make(specs, 2);
    supervisor_start(supervisor);
    pass(5);
    reload(supervisor, specs, 1, "1 removed; 1 unchanged");
    pass(5);
    assert_int_equal(supervisor_tunnel_count(supervisor), 2); /* it has connections still */
    reload(supervisor, specs, 2, "1 restarted; 1 unchanged");
    specs[1].host.port = 2222;
    reload(supervisor, specs, 2, "1 restarted; 1 unchanged");
    pass(5);
    assert_int_equal(plays[1].stops, 1);
    assert_int_equal(plays[2].starts + plays[3].starts, 0);
    struct err_info why;
    assert_int_equal(supervisor_tunnel_stop(supervisor, "b", &why), OK); /* held now, ... */
    assert_int_equal(supervisor_tunnel_stop(supervisor, "b", &why), OK); /* ... and at once */
    pass(5);
    assert_int_equal(plays[1].frees, 1);
    assert_int_equal(plays[2].starts + plays[3].starts, 0);
    assert_int_equal(supervisor_tunnel_start(supervisor, "b", &why), OK);
    pass(5);
    assert_int_equal(tunnel_get_spec(supervisor_tunnel_at(supervisor, 1))->host.port, 2222);
    finish(supervisor);
    free_specs(specs, 2);
}

static void what_was_stopped_by_hand_stays_so(void **state)
{
    struct tunnel_spec specs[] = {make_spec("a", false), make_spec("b", false)};
    struct err_info why;
    (void)state;
    struct supervisor *supervisor = make(specs, 2);
    supervisor_start(supervisor);
    pass(5);
    assert_int_equal(supervisor_tunnel_stop(supervisor, "c", &why), ERR_USAGE);
    assert_string_equal(why.message, "there is no tunnel 'c'; 'holdfast status' lists those there are");
    assert_int_equal(supervisor_tunnel_start(supervisor, "b", &why), OK); /* it runs */
    assert_int_equal(plays[1].starts, 1);
    assert_int_equal(supervisor_tunnel_stop(supervisor, "a", &why), OK);
    assert_int_equal(supervisor_tunnel_stop(supervisor, "b", &why), OK);
    pass(5);
    assert_int_equal(plays[0].stops, 1);
    reload(supervisor, specs, 2, "nothing changed");
    specs[1].host.port = 2222;
    reload(supervisor, specs, 2, "1 restarted; 1 unchanged");
    pass(5);
    assert_int_equal(supervisor_tunnel_count(supervisor), 2);
    assert_int_equal(tunnel_get_state(supervisor_tunnel_at(supervisor, 1)), TUNNEL_STOPPED);
    assert_int_equal(plays[2].starts, 0);
    assert_int_equal(supervisor_tunnel_start(supervisor, "b", &why), OK);
    assert_int_equal(supervisor_tunnel_restart(supervisor, "a", &why), OK);
    pass(5);
    assert_int_equal(tunnel_get_spec(supervisor_tunnel_at(supervisor, 1))->host.port, 2222);
    assert_int_equal(plays[0].frees, 1);
    assert_int_equal(supervisor_tunnel_restart(supervisor, "a", &why), OK); /* and one that runs */
    pass(5);
    assert_int_equal(supervisor_exit_code(supervisor), 0);
    unsigned starts = 0;
    for (size_t i = 0; i < MAX_TUNNELS; i++)
        starts += plays[i].starts;
    assert_int_equal(starts, 5); /* a and b, b again, a twice again */
    finish(supervisor);
    free_specs(specs, 2);
}

static void a_failed_one_is_tried_again(void **state)
{
    struct tunnel_spec specs[] = {make_spec("a", false), make_spec("b", false)};
    struct err_info why;
    (void)state;
    plays[0].state = TUNNEL_FAILED;
    plays[0].why = ERR_HOST_KEY;
    plays[1].state = TUNNEL_UP;
    struct supervisor *supervisor = make(specs, 2);
    supervisor_start(supervisor);
    pass(5);
    reload(supervisor, specs, 2, "1 tried again; 2 unchanged");
    assert_int_equal(plays[0].retries, 1);
    assert_int_equal(plays[1].retries, 0);
    assert_int_equal(supervisor_tunnel_start(supervisor, "a", &why), OK);
    assert_int_equal(plays[0].retries, 2);
    finish(supervisor);
    free_specs(specs, 2);
}

/* Without memory for a live change the tunnel is restarted as its new definition says. */
static void what_cannot_change_live_is_restarted(void **state)
{
    struct tunnel_spec old = make_spec("a", false);
    struct tunnel_spec new = make_spec("a", false);
    struct err_info why;
    (void)state;
    add_remote(&new, 14444);
    plays[0].update_fails = true;
    struct supervisor *supervisor = make(&old, 1);
    supervisor_start(supervisor);
    pass(5);
    reload(supervisor, &new, 1, "1 restarted");
    pass(5);
    assert_int_equal(plays[1].starts, 1);
    assert_int_equal(tunnel_get_spec(supervisor_tunnel_at(supervisor, 0))->forward_count, 1);
    supervisor_stop(supervisor);
    assert_int_equal(supervisor_reload(supervisor, &new, 1, NULL, &why), ERR_CANCELLED);
    assert_int_equal(supervisor_tunnel_restart(supervisor, "a", &why), ERR_CANCELLED);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    supervisor_free(supervisor);
    tunnel_spec_deinit(&old);
    tunnel_spec_deinit(&new);
}

/* Stopped by hand, all of them: the process waits to be told more, until it is asked to end. */
static void it_stays_when_nothing_runs(void **state)
{
    struct tunnel_spec spec = make_spec("a", false);
    struct err_info why;
    (void)state;
    struct supervisor *supervisor = make(&spec, 1);
    supervisor_start(supervisor);
    assert_int_equal(supervisor_tunnel_stop(supervisor, "a", &why), OK);
    pass(5);
    assert_int_equal(plays[0].stops, 1);
    assert_int_not_equal(uv_loop_alive(&loop), 0);
    finish(supervisor);
    tunnel_spec_deinit(&spec);
}

static void one_line_tunnels_have_nothing_to_reload(void **state)
{
    struct tunnel_spec spec = make_spec("a", true);
    struct err_info why;
    (void)state;
    struct supervisor *supervisor = make(&spec, 1);
    assert_int_equal(supervisor_reload(supervisor, &spec, 1, NULL, &why), ERR_UNSUPPORTED);
    finish(supervisor);
    tunnel_spec_deinit(&spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(says_each_forward_that_is_up, begin, end),
        cmocka_unit_test_setup_teardown(says_the_allocated_port_once, begin, end),
        cmocka_unit_test_setup_teardown(a_hopeless_first_attempt_ends_with_its_code, begin, end),
        cmocka_unit_test_setup_teardown(a_forward_that_cannot_bind_ends_where_asked, begin, end),
        cmocka_unit_test_setup_teardown(once_ends_with_its_session, begin, end),
        cmocka_unit_test_setup_teardown(others_go_on, begin, end),
        cmocka_unit_test_setup_teardown(a_second_stop_is_at_once, begin, end),
        cmocka_unit_test_setup_teardown(a_stop_before_the_start_leaves_nothing, begin, end),
        cmocka_unit_test_setup_teardown(a_name_is_kept_once, begin, end),
        cmocka_unit_test_setup_teardown(a_reload_keeps_what_is_the_same, begin, end),
        cmocka_unit_test_setup_teardown(a_reload_that_cannot_be_changes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(one_that_comes_back_waits_for_its_predecessor, begin, end),
        cmocka_unit_test_setup_teardown(what_was_stopped_by_hand_stays_so, begin, end),
        cmocka_unit_test_setup_teardown(a_failed_one_is_tried_again, begin, end),
        cmocka_unit_test_setup_teardown(what_cannot_change_live_is_restarted, begin, end),
        cmocka_unit_test_setup_teardown(it_stays_when_nothing_runs, begin, end),
        cmocka_unit_test_setup_teardown(one_line_tunnels_have_nothing_to_reload, begin, end),
        cmocka_unit_test(lock_names_are_safe_and_differ),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
