/* The receive window of one channel (RFC 4254 section 5.2): how much its peer may still send, and when it is told of
 * more. Pure: the caller brings the time.
 *
 * A fixed window carries at most its size per round trip. This one grows while the path and the reader show that they
 * would carry more: the peer sent all it might, had to wait for our grant, and the reader had meanwhile read nearly
 * all. It shrinks again when the reader is what the peer waits for. What all windows of a session have is bounded by
 * its pool.
 *
 * Not larger than the path needs: a processor that was busy elsewhere for a moment looks like a long path, and a sshd
 * that may send much keeps that much in a buffer which it moves as a whole for each piece that it adds. Room-internal.
 */
#ifndef HOLDFAST_SESSION_WINDOW_H
#define HOLDFAST_SESSION_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

enum {
    WINDOW_FIRST_BYTES = 2 * 1024 * 1024, /* at the opening of a channel, as long as the pool is well filled */
    WINDOW_LEAST_BYTES = 64 * 1024,       /* at the opening of a channel in any case */
    WINDOW_MOST_BYTES = 64 * 1024 * 1024,
    WINDOW_MARKS = 4
};

/* What the windows of one session share. Their sum stays below POOL_FIRST_BYTES + POOL_GROWTH_BYTES +
 * WINDOW_LEAST_BYTES for each channel. */
enum { POOL_FIRST_BYTES = 128 * 1024 * 1024, POOL_GROWTH_BYTES = 128 * 1024 * 1024 };

struct window_pool {
    uint32_t first_free;  /* for the windows of channels to come */
    uint32_t growth_free; /* for windows that grow */
    uint64_t path_us;     /* the least round trip that was seen; 0: none yet, and nothing is too large */
};

struct window {
    uint32_t size;     /* left + unread + consumed */
    uint32_t left;     /* what the peer may still send */
    uint32_t consumed; /* read by the owner, and not yet granted again */
    uint32_t taken;    /* of the pool's first_free */
    uint32_t grown;    /* of the pool's growth_free, part of size */
    uint32_t bonus;    /* grown, and not yet granted */
    uint32_t withheld; /* shrunk: so much less is granted */
    uint64_t received; /* bytes since the opening */
    uint64_t arrived_us, granted_us, granted_before_us;
    struct window_mark {
        uint64_t limit; /* the `received` beyond which the peer needed this grant */
        bool is_early;  /* since the window has grown, not since half of it was read */
        uint64_t granted_us, granted_before_us, granted_first_us; /* this grant, and the two before it */
    } marks[WINDOW_MARKS]; /* grants that the peer has not used yet, oldest first */
    unsigned mark_count;
};

void window_pool_init(struct window_pool *pool);
/* A round trip was seen: the least one is the path's without its queues. */
void window_pool_note_trip(struct window_pool *pool, uint64_t trip_us);
/* The path is another one, perhaps. */
void window_pool_forget_path(struct window_pool *pool);
void window_open(struct window *window, struct window_pool *pool);
/* Gives back what it has of the pool. May be called twice. */
void window_close(struct window *window, struct window_pool *pool);

/* Data has come. False when it is more than the peer may send; then nothing has changed. */
bool window_receive(struct window *window, struct window_pool *pool, uint32_t bytes, uint64_t now_us);
/* The owner has read so much of what came. */
void window_consume(struct window *window, uint32_t bytes);
/* Whether window_grant would give something: asks for no time, since it is asked with each packet. */
bool window_grant_is_due(const struct window *window);
/* How many bytes to grant to the peer now, 0 for none; they count as granted. To be asked after the two above. */
uint32_t window_grant(struct window *window, struct window_pool *pool, uint64_t now_us);

#endif
