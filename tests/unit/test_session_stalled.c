/* Two thousand channels whose readers on our side never read, while the peer sends as much as it may: what a session
 * takes for that has a ceiling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "peer/peer_session.h"
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

static struct peer_session net;
static struct {
    bool flooding;
    size_t open, offered;
    struct stream *streams[STALLED];
    uint32_t windows[STALLED]; /* what the peer may still send, by our number of the channel */
    uint64_t sent;             /* by the peer, in all */
    size_t next;
    uint64_t last_in;
    int quiet;
} own;

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
    for (size_t full = 0; own.flooding && full < STALLED && ssh_peer_unsent(&net.peer) < PEER_UNSENT_MAX;) {
        uint32_t id = (uint32_t)(own.next++ % STALLED);
        uint32_t part = own.windows[id] < BLOCK ? own.windows[id] : BLOCK;
        full = part == 0 ? full + 1 : 0;
        if (part > 0) {
            peer_sends(MSG_DATA, id, NULL, 0, part);
            own.windows[id] -= part;
            own.sent += part;
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
        own.windows[id] = wire_read_u32(&reader);
        peer_sends(MSG_CONFIRMATION, id, answer, 3, 0);
    } else if (type == MSG_ADJUST) {
        own.windows[id] += wire_read_u32(&reader);
    } else if (type == MSG_CLOSE) {
        peer_sends(MSG_CLOSE, id, NULL, 0, 0);
    }
}

/* ---- our side ---- */

static size_t takes_nothing(void *arg, const uv_buf_t *bufs, unsigned count)
{
    (void)arg;
    (void)bufs;
    own.offered += count > 0;
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
    own.open--;
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
    own.streams[own.open++] = stream;
    stream->events = &events_of_stalled;
    stream->owner = arg;
    stream->ops->resume(stream);
}

static void on_tick(uv_timer_t *timer)
{
    struct session_facts facts;
    (void)timer;
    session_get_facts(net.session, &facts);
    own.quiet = facts.bytes_in == own.last_in ? own.quiet + 1 : 0;
    own.last_in = facts.bytes_in;
}

/* ---- the test ---- */

static bool is_ready(void)
{
    return net.ready;
}

static bool all_are_open(void)
{
    return own.open == STALLED;
}

static bool all_is_quiet(void)
{
    return own.quiet >= QUIET_TICKS;
}

static bool all_are_closed(void)
{
    return own.open == 0;
}

static void run_until(bool (*done)(void))
{
    peer_session_run_until(&net, done, 120);
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
    memset(&own, 0, sizeof own);
    peer_session_set_up(&net);
    net.peer.on_channel = on_peer_channel;
    net.peer.on_sent = on_peer_sent;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return peer_session_tear_down(&net);
}

static void readers_that_stall_stay_under_the_ceiling(void **state)
{
    (void)state;
    peer_session_start(&net);
    peer_session_tick(&net, on_tick, TICK_MS);
    run_until(is_ready);
    double before = resident_mib();
    for (size_t i = 0; i < STALLED; i++) {
        assert_non_null(session_open_tcp(net.session, "stalled", 1, "127.0.0.1", 1, on_open, NULL));
    }
    run_until(all_are_open);
    own.flooding = true;
    own.quiet = 0;
    on_peer_sent(&net.peer);
    run_until(all_is_quiet);
    double growth = resident_mib() - before;
    assert_int_equal(own.offered, STALLED); /* each was offered something once, and took nothing */
    print_message("%d stalled readers, %.1f MiB sent to them: %.1f MiB\n", STALLED, (double)own.sent / 1048576.0,
                  growth);
    own.flooding = false;
    for (size_t i = 0; i < STALLED; i++) {
        own.streams[i]->ops->close(own.streams[i]);
    }
    run_until(all_are_closed);
    session_stop(net.session, 1000);
    (void)uv_run(&net.loop, UV_RUN_DEFAULT);
    assert_int_equal(net.closed, 1);
    assert_true(growth < CEILING_MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(readers_that_stall_stay_under_the_ceiling, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
