#include "session/window.h"

#include <string.h>

enum {
    POOL_SHARE = 32,    /* of what is left in the pool, one in so many goes to the next channel */
    STEP_BYTES = 32768, /* windows are multiples of the largest packet */
    STALL_SHARE = 16,   /* the peer has waited when it was still for one in so many of the time its grant took */
    STARVED_SHARE = 8,  /* the reader keeps up when it has left less than one in so many of the window unread */
    SLOW_SHARE = 4,     /* and does not when it has left more than one in so many */
    PATH_TRIPS = 3,     /* a window that takes longer than so many round trips to pass is large enough */
    FAR_US = 5000,      /* a path on which nothing but its length takes so long */
    AT_ONCE_SHARE = 4,  /* a grant was used at once within a round trip and one in so many of it */
    SLOW_TIMES = 4      /* a window is too large for a reader that needs so many round trips for half of it */
};

void window_pool_init(struct window_pool *pool)
{
    *pool = (struct window_pool){.first_free = POOL_FIRST_BYTES, .growth_free = POOL_GROWTH_BYTES};
}

void window_pool_note_trip(struct window_pool *pool, uint64_t trip_us)
{
    if (pool->path_us == 0 || trip_us < pool->path_us) {
        pool->path_us = trip_us;
    }
}

void window_pool_forget_path(struct window_pool *pool)
{
    pool->path_us = 0;
}

void window_open(struct window *window, struct window_pool *pool)
{
    uint32_t size = pool->first_free / POOL_SHARE / STEP_BYTES * STEP_BYTES;
    if (size > WINDOW_FIRST_BYTES) {
        size = WINDOW_FIRST_BYTES;
    } else if (size < WINDOW_LEAST_BYTES) {
        size = WINDOW_LEAST_BYTES;
    }
    *window = (struct window){.size = size, .left = size};
    window->taken = size < pool->first_free ? size : pool->first_free;
    pool->first_free -= window->taken;
}

void window_close(struct window *window, struct window_pool *pool)
{
    pool->first_free += window->taken;
    pool->growth_free += window->grown;
    window->taken = window->grown = 0;
}

static void grow(struct window *window, struct window_pool *pool)
{
    uint32_t more = window->size < WINDOW_MOST_BYTES - window->size ? window->size : WINDOW_MOST_BYTES - window->size;
    more = more < pool->growth_free ? more : pool->growth_free / STEP_BYTES * STEP_BYTES;
    pool->growth_free -= more;
    window->grown += more;
    window->size += more;
    window->bonus += more;
}

/* Gives up half of the window, at most what it has grown by, as soon as the peer has used that up. */
static void shrink(struct window *window)
{
    uint32_t half = window->size / 2 / STEP_BYTES * STEP_BYTES;
    window->withheld = half < window->grown ? half : window->grown;
}

/* Whether the peer has waited for the grant. Its silence says so. A peer whose system paces what it sends has none: it
 * spreads over the whole round trip what the window lets it send in one, and takes that for what the path carries. But
 * it uses the grant as soon as it can. (So may any peer with a grant that came early, right after another.) */
static bool was_waited_for(const struct window_pool *pool, const struct window_mark *mark, uint64_t since_grant,
                           uint64_t stood_still)
{
    return stood_still >= since_grant / STALL_SHARE ||
           (!mark->is_early && pool->path_us >= FAR_US && since_grant <= pool->path_us + pool->path_us / AT_ONCE_SHARE);
}

/* Whether a path of that length takes so much at the rate seen. From one grant to the next but one a whole window
 * passes, in up to two round trips where the peer waits for each. (Half of one right after it has grown, since that is
 * a grant too.) */
static bool path_takes_more(const struct window_pool *pool, const struct window_mark *mark)
{
    return pool->path_us == 0 ||
           (mark->granted_first_us != 0 && mark->granted_us - mark->granted_first_us <= PATH_TRIPS * pool->path_us);
}

/* The first byte has come that the peer could not have sent before it had this grant. */
static void grant_is_used(struct window *window, struct window_pool *pool, const struct window_mark *mark,
                          uint64_t now_us)
{
    uint64_t since_grant = now_us - mark->granted_us;
    uint64_t stood_still = now_us - window->arrived_us;
    uint64_t between_grants = mark->granted_us - mark->granted_before_us;
    uint32_t unread = window->size - window->bonus - window->left - window->consumed;
    if (since_grant == 0 || !was_waited_for(pool, mark, since_grant, stood_still)) {
        return; /* the grant was there in time */
    }
    if (unread <= window->size / STARVED_SHARE) {
        if (path_takes_more(pool, mark)) {
            grow(window, pool);
        }
    } else if (stood_still >= since_grant && between_grants / SLOW_TIMES > since_grant &&
               unread > window->size / SLOW_SHARE && window->withheld == 0) {
        shrink(window);
    }
}

bool window_receive(struct window *window, struct window_pool *pool, uint32_t bytes, uint64_t now_us)
{
    if (bytes > window->left) {
        return false;
    }
    while (window->mark_count > 0 && window->received + bytes > window->marks[0].limit) {
        grant_is_used(window, pool, &window->marks[0], now_us);
        window->mark_count--;
        memmove(&window->marks[0], &window->marks[1], window->mark_count * sizeof window->marks[0]);
        window->arrived_us = now_us;
    }
    window->received += bytes;
    window->left -= bytes;
    window->arrived_us = now_us;
    return true;
}

static void mark_grant(struct window *window, uint64_t now_us, bool is_early)
{
    if (window->mark_count < WINDOW_MARKS) {
        window->marks[window->mark_count++] = (struct window_mark){.limit = window->received + window->left,
                                                                   .is_early = is_early,
                                                                   .granted_us = now_us,
                                                                   .granted_before_us = window->granted_us,
                                                                   .granted_first_us = window->granted_before_us};
    }
    window->granted_before_us = window->granted_us;
    window->granted_us = now_us;
}

void window_consume(struct window *window, uint32_t bytes)
{
    window->consumed += bytes;
}

bool window_grant_is_due(const struct window *window)
{
    return window->bonus != 0 || window->consumed >= window->size / 2;
}

uint32_t window_grant(struct window *window, struct window_pool *pool, uint64_t now_us)
{
    uint32_t less = window->withheld < window->consumed ? window->withheld : window->consumed;
    if (!window_grant_is_due(window)) {
        return 0;
    }
    window->withheld -= less;
    window->size -= less;
    window->grown -= less;
    pool->growth_free += less;
    uint32_t bytes = window->consumed - less + window->bonus;
    mark_grant(window, now_us, window->bonus != 0);
    window->left += bytes;
    window->consumed = window->bonus = 0;
    return bytes;
}
