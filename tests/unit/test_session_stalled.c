/* Two thousand channels whose readers on our side never read, while the peer sends as much as it may: what a session
 * takes for that has a ceiling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "peer/ssh_peer.h"
#include "relay/stream.h"
#include "session/session.h"

#ifdef __SANITIZE_ADDRESS__
enum { CEILING_MIB = 2 * 384 }; /* a packet of 32 KiB takes 64 KiB of the sanitizer's heap */
#else
enum { CEILING_MIB = 384 };
#endif

enum {
    STALLED = 2000,
    BLOCK = 32 * 1024,
    PEER_UNSENT_MAX = 256 * 1024,
    TICK_MS = 20,
    QUIET_TICKS = 25, /* nothing has come for so many: all that may come is here */
    MSG_OPEN = 90,
    MSG_CONFIRMATION = 91,
    MSG_ADJUST = 93,
    MSG_DATA = 94,
    MSG_CLOSE = 97
};

static struct {
    uv_loop_t loop;
    uv_timer_t ticks;
    struct ssh_peer peer;
    struct host_spec spec;
    struct session *session;
    bool ready, closed, flooding;
    size_t open, offered;
    struct stream *streams[STALLED];
    uint32_t windows[STALLED]; /* what the peer may still send, by our number of the channel */
    uint64_t sent;             /* by the peer, in all */
    size_t next;
    uint64_t last_in;
    int quiet;
} net;

static uint8_t zeros[BLOCK];

/* ---- the peer ---- */

static void peer_sends(uint8_t type, uint32_t id, const uint32_t *numbers, size_t count, size_t data)
{
    struct wire_writer packet;
    wire_writer_init(&packet);
    wire_write_u8(&packet, type);
    wire_write_u32(&packet, id);
    for (size_t i = 0; i < count; i++) {
        wire_write_u32(&packet, numbers[i]);
    }
    if (data > 0) {
        wire_write_string(&packet, zeros, data);
    }
    ssh_peer_send(&net.peer, &packet);
    wire_writer_deinit(&packet);
}

/* One block for each channel in turn, as far as its window and the wire let it. */
static void flood(void)
{
    for (size_t full = 0; net.flooding && full < STALLED && ssh_peer_unsent(&net.peer) < PEER_UNSENT_MAX;) {
        uint32_t id = (uint32_t)(net.next++ % STALLED);
        uint32_t part = net.windows[id] < BLOCK ? net.windows[id] : BLOCK;
        full = part == 0 ? full + 1 : 0;
        if (part > 0) {
            peer_sends(MSG_DATA, id, NULL, 0, part);
            net.windows[id] -= part;
            net.sent += part;
        }
    }
}

static void on_peer_sent(struct ssh_peer *peer)
{
    flood();
    if (ssh_peer_unsent(peer) > 0) {
        ssh_peer_flush(peer);
    }
}

static void on_peer_channel(struct ssh_peer *peer, const uint8_t *packet, size_t len)
{
    struct wire_reader reader;
    (void)peer;
    wire_reader_init(&reader, packet, len);
    uint8_t type = wire_read_u8(&reader);
    if (type == MSG_OPEN) {
        (void)wire_read_string(&reader);
    }
    uint32_t id = wire_read_u32(&reader);
    assert_true(id < STALLED);
    if (type == MSG_OPEN) {
        const uint32_t answer[] = {id, 1 << 20, BLOCK};
        net.windows[id] = wire_read_u32(&reader);
        peer_sends(MSG_CONFIRMATION, id, answer, 3, 0);
    } else if (type == MSG_ADJUST) {
        net.windows[id] += wire_read_u32(&reader);
    } else if (type == MSG_CLOSE) {
        peer_sends(MSG_CLOSE, id, NULL, 0, 0);
    }
}

/* ---- our side ---- */

static size_t takes_nothing(void *arg, const uv_buf_t *bufs, unsigned count)
{
    (void)arg;
    (void)bufs;
    net.offered += count > 0;
    return 0;
}

static void nothing(void *arg)
{
    (void)arg;
}

static void on_failed(void *arg, const struct err_info *why)
{
    (void)arg;
    fail_msg("a channel failed: %s", why->message);
}

static void on_channel_closed(void *arg)
{
    (void)arg;
    net.open--;
}

static const struct stream_events events_of_stalled = {.on_input = takes_nothing,
                                                       .on_input_end = nothing,
                                                       .on_writable = nothing,
                                                       .on_output_end = nothing,
                                                       .on_failed = on_failed,
                                                       .on_closed = on_channel_closed};

static void on_open(void *arg, struct channel *channel, enum err result, const struct err_info *why)
{
    if (result != OK) {
        fail_msg("no channel: %s", why->message);
    }
    struct stream *stream = channel_stream(channel);
    net.streams[net.open++] = stream;
    stream->events = &events_of_stalled;
    stream->owner = arg;
    stream->ops->resume(stream);
}

static void on_phase(void *arg, enum session_phase phase)
{
    (void)arg;
    net.ready = net.ready || phase == SESSION_READY;
}

static void on_closed(void *arg, const struct err_info *why)
{
    (void)arg;
    (void)why;
    net.closed = true;
    uv_close((uv_handle_t *)&net.ticks, NULL);
    session_free(net.session);
}

static void on_tick(uv_timer_t *timer)
{
    struct session_facts facts;
    (void)timer;
    session_get_facts(net.session, &facts);
    net.quiet = facts.bytes_in == net.last_in ? net.quiet + 1 : 0;
    net.last_in = facts.bytes_in;
}

/* ---- the test ---- */

static bool is_ready(void)
{
    return net.ready;
}

static bool all_are_open(void)
{
    return net.open == STALLED;
}

static bool all_is_quiet(void)
{
    return net.quiet >= QUIET_TICKS;
}

static bool all_are_closed(void)
{
    return net.open == 0;
}

static void run_until(bool (*done)(void))
{
    uint64_t begun = uv_hrtime();
    while (!done()) {
        assert_true(uv_hrtime() - begun < 120ULL * 1000000000ULL);
        assert_false(net.closed);
        (void)uv_run(&net.loop, UV_RUN_ONCE);
    }
}

static double resident_mib(void)
{
    size_t bytes = 0;
    assert_int_equal(uv_resident_set_memory(&bytes), 0);
    return (double)bytes / (1024.0 * 1024.0);
}

static int setup(void **state)
{
    (void)state;
    memset(&net, 0, sizeof net);
    (void)log_open(NULL, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    assert_int_equal(uv_loop_init(&net.loop), 0);
    assert_int_equal(uv_timer_init(&net.loop, &net.ticks), 0);
    ssh_peer_start(&net.peer, &net.loop);
    net.peer.on_channel = on_peer_channel;
    net.peer.on_sent = on_peer_sent;
    ssh_peer_spec(&net.peer, &net.spec);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ssh_peer_stop(&net.peer);
    (void)uv_run(&net.loop, UV_RUN_DEFAULT);
    host_spec_deinit(&net.spec);
    return uv_loop_close(&net.loop);
}

static void readers_that_stall_stay_under_the_ceiling(void **state)
{
    const struct session_events events = {.on_phase = on_phase, .on_closed = on_closed};
    (void)state;
    net.session = session_new(&net.loop, &net.spec, false, "test", &events);
    assert_non_null(net.session);
    session_start(net.session);
    (void)uv_timer_start(&net.ticks, on_tick, TICK_MS, TICK_MS);
    run_until(is_ready);
    double before = resident_mib();
    for (size_t i = 0; i < STALLED; i++) {
        assert_non_null(session_open_tcp(net.session, "stalled", 1, "127.0.0.1", 1, on_open, NULL));
    }
    run_until(all_are_open);
    net.flooding = true;
    net.quiet = 0;
    on_peer_sent(&net.peer);
    run_until(all_is_quiet);
    double growth = resident_mib() - before;
    assert_int_equal(net.offered, STALLED); /* each was offered something once, and took nothing */
    print_message("%d stalled readers, %.1f MiB sent to them: %.1f MiB\n", STALLED, (double)net.sent / 1048576.0,
                  growth);
    net.flooding = false;
    for (size_t i = 0; i < STALLED; i++) {
        net.streams[i]->ops->close(net.streams[i]);
    }
    run_until(all_are_closed);
    session_stop(net.session, 1000);
    (void)uv_run(&net.loop, UV_RUN_DEFAULT);
    assert_true(net.closed);
    assert_true(growth < CEILING_MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(readers_that_stall_stay_under_the_ceiling, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
