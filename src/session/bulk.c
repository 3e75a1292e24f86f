#include "session/bulk.h"

#include "base/container.h"
#include "platform/platform.h"

static void on_tick(uv_timer_t *timer)
{
    struct bulk *bulk = container_of(timer, struct bulk, timer);
    if (bulk->read_lately) {
        bulk->read_lately = false;
        return;
    }
    bulk_stop(bulk);
    bulk->look(bulk->arg);
}

void bulk_init(struct bulk *bulk, uv_loop_t *loop, void (*look)(void *arg), void *arg)
{
    *bulk = (struct bulk){.look = look, .arg = arg};
    (void)uv_timer_init(loop, &bulk->timer);
}

void bulk_received(struct bulk *bulk, uv_tcp_t *tcp, size_t len)
{
    uint64_t now_ms = uv_now(bulk->timer.loop);
    uint64_t span_ms = now_ms - bulk->since_ms;
    bulk->bytes += len;
    bulk->read_lately = true;
    if (span_ms < BULK_SPAN_MS) {
        return;
    }
    bool is_fast = bulk->bytes / span_ms >= BULK_SPAN_BYTES / BULK_SPAN_MS;
    bulk->since_ms = now_ms;
    bulk->bytes = 0;
    if (is_fast && !bulk->on) {
        bulk->on = platform_tcp_receive_portion(tcp, BULK_PORTION_BYTES);
        if (bulk->on) {
            bulk->tcp = tcp;
            (void)uv_timer_start(&bulk->timer, on_tick, BULK_TICK_MS, BULK_TICK_MS);
        }
    } else if (!is_fast) {
        bulk_stop(bulk);
    }
}

void bulk_stop(struct bulk *bulk)
{
    if (bulk->on) {
        bulk->on = false;
        (void)uv_timer_stop(&bulk->timer);
        (void)platform_tcp_receive_portion(bulk->tcp, 1);
        bulk->tcp = NULL;
    }
}
