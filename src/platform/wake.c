#include "platform/wake.h"

#include <stdint.h>
#include <stdlib.h>

#include "platform/wake_internal.h"

enum {
    TICK_MS = 5000,
    SLEPT_MS = 5000,      /* so much beyond a tick was sleep, or a stop of the process */
    SETTLE_MS = 300,      /* a new network comes in several steps: link, address, routes */
    SETTLE_MAX_MS = 2000, /* and one that never stops changing is told of all the same */
    APART_MS = 2000       /* attempts are not to be hurried more often */
};

struct platform_wake {
    uv_timer_t tick, settle;
    struct network_watch *network;
    platform_wake_cb *on_wake;
    void *arg;
    int64_t ticked_wall_ms; /* by the clock on the wall, which goes on during sleep */
    uint64_t ticked_ms;
    uint64_t changing_since_ms; /* the first change that was not told of; 0: none */
    uint64_t told_ms;           /* the last change of network that was */
    unsigned open;
};

static int64_t wall_clock_ms(void)
{
    uv_timeval64_t now = {0, 0};
    (void)uv_gettimeofday(&now);
    return now.tv_sec * 1000 + now.tv_usec / 1000;
}

/* Sleep is wall clock time beyond what the tick asked for. On systems whose monotonic clock goes on as well, the tick
 * is late by it; on the others only the wall clock shows it. A clock that was set forward looks the same, and costs a
 * question to each peer. */
static void on_tick(uv_timer_t *timer)
{
    struct platform_wake *wake = timer->data;
    int64_t wall_ms = wall_clock_ms();
    uint64_t now_ms = uv_now(timer->loop);
    int64_t passed_ms = wall_ms - wake->ticked_wall_ms;
    uint64_t ticked_ms = now_ms - wake->ticked_ms;
    wake->ticked_wall_ms = wall_ms;
    wake->ticked_ms = now_ms;
    if (passed_ms >= TICK_MS + SLEPT_MS || ticked_ms >= TICK_MS + SLEPT_MS) {
        wake->on_wake(wake->arg, "the system was asleep");
    }
}

static void on_settled(uv_timer_t *timer)
{
    struct platform_wake *wake = timer->data;
    wake->changing_since_ms = 0;
    wake->told_ms = uv_now(timer->loop);
    wake->on_wake(wake->arg, "the network has changed");
}

/* Told of once it is quiet, but neither too late nor too often. */
static void on_network_change(void *arg)
{
    struct platform_wake *wake = arg;
    uint64_t now = uv_now(wake->settle.loop);
    uint64_t due = now + SETTLE_MS;
    if (wake->changing_since_ms == 0) {
        wake->changing_since_ms = now;
    }
    due = due < wake->changing_since_ms + SETTLE_MAX_MS ? due : wake->changing_since_ms + SETTLE_MAX_MS;
    due = due > wake->told_ms + APART_MS ? due : wake->told_ms + APART_MS;
    (void)uv_timer_start(&wake->settle, on_settled, due > now ? due - now : 0, 0);
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
    wake->ticked_wall_ms = wall_clock_ms();
    wake->ticked_ms = uv_now(loop);
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
