/* Files that a service leaves with its manager. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/posix/own_file.h"

static char folder[] = "/tmp/holdfast-own-file-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(folder); /* fails when a test left something behind */
}

static void a_part_is_no_file(void **state)
{
    struct rlimit before;
    struct rlimit small;
    struct err_info info = {.code = OK};
    char path[300];
    (void)state;
    (void)snprintf(path, sizeof path, "%s/a.service", folder);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 4; /* as a disk that fills up: 4 bytes are taken, and then no more */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum err result = own_file_write(path, "a longer text", &info);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(result, ERR_IO);
    assert_non_null(strstr(info.message, path));
    assert_null(strstr(info.message, "Success"));
    assert_non_null(strstr(info.message, "File too large"));
    assert_int_equal(own_file_look(path, "text"), OWN_FILE_ABSENT);
    assert_int_equal(own_file_write(path, "a longer text", &info), OK);
    assert_int_equal(own_file_look(path, "longer text"), OWN_FILE_OURS);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_part_is_no_file)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
