/* Opens of ours: what they say, and their pace.
 *
 * A sshd does all that it has been asked for before it sends the first of its answers. A burst of opens that leaves at
 * once so comes back at once: while sshd connects, one after the other, nobody here has anything to do, and then sshd
 * has nothing to do until we have done our part for each. On a path so short that this is what takes the time, a burst
 * goes in groups: the next open leaves when one is answered. Where the targets are far, or never answer, that gains
 * nothing: all go after a moment without an answer, or a longer one in any case. */
#include <string.h>

#include "base/container.h"
#include "session/mux_internal.h"

enum {
    NEAR_US = 5000,  /* a path with a longer round trip, as it was seen at the login, has time for all of them anyway */
    NEAR_OPENS = 16, /* unanswered at a time; more, and sshd is alone with them; fewer, and it wakes for little */
    ROUND_TICKS = 8  /* then those that were answered meanwhile do not matter either */
};

struct channel *mux_open_begin(struct mux *mux, const char *type, struct wire_writer *packet, channel_open_cb *on_open,
                               void *arg)
{
    struct channel *channel = mux_channel_new(mux, CHANNEL_OPENING);
    if (channel == NULL) {
        return NULL;
    }
    channel->on_open = on_open;
    channel->arg = arg;
    if (!mux_attach(mux, channel)) {
        mux_channel_free(channel);
        return NULL;
    }
    wire_writer_init(packet);
    wire_write_u8(packet, MSG_CHANNEL_OPEN);
    mux_write_text(packet, type);
    wire_write_u32(packet, channel->local_id);
    wire_write_u32(packet, channel->window.left);
    wire_write_u32(packet, PACKET_BYTES);
    return channel;
}

static void send_open(struct mux *mux, struct channel *channel, const struct wire_writer *packet)
{
    channel->open_is_out = true;
    channel->open_round = mux->open_round;
    mux->opens_out++;
    mux_queue(mux, packet);
}

static bool may_send_open(const struct mux *mux)
{
    uint64_t path_us = mux->windows.path_us;
    return path_us == 0 || path_us > NEAR_US || mux->opens_out < NEAR_OPENS;
}

struct channel *mux_open_send(struct mux *mux, struct channel *channel, struct wire_writer *packet)
{
    if (mux->failed) {
        channel->dead = true;
        mux_channel_set_why(channel, ERR_CLOSED, "%s", mux->why.message);
        mux_make_ready(channel);
    } else if (!packet->failed && (!list_is_empty(&mux->unsent_opens) || !may_send_open(mux))) {
        if (list_is_empty(&mux->unsent_opens)) {
            mux->open_ticks = 0;
            mux->open_was_answered = false;
        }
        channel->unsent_open = *packet;
        list_append(&mux->unsent_opens, &channel->waiting);
        mux->link.wake(mux->link.arg);
        return channel;
    } else {
        send_open(mux, channel, packet);
    }
    wire_writer_deinit(packet);
    return channel;
}

void mux_open_settled(struct channel *channel, bool answered)
{
    struct mux *mux = channel->mux;
    if (channel->open_is_out && channel->open_round == mux->open_round) {
        mux->opens_out--;
        mux->open_was_answered = mux->open_was_answered || answered;
    }
    channel->open_is_out = false;
}

static void send_next(struct mux *mux)
{
    struct channel *channel = container_of(list_pop(&mux->unsent_opens), struct channel, waiting);
    send_open(mux, channel, &channel->unsent_open);
    wire_writer_deinit(&channel->unsent_open);
}

bool mux_open_turn(struct mux *mux)
{
    bool any = false;
    while (!list_is_empty(&mux->unsent_opens) && may_send_open(mux)) {
        send_next(mux);
        any = true;
    }
    return any;
}

bool mux_opens_wait(const struct mux *mux)
{
    return !list_is_empty(&mux->unsent_opens);
}

unsigned mux_opens_out(const struct mux *mux)
{
    return mux->opens_out;
}

void mux_opens_tick(struct mux *mux)
{
    bool is_paced = mux->open_was_answered && ++mux->open_ticks < ROUND_TICKS;
    mux->open_was_answered = false;
    if (is_paced) {
        return;
    }
    while (!list_is_empty(&mux->unsent_opens)) {
        send_next(mux);
    }
    mux->open_round++; /* those that are out say nothing about those to come */
    mux->opens_out = 0;
}

bool mux_open_is_unsent(const struct channel *channel)
{
    return channel->unsent_open.data != NULL;
}

void mux_open_withdraw(struct channel *channel)
{
    list_remove(&channel->waiting);
    wire_writer_deinit(&channel->unsent_open);
    mux_detach(channel, SLOT_FREE);
}

struct channel *mux_open_tcp(struct mux *mux, const char *host, uint16_t port, const char *originator_host,
                             uint16_t originator_port, channel_open_cb *on_open, void *arg)
{
    struct wire_writer packet;
    struct channel *channel = mux_open_begin(mux, "direct-tcpip", &packet, on_open, arg);
    if (channel == NULL) {
        return NULL;
    }
    mux_write_text(&packet, host);
    wire_write_u32(&packet, port);
    mux_write_text(&packet, originator_host);
    wire_write_u32(&packet, originator_port);
    return mux_open_send(mux, channel, &packet);
}

struct channel *mux_open_unix(struct mux *mux, const char *path, channel_open_cb *on_open, void *arg)
{
    struct wire_writer packet;
    struct channel *channel = mux_open_begin(mux, "direct-streamlocal@openssh.com", &packet, on_open, arg);
    if (channel == NULL) {
        return NULL;
    }
    mux_write_text(&packet, path);
    mux_write_text(&packet, "");
    wire_write_u32(&packet, 0);
    return mux_open_send(mux, channel, &packet);
}
