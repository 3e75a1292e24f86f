/* Bulk mode of a session's socket. A fast stream wakes us for every few packets; each wake-up costs system calls and
 * leaves cold caches. While much is coming, the system is asked to wake us only for a good portion. A stream that ends
 * or pauses below that portion is noticed by a timer within two ticks, and bulk mode then stays off for a while, longer
 * each time, so that exchanges of small messages are hardly ever held. */
#include "platform/platform.h"
#include "session/internal.h"

enum {
    WINDOW_MS = 8,
    WINDOW_FULL_BYTES = 512 * 1024, /* this much within a window is bulk: 64 MB/s */
    PORTION_BYTES = 32 * 1024,
    TICK_MS = 2,
    WORTHWHILE_BYTES = 4 * 1024 * 1024, /* an episode that carried this much was worth the pause at its end */
    BACKOFF_FIRST_MS = 20,
    BACKOFF_MAX_MS = 2000
};

static void set(struct session *session, bool on)
{
    session->bulk.on = on && platform_tcp_receive_lowat(session->tcp, PORTION_BYTES);
    if (!on) {
        (void)platform_tcp_receive_lowat(session->tcp, 1);
        (void)uv_timer_stop(&session->bulk.timer);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct session *session = timer->data;
    struct bulk *bulk = &session->bulk;
    if (session->tcp == NULL) {
        (void)uv_timer_stop(timer);
        return;
    }
    if (bulk->read_since_tick || !bulk->was_dry) { /* one dry tick may be our own doing: timers come before reads */
        bulk->was_dry = !bulk->read_since_tick;
        bulk->read_since_tick = false;
        return;
    }
    set(session, false);
    if (bulk->window_bytes >= WORTHWHILE_BYTES) {
        bulk->backoff_ms = BACKOFF_FIRST_MS;
    }
    bulk->window_bytes = 0;
    bulk->not_before_ms = uv_now(session->loop) + bulk->backoff_ms;
    bulk->backoff_ms = bulk->backoff_ms < BACKOFF_MAX_MS ? bulk->backoff_ms * 2 : BACKOFF_MAX_MS;
}

void bulk_received(struct session *session, size_t bytes)
{
    struct bulk *bulk = &session->bulk;
    uint64_t now = uv_now(session->loop);
    bulk->read_since_tick = true;
    if (bulk->on) {
        bulk->window_bytes += bytes; /* of the whole episode */
        return;
    }
    if (now - bulk->window_ms > WINDOW_MS) {
        bulk->window_ms = now;
        bulk->window_bytes = 0;
    }
    bulk->window_bytes += bytes;
    if (bulk->window_bytes < WINDOW_FULL_BYTES || now < bulk->not_before_ms || session->phase != SESSION_READY) {
        return;
    }
    bulk->window_bytes = 0;
    if (now - bulk->not_before_ms > BACKOFF_MAX_MS) {
        bulk->backoff_ms = BACKOFF_FIRST_MS;
    }
    bulk->was_dry = false;
    set(session, true);
    if (bulk->on) {
        (void)uv_timer_start(&bulk->timer, on_tick, TICK_MS, TICK_MS);
    }
}

void bulk_stop(struct session *session)
{
    (void)uv_timer_stop(&session->bulk.timer);
}

void bulk_init(struct session *session)
{
    (void)uv_timer_init(session->loop, &session->bulk.timer);
    session->bulk.timer.data = session;
    session->bulk.backoff_ms = BACKOFF_FIRST_MS;
    session->handles++;
}
