/* Connecting by TCP: names resolved anew each time, all addresses tried, IPv6 and IPv4 raced (RFC 8305). */
#ifndef HOLDFAST_SESSION_DIAL_H
#define HOLDFAST_SESSION_DIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"

struct dial;

struct dial_options {
    const char *const *hosts; /* names or addresses, tried in order; copied */
    size_t host_count;
    uint16_t port;
    int address_family;       /* 0, 4 or 6 */
    const char *bind_address; /* numeric source address, or NULL; copied */
    uint64_t timeout_ms;      /* for each host: resolving and connecting together; 0: 10 s */
};

struct dial_result {
    const char *address; /* "192.0.2.1:22" or "[2001:db8::1]:22"; lives during on_done */
    size_t host_index;   /* which of the hosts answered */
};

/* OK: `tcp` is a connected handle from malloc that is now the caller's, and `result` its peer. Else `tcp` is NULL and
 * `why` tells each address tried. */
typedef void (*dial_done)(void *arg, uv_tcp_t *tcp, const struct dial_result *result, const struct err_info *why);

struct dial_events {
    /* The names are resolved and connecting begins (may come once per host, and from inside
     * dial_start for a numeric address). May be NULL. */
    void (*on_resolved)(void *arg);
    /* For who explains a connection (both NULL otherwise): the addresses of a host, and what became of each that did
     * not take the connection before another one did. `address` NULL: the host has no address, or none in time. Both
     * may come from inside dial_start. */
    void (*on_addresses)(void *arg, const char *host, const struct sockaddr_storage *addresses, size_t count,
                         bool by_multicast);
    void (*on_no_connection)(void *arg, const char *host, const struct sockaddr *address, int status);
    /* Exactly once, never inside dial_start. The dial frees itself. */
    dial_done on_done;
    void *arg;
};

/* NULL when out of memory. */
struct dial *dial_start(uv_loop_t *loop, const struct dial_options *options, const struct dial_events *events);
/* Gives up; on_done comes with ERR_CANCELLED. */
void dial_cancel(struct dial *dial);

/* "192.0.2.1:22" or "[2001:db8::1]:22". Returns `out`. */
const char *dial_address_text(const struct sockaddr *address, char *out, size_t cap_bytes);

#endif
