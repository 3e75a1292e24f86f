/* The receive window of a channel, against a peer, a path and a reader that are simulated microsecond by microsecond.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "session/window.h"

enum { MIB = 1024 * 1024, PACKET = 32768, FLIGHTS = 8192, HALF_TRIP_US = 25000, SECOND_US = 1000000, TICK_US = 50 };

static struct window_pool pool;
static struct window window;

static int setup(void **state)
{
    (void)state;
    window_pool_init(&pool);
    window_open(&window, &pool);
    return 0;
}

static uint64_t pool_sum(void)
{
    return (uint64_t)pool.first_free + pool.growth_free;
}

/* What a window has is all there is: what the peer may send, what is unread, what is read and not yet granted. */
static void check_sums(uint32_t unread)
{
    assert_int_equal(window.left + unread + window.consumed + window.bonus, window.size);
    assert_true(window.size <= WINDOW_MOST_BYTES);
}

/* ---- a path ---- */

struct flight {
    uint64_t at_us;
    uint32_t bytes;
};

struct path {
    uint64_t half_trip_us;
    uint64_t rate;   /* bytes per second that the path carries */
    uint64_t reader; /* bytes per second that the reader takes; 0: all at once */
    uint64_t paced;  /* not 0: the peer's system sends at first so many bytes per second, and then hardly more than it
                        achieved in the last round trip, as BBR does */
};

struct way {
    struct flight flights[FLIGHTS];
    size_t head, count;
};

static void depart(struct way *way, uint64_t at_us, uint32_t bytes)
{
    assert_true(way->count < FLIGHTS);
    way->flights[(way->head + way->count++) % FLIGHTS] = (struct flight){.at_us = at_us, .bytes = bytes};
}

static uint32_t arrive(struct way *way, uint64_t now_us)
{
    if (way->count == 0 || way->flights[way->head].at_us > now_us) {
        return 0;
    }
    uint32_t bytes = way->flights[way->head].bytes;
    way->head = (way->head + 1) % FLIGHTS;
    way->count--;
    return bytes;
}

/* Bytes that a peer with endless data brings to the reader in the last of `seconds`. */
static uint64_t simulate(const struct path *path, unsigned seconds)
{
    static struct way data, grants;
    uint64_t read_in_last = 0, wire_free_us = 0, reader_had = 0;
    uint64_t rate = path->paced != 0 ? path->paced : path->rate, achieved = 0, trip_ends_us = SECOND_US;
    uint32_t may_send = window.left, unread = 0, bytes;
    data.count = grants.count = 0;
    pool.path_us = 2 * path->half_trip_us;
    for (uint64_t now = 1; now < (uint64_t)seconds * SECOND_US; now += TICK_US) {
        while ((bytes = arrive(&grants, now)) != 0) {
            may_send += bytes;
        }
        while (may_send > 0 && wire_free_us <= now) {
            bytes = may_send < PACKET ? may_send : PACKET;
            may_send -= bytes;
            wire_free_us = (wire_free_us + TICK_US > now ? wire_free_us : now) + (uint64_t)bytes * SECOND_US / rate;
            depart(&data, wire_free_us + path->half_trip_us, bytes);
        }
        while ((bytes = arrive(&data, now)) != 0) {
            assert_true(window_receive(&window, &pool, bytes, now));
            unread += bytes;
            achieved += bytes;
            bytes = window_grant(&window, &pool, now);
            if (bytes > 0) {
                depart(&grants, now + path->half_trip_us, bytes);
            }
        }
        uint64_t may_read = path->reader == 0 ? unread : path->reader * now / SECOND_US - reader_had;
        uint32_t reads = may_read < unread ? (uint32_t)may_read : unread;
        reader_had = path->reader == 0 ? 0 : path->reader * now / SECOND_US; /* what it did not take has gone by */
        unread -= reads;
        window_consume(&window, reads);
        bytes = window_grant(&window, &pool, now);
        if (bytes > 0) {
            depart(&grants, now + path->half_trip_us, bytes);
        }
        check_sums(unread);
        if (path->paced != 0 && now >= trip_ends_us) {
            uint64_t more = achieved * SECOND_US / (2 * path->half_trip_us) * 103 / 100;
            more = more < path->rate ? more : path->rate;
            bool was_one_trip = trip_ends_us > SECOND_US; /* before the first end it has sent for many */
            rate = was_one_trip && more > rate ? more : rate;
            trip_ends_us = now + 2 * path->half_trip_us;
            achieved = 0;
        }
        read_in_last += now >= (uint64_t)(seconds - 1) * SECOND_US ? reads : 0;
    }
    return read_in_last;
}

static void test_a_long_path_is_filled(void **state)
{
    const struct path path = {.half_trip_us = HALF_TRIP_US, .rate = 125 * 1000 * 1000};
    uint64_t sum = pool_sum();
    (void)state;
    uint64_t bytes = simulate(&path, 3);
    assert_in_range(bytes, path.rate * 98 / 100, path.rate * 101 / 100);
    /* Twice the product of bandwidth and delay would do; a doubling may go beyond it once. */
    assert_in_range(window.size, 12 * MIB, 32 * MIB);
    assert_int_equal(pool_sum() + window.size - WINDOW_FIRST_BYTES, sum);
    window_close(&window, &pool);
    assert_int_equal(pool_sum(), POOL_FIRST_BYTES + POOL_GROWTH_BYTES);
}

/* Its system spreads what the peer may send over the whole round trip: it waits for each grant, and there is no silence
 * that tells. */
static void test_a_long_path_is_filled_by_a_peer_that_paces_itself(void **state)
{
    const struct path path = {.half_trip_us = HALF_TRIP_US, .rate = 125 * 1000 * 1000, .paced = 21 * 1000 * 1000};
    (void)state;
    uint64_t bytes = simulate(&path, 8);
    assert_in_range(bytes, path.rate * 95 / 100, path.rate * 101 / 100);
    assert_in_range(window.size, 12 * MIB, 32 * MIB);
}

static void test_a_short_path_needs_no_growth(void **state)
{
    const struct path path = {.half_trip_us = 100, .rate = 125 * 1000 * 1000};
    (void)state;
    (void)simulate(&path, 2);
    assert_int_equal(window.size, WINDOW_FIRST_BYTES);
}

/* A processor that was busy elsewhere: nothing came for a while after the grant, on a path as short as can be. */
static void test_a_short_path_does_not_grow_by_a_hiccup(void **state)
{
    uint64_t now = SECOND_US;
    (void)state;
    pool.path_us = 50;
    for (int i = 0; i < 20; i++) {
        uint32_t bytes = window.left;
        assert_true(window_receive(&window, &pool, bytes, now));
        window_consume(&window, bytes / 2);
        assert_true(window_grant(&window, &pool, now += 300) > 0);
        window_consume(&window, bytes - bytes / 2);
        assert_true(window_grant(&window, &pool, now += 300) > 0);
        now += 10 * 1000;
        assert_true(window_receive(&window, &pool, 1, now));
        window_consume(&window, 1);
    }
    assert_int_equal(window.size, WINDOW_FIRST_BYTES);
}

static void test_a_slow_reader_makes_it_no_larger(void **state)
{
    const struct path path = {.half_trip_us = HALF_TRIP_US, .rate = 125 * 1000 * 1000, .reader = 10 * 1000 * 1000};
    (void)state;
    uint64_t bytes = simulate(&path, 4);
    assert_in_range(bytes, path.reader * 95 / 100, path.reader * 105 / 100);
    assert_in_range(window.size, WINDOW_FIRST_BYTES, 2 * WINDOW_FIRST_BYTES);
}

static void test_it_shrinks_for_a_reader_that_became_slow(void **state)
{
    const struct path fast = {.half_trip_us = HALF_TRIP_US, .rate = 125 * 1000 * 1000};
    const struct path slow = {.half_trip_us = HALF_TRIP_US, .rate = 125 * 1000 * 1000, .reader = 5 * 1000 * 1000};
    (void)state;
    (void)simulate(&fast, 3);
    assert_true(window.size > 4 * WINDOW_FIRST_BYTES);
    /* The wire is empty between the two: what was in flight has been read. */
    uint32_t rest = window.size - window.left - window.consumed - window.bonus;
    window_consume(&window, rest);
    (void)window_grant(&window, &pool, 3 * SECOND_US);
    uint64_t bytes = simulate(&slow, 30);
    assert_in_range(bytes, slow.reader * 95 / 100, slow.reader * 105 / 100);
    assert_in_range(window.size, WINDOW_FIRST_BYTES, 2 * WINDOW_FIRST_BYTES);
}

static void test_growth_is_bounded_by_the_pool(void **state)
{
    const struct path path = {.half_trip_us = HALF_TRIP_US, .rate = 125 * 1000 * 1000};
    (void)state;
    pool.growth_free = 3 * MIB;
    (void)simulate(&path, 3);
    assert_int_equal(window.size, WINDOW_FIRST_BYTES + 3 * MIB);
    assert_int_equal(pool.growth_free, 0);
}

static void test_no_window_is_larger_than_the_most(void **state)
{
    const struct path path = {.half_trip_us = 20 * HALF_TRIP_US, .rate = 1000 * 1000 * 1000};
    (void)state;
    (void)simulate(&path, 20);
    assert_int_equal(window.size, WINDOW_MOST_BYTES);
}

static void test_more_than_is_granted_is_refused(void **state)
{
    (void)state;
    assert_true(window_receive(&window, &pool, WINDOW_FIRST_BYTES - 1, 1));
    assert_false(window_receive(&window, &pool, 2, 1));
    assert_true(window_receive(&window, &pool, 1, 1));
    assert_int_equal(window_grant(&window, &pool, 1), 0);
    window_consume(&window, WINDOW_FIRST_BYTES / 2 - 1);
    assert_int_equal(window_grant(&window, &pool, 1), 0);
    window_consume(&window, 1);
    assert_int_equal(window_grant(&window, &pool, 1), WINDOW_FIRST_BYTES / 2);
    check_sums(WINDOW_FIRST_BYTES / 2);
}

static void test_many_windows_share_the_pool(void **state)
{
    enum { COUNT = 2000 };
    static struct window windows[COUNT];
    uint64_t sum = 0;
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        window_open(&windows[i], &pool);
        sum += windows[i].size;
        assert_true(windows[i].size >= WINDOW_LEAST_BYTES);
        assert_int_equal(windows[i].size % PACKET, 0);
    }
    assert_int_equal(windows[0].size, WINDOW_FIRST_BYTES);
    assert_int_equal(windows[COUNT - 1].size, WINDOW_LEAST_BYTES);
    assert_true(sum < (uint64_t)POOL_FIRST_BYTES + (uint64_t)COUNT * WINDOW_LEAST_BYTES);
    for (size_t i = 0; i < COUNT; i++) {
        window_close(&windows[i], &pool);
        window_close(&windows[i], &pool);
    }
    window_close(&window, &pool);
    assert_int_equal(pool_sum(), POOL_FIRST_BYTES + POOL_GROWTH_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_long_path_is_filled, setup),
        cmocka_unit_test_setup(test_a_long_path_is_filled_by_a_peer_that_paces_itself, setup),
        cmocka_unit_test_setup(test_a_short_path_needs_no_growth, setup),
        cmocka_unit_test_setup(test_a_short_path_does_not_grow_by_a_hiccup, setup),
        cmocka_unit_test_setup(test_a_slow_reader_makes_it_no_larger, setup),
        cmocka_unit_test_setup(test_it_shrinks_for_a_reader_that_became_slow, setup),
        cmocka_unit_test_setup(test_growth_is_bounded_by_the_pool, setup),
        cmocka_unit_test_setup(test_no_window_is_larger_than_the_most, setup),
        cmocka_unit_test_setup(test_more_than_is_granted_is_refused, setup),
        cmocka_unit_test_setup(test_many_windows_share_the_pool, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
