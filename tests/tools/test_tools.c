/* What the tools read and compute, apart from any network: a benchmark that counts wrongly looks like one that does
 * not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hf_net.h"
#include "hf_samples.h"

static void test_sizes(void **state)
{
    (void)state;
    assert_int_equal(hf_size("0"), 0);
    assert_int_equal(hf_size("1500"), 1500);
    assert_int_equal(hf_size("64K"), 64 << 10);
    assert_int_equal(hf_size("3M"), 3 << 20);
    assert_true(hf_size("5G") == (uint64_t)5 << 30);
}

/* hf_die ends the program, so each wrong text is read by a child. */
static int exit_code_of(uint64_t (*parse)(const char *), const char *text)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        close(STDERR_FILENO);
        parse(text);
        _exit(0);
    }
    assert_true(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_wrong_numbers(void **state)
{
    static const char *const wrong[] = {"", "-1", "1x", "x", "K", "1KK", "99999999999999999999999"};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(exit_code_of(hf_size, wrong[i]), 2);
        assert_int_equal(exit_code_of(hf_number, wrong[i]), 2);
    }
    assert_int_equal(exit_code_of(hf_number, "7"), 0);
}

static void test_percentiles(void **state)
{
    struct hf_samples samples = {0};

    (void)state;
    assert_int_equal(hf_samples_percentile(&samples, 50), 0);
    hf_samples_add(&samples, 9);
    assert_int_equal(hf_samples_percentile(&samples, 50), 9);
    assert_int_equal(hf_samples_percentile(&samples, 99), 9);
    hf_samples_deinit(&samples);
    for (uint64_t i = 5000; i > 0; i--) /* more than the first room, and not in order */
        hf_samples_add(&samples, i);
    assert_int_equal(hf_samples_percentile(&samples, 0), 1);
    assert_int_equal(hf_samples_percentile(&samples, 50), 2500);
    assert_int_equal(hf_samples_percentile(&samples, 99), 4950);
    assert_int_equal(hf_samples_percentile(&samples, 100), 5000);
    hf_samples_deinit(&samples);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_wrong_numbers),
        cmocka_unit_test(test_percentiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
