/* The relay between two streams of our own, that take and give as they please. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/container.h"
#include "relay/relay.h"

struct fake {
    struct stream stream;
    /* what it brings */
    size_t source_len, source_at;
    bool source_ends, frozen, end_told, gone_wanted, fail_told;
    /* what it is given */
    size_t received, room, unsent;
    bool want_room, end_called, output_end_told, never_drains;
    bool closed, aborted, closed_told;
    unsigned seed;
};

static struct {
    uv_loop_t loop;
    struct fake a, b;
    struct relay *relay;
    int done;
    struct relay_result result;
    uint32_t random;
} net;

static uint32_t chance(uint32_t below)
{
    net.random = net.random * 1664525 + 1013904223;
    return (net.random >> 8) % below;
}

static uint8_t byte_of(unsigned seed, size_t at)
{
    return (uint8_t)((at * 2654435761U + seed) >> 11);
}

static struct fake *fake_of(struct stream *stream)
{
    return container_of(stream, struct fake, stream);
}

static bool over(const struct fake *fake)
{
    return fake->closed || fake->aborted;
}

static size_t fake_write(struct stream *stream, const uv_buf_t *bufs, unsigned count)
{
    struct fake *fake = fake_of(stream);
    const struct fake *from = fake == &net.a ? &net.b : &net.a;
    size_t taken = 0;
    assert_false(over(fake));
    for (unsigned i = 0; i < count; i++) {
        for (size_t j = 0; j < bufs[i].len; j++) {
            if (fake->room == 0) {
                fake->want_room = true;
                return taken;
            }
            assert_int_equal((uint8_t)bufs[i].base[j], byte_of(from->seed, fake->received));
            fake->received++;
            fake->room--;
            taken++;
        }
    }
    return taken;
}

static void fake_end(struct stream *stream)
{
    struct fake *fake = fake_of(stream);
    assert_false(over(fake) || fake->end_called);
    fake->end_called = true;
}

static void fake_resume(struct stream *stream)
{
    assert_false(over(fake_of(stream)));
    fake_of(stream)->frozen = false;
}

static void fake_freeze(struct stream *stream)
{
    fake_of(stream)->frozen = true;
}

static void fake_close(struct stream *stream)
{
    assert_false(over(fake_of(stream)));
    fake_of(stream)->closed = true;
}

static void fake_abort(struct stream *stream)
{
    assert_false(over(fake_of(stream)));
    fake_of(stream)->aborted = true;
}

static size_t fake_unsent(const struct stream *stream)
{
    return container_of(stream, const struct fake, stream)->unsent;
}

static size_t fake_room(struct stream *stream)
{
    (void)stream;
    return SIZE_MAX;
}

static const struct stream_ops fake_ops = {.write = fake_write,
                                           .end = fake_end,
                                           .resume = fake_resume,
                                           .freeze = fake_freeze,
                                           .close = fake_close,
                                           .abort = fake_abort,
                                           .room = fake_room,
                                           .unsent = fake_unsent};

static void on_done(void *arg, const struct relay_result *result)
{
    (void)arg;
    net.done++;
    net.result = *result;
    assert_true(net.a.closed_told && net.b.closed_told);
}

static int setup(void **state)
{
    (void)state;
    memset(&net, 0, sizeof net);
    net.random = 1;
    return uv_loop_init(&net.loop);
}

static int teardown(void **state)
{
    (void)state;
    (void)uv_run(&net.loop, UV_RUN_DEFAULT);
    return uv_loop_close(&net.loop);
}

static void begin(size_t from_a, size_t from_b, uint64_t linger_ms)
{
    net.done = 0;
    net.a = (struct fake){.stream.ops = &fake_ops, .source_len = from_a, .frozen = true, .room = SIZE_MAX, .seed = 1};
    net.b = (struct fake){.stream.ops = &fake_ops, .source_len = from_b, .frozen = true, .room = SIZE_MAX, .seed = 77};
    net.relay = relay_start(&net.loop, &net.a.stream, &net.b.stream, linger_ms, on_done, NULL);
    assert_non_null(net.relay);
}

static bool give_input(struct fake *fake, size_t most)
{
    uint8_t bytes[3][64];
    uv_buf_t bufs[3];
    unsigned count = 0;
    size_t total = 0;
    while (count < 3 && total < most && fake->source_at + total < fake->source_len) {
        size_t len = 1 + chance(64);
        len = len < most - total ? len : most - total;
        len = len < fake->source_len - fake->source_at - total ? len : fake->source_len - fake->source_at - total;
        for (size_t i = 0; i < len; i++) {
            bytes[count][i] = byte_of(fake->seed, fake->source_at + total + i);
        }
        bufs[count] = uv_buf_init((char *)bytes[count], (unsigned)len);
        total += len;
        count++;
    }
    if (total == 0) {
        return false;
    }
    size_t taken = fake->stream.events->on_input(fake->stream.owner, bufs, count);
    assert_true(taken <= total);
    fake->source_at += taken;
    if (taken < total) {
        fake->frozen = true;
    }
    return true;
}

static bool tell_gone(struct fake *fake)
{
    const struct err_info why = {.code = OK, .message = "closed by the peer"};
    if (!fake->gone_wanted || fake->fail_told) {
        return false;
    }
    fake->fail_told = true;
    fake->stream.events->on_failed(fake->stream.owner, &why);
    return true;
}

/* One thing that this stream has to say; false when there is none. */
static bool happen(struct fake *fake)
{
    const struct stream_events *events = fake->stream.events;
    if (over(fake)) {
        if (!fake->closed_told) {
            fake->closed_told = true;
            events->on_closed(fake->stream.owner);
            return true;
        }
        return false;
    }
    if (fake->want_room && fake->room > 0) {
        fake->want_room = false;
        events->on_writable(fake->stream.owner);
        return true;
    }
    if (fake->end_called && !fake->output_end_told && !fake->never_drains) {
        fake->output_end_told = true;
        events->on_output_end(fake->stream.owner);
        return true;
    }
    if (!fake->frozen && fake->source_at < fake->source_len) {
        return give_input(fake, 200);
    }
    if (fake->source_at == fake->source_len && fake->source_ends && !fake->end_told) {
        fake->end_told = true;
        events->on_input_end(fake->stream.owner);
        return true;
    }
    return fake->source_at == fake->source_len && tell_gone(fake);
}

static void settle(void)
{
    while (net.done == 0 && (happen(&net.a) || happen(&net.b))) {}
}

static void reset(struct fake *fake)
{
    const struct err_info why = {.code = ERR_CLOSED, .message = "reset"};
    fake->stream.events->on_failed(fake->stream.owner, &why);
}

/* ---- tests ---- */

static void bytes_pass_both_ways(void **state)
{
    (void)state;
    begin(1000, 5000, 1000);
    settle();
    assert_int_equal(net.b.received, 1000);
    assert_int_equal(net.a.received, 5000);
    assert_int_equal(net.done, 0);
    uint64_t from_a = 0;
    uint64_t from_b = 0;
    relay_count(net.relay, &from_a, &from_b);
    assert_int_equal(from_a, 1000);
    assert_int_equal(from_b, 5000);
    net.a.source_ends = net.b.source_ends = true;
    settle();
    assert_int_equal(net.done, 1);
    assert_int_equal(net.result.why.code, OK);
    assert_int_equal(net.result.bytes_from_a, 1000);
    assert_int_equal(net.result.bytes_from_b, 5000);
    assert_true(net.a.closed && net.b.closed);
}

static void a_slow_side_freezes_the_other_and_nothing_else(void **state)
{
    (void)state;
    begin(1000, 1000, 1000);
    net.b.room = 10;
    settle();
    assert_int_equal(net.b.received, 10);
    assert_true(net.a.frozen);
    assert_int_equal(net.a.received, 1000);
    net.b.room = 1;
    settle();
    assert_int_equal(net.b.received, 11);
    assert_true(net.a.frozen);
    net.b.room = SIZE_MAX;
    settle();
    assert_int_equal(net.b.received, 1000);
    net.a.source_ends = net.b.source_ends = true;
    settle();
    assert_int_equal(net.done, 1);
}

static void half_close_waits_for_the_other_direction(void **state)
{
    (void)state;
    for (int first = 0; first < 2; first++) {
        begin(100, 100, 1000);
        struct fake *early = first == 0 ? &net.a : &net.b;
        struct fake *late = first == 0 ? &net.b : &net.a;
        early->source_ends = true;
        settle();
        assert_true(late->end_called);
        assert_false(early->end_called);
        late->source_len += 300; /* it answers after it has seen the end */
        settle();
        assert_int_equal(early->received, 400);
        assert_int_equal(net.done, 0);
        late->source_ends = true;
        settle();
        assert_int_equal(net.done, 1);
        assert_true(net.a.closed && net.b.closed);
    }
}

static void a_reset_aborts_the_other_side(void **state)
{
    (void)state;
    begin(100, 100, 1000);
    settle();
    reset(&net.a);
    assert_true(net.a.closed && net.b.aborted);
    settle();
    assert_int_equal(net.done, 1);
    assert_int_equal(net.result.why.code, ERR_CLOSED);
    assert_string_equal(net.result.why.message, "reset");
}

static void a_cancel_aborts_both(void **state)
{
    struct err_info why;
    (void)state;
    (void)err_set(&why, ERR_CANCELLED, "%s", "stopping");
    begin(100, 100, 1000);
    relay_cancel(net.relay, &why);
    relay_cancel(net.relay, &why);
    assert_true(net.a.aborted && net.b.aborted);
    assert_int_equal(net.done, 0);
    settle();
    assert_int_equal(net.done, 1);
    assert_int_equal(net.result.why.code, ERR_CANCELLED);
}

static void a_side_that_is_gone_lets_the_other_read_all(void **state)
{
    (void)state;
    begin(0, 5000, 60000);
    net.a.room = 100;
    net.b.source_ends = net.b.gone_wanted = true;
    settle();
    assert_int_equal(net.done, 0);
    assert_false(net.b.fail_told); /* its bytes are still with it */
    net.a.room = SIZE_MAX;
    settle();
    assert_int_equal(net.a.received, 5000);
    assert_true(net.a.closed && !net.a.aborted);
    (void)uv_run(&net.loop, UV_RUN_DEFAULT);
    assert_int_equal(net.done, 1);
    assert_int_equal(net.result.why.code, OK);
}

static void what_comes_for_a_side_that_is_gone_is_thrown_away(void **state)
{
    (void)state;
    begin(1000, 0, 60000);
    net.a.never_drains = true;
    net.b.room = 10;
    net.b.gone_wanted = true;
    settle();
    assert_true(net.b.closed);
    assert_int_equal(net.a.source_at, 1000);
    assert_int_equal(net.b.received, 10);
    net.a.never_drains = false;
    settle();
    (void)uv_run(&net.loop, UV_RUN_DEFAULT);
    assert_int_equal(net.done, 1);
    assert_int_equal(net.result.bytes_from_a, 10);
}

static void run_until_over(struct fake *fake)
{
    while (!over(fake) && uv_run(&net.loop, UV_RUN_ONCE) != 0) {}
}

static void a_reader_that_stands_still_is_aborted(void **state)
{
    (void)state;
    begin(0, 100, 20);
    net.a.never_drains = true;
    net.a.unsent = 100;
    net.b.source_ends = net.b.gone_wanted = true;
    settle();
    run_until_over(&net.a);
    assert_true(net.a.aborted);
    settle();
    (void)uv_run(&net.loop, UV_RUN_DEFAULT);
    assert_int_equal(net.done, 1);
    assert_int_not_equal(net.result.why.code, OK);
}

static void on_drip(uv_timer_t *timer)
{
    net.a.unsent--;
    if (net.a.unsent == 0) {
        net.a.never_drains = false;
        uv_close((uv_handle_t *)timer, NULL);
        settle();
    }
}

static void a_reader_that_is_slow_is_waited_for(void **state)
{
    uv_timer_t drip;
    (void)state;
    begin(0, 100, 60);
    net.a.never_drains = true;
    net.a.unsent = 20;
    net.b.source_ends = net.b.gone_wanted = true;
    settle();
    (void)uv_timer_init(&net.loop, &drip);
    (void)uv_timer_start(&drip, on_drip, 15, 15);
    (void)uv_run(&net.loop, UV_RUN_DEFAULT);
    assert_int_equal(net.done, 1);
    assert_true(net.a.closed);
    assert_int_equal(net.result.why.code, OK);
}

static void no_byte_is_lost_or_doubled(void **state)
{
    (void)state;
    for (uint32_t run = 1; run <= 300; run++) {
        net.random = run;
        size_t from_a = chance(3000);
        size_t from_b = chance(3000);
        begin(from_a, from_b, 60000);
        net.a.room = net.b.room = 0;
        net.a.source_ends = chance(4) > 0;
        net.b.source_ends = true;
        net.b.gone_wanted = !net.a.source_ends || chance(2) == 0;
        for (int i = 0; i < 100000 && net.done == 0; i++) {
            struct fake *fake = chance(2) == 0 ? &net.a : &net.b;
            if (chance(3) == 0 && fake->room < 4096) {
                fake->room += chance(100);
            }
            (void)happen(fake);
            if (net.a.closed_told && net.b.closed_told && net.done == 0) {
                (void)uv_run(&net.loop, UV_RUN_DEFAULT);
            }
        }
        assert_int_equal(net.done, 1);
        assert_int_equal(net.a.received, from_b);
        assert_true(net.a.closed && net.b.closed);
        if (!net.b.fail_told) {
            assert_int_equal(net.b.received, from_a);
        }
    }
}

/* Whatever happens in whatever order, it ends once told to. */
static void it_ends_from_anywhere(void **state)
{
    (void)state;
    for (uint32_t run = 1; run <= 500; run++) {
        net.random = run * 7919;
        begin(chance(1000), chance(1000), 60000);
        net.a.source_ends = chance(2) == 0;
        net.b.source_ends = chance(2) == 0;
        net.b.gone_wanted = chance(3) == 0;
        net.a.never_drains = chance(3) == 0;
        uint32_t steps = chance(60);
        for (uint32_t i = 0; i < steps && net.done == 0; i++) {
            struct fake *fake = chance(2) == 0 ? &net.a : &net.b;
            fake->room = chance(50);
            (void)happen(fake);
        }
        if (net.done == 0) {
            struct fake *victim = chance(2) == 0 ? &net.a : &net.b;
            struct err_info why = {.code = ERR_CANCELLED, .message = "stop"};
            if (!over(victim) && chance(2) == 0) {
                reset(victim);
            } else {
                relay_cancel(net.relay, &why);
            }
        }
        settle();
        (void)uv_run(&net.loop, UV_RUN_DEFAULT);
        assert_int_equal(net.done, 1);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_pass_both_ways),
        TEST(a_slow_side_freezes_the_other_and_nothing_else),
        TEST(half_close_waits_for_the_other_direction),
        TEST(a_reset_aborts_the_other_side),
        TEST(a_cancel_aborts_both),
        TEST(a_side_that_is_gone_lets_the_other_read_all),
        TEST(what_comes_for_a_side_that_is_gone_is_thrown_away),
        TEST(a_reader_that_stands_still_is_aborted),
        TEST(a_reader_that_is_slow_is_waited_for),
        TEST(no_byte_is_lost_or_doubled),
        TEST(it_ends_from_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
