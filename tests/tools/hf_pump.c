#include "hf_pump.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hf_net.h"

enum { READ_BYTES = 256 * 1024, TURN_LOOPS = 16 };

void hf_pump_init(struct hf_pump *pump, int fd, size_t chunk_bytes)
{
    memset(pump, 0, sizeof *pump);
    pump->fd = fd;
    pump->chunk_bytes = chunk_bytes;
    pump->out_chunk = malloc(chunk_bytes);
    if (pump->out_chunk == NULL)
        hf_die("out of memory");
}

void hf_pump_begin(struct hf_pump *pump)
{
    if (pump->check != HF_CHECK_SHA256)
        return;
    pump->in_digest = hf_digest_new();
    pump->out_digest = hf_digest_new();
}

static bool wants_to_end(const struct hf_pump *pump)
{
    if (pump->out_ended || pump->held || pump->chunk_sent < pump->chunk_len)
        return false;
    if (pump->echo)
        return pump->in_ended;
    return pump->out_done == pump->out_bytes && (pump->in_ended || !pump->ends_last);
}

static bool wants_to_send(const struct hf_pump *pump)
{
    return pump->chunk_sent < pump->chunk_len || (!pump->echo && pump->out_done < pump->out_bytes);
}

/* An echo takes no more before it has given back what it has. */
static bool wants_to_read(const struct hf_pump *pump)
{
    return !pump->in_ended && !(pump->echo && pump->chunk_sent < pump->chunk_len);
}

short hf_pump_events(const struct hf_pump *pump)
{
    short events = 0;

    if (wants_to_read(pump))
        events |= POLLIN;
    if (wants_to_send(pump) || wants_to_end(pump))
        events |= POLLOUT;
    return events;
}

static void fail(struct hf_pump *pump, const char *why)
{
    if (pump->failure == NULL)
        pump->failure = why;
}

/* Takes `len` received bytes: digest, comparison with what was expected, and the echo's copy. */
static void take(struct hf_pump *pump, const unsigned char *data, size_t len)
{
    static unsigned char expected[READ_BYTES];

    if (pump->in_digest != NULL)
        hf_digest_add(pump->in_digest, data, len);
    if (pump->echo) {
        memcpy(pump->out_chunk, data, len);
        pump->chunk_len = len;
        pump->chunk_sent = 0;
        pump->out_done += len;
        if (pump->out_digest != NULL)
            hf_digest_add(pump->out_digest, data, len);
    } else if (pump->in_done + len > pump->in_bytes) {
        fail(pump, "more bytes than were sent");
    } else if (pump->check != HF_CHECK_COUNT) {
        hf_stream_fill(pump->in_seed, pump->in_done, expected, len);
        if (memcmp(expected, data, len) != 0)
            fail(pump, "other bytes than were sent");
    }
    pump->in_done += len;
}

static bool receive(struct hf_pump *pump)
{
    static unsigned char buffer[READ_BYTES];
    size_t room = pump->echo && pump->chunk_bytes < sizeof buffer ? pump->chunk_bytes : sizeof buffer;
    ssize_t got = recv(pump->fd, buffer, room, 0);

    if (got < 0) {
        if (errno != EAGAIN && errno != EINTR)
            fail(pump, errno == ECONNRESET ? "reset" : strerror(errno));
        return false;
    }
    if (got == 0) {
        pump->in_ended = true;
        if (!pump->echo && pump->in_done < pump->in_bytes)
            fail(pump, "the stream ended early");
        return false;
    }
    take(pump, buffer, (size_t)got);
    return true;
}

static void next_chunk(struct hf_pump *pump)
{
    uint64_t left = pump->out_bytes - pump->out_done;
    size_t len = left < pump->chunk_bytes ? (size_t)left : pump->chunk_bytes;

    if (pump->check != HF_CHECK_COUNT || pump->out_done == 0)
        hf_stream_fill(pump->out_seed, pump->out_done, pump->out_chunk, len);
    if (pump->out_digest != NULL)
        hf_digest_add(pump->out_digest, pump->out_chunk, len);
    pump->out_done += len;
    pump->chunk_len = len;
    pump->chunk_sent = 0;
}

static bool transmit(struct hf_pump *pump)
{
    ssize_t sent;

    if (pump->chunk_sent == pump->chunk_len)
        next_chunk(pump);
    sent = send(pump->fd, pump->out_chunk + pump->chunk_sent, pump->chunk_len - pump->chunk_sent, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR)
            fail(pump, errno == EPIPE || errno == ECONNRESET ? "reset" : strerror(errno));
        return false;
    }
    pump->chunk_sent += (size_t)sent;
    return pump->chunk_sent == pump->chunk_len;
}

bool hf_pump_turn(struct hf_pump *pump, short revents)
{
    int loops;

    if (revents & (POLLIN | POLLHUP | POLLERR))
        for (loops = 0; loops < TURN_LOOPS && wants_to_read(pump) && receive(pump); loops++)
            ;
    /* A reset during connect shows as POLLERR alone and only to a reader or writer. */
    if (revents & (POLLOUT | POLLERR))
        for (loops = 0; loops < TURN_LOOPS && wants_to_send(pump) && transmit(pump); loops++)
            ;
    if (pump->failure == NULL && wants_to_end(pump)) {
        pump->out_ended = true;
        if (shutdown(pump->fd, SHUT_WR) < 0)
            fail(pump, "reset");
    }
    return pump->failure != NULL || (pump->in_ended && pump->out_ended);
}

void hf_pump_finish(struct hf_pump *pump, const char *label, uint64_t number)
{
    char in[65], out[65];

    hf_digest_finish(pump->in_digest, in);
    hf_digest_finish(pump->out_digest, out);
    printf("{\"%s\": %llu, \"ok\": %s, \"failure\": \"%s\", \"sent\": %llu, \"received\": %llu, "
           "\"sha256_sent\": \"%s\", \"sha256_received\": \"%s\"}\n",
           label, (unsigned long long)number, pump->failure == NULL ? "true" : "false",
           pump->failure == NULL ? "" : pump->failure, (unsigned long long)pump->out_done,
           (unsigned long long)pump->in_done, out, in);
    fflush(stdout);
    close(pump->fd);
    free(pump->out_chunk);
    pump->out_chunk = NULL;
    pump->fd = -1;
}
