/* What wake.c asks of one system. Room-internal. */
#ifndef HOLDFAST_PLATFORM_WAKE_INTERNAL_H
#define HOLDFAST_PLATFORM_WAKE_INTERNAL_H

#include <uv.h>

struct network_watch;

/* Calls `on_change` on the loop for each change of addresses, links or routes. NULL where the system does not tell. */
struct network_watch *network_watch_start(uv_loop_t *loop, void (*on_change)(void *arg), void *arg);
/* May be NULL. Frees itself once its handles are closed. */
void network_watch_stop(struct network_watch *watch);

#endif
