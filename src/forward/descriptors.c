/* How many sockets the forwards hold, against what the system gives the process. */
#include "base/container.h"
#include "base/log.h"
#include "forward/internal.h"
#include "platform/platform.h"

enum { RESERVE = 64 /* for sessions, names, keys and the log */ };

static struct {
    unsigned long used, limit;
    struct list paused;
    bool known, told;
} descriptors;

static void learn(void)
{
    if (!descriptors.known) {
        unsigned long limit = platform_descriptor_limit();
        descriptors.known = true;
        descriptors.limit = limit > 2UL * RESERVE ? limit - RESERVE : limit / 2;
        list_init(&descriptors.paused);
    }
}

bool descriptors_take(void)
{
    learn();
    if (descriptors.limit != 0 && descriptors.used >= descriptors.limit) {
        return false;
    }
    descriptors.used++;
    return true;
}

void descriptors_give(void)
{
    descriptors.used--;
    if (list_is_empty(&descriptors.paused) || descriptors.used + RESERVE / 4 > descriptors.limit) {
        return;
    }
    struct listener *listener = container_of(list_pop(&descriptors.paused), struct listener, paused);
    if (list_is_empty(&descriptors.paused)) {
        descriptors.told = false;
    }
    local_accept(listener);
}

bool descriptors_or_pause(struct listener *listener)
{
    if (descriptors_take()) {
        return true;
    }
    if (list_is_empty(&listener->paused)) {
        list_append(&descriptors.paused, &listener->paused);
    }
    if (!descriptors.told) {
        descriptors.told = true;
        log_warning(listener->forward->log_name,
                    "%lu sockets are open, the limit of this process; new connections wait (raise it with `ulimit -n`)",
                    descriptors.used);
    }
    return false;
}

void descriptors_forget(struct listener *listener)
{
    list_remove(&listener->paused);
}
