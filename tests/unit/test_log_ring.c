/* What the log remembers: in order, bounded, and who is late learns how much went by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/log_ring.h"
#include "base/utf8.h"
#include "platform/platform.h"

static int told;

static void on_line(void *arg)
{
    (void)arg;
    told++;
}

static void expect(struct log_ring *ring, uint64_t *number, const char *tunnel, const char *message, uint64_t missed)
{
    struct log_ring_line line;
    assert_true(log_ring_read(ring, number, &line));
    if (tunnel == NULL)
        assert_null(line.tunnel);
    else
        assert_string_equal(line.tunnel, tunnel);
    assert_string_equal(line.message, message);
    assert_int_equal(line.missed, missed);
    assert_int_equal(line.level, LOG_LEVEL_INFO);
    log_ring_line_deinit(&line);
}

static void test_order(void **state)
{
    (void)state;
    struct log_ring_line line;
    uint64_t number = 0;
    uint64_t other = 0;
    told = 0;
    struct log_ring *ring = log_ring_new(4096, on_line, NULL);
    assert_non_null(ring);
    assert_false(log_ring_read(ring, &number, &line));
    log_info("a", "one");
    log_debug("a", "below the level");
    log_info(NULL, "two %d", 2);
    assert_int_equal(told, 2);
    expect(ring, &number, "a", "one", 0);
    expect(ring, &number, NULL, "two 2", 0);
    assert_false(log_ring_read(ring, &number, &line));
    expect(ring, &other, "a", "one", 0);
    log_info("b", "three");
    expect(ring, &number, "b", "three", 0);
    log_ring_free(ring);
    log_info("a", "nobody listens any more");
    assert_int_equal(told, 3);
}

static void test_the_oldest_go(void **state)
{
    (void)state;
    uint64_t number = 0;
    struct log_ring *ring = log_ring_new(1670 /* ten of them */, NULL, NULL);
    for (int i = 0; i < 1000; i++)
        log_info("a", "%0100d", i);
    char text[128];
    (void)snprintf(text, sizeof text, "%0100d", 990);
    expect(ring, &number, "a", text, 990);
    for (int i = 991; i < 1000; i++) {
        (void)snprintf(text, sizeof text, "%0100d", i);
        expect(ring, &number, "a", text, 0);
    }
    assert_int_equal(number, 1000);
    log_ring_free(ring);
}

static void test_a_line_over_the_limit_stays_alone(void **state)
{
    (void)state;
    uint64_t number = 0;
    struct log_ring *ring = log_ring_new(10, NULL, NULL);
    log_info(NULL, "one");
    log_info(NULL, "two");
    expect(ring, &number, NULL, "two", 1);
    log_ring_free(ring);
}

static void test_repair(void **state)
{
    (void)state;
    char *text = utf8_repaired("a\xff\xc3\xa4\xc3");
    assert_string_equal(text, "a\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_the_oldest_go),
        cmocka_unit_test(test_a_line_over_the_limit_stays_alone),
        cmocka_unit_test(test_repair),
    };
    (void)log_open(platform_null_device(), LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
