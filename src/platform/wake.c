#include "platform/wake.h"

#include <stdint.h>
#include <stdlib.h>

#include "platform/wake_internal.h"

enum {
    TICK_MS = 5000,
    SLEPT_MS =
        15000, /* more than this beyond a tick was sleep; a busy or stopped process is not asked to hurry for less */
    SETTLE_MS = 2000, /* a new network comes in several steps: link, address, routes; and attempts are not to be hurried
                         more often */
};

struct platform_wake {
    uv_timer_t tick, settle;
    struct network_watch *network;
    platform_wake_cb *on_wake;
    void *arg;
    int64_t ticked_at_s; /* by the clock on the wall, which goes on during sleep */
    uint64_t ticked_at_ms;
    unsigned open;
};

static int64_t wall_clock_s(void)
{
    uv_timeval64_t now = {0, 0};
    (void)uv_gettimeofday(&now);
    return now.tv_sec;
}

/* Sleep is wall clock time beyond what the tick asked for. On systems whose monotonic clock goes on as well, the tick
 * is late by it; on the others only the wall clock shows it. A clock that was set forward looks the same, and costs a
 * question to each peer. */
static void on_tick(uv_timer_t *timer)
{
    struct platform_wake *wake = timer->data;
    int64_t now_s = wall_clock_s();
    uint64_t now_ms = uv_now(timer->loop);
    int64_t passed_ms = (now_s - wake->ticked_at_s) * 1000;
    uint64_t late_ms = now_ms - wake->ticked_at_ms;
    wake->ticked_at_s = now_s;
    wake->ticked_at_ms = now_ms;
    if (passed_ms > TICK_MS + SLEPT_MS || late_ms > TICK_MS + SLEPT_MS) {
        wake->on_wake(wake->arg, "the system was asleep");
    }
}

static void on_settled(uv_timer_t *timer)
{
    struct platform_wake *wake = timer->data;
    wake->on_wake(wake->arg, "the network has changed");
}

static void on_network_change(void *arg)
{
    struct platform_wake *wake = arg;
    if (!uv_is_active((uv_handle_t *)&wake->settle)) {
        (void)uv_timer_start(&wake->settle, on_settled, SETTLE_MS, 0);
    }
}

struct platform_wake *platform_wake_start(uv_loop_t *loop, platform_wake_cb *on_wake, void *arg)
{
    struct platform_wake *wake = calloc(1, sizeof *wake);
    if (wake == NULL) {
        return NULL;
    }
    uv_timer_t *timers[] = {&wake->tick, &wake->settle};
    for (size_t i = 0; i < 2; i++) {
        (void)uv_timer_init(loop, timers[i]);
        timers[i]->data = wake;
        wake->open++;
    }
    wake->on_wake = on_wake;
    wake->arg = arg;
    wake->ticked_at_s = wall_clock_s();
    wake->ticked_at_ms = uv_now(loop);
    (void)uv_timer_start(&wake->tick, on_tick, TICK_MS, TICK_MS);
    for (size_t i = 0; i < 2; i++) {
        uv_unref((uv_handle_t *)timers[i]);
    }
    wake->network = network_watch_start(loop, on_network_change, wake);
    return wake;
}

static void on_closed(uv_handle_t *handle)
{
    struct platform_wake *wake = handle->data;
    if (--wake->open == 0) {
        free(wake);
    }
}

void platform_wake_stop(struct platform_wake *wake)
{
    if (wake == NULL) {
        return;
    }
    network_watch_stop(wake->network);
    uv_close((uv_handle_t *)&wake->tick, on_closed);
    uv_close((uv_handle_t *)&wake->settle, on_closed);
}
