/* The connection layer: what channels carry, and how they end. */
#include "mux/mux_net.h"

/* ---- data ---- */

static void writes_stop_at_the_window(void **state)
{
    static const int deltas[] = {-1, 0, 1};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        static struct owner owner;
        uint32_t id = open_channel(&owner, 1000);
        size_t wanted = (size_t)(1000 + deltas[i]);
        size_t taken = wanted < 1000 ? wanted : 1000;
        assert_int_equal(write_zeros(&owner, wanted), taken);
        assert_int_equal(expect_sent(94, 5), taken);
        turn();
        assert_int_equal(owner.writables, 0);
        peer_sends("buu", 93, id, 1U);
        turn();
        assert_int_equal(owner.writables, wanted > taken ? 1 : 0);
        size_t left = 1000 - taken + 1;
        assert_int_equal(write_zeros(&owner, 10), left);
        assert_int_equal(expect_sent(94, 5), left);
        close_both(&owner, id);
    }
}

static void writes_are_cut_into_packets(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    assert_int_equal(write_zeros(&owner, 2 * PACKET + 1), 2 * PACKET + 1);
    assert_int_equal(expect_sent(94, 5), PACKET);
    assert_int_equal(expect_sent(94, 5), PACKET);
    assert_int_equal(expect_sent(94, 5), 1);
    close_both(&owner, id);

    id = begin_open(&owner);
    peer_sends("buuuu", 91, id, 100 + id, (unsigned)WINDOW, 5U); /* a peer that takes small packets */
    turn();
    assert_int_equal(write_zeros(&owner, 12), 12);
    assert_int_equal(expect_sent(94, 5), 5);
    assert_int_equal(expect_sent(94, 5), 5);
    assert_int_equal(expect_sent(94, 5), 2);
    close_both(&owner, id);
}

/* A peer whose largest packet is of no bytes could never be sent anything: not a reason to turn for ever. */
static void a_channel_that_takes_packets_of_nothing_breaks_the_protocol(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = begin_open(&owner);
    peer_sends("buuuu", 91, id, 100 + id, (unsigned)WINDOW, 0U);
    turn();
    assert_string_not_equal(net.violation, "");
    assert_int_equal(owner.opened, 1);
    assert_int_not_equal(owner.open_result, OK);
}

static void an_offer_that_takes_packets_of_nothing_is_refused(void **state)
{
    (void)state;
    peer_sends("bsuuususu", 90, "forwarded-tcpip", 5U, (unsigned)WINDOW, 0U, "localhost", 14444U, "10.0.0.7", 5555U);
    turn();
    assert_int_equal(net.offers, 0);
    assert_int_equal(expect_sent(92, 1), 5);
}

static void a_full_link_makes_writers_wait_in_turn(void **state)
{
    static struct owner owners[3];
    uint32_t ids[3];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        ids[i] = open_channel(&owners[i], WINDOW);
    }
    net.data_room = 0;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(write_zeros(&owners[i], 100), 0);
    }
    turn();
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(owners[i].writables, 0);
    }
    net.data_room = SIZE_MAX / 2;
    turn();
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(owners[i].writables, 1);
        close_both(&owners[i], ids[i]);
    }
}

/* Who is told that there is no room is told of it when there is, as who wrote too much. */
static void who_asks_for_room_in_vain_waits_for_it(void **state)
{
    static struct owner owners[2];
    (void)state;
    uint32_t id = open_channel(&owners[0], PACKET);
    (void)open_channel(&owners[1], WINDOW);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(write_zeros(&owners[i], PACKET), PACKET);
    }
    net.data_room = 0;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(owners[i].stream->ops->room(owners[i].stream), 0);
        assert_int_equal(owners[i].stream->ops->room(owners[i].stream), 0);
    }
    turn();
    assert_int_equal(owners[0].writables + owners[1].writables, 0);
    net.data_room = 1000;
    turn();
    assert_int_equal(owners[0].writables, 0);
    assert_int_equal(owners[1].writables, 1);
    assert_int_equal(owners[1].stream->ops->room(owners[1].stream), 1000);
    peer_sends("buu", 93, id, 10U);
    turn();
    assert_int_equal(owners[0].writables, 1);
    assert_int_equal(owners[0].stream->ops->room(owners[0].stream), 10);
    turn();
    assert_int_equal(owners[0].writables + owners[1].writables, 2);
}

/* Three read sockets that always have something, the first of them first each time. */
static void who_found_no_room_is_told_first_the_next_time(void **state)
{
    static struct owner owners[3];
    size_t turns_first[3] = {0, 0, 0};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        (void)open_channel(&owners[i], 2U << 20);
    }
    net.keep_sent = false;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(write_zeros(&owners[i], PACKET), PACKET);
    }
    for (int round = 0; round < 30; round++) {
        size_t order[3] = {0, 1, 2};
        for (size_t i = 1; i < 3; i++) { /* as the loop comes to them: in the order in which they began to read again */
            for (size_t j = i; j > 0 && owners[order[j]].told_at < owners[order[j - 1]].told_at; j--) {
                size_t other = order[j];
                order[j] = order[j - 1];
                order[j - 1] = other;
            }
        }
        turns_first[order[0]]++;
        net.data_room = PACKET;
        for (size_t i = 0; i < 3; i++) {
            struct stream *stream = owners[order[i]].stream;
            if (stream->ops->room(stream) > 0) {
                assert_int_equal(write_zeros(&owners[order[i]], PACKET), PACKET);
                assert_int_equal(stream->ops->room(stream), 0);
            }
        }
        net.data_room = PACKET;
        turn();
    }
    for (size_t i = 0; i < 3; i++) {
        assert_in_range(turns_first[i], 9, 11);
    }
}

/* One that has little to say has it read at once, and it goes out before what bulk has not yet begun to send. */
static void a_keystroke_is_at_hand_when_there_is_room(void **state)
{
    static struct owner bulk, keys;
    (void)state;
    (void)open_channel(&bulk, WINDOW);
    (void)open_channel(&keys, WINDOW);
    assert_int_equal(write_zeros(&bulk, PACKET), PACKET);
    assert_int_equal(write_zeros(&keys, 1), 1);
    net.data_room = 0;
    assert_int_equal(bulk.stream->ops->room(bulk.stream), 0);
    assert_int_equal(keys.stream->ops->room(keys.stream), 1);
    assert_int_equal(write_zeros(&keys, 1), 0);
    net.data_room = PACKET;
    turn();
    assert_int_equal(bulk.writables, 1);
    assert_int_equal(keys.writables, 1);
    assert_int_equal(write_zeros(&keys, 1), 1);
}

/* A place is lent for one packet that nothing goes ahead of. */
static void a_place_is_that_of_the_very_next_packet(void **state)
{
    static struct owner owner;
    static uint8_t memory[1];
    size_t cap = 0;
    (void)state;
    uint32_t id = open_channel(&owner, PACKET + 100);
    const struct stream_ops *ops = owner.stream->ops;
    assert_null(ops->place(owner.stream, &cap));
    net.place = memory;
    assert_ptr_equal(ops->place(owner.stream, &cap), memory);
    assert_int_equal(cap, PACKET);
    assert_int_equal(write_zeros(&owner, PACKET), PACKET);
    assert_ptr_equal(ops->place(owner.stream, &cap), memory);
    assert_int_equal(cap, 100);
    net.data_room = 0;
    assert_null(ops->place(owner.stream, &cap));
    net.data_room = SIZE_MAX / 2;
    mux_keepalive(net.mux, NULL, NULL); /* waits to be sent, and would be sealed there */
    assert_null(ops->place(owner.stream, &cap));
    turn();
    assert_ptr_equal(ops->place(owner.stream, &cap), memory);
    peer_sends("bu", 97, id);
    assert_null(ops->place(owner.stream, &cap));
}

static void a_channel_without_window_does_not_hold_up_others(void **state)
{
    static struct owner stuck;
    static struct owner free_one;
    (void)state;
    (void)open_channel(&stuck, 0);
    (void)open_channel(&free_one, WINDOW);
    assert_int_equal(write_zeros(&stuck, 10), 0);
    net.data_room = 0;
    assert_int_equal(write_zeros(&free_one, 10), 0);
    net.data_room = 1000;
    turn();
    assert_int_equal(stuck.writables, 0);
    assert_int_equal(free_one.writables, 1);
}

static void the_window_is_granted_again_once_half_is_read(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    peer_sends_data(id, WINDOW / 2 - 1);
    turn();
    expect_nothing_sent();
    peer_sends_data(id, 1);
    turn();
    assert_int_equal(owner.received, WINDOW / 2);
    assert_int_equal(expect_sent(93, 5), WINDOW / 2);
    peer_sends_data(id, WINDOW); /* exactly what is granted now */
    turn();
    assert_string_equal(net.violation, "");
    assert_int_equal(owner.received, WINDOW / 2 + WINDOW);
    assert_int_equal(expect_sent(93, 5), WINDOW);
    close_both(&owner, id);
}

static void a_reader_that_stops_keeps_its_window_closed(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    owner.take = 100;
    peer_sends_data(id, WINDOW);
    turn();
    assert_int_equal(owner.received, 100);
    expect_nothing_sent();
    turn();
    assert_int_equal(owner.received, 100); /* nothing more is offered before resume */
    owner.take = SIZE_MAX / 2;
    owner.stream->ops->resume(owner.stream);
    assert_int_equal(owner.received, 100); /* and never from inside it */
    turn();
    assert_int_equal(owner.received, WINDOW);
    assert_int_equal(expect_sent(93, 5), WINDOW);
    close_both(&owner, id);
}

/* A packet of its own for each byte would cost a hundred times the window. */
static void small_packets_behind_others_are_gathered(void **state)
{
    enum { COUNT = 20000, EACH = 3 };
    static struct owner owner;
    size_t pieces = 0, at = 0;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    owner.stream->ops->freeze(owner.stream);
    for (unsigned i = 0; i < COUNT; i++) {
        const uint8_t bytes[12] = {
            94,   (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id, 0, 0, 0,
            EACH, (uint8_t)(i >> 16),  (uint8_t)(i >> 8),   (uint8_t)i};
        peer_sends_bytes(bytes, sizeof bytes);
    }
    for (const struct inbound *in = owner.channel->in_head; in != NULL; in = in->next) {
        for (size_t j = in->offset; j < in->end; j++) {
            assert_int_equal(in->packet[j], (uint8_t)(at / EACH >> (8 * (EACH - 1 - at % EACH))));
            at++;
        }
        pieces++;
    }
    assert_int_equal(at, COUNT * EACH);
    assert_true(pieces <= COUNT * EACH / 4000 + 2);
    owner.stream->ops->resume(owner.stream);
    turn();
    assert_int_equal(owner.received, COUNT * EACH);
    close_both(&owner, id);
}

/* One that is offered when the pool is low has a smaller window, and grows into what the path needs. */
static void a_stalled_peer_is_given_a_larger_window(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    net.now_us = 1000000;
    peer_sends_data(id, WINDOW);
    turn();
    assert_int_equal(expect_sent(93, 5), WINDOW);
    net.now_us += 50000; /* a round trip, in which the peer had nothing left to send */
    peer_sends_data(id, PACKET);
    turn();
    assert_int_equal(expect_sent(93, 5), WINDOW);
    assert_int_equal(owner.channel->window.size, 2 * WINDOW);
    close_both(&owner, id);
    assert_int_equal(net.mux->windows.growth_free, POOL_GROWTH_BYTES);
    assert_int_equal(net.mux->windows.first_free, POOL_FIRST_BYTES);
}

static void data_over_the_window_breaks_the_protocol(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    owner.take = 0;
    peer_sends_data(id, WINDOW);
    assert_string_equal(net.violation, "");
    peer_sends_data(id, 1);
    assert_string_not_equal(net.violation, "");
    turn();
    assert_int_equal(owner.failed, 1);
    assert_int_equal(owner.fail_code, ERR_PROTOCOL);
    assert_int_equal(owner.closed, 1);
}

static void extended_data_is_thrown_away_and_granted_again(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    for (size_t i = 0; i < WINDOW / PACKET; i++) {
        peer_sends("buuz", 95, id, 1U, (unsigned)PACKET);
    }
    turn();
    assert_int_equal(owner.received, 0);
    assert_int_equal(expect_sent(93, 5), WINDOW / 2);
    assert_int_equal(expect_sent(93, 5), WINDOW / 2);
    close_both(&owner, id);
}

static void a_window_over_4_gib_breaks_the_protocol(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, UINT32_MAX);
    peer_sends("buu", 93, id, 0U);
    assert_string_equal(net.violation, "");
    peer_sends("buu", 93, id, 1U);
    assert_string_not_equal(net.violation, "");
}

/* ---- ends ---- */

/* EOF and CLOSE of both sides in every order: 'e' our end, 'c' our close, 'E' and 'C' the peer's. */
static void every_order_of_ends_works(void **state)
{
    static const char *const orders[] = {"eEcC", "EecC", "EeCc", "eECc", "ecC", "ecEC", "EcC", "ECc", "eCc", "Cc",
                                         "cC",   "cEC",  "CEc",  "eEC",  "EeC", "EC",   "C",   "eC",  "EcCx"};
    (void)state;
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        static struct owner owner;
        uint32_t id = open_channel(&owner, WINDOW);
        bool peer_eof = false;
        bool peer_close = false;
        owner.close_on_fail = strchr(orders[i], 'c') == NULL; /* else it answers a CLOSE when it is its turn */
        for (const char *at = orders[i]; *at != '\0' && *at != 'x'; at++) {
            switch (*at) {
            case 'e': owner.stream->ops->end(owner.stream); break;
            case 'c': owner.stream->ops->close(owner.stream); break;
            case 'E':
                if (!peer_close) {
                    peer_sends("bu", 96, id);
                }
                peer_eof = peer_eof || strchr(orders[i], 'c') == NULL || at < strchr(orders[i], 'c');
                break;
            default:
                peer_sends("bu", 97, id);
                peer_close = true;
                break;
            }
            turn();
        }
        assert_string_equal(net.violation, "");
        assert_int_equal(owner.closed, 1);
        assert_true(owner.input_ends <= 1 && owner.failed <= 1 && owner.output_ends <= 1);
        assert_true(!peer_eof || owner.input_ends == 1);
        assert_int_equal(mux_channel_count(net.mux), 0);
        size_t closes = 0;
        for (size_t j = 0; j < net.sent_count; j++) {
            closes += net.sent[j].type == 97;
        }
        assert_int_equal(closes, 1);
        forget_sent();
    }
    static struct owner owner;
    assert_int_equal(begin_open(&owner), 0); /* all ids are free again */
}

static void a_slow_reader_gets_all_before_the_peers_close(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    owner.take = 10;
    peer_sends_data(id, WINDOW);
    peer_sends("bu", 96, id);
    peer_sends("bu", 97, id);
    turn();
    assert_int_equal(owner.input_ends + owner.failed, 0);
    while (owner.closed == 0) {
        owner.take = WINDOW / 64;
        owner.stream->ops->resume(owner.stream);
        turn();
    }
    assert_int_equal(owner.received, WINDOW);
    assert_int_equal(owner.input_ends, 1);
    assert_int_equal(owner.fail_code, OK);
    assert_int_equal(owner.closed, 1);
}

static void data_after_an_end_is_not_delivered(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    peer_sends("bu", 96, id);
    turn();
    peer_sends_data(id, 10);
    peer_sends("bu", 96, id);
    turn();
    assert_int_equal(owner.received, 0);
    assert_int_equal(owner.input_ends, 1);
    close_both(&owner, id);
}

static void a_close_from_inside_input_is_safe(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    owner.close_on_input = true;
    peer_sends_data(id, 3 * PACKET);
    turn();
    assert_int_equal(owner.closed, 1);
    assert_int_equal(expect_sent(97, 1), 100 + id);
    peer_sends_data(id, 5);
    peer_sends("bu", 97, id);
    turn();
    assert_int_equal(begin_open(&owner), id);
}

static void writes_after_our_end_or_the_peers_close_go_nowhere(void **state)
{
    static struct owner owner;
    (void)state;
    uint32_t id = open_channel(&owner, WINDOW);
    owner.close_on_fail = false;
    owner.stream->ops->end(owner.stream);
    turn();
    assert_int_equal(owner.output_ends, 1);
    (void)expect_sent(96, 1);
    assert_int_equal(write_zeros(&owner, 50), 50);
    expect_nothing_sent();
    peer_sends("bu", 97, id);
    assert_int_equal(write_zeros(&owner, 50), 50);
    turn();
    (void)expect_sent(97, 1);
    expect_nothing_sent();
    owner.stream->ops->close(owner.stream);
    turn();
    assert_int_equal(owner.closed, 1);
}

int main(int argc, char **argv)
{
    set_packet_mode(argc, argv);
    const struct CMUnitTest tests[] = {
        TEST(writes_stop_at_the_window),
        TEST(writes_are_cut_into_packets),
        TEST(a_channel_that_takes_packets_of_nothing_breaks_the_protocol),
        TEST(an_offer_that_takes_packets_of_nothing_is_refused),
        TEST(a_full_link_makes_writers_wait_in_turn),
        TEST(who_asks_for_room_in_vain_waits_for_it),
        TEST(who_found_no_room_is_told_first_the_next_time),
        TEST(a_keystroke_is_at_hand_when_there_is_room),
        TEST(a_place_is_that_of_the_very_next_packet),
        TEST(a_channel_without_window_does_not_hold_up_others),
        TEST(the_window_is_granted_again_once_half_is_read),
        TEST(a_reader_that_stops_keeps_its_window_closed),
        TEST(small_packets_behind_others_are_gathered),
        TEST(a_stalled_peer_is_given_a_larger_window),
        TEST(data_over_the_window_breaks_the_protocol),
        TEST(extended_data_is_thrown_away_and_granted_again),
        TEST(a_window_over_4_gib_breaks_the_protocol),
        TEST(every_order_of_ends_works),
        TEST(a_slow_reader_gets_all_before_the_peers_close),
        TEST(data_after_an_end_is_not_delivered),
        TEST(a_close_from_inside_input_is_safe),
        TEST(writes_after_our_end_or_the_peers_close_go_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
