/* The log while there are no descriptors left: it steps aside for a new file that cannot be opened. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

enum { CAP_BYTES = 200 };

static char folder[] = "/tmp/holdfast-log-XXXXXX";
static char path[64];
static char older[64];

static bool has(const char *file, const char *text)
{
    char bytes[4096];
    FILE *in = fopen(file, "rb");
    if (in == NULL)
        return false;
    size_t len = fread(bytes, 1, sizeof bytes - 1, in);
    bytes[len] = 0;
    (void)fclose(in);
    return strstr(bytes, text) != NULL;
}

static void it_goes_on_in_the_file_once_there_are_some_again(void **state)
{
    struct rlimit limit;
    struct rlimit none;
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/log", folder);
    (void)snprintf(older, sizeof older, "%s/log.1", folder);
    assert_int_equal(log_open(path, LOG_LEVEL_INFO, LOG_FORMAT_TEXT), 0);
    log_rotate_at(CAP_BYTES, 1);
    log_info(NULL, "%0150d", 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    log_info(NULL, "this one makes the file too large, %030d", 2);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    log_info(NULL, "and here we are again");
    log_close();
    assert_true(has(older, "0001\n"));
    assert_true(has(path, "and here we are again"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(older), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_goes_on_in_the_file_once_there_are_some_again)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
