/* One command at the peer, over a connection layer whose peer is this file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "session/exec.h"
#include "session/internal.h"
#include "session/wire.h"

enum {
    CONFIRMATION = 91,
    OPEN_FAILURE = 92,
    DATA = 94,
    EXTENDED = 95,
    END = 96,
    CLOSE = 97,
    REQUEST = 98,
    YES = 99,
    NO = 100
};

static uv_loop_t loop;
static struct session session;
static uint8_t sent_types[32];
static size_t sent_count;
static char sent_command[64];

static struct {
    int count;
    enum err code;
    char output[64];
    bool cut;
    int64_t exit_status;
} done;

static bool link_send(void *arg, const uint8_t *head, size_t head_len, const uint8_t *body, size_t body_len)
{
    struct wire_reader reader;
    (void)arg, (void)body, (void)body_len;
    assert_true(sent_count < sizeof sent_types);
    sent_types[sent_count++] = head[0];
    if (head[0] == REQUEST) {
        wire_reader_init(&reader, head + 1, head_len - 1);
        assert_int_equal(wire_read_u32(&reader), 7);
        assert_true(wire_slice_is(wire_read_string(&reader), "exec"));
        assert_int_equal(wire_read_u8(&reader), 1);
        struct wire_slice command = wire_read_string(&reader);
        assert_true(command.len < sizeof sent_command);
        memcpy(sent_command, command.data, command.len);
    }
    return true;
}

static size_t link_data_room(void *arg)
{
    (void)arg;
    return 1000;
}

static bool link_control_room(void *arg)
{
    (void)arg;
    return true;
}

static uint64_t link_now_us(void *arg)
{
    (void)arg;
    return 1;
}

static void link_wake(void *arg)
{
    (void)arg;
}

static void link_violation(void *arg, const char *message)
{
    (void)arg;
    fail_msg("%s", message);
}

static void on_offer(void *arg, struct channel *channel, const struct channel_offer *offer)
{
    (void)arg, (void)channel, (void)offer;
    fail();
}

static void on_done(void *arg, const struct exec_result *result)
{
    (void)arg;
    done.count++;
    done.code = result->code;
    assert_true((result->code == OK) == (result->why == NULL));
    assert_int_equal(strlen(result->output), result->output_len);
    assert_true(result->output_len < sizeof done.output);
    memcpy(done.output, result->output, result->output_len + 1);
    done.cut = result->cut;
    done.exit_status = result->exit_status;
}

static int set_up(void **state)
{
    static const struct mux_link link = {.send = link_send,
                                         .data_room = link_data_room,
                                         .control_room = link_control_room,
                                         .now_us = link_now_us,
                                         .wake = link_wake,
                                         .violation = link_violation};
    static const struct mux_events events = {.on_offer = on_offer};
    (void)state;
    memset(&done, 0, sizeof done);
    memset(sent_command, 0, sizeof sent_command);
    sent_count = 0;
    session.loop = &loop;
    session.mux = mux_new(&link, &events);
    return session.mux != NULL ? uv_loop_init(&loop) : -1;
}

static void turn(void)
{
    while (mux_turn(session.mux) || mux_turn_late(session.mux)) {}
}

static int tear_down(void **state)
{
    struct err_info why;
    (void)state;
    (void)err_set(&why, ERR_CLOSED, "the link is gone");
    mux_fail(session.mux, &why);
    turn();
    assert_int_equal(mux_channel_count(session.mux), 0);
    mux_free(session.mux);
    assert_int_equal(done.count, 1);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

/* u: a number, s: a string, b: a byte. */
static void peer(uint8_t type, const char *format, ...)
{
    struct wire_writer packet;
    va_list args;
    wire_writer_init(&packet);
    wire_write_u8(&packet, type);
    wire_write_u32(&packet, 0); /* the only channel */
    va_start(args, format);
    for (; *format != 0; format++) {
        if (*format == 'u') {
            wire_write_u32(&packet, va_arg(args, unsigned));
        } else if (*format == 'b') {
            wire_write_u8(&packet, (uint8_t)va_arg(args, int));
        } else {
            const char *text = va_arg(args, const char *);
            wire_write_string(&packet, text, strlen(text));
        }
    }
    va_end(args);
    uint8_t *copy = malloc(packet.len);
    assert_non_null(copy);
    memcpy(copy, packet.data, packet.len);
    mux_packet(session.mux, copy, packet.len);
    wire_writer_deinit(&packet);
    turn();
}

static void expect_sent(size_t count, const uint8_t *types)
{
    assert_int_equal(sent_count, count);
    assert_memory_equal(sent_types, types, count);
    sent_count = 0;
}

static struct session_exec *begin(uint64_t deadline_ms)
{
    struct session_exec *exec = session_exec_start(&session, "uname -s", 8, deadline_ms, on_done, NULL);
    assert_non_null(exec);
    assert_int_equal(done.count, 0);
    turn();
    expect_sent(1, (const uint8_t[]){90});
    return exec;
}

static struct session_exec *begin_open(uint64_t deadline_ms)
{
    struct session_exec *exec = begin(deadline_ms);
    peer(CONFIRMATION, "uuu", 7, 1000, 1000);
    expect_sent(2, (const uint8_t[]){REQUEST, END});
    assert_string_equal(sent_command, "uname -s");
    return exec;
}

static void output_and_status_come_back(void **state)
{
    (void)state;
    (void)begin_open(60000);
    peer(YES, "");
    peer(DATA, "s", "Lin");
    peer(EXTENDED, "us", 1, "a complaint");
    peer(DATA, "s", "ux");
    peer(END, "");
    peer(REQUEST, "sbu", "exit-status", 0, 3);
    assert_int_equal(done.count, 0);
    peer(CLOSE, "");
    assert_int_equal(done.code, OK);
    assert_string_equal(done.output, "Linux");
    assert_int_equal(done.exit_status, 3);
    assert_false(done.cut);
    expect_sent(1, (const uint8_t[]){CLOSE});
}

static void too_much_is_cut(void **state)
{
    (void)state;
    (void)begin_open(60000);
    peer(DATA, "s", "0123456");
    peer(DATA, "s", "789");
    peer(DATA, "s", "more");
    peer(REQUEST, "sb", "exit-status", 0); /* says nothing */
    peer(REQUEST, "sb", "eow@openssh.com", 1);
    peer(CLOSE, "");
    assert_int_equal(done.code, OK);
    assert_string_equal(done.output, "01234567");
    assert_true(done.cut);
    assert_int_equal(done.exit_status, -1);
}

static void no_session_is_a_refusal(void **state)
{
    (void)state;
    (void)begin(60000);
    peer(OPEN_FAILURE, "uss", 1, "no", "");
    assert_int_equal(done.code, ERR_REFUSED);
}

static void no_command_is_a_refusal(void **state)
{
    (void)state;
    (void)begin_open(60000);
    peer(NO, "");
    expect_sent(1, (const uint8_t[]){CLOSE});
    assert_int_equal(done.code, ERR_REFUSED);
    peer(CLOSE, "");
}

static void it_ends_at_its_deadline(void **state)
{
    (void)state;
    (void)begin_open(1);
    peer(YES, "");
    while (sent_count == 0) {
        (void)uv_run(&loop, UV_RUN_ONCE);
        turn();
    }
    assert_int_equal(done.code, ERR_TIMEOUT);
    peer(CLOSE, "");
}

static void an_open_without_answer_ends_at_its_deadline(void **state)
{
    (void)state;
    (void)begin(1);
    while (done.count == 0) {
        (void)uv_run(&loop, UV_RUN_ONCE);
        turn();
    }
    assert_int_equal(done.code, ERR_TIMEOUT);
    peer(CONFIRMATION, "uuu", 7, 1000, 1000); /* too late: it is closed */
    expect_sent(1, (const uint8_t[]){CLOSE});
}

static void it_can_be_given_up(void **state)
{
    (void)state;
    session_exec_cancel(begin_open(60000));
    assert_int_equal(done.count, 0);
    turn();
    assert_int_equal(done.code, ERR_CANCELLED);
}

static void it_ends_with_the_session(void **state)
{
    struct err_info why;
    (void)state;
    (void)begin_open(60000);
    peer(DATA, "s", "Lin");
    (void)err_set(&why, ERR_CLOSED, "the link is gone");
    mux_fail(session.mux, &why);
    assert_int_equal(done.count, 0);
    turn();
    assert_int_equal(done.code, ERR_CLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(output_and_status_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_much_is_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_session_is_a_refusal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_command_is_a_refusal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_ends_at_its_deadline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_open_without_answer_ends_at_its_deadline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_can_be_given_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_ends_with_the_session, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
