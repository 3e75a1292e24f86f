/* Paths, locks of two processes, key files and descriptors. What only one system has is skipped on the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include <cmocka.h>

#include "platform/platform.h"

#define HOLD_LOCK "--hold-lock"

static char *program;
static char folder[256];

static int set_up(void **state)
{
    char temporary[200];
    size_t size = sizeof temporary;
    uv_fs_t request;
    (void)state;
    if (uv_os_tmpdir(temporary, &size) != 0)
        return -1;
    (void)snprintf(folder, sizeof folder, "%s/holdfast-platform-XXXXXX", temporary);
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
    int status = uv_fs_rmdir(NULL, &request, folder, NULL); /* fails when a test left something behind */
    uv_fs_req_cleanup(&request);
    return status;
}

static bool is_windows(void)
{
    return platform_path_is_absolute("C:\\");
}

#define skip_because(why)                                                                                              \
    do {                                                                                                               \
        print_message("skipped: %s\n", why);                                                                           \
        skip();                                                                                                        \
    } while (0)

/* Compares and frees. */
static void expect_path(char *path, const char *expected)
{
    assert_non_null(path);
    assert_string_equal(path, expected);
    free(path);
}

static void paths_resolve(void **state)
{
    (void)state;
    if (is_windows())
        skip_because("paths of Windows have a test of their own");
    assert_true(platform_path_is_absolute("/a"));
    assert_false(platform_path_is_absolute("a"));
    assert_false(platform_path_is_absolute("~/a"));
    assert_false(platform_path_is_absolute(""));
    assert_int_equal(uv_os_setenv("HOME", "/home/me"), 0);
    expect_path(platform_path_resolve("/etc/holdfast", "a.key"), "/etc/holdfast/a.key");
    expect_path(platform_path_resolve("/etc/holdfast/", "a.key"), "/etc/holdfast/a.key");
    expect_path(platform_path_resolve("/", "a.key"), "/a.key");
    expect_path(platform_path_resolve("/etc/holdfast", "/a.key"), "/a.key");
    expect_path(platform_path_resolve("/etc/holdfast", "~/a.key"), "/home/me/a.key");
    expect_path(platform_path_resolve("/etc/holdfast", "~"), "/home/me");
    expect_path(platform_path_resolve("/etc/holdfast", "~a"), "/etc/holdfast/~a");
    expect_path(platform_path_resolve(NULL, "a"), "a");
    expect_path(platform_path_resolve("", "a"), "a");
    expect_path(platform_path_folder("/var/lib/holdfast/known_hosts"), "/var/lib/holdfast");
    expect_path(platform_path_folder("/var//a"), "/var");
    expect_path(platform_path_folder("/a"), "/");
    expect_path(platform_path_folder("//a"), "/");
    expect_path(platform_path_folder("b/a\\c"), "b");
    expect_path(platform_path_folder("a"), ".");
    expect_path(platform_home_dir(), "/home/me");
    expect_path(platform_ssh_dir(), "/home/me/.ssh");
}

static void a_folder_is_no_prefix(void **state)
{
    (void)state;
    assert_true(platform_path_is_below("/home/me/.ssh", "/home/me/.ssh/known_hosts"));
    assert_true(platform_path_is_below("/home/me/.ssh/", "/home/me/.ssh/a/b"));
    assert_true(platform_path_is_below("/", "/a"));
    assert_false(platform_path_is_below("/home/me/.ssh", "/home/me/.ssh-other/known_hosts"));
    assert_false(platform_path_is_below("/home/me/.ssh", "/home/me/.ssh"));
    assert_false(platform_path_is_below("/home/me/.ssh", "/home"));
}

static void places_are_those_of_xdg(void **state)
{
    char expected[300];
    char leave[300];
    (void)state;
    if (is_windows())
        skip_because("Windows has no XDG places");
    assert_int_equal(uv_os_setenv("XDG_CONFIG_HOME", "/home/me/c"), 0);
    expect_path(platform_default_definitions(), "/home/me/c/holdfast");
    (void)uv_os_unsetenv("XDG_CONFIG_HOME");
    (void)snprintf(leave, sizeof leave, "%s/new", folder);
    (void)snprintf(expected, sizeof expected, "%s/new/holdfast", folder);
    (void)uv_os_unsetenv("STATE_DIRECTORY");
    assert_int_equal(uv_os_setenv("XDG_STATE_HOME", leave), 0);
    expect_path(platform_state_dir(NULL), expected);
    expect_path(platform_state_dir(NULL), expected); /* it is there already */
    (void)uv_os_unsetenv("XDG_STATE_HOME");
    assert_int_equal(remove(expected), 0);
    assert_int_equal(remove(leave), 0);
}

static void paths_resolve_on_windows(void **state)
{
    (void)state;
    if (!is_windows())
        skip_because("these are paths of Windows");
    assert_true(platform_path_is_absolute("c:/a"));
    assert_true(platform_path_is_absolute("\\\\server\\share\\a"));
    assert_false(platform_path_is_absolute("a\\b"));
    assert_false(platform_path_is_absolute("c:a"));
    expect_path(platform_path_resolve("C:\\d", "a.key"), "C:\\d\\a.key");
    expect_path(platform_path_resolve("C:\\d\\", "a.key"), "C:\\d\\a.key");
    expect_path(platform_path_resolve("C:\\d", "D:\\a.key"), "D:\\a.key");
    expect_path(platform_path_resolve("C:\\d", "\\a.key"), "C:\\a.key");
    expect_path(platform_path_resolve("C:\\d", "/a.key"), "C:/a.key");
    expect_path(platform_path_resolve("\\\\server\\share", "\\a.key"), "\\a.key");
    expect_path(platform_path_resolve("C:\\d", "/dev/null"), "NUL");
    expect_path(platform_path_resolve("C:\\d", "nul"), "NUL");
    expect_path(platform_path_folder("C:\\ProgramData\\holdfast\\state\\known_hosts"),
                "C:\\ProgramData\\holdfast\\state");
    expect_path(platform_path_folder("C:\\ProgramData/holdfast\\/known_hosts"), "C:\\ProgramData/holdfast");
    expect_path(platform_path_folder("C:\\a"), "C:\\");
    expect_path(platform_path_folder("c:/a"), "c:/");
    expect_path(platform_path_folder("C:a"), "C:");
    expect_path(platform_path_folder("C:b\\a"), "C:b");
    expect_path(platform_path_folder("\\a"), "\\");
    expect_path(platform_path_folder("\\\\server\\share\\a"), "\\\\server\\share");
    expect_path(platform_path_folder("a"), ".");
    assert_true(platform_path_is_below("C:\\Users\\me\\.ssh", "c:/users/ME/.ssh\\known_hosts"));
    assert_false(platform_path_is_below("C:\\Users\\me\\.ssh", "C:\\Users\\me\\.ssh-other\\known_hosts"));
    assert_false(platform_path_is_below("C:\\Users\\me\\.ssh", "C:\\Users"));
}

static void the_user_has_a_name_and_places(void **state)
{
    char *paths[] = {platform_user_name(), platform_home_dir(), platform_ssh_dir(), platform_default_definitions()};
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_non_null(paths[i]);
        assert_int_not_equal(paths[i][0], 0);
        free(paths[i]);
    }
}

static void descriptors_are_raised(void **state)
{
    (void)state;
    platform_init();
    if (is_windows())
        skip_because("Windows has no limit of descriptors");
    assert_true(platform_descriptor_limit() > 64);
}

static void wiping_wipes(void **state)
{
    char secret[16] = "secret";
    char zeros[16] = {0};
    (void)state;
    platform_wipe(secret, sizeof secret);
    assert_memory_equal(secret, zeros, sizeof secret);
    platform_wipe(NULL, 0);
}

static void write_file(const char *path)
{
    FILE *stream = fopen(path, "w");
    assert_non_null(stream);
    (void)fclose(stream);
}

static void chmod_file(const char *path, int mode)
{
    uv_fs_t request;
    assert_int_equal(uv_fs_chmod(NULL, &request, path, mode, NULL), 0);
    uv_fs_req_cleanup(&request);
}

static void key_files_that_others_read_are_refused(void **state)
{
    static const int bad_modes[] = {0644, 0640, 0604, 0660, 0620, 0610, 0666, 0777};
    static const int good_modes[] = {0600, 0400, 0700};
    char path[300];
    char expected[700];
    struct err_info why;
    (void)state;
    if (is_windows())
        skip_because("Windows has access lists instead of modes; tests/windows has that");
    (void)snprintf(path, sizeof path, "%s/key", folder);
    write_file(path);
    for (size_t i = 0; i < sizeof bad_modes / sizeof bad_modes[0]; i++) {
        chmod_file(path, bad_modes[i]);
        assert_int_equal(platform_key_file_check(path, &why), ERR_IO);
        (void)snprintf(expected, sizeof expected,
                       "private key %s has mode %04o, which lets others at it, so it is not used; run: chmod 600 %s",
                       path, (unsigned)bad_modes[i], path);
        assert_string_equal(why.message, expected);
    }
    for (size_t i = 0; i < sizeof good_modes / sizeof good_modes[0]; i++) {
        chmod_file(path, good_modes[i]);
        assert_int_equal(platform_key_file_check(path, &why), OK);
    }
    (void)remove(path);
    assert_int_equal(platform_key_file_check(path, &why), ERR_IO);
    assert_non_null(strstr(why.message, path));
    assert_int_equal(platform_key_file_check(folder, NULL), ERR_IO);
}

static void a_lock_is_taken_once(void **state)
{
    char path[300];
    char expected[128];
    struct platform_lock *first = NULL;
    struct platform_lock *second = NULL;
    struct err_info why;
    (void)state;
    (void)snprintf(path, sizeof path, "%s/one.lock", folder);
    assert_int_equal(platform_lock_take(path, &first, &why), OK);
    assert_int_equal(platform_lock_take(path, &second, &why), ERR_BUSY);
    assert_null(second);
    (void)snprintf(expected, sizeof expected, "already kept by process %ld", (long)uv_os_getpid());
    assert_string_equal(why.message, expected);
    platform_lock_release(first);
    assert_int_equal(platform_lock_take(path, &second, &why), OK);
    platform_lock_release(second);
    platform_lock_release(NULL);
    FILE *stream = fopen(path, "r");
    assert_null(stream);
}

static void a_lock_needs_its_folder(void **state)
{
    char path[300];
    struct platform_lock *lock = NULL;
    struct err_info why;
    (void)state;
    (void)snprintf(path, sizeof path, "%s/none/one.lock", folder);
    assert_int_equal(platform_lock_take(path, &lock, &why), ERR_IO);
    assert_null(lock);
    assert_non_null(strstr(why.message, path));
}

static void put_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void expect_file(const char *path, const char *text)
{
    char found[200];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t len = fread(found, 1, sizeof found - 1, file);
    (void)fclose(file);
    found[len] = 0;
    assert_string_equal(found, text);
}

static void a_file_of_others_is_no_lock(void **state)
{
    static const char *const rows[] = {"notes of somebody\n", "12 holdfasts\n", " holdfast\n", "12 holdfast\nand more",
                                       "a text that is longer than any lock file of ours would ever be\n"};
    char path[300];
    (void)state;
    (void)snprintf(path, sizeof path, "%s/others.lock", folder);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct platform_lock *lock = NULL;
        struct err_info why = {.code = OK};
        put_file(path, rows[i]);
        chmod_file(path, 0600);
        assert_int_equal(platform_lock_take(path, &lock, &why), ERR_IO);
        assert_null(lock);
        assert_non_null(strstr(why.message, path));
        assert_non_null(strstr(why.message, "remove it"));
        expect_file(path, rows[i]);
        assert_int_equal(remove(path), 0);
    }
}

static void a_lock_that_was_left_is_taken(void **state)
{
    static const char *const rows[] = {"12 holdfast\n", "12\n", ""};
    char path[300];
    (void)state;
    (void)snprintf(path, sizeof path, "%s/left.lock", folder);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct platform_lock *lock = NULL;
        put_file(path, rows[i]);
        chmod_file(path, 0600);
        assert_int_equal(platform_lock_take(path, &lock, NULL), OK);
        platform_lock_release(lock);
        assert_null(fopen(path, "r"));
    }
}

static void locks_of_others_by_mode_and_link(void **state)
{
    char path[300];
    char other[300];
    uv_fs_t request;
    struct platform_lock *lock = NULL;
    struct err_info why = {.code = OK};
    (void)state;
    if (is_windows())
        skip_because("Windows has no modes");
    (void)snprintf(path, sizeof path, "%s/others.lock", folder);
    (void)snprintf(other, sizeof other, "%s/other", folder);
    put_file(path, "12\n"); /* as many programs write one */
    chmod_file(path, 0644);
    assert_int_equal(platform_lock_take(path, &lock, &why), ERR_IO);
    expect_file(path, "12\n");
    assert_int_equal(remove(path), 0);
    put_file(other, "12 holdfast\n");
    assert_int_equal(uv_fs_symlink(NULL, &request, other, path, 0, NULL), 0);
    uv_fs_req_cleanup(&request);
    assert_int_equal(platform_lock_take(path, &lock, &why), ERR_IO);
    assert_non_null(strstr(why.message, path));
    assert_non_null(strstr(why.message, "link"));
    expect_file(other, "12 holdfast\n");
    assert_int_equal(remove(path), 0);
    assert_int_equal(platform_lock_take(path, &lock, &why), OK);
    assert_int_equal(remove(path), 0);
    assert_int_equal(rename(other, path), 0); /* what stands in the place of ours is not ours to remove */
    platform_lock_release(lock);
    expect_file(path, "12 holdfast\n");
    assert_int_equal(remove(path), 0);
}

struct child {
    uv_process_t process;
    uv_pipe_t in;
    uv_pipe_t out;
    bool has_spoken;
};

static void on_child_exit(uv_process_t *process, int64_t status, int signal_number)
{
    (void)status;
    (void)signal_number;
    uv_close((uv_handle_t *)process, NULL);
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    static char room[64];
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(room, sizeof room);
}

static void on_word(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    struct child *child = stream->data;
    (void)buf;
    if (len == 0)
        return;
    child->has_spoken = len > 0;
    uv_close((uv_handle_t *)stream, NULL);
}

/* Starts ourselves as a process that takes the lock, says so, and waits. */
static void start_holder(uv_loop_t *loop, struct child *child, char *path)
{
    char option[] = HOLD_LOCK;
    char *args[] = {program, option, path, NULL};
    uv_stdio_container_t stdio[3];
    uv_process_options_t options;
    assert_int_equal(uv_pipe_init(loop, &child->in, 0), 0);
    assert_int_equal(uv_pipe_init(loop, &child->out, 0), 0);
    child->has_spoken = false;
    child->out.data = child;
    stdio[0].flags = UV_CREATE_PIPE | UV_READABLE_PIPE;
    stdio[0].data.stream = (uv_stream_t *)&child->in;
    stdio[1].flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
    stdio[1].data.stream = (uv_stream_t *)&child->out;
    stdio[2].flags = UV_INHERIT_FD;
    stdio[2].data.fd = 2;
    memset(&options, 0, sizeof options);
    options.exit_cb = on_child_exit;
    options.file = program;
    options.args = args;
    options.stdio_count = 3;
    options.stdio = stdio;
    assert_int_equal(uv_spawn(loop, &child->process, &options), 0);
    assert_int_equal(uv_read_start((uv_stream_t *)&child->out, on_room, on_word), 0);
    while (!uv_is_closing((uv_handle_t *)&child->out))
        (void)uv_run(loop, UV_RUN_ONCE);
    assert_true(child->has_spoken);
}

static void a_lock_holds_against_another_process_and_dies_with_it(void **state)
{
    uv_loop_t loop;
    struct child child;
    char path[300];
    char expected[128];
    struct platform_lock *lock = NULL;
    struct err_info why;
    (void)state;
    (void)snprintf(path, sizeof path, "%s/two.lock", folder);
    assert_int_equal(uv_loop_init(&loop), 0);
    start_holder(&loop, &child, path);
    assert_int_equal(platform_lock_take(path, &lock, &why), ERR_BUSY);
    (void)snprintf(expected, sizeof expected, "already kept by process %d", uv_process_get_pid(&child.process));
    assert_string_equal(why.message, expected);
    assert_int_equal(uv_process_kill(&child.process, SIGKILL), 0);
    uv_close((uv_handle_t *)&child.in, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(platform_lock_take(path, &lock, &why), OK);
    platform_lock_release(lock);
}

/* The other process: takes the lock, says so, and waits for the end of its input. */
static int hold_lock(const char *path)
{
    struct platform_lock *lock = NULL;
    if (platform_lock_take(path, &lock, NULL) != OK)
        return 1;
    (void)puts("held");
    (void)fflush(stdout);
    while (getchar() != EOF)
        ;
    platform_lock_release(lock);
    return 0;
}

/* Linux says in a file what the processor has, in the processor's own words. */
static void the_processor_is_asked_for_aes(void **state)
{
    char line[8192];
    FILE *file = fopen("/proc/cpuinfo", "r");
    bool found = false, aes = false, multiplies = false;
    (void)state;
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        found = strncmp(line, "flags", 5) == 0 || strncmp(line, "Features", 8) == 0;
        aes = found && strstr(line, " aes") != NULL;
        multiplies = found && (strstr(line, " pclmulqdq") != NULL || strstr(line, " pmull") != NULL);
    }
    if (file != NULL)
        (void)fclose(file);
    if (!found)
        skip();
    assert_int_equal(platform_has_aes(), aes && multiplies);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], HOLD_LOCK) == 0)
        return hold_lock(argv[2]);
    program = argv[0];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_user_has_a_name_and_places),
        cmocka_unit_test(paths_resolve),
        cmocka_unit_test(a_folder_is_no_prefix),
        cmocka_unit_test(places_are_those_of_xdg),
        cmocka_unit_test(paths_resolve_on_windows),
        cmocka_unit_test(descriptors_are_raised),
        cmocka_unit_test(wiping_wipes),
        cmocka_unit_test(the_processor_is_asked_for_aes),
        cmocka_unit_test(key_files_that_others_read_are_refused),
        cmocka_unit_test(a_lock_is_taken_once),
        cmocka_unit_test(a_lock_needs_its_folder),
        cmocka_unit_test(a_file_of_others_is_no_lock),
        cmocka_unit_test(a_lock_that_was_left_is_taken),
        cmocka_unit_test(locks_of_others_by_mode_and_link),
        cmocka_unit_test(a_lock_holds_against_another_process_and_dies_with_it),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
