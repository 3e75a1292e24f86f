/* The connection layer over a link of its own, with packets made by hand: what its tests share. */
#ifndef HOLDFAST_TESTS_MUX_NET_H
#define HOLDFAST_TESTS_MUX_NET_H

/* clang-format off: cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relay/stream.h"
#include "session/mux_internal.h"
#include "session/wire.h"

enum { WINDOW = WINDOW_FIRST_BYTES, PACKET = PACKET_BYTES, SENT_MAX = 64, OWNERS = 8 };

/* ---- the link ---- */

struct sent {
    uint8_t type;
    uint8_t *data;
    size_t len;
};

struct mux_net {
    struct mux *mux;
    struct sent sent[SENT_MAX];
    size_t sent_count, sent_total, sent_bytes;
    bool keep_sent;
    size_t data_room, control_packets; /* how much may still be sent */
    size_t tellings;
    uint8_t *place; /* what link.place answers */
    size_t wakes;
    uint64_t now_us;
    char violation[128];
    struct channel *offered[OWNERS];
    struct channel_offer offer; /* a copy of the last one; its strings die with the answer */
    char offer_text[256];
    size_t offers;
};
extern struct mux_net net;

/* ---- who has a channel, and who asked for something ---- */

struct owner {
    struct channel *channel;
    struct stream *stream;
    int opened, failed, closed, input_ends, output_ends;
    enum err open_result, fail_code;
    char why[600];
    size_t received, take;     /* bytes taken so far, and how many more will be taken */
    size_t writables, told_at; /* told_at: the last of them among all of all owners, from 1 */
    bool close_on_input, close_on_fail, prohibited;
};

struct asked {
    int replies;
    enum err result;
    uint16_t port;
    int order;
};

extern int reply_order;

/* The program is run with packets that become the mux's own; with the word `lent`, with packets that are lent until the
 * mux has had its turns; and with `lent-briefly`, with such that are taken back before. */
enum packet_mode { PACKETS_GIVEN = 0, PACKETS_LENT, PACKETS_LENT_BRIEFLY };
void set_packet_mode(int argc, char **argv);

void forget_sent(void);
int setup(void **state);
void turn(void);
void fail_session(enum err code);
int teardown(void **state);
void peer_packet(struct wire_writer *packet, const char *format, ...);
void peer_sends_bytes(const uint8_t *data, size_t len);
void peer_sends(const char *format, ...);
void peer_sends_data(uint32_t id, size_t len);
uint32_t u32_at(const struct sent *sent, size_t at);
/* The oldest packet sent and not yet looked at is of `type`; returns its uint32 at `at` (0: none wanted). */
uint32_t expect_sent(uint8_t type, size_t at);
void expect_nothing_sent(void);
void take_over(struct owner *owner, struct channel *channel);
void on_open(void *arg, struct channel *channel, enum err result, const struct err_info *why);
/* Asks for a channel; returns our id as the peer sees it. */
uint32_t begin_open(struct owner *owner);
void confirm(uint32_t id, uint32_t peer_id, uint32_t window);
/* An open channel; the peer's id of it is 100 + ours. */
uint32_t open_channel(struct owner *owner, uint32_t window);
void close_both(struct owner *owner, uint32_t id);
size_t write_zeros(struct owner *owner, size_t len);
void offer_channel(uint32_t peer_id);
void on_reply(void *arg, enum err result, uint16_t port);

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
