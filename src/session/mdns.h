/* Names under .local, asked for once by multicast DNS (RFC 6762 section 5.1): for systems whose resolver does not. On
 * the loop's thread. */
#ifndef HOLDFAST_SESSION_MDNS_H
#define HOLDFAST_SESSION_MDNS_H

#include <stddef.h>
#include <uv.h>

enum { MDNS_FOUND_MAX = 16 };

struct mdns;

/* Exactly once, never inside mdns_start: the addresses found (port 0, link-local ones with their interface), of which
 * there may be none. They live during the call; the query frees itself. */
typedef void (*mdns_done)(void *arg, const struct sockaddr_storage *addresses, size_t count);

/* Asks on every interface for `name`, of `address_family` 0, 4 or 6; again after a second, and for two seconds in all.
 * NULL when out of memory. */
struct mdns *mdns_start(uv_loop_t *loop, const char *name, int address_family, mdns_done on_done, void *arg);
/* Gives up; on_done comes with what was found so far. */
void mdns_cancel(struct mdns *mdns);

#endif
