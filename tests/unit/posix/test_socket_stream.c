/* A local socket as a stream: full pipes, readers that stop, ends, aborts. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "relay/socket_stream.h"

static struct {
    uv_loop_t loop;
    struct stream *stream;
    int peer; /* the other end, blocking */
    int ours; /* with connect_tcp */
    size_t received, take, writables;
    size_t room, largest_input; /* room 0: as much as `take`, and a byte at the least */
    bool no_room;
    uint8_t *place; /* of place_bytes, NULL for none */
    size_t place_bytes, inputs_in_place;
    int input_ends, output_ends, failed, closed;
    bool freeze_in_input, close_in_input;
    enum err fail_code;
} net;

static uint8_t byte_of(size_t at)
{
    return (uint8_t)((at * 2654435761U) >> 13);
}

static size_t room(void *arg)
{
    (void)arg;
    if (net.no_room) {
        return 0;
    }
    return net.room != 0 ? net.room : net.take > 0 ? net.take : 1;
}

static uint8_t *place(void *arg, size_t *out_cap_bytes)
{
    (void)arg;
    *out_cap_bytes = net.place_bytes;
    return net.place;
}

static size_t on_input(void *arg, const uv_buf_t *bufs, unsigned count)
{
    size_t total = 0;
    (void)arg;
    for (unsigned i = 0; i < count; i++) {
        net.largest_input = bufs[i].len > net.largest_input ? bufs[i].len : net.largest_input;
        assert_true(bufs[i].len > 0);
        net.inputs_in_place += (uint8_t *)bufs[i].base == net.place;
        for (size_t j = 0; j < bufs[i].len && total < net.take; j++) {
            assert_int_equal((uint8_t)bufs[i].base[j], byte_of(net.received));
            net.received++;
            total++;
        }
    }
    net.take -= total;
    if (net.freeze_in_input) {
        net.stream->ops->freeze(net.stream);
    }
    if (net.close_in_input) {
        net.stream->ops->close(net.stream);
    }
    return total;
}

static void on_input_end(void *arg)
{
    (void)arg;
    net.input_ends++;
}

static void on_writable(void *arg)
{
    (void)arg;
    net.writables++;
}

static void on_output_end(void *arg)
{
    (void)arg;
    net.output_ends++;
}

static void on_failed(void *arg, const struct err_info *why)
{
    (void)arg;
    net.failed++;
    net.fail_code = why->code;
    net.stream->ops->close(net.stream);
}

static void on_closed(void *arg)
{
    (void)arg;
    net.closed++;
}

static const struct stream_events events = {.room = room,
                                            .place = place,
                                            .on_input = on_input,
                                            .on_input_end = on_input_end,
                                            .on_writable = on_writable,
                                            .on_output_end = on_output_end,
                                            .on_failed = on_failed,
                                            .on_closed = on_closed};

static void take_over(uv_stream_t *handle)
{
    struct socket_stream *socket = socket_stream_new(handle);
    assert_non_null(socket);
    net.stream = socket_stream_of(socket);
    net.stream->events = &events;
}

/* A TCP connection over loopback: ours in the loop, the peer's a plain descriptor. */
static void connect_tcp(void)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    uv_tcp_t *tcp = malloc(sizeof *tcp);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    (void)uv_ip4_addr("127.0.0.1", 0, &address);
    assert_non_null(tcp);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    net.peer = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(net.peer, (struct sockaddr *)&address, sizeof address), 0);
    int ours = accept(listener, NULL, NULL);
    assert_true(ours >= 0);
    (void)close(listener);
    assert_int_equal(uv_tcp_init(&net.loop, tcp), 0);
    assert_int_equal(uv_tcp_open(tcp, ours), 0);
    net.ours = ours;
    take_over((uv_stream_t *)tcp);
}

static void connect_pipe(void)
{
    int pair[2];
    uv_pipe_t *pipe = malloc(sizeof *pipe);
    assert_non_null(pipe);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(uv_pipe_init(&net.loop, pipe, 0), 0);
    assert_int_equal(uv_pipe_open(pipe, pair[0]), 0);
    net.peer = pair[1];
    take_over((uv_stream_t *)pipe);
}

static int setup(void **state)
{
    (void)state;
    memset(&net, 0, sizeof net);
    net.take = SIZE_MAX;
    net.peer = -1;
    return uv_loop_init(&net.loop);
}

static int teardown(void **state)
{
    (void)state;
    if (net.closed == 0) {
        net.stream->ops->close(net.stream);
    }
    if (net.peer >= 0) {
        (void)close(net.peer);
    }
    (void)uv_run(&net.loop, UV_RUN_DEFAULT);
    assert_int_equal(net.closed, 1);
    return uv_loop_close(&net.loop);
}

static void turn(void)
{
    for (int i = 0; i < 20; i++) {
        (void)uv_run(&net.loop, UV_RUN_NOWAIT);
    }
}

/* True for the first ten seconds: what was sent may still be on its way through a busy system, which paces it. */
static bool patient(uint64_t since_ns)
{
    return uv_hrtime() - since_ns < UINT64_C(10000000000);
}

static void receives(size_t total)
{
    uint64_t since = uv_hrtime();
    turn();
    while (net.received < total && patient(since)) {
        turn();
    }
    assert_int_equal(net.received, total);
}

static void receives_the_end(void)
{
    for (uint64_t since = uv_hrtime(); net.input_ends == 0 && patient(since);) {
        turn();
    }
    assert_int_equal(net.input_ends, 1);
}

static void peer_sends(size_t from, size_t len)
{
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = byte_of(from + i);
    }
    assert_int_equal(send(net.peer, bytes, len, MSG_NOSIGNAL), len);
    free(bytes);
}

/* Reads what the peer has; -1 for an error, else how many bytes until nothing more or the end. */
static ssize_t peer_reads(size_t from, bool *ended)
{
    static uint8_t bytes[65536];
    ssize_t total = 0;
    *ended = false;
    for (;;) {
        ssize_t got = recv(net.peer, bytes, sizeof bytes, MSG_DONTWAIT);
        if (got <= 0) {
            *ended = got == 0;
            return got < 0 && errno != EAGAIN ? -1 : total;
        }
        for (ssize_t i = 0; i < got; i++) {
            assert_int_equal(bytes[i], byte_of(from + (size_t)(total + i)));
        }
        total += got;
    }
}

static size_t write_from(size_t from, size_t len)
{
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = byte_of(from + i);
    }
    uv_buf_t bufs[2] = {uv_buf_init((char *)bytes, (unsigned)(len / 3)),
                        uv_buf_init((char *)bytes + len / 3, (unsigned)(len - len / 3))};
    size_t taken = net.stream->ops->write(net.stream, bufs, 2);
    free(bytes);
    return taken;
}

static void nothing_is_read_before_resume(void **state)
{
    (void)state;
    connect_tcp();
    peer_sends(0, 1000);
    receives(0);
    net.stream->ops->resume(net.stream);
    receives(1000);
}

static void what_is_not_taken_is_kept(void **state)
{
    (void)state;
    connect_tcp();
    net.take = 10;
    peer_sends(0, 5000);
    net.stream->ops->resume(net.stream);
    receives(10);
    for (int i = 0; i < 4; i++) { /* each resume offers the rest again, from inside itself */
        net.take = 100;
        net.stream->ops->resume(net.stream);
        assert_int_equal(net.received, 110 + 100 * i);
    }
    peer_sends(5000, 5000);
    (void)shutdown(net.peer, SHUT_WR);
    receives(410);
    assert_int_equal(net.input_ends, 0);
    net.take = SIZE_MAX;
    net.stream->ops->resume(net.stream);
    receives(10000);
    receives_the_end();
    net.stream->ops->resume(net.stream);
    turn();
    assert_int_equal(net.input_ends, 1);
}

/* What the owner cannot take now stays with the system, not in our memory. */
static void no_more_is_read_than_there_is_room_for(void **state)
{
    (void)state;
    connect_tcp();
    net.room = 5000;
    peer_sends(0, 100000);
    net.stream->ops->resume(net.stream);
    receives(100000);
    assert_int_equal(net.largest_input, 5000);
}

/* Nothing is read for an owner without room, not even the end, until it resumes. */
static void without_room_nothing_is_read(void **state)
{
    int waiting = 0;
    (void)state;
    connect_tcp();
    net.no_room = true;
    peer_sends(0, 3000);
    (void)shutdown(net.peer, SHUT_WR);
    net.stream->ops->resume(net.stream);
    for (int i = 0; i < 20; i++) {
        turn();
    }
    assert_int_equal(net.received, 0);
    assert_int_equal(net.input_ends, 0);
    assert_int_equal(ioctl(net.ours, FIONREAD, &waiting), 0);
    assert_int_equal(waiting, 3000);
    net.no_room = false;
    net.stream->ops->resume(net.stream);
    receives(3000);
    receives_the_end();
}

/* What the owner has a place for is read there, as much as fits at a time; a place too small for a read is not used. */
static void it_reads_to_the_owners_place(void **state)
{
    static uint8_t memory[8192];
    (void)state;
    connect_tcp();
    net.place = memory;
    net.place_bytes = sizeof memory;
    peer_sends(0, 100000);
    net.stream->ops->resume(net.stream);
    receives(100000);
    assert_int_equal(net.largest_input, sizeof memory);
    assert_true(net.inputs_in_place >= 100000 / sizeof memory);
    size_t before = net.inputs_in_place;
    net.place_bytes = 100;
    peer_sends(100000, 1000);
    receives(101000);
    assert_int_equal(net.inputs_in_place, before);
}

/* Held input is a copy: the place is used for other things meanwhile. */
static void what_is_held_is_not_left_in_the_place(void **state)
{
    static uint8_t memory[8192];
    (void)state;
    connect_tcp();
    net.place = memory;
    net.place_bytes = sizeof memory;
    net.take = 100;
    peer_sends(0, 5000);
    net.stream->ops->resume(net.stream);
    receives(100);
    memset(memory, 0, sizeof memory);
    net.take = SIZE_MAX;
    net.stream->ops->resume(net.stream);
    receives(5000);
}

static void a_freeze_inside_input_stops_it(void **state)
{
    (void)state;
    connect_tcp();
    net.freeze_in_input = true;
    net.stream->ops->resume(net.stream);
    peer_sends(0, 100);
    turn();
    peer_sends(100, 100);
    receives(100);
    net.freeze_in_input = false;
    net.stream->ops->resume(net.stream);
    receives(200);
}

static void a_close_inside_input_is_safe(void **state)
{
    (void)state;
    for (int held = 0; held < 2; held++) {
        net.closed = 0;
        net.received = 0;
        net.take = held ? 10 : SIZE_MAX;
        net.close_in_input = !held;
        connect_tcp();
        peer_sends(0, 1000);
        net.stream->ops->resume(net.stream);
        turn();
        if (held) {
            net.close_in_input = true;
            net.stream->ops->resume(net.stream);
            turn();
        }
        assert_int_equal(net.closed, 1);
        (void)close(net.peer);
        net.peer = -1;
    }
}

/* A reader that does not read: writes become short, then nothing is taken, and memory is bounded. */
static void writes_are_short_when_the_peer_does_not_read(void **state)
{
    size_t sent = 0;
    bool ended = false;
    (void)state;
    connect_tcp();
    for (int i = 0; i < 1000; i++) {
        size_t taken = write_from(sent, 100000);
        sent += taken;
        if (taken == 0) {
            break;
        }
        turn();
    }
    assert_int_equal(write_from(sent, 100), 0);
    assert_true(net.stream->ops->unsent(net.stream) > 0);
    assert_true(net.stream->ops->unsent(net.stream) <= 32 * 1024);
    assert_int_equal(net.writables, 0);
    size_t read = 0;
    while (read < sent) {
        ssize_t got = peer_reads(read, &ended);
        assert_true(got >= 0);
        read += (size_t)got;
        turn();
    }
    assert_int_equal(read, sent);
    assert_int_equal(net.writables, 1);
    assert_int_equal(net.stream->ops->unsent(net.stream), 0);
    assert_int_equal(write_from(sent, 100), 100);
}

static void an_end_waits_for_what_was_written(void **state)
{
    size_t sent = 0;
    bool ended = false;
    (void)state;
    connect_tcp();
    for (size_t taken = 1; taken > 0; sent += taken) {
        taken = write_from(sent, 300000);
    }
    net.stream->ops->end(net.stream);
    assert_int_equal(write_from(sent, 50), 50); /* nobody reads it any more */
    turn();
    assert_int_equal(net.output_ends, 0);
    size_t read = 0;
    for (uint64_t since = uv_hrtime(); patient(since) && !ended;) {
        ssize_t got = peer_reads(read, &ended);
        assert_true(got >= 0);
        read += (size_t)got;
        turn();
    }
    assert_true(ended);
    assert_int_equal(read, sent);
    assert_int_equal(net.output_ends, 1);
    net.stream->ops->resume(net.stream); /* the other direction goes on */
    peer_sends(0, 300);
    receives(300);
    assert_int_equal(net.input_ends, 0);
}

static void an_abort_is_a_reset(void **state)
{
    bool ended = false;
    (void)state;
    connect_tcp();
    net.stream->ops->resume(net.stream);
    assert_int_equal(write_from(0, 100), 100);
    turn();
    net.stream->ops->abort(net.stream);
    net.stream->ops->close(net.stream);
    assert_int_equal(net.closed, 0);
    turn();
    assert_int_equal(net.closed, 1);
    assert_int_equal(peer_reads(0, &ended), -1);
    assert_int_equal(errno, ECONNRESET);
}

static void a_close_is_an_end_in_order(void **state)
{
    bool ended = false;
    (void)state;
    connect_tcp();
    assert_int_equal(write_from(0, 100), 100);
    net.stream->ops->close(net.stream);
    turn();
    assert_int_equal(peer_reads(0, &ended), 100);
    assert_true(ended);
}

static void a_reset_from_the_peer_is_told_once(void **state)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    (void)state;
    connect_tcp();
    net.stream->ops->resume(net.stream);
    (void)setsockopt(net.peer, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    (void)close(net.peer);
    net.peer = -1;
    turn();
    assert_int_equal(net.failed, 1);
    assert_int_equal(net.fail_code, ERR_CLOSED);
    assert_int_equal(net.input_ends, 0);
    assert_int_equal(net.closed, 1);
}

/* The error of a write is told from the loop, never from inside write, also while nothing is read. */
static void a_write_to_a_socket_that_is_reset_fails_later(void **state)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    (void)state;
    connect_tcp();
    (void)setsockopt(net.peer, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    (void)close(net.peer);
    net.peer = -1;
    turn();
    assert_int_equal(net.failed, 0); /* frozen: nobody looked */
    assert_int_equal(write_from(0, 100), 100);
    assert_int_equal(net.failed, 0);
    turn();
    assert_int_equal(net.failed, 1);
    assert_int_equal(net.closed, 1);
}

static void an_end_of_a_socket_that_is_reset_completes(void **state)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    (void)state;
    connect_tcp();
    (void)setsockopt(net.peer, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    (void)close(net.peer);
    net.peer = -1;
    net.stream->ops->end(net.stream);
    turn();
    assert_int_equal(net.output_ends, 1);
}

static void a_close_with_writes_under_way_completes(void **state)
{
    (void)state;
    for (int hard = 0; hard < 2; hard++) {
        net.closed = 0;
        connect_tcp();
        for (size_t sent = 0, taken = 1; taken > 0; sent += taken) {
            taken = write_from(sent, 300000);
        }
        net.stream->ops->end(net.stream);
        if (hard) {
            net.stream->ops->abort(net.stream);
        } else {
            net.stream->ops->close(net.stream);
        }
        turn();
        assert_int_equal(net.closed, 1);
        assert_int_equal(net.output_ends + (int)net.writables, 0);
        (void)close(net.peer);
        net.peer = -1;
    }
}

static void a_unix_socket_works_the_same(void **state)
{
    bool ended = false;
    (void)state;
    connect_pipe();
    net.stream->ops->resume(net.stream);
    peer_sends(0, 1000);
    assert_int_equal(write_from(0, 1000), 1000);
    receives(1000);
    net.stream->ops->end(net.stream);
    turn();
    assert_int_equal(net.output_ends, 1);
    assert_int_equal(peer_reads(0, &ended), 1000);
    assert_true(ended);
    (void)shutdown(net.peer, SHUT_WR);
    turn();
    assert_int_equal(net.input_ends, 1);
    net.stream->ops->abort(net.stream);
    turn();
    assert_int_equal(net.closed, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_read_before_resume),
        TEST(what_is_not_taken_is_kept),
        TEST(no_more_is_read_than_there_is_room_for),
        TEST(without_room_nothing_is_read),
        TEST(it_reads_to_the_owners_place),
        TEST(what_is_held_is_not_left_in_the_place),
        TEST(a_freeze_inside_input_stops_it),
        TEST(a_close_inside_input_is_safe),
        TEST(writes_are_short_when_the_peer_does_not_read),
        TEST(an_end_waits_for_what_was_written),
        TEST(an_abort_is_a_reset),
        TEST(a_close_is_an_end_in_order),
        TEST(a_reset_from_the_peer_is_told_once),
        TEST(a_write_to_a_socket_that_is_reset_fails_later),
        TEST(an_end_of_a_socket_that_is_reset_completes),
        TEST(a_close_with_writes_under_way_completes),
        TEST(a_unix_socket_works_the_same),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
