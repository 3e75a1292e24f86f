/* Messages of multicast DNS as a one-shot query needs them: RFC 6762 sections 5.1 and 6.7, RFC 1035 section 4. Pure. */
#ifndef HOLDFAST_SESSION_MDNS_WIRE_H
#define HOLDFAST_SESSION_MDNS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MDNS_QUERY_MAX_BYTES = 512, MDNS_ADDRESSES_MAX = 16 };

struct mdns_address {
    bool is_ipv6;
    uint8_t bytes[16]; /* four of them for IPv4 */
};

struct mdns_addresses {
    struct mdns_address items[MDNS_ADDRESSES_MAX];
    size_t count;
};

/* Whether a name is one of the local link: it ends in .local, with or without a dot at the end. */
bool mdns_is_local(const char *name);
/* A query for the addresses of `name`, both families or one. Returns its length, 0 for a name that cannot be asked for.
 */
size_t mdns_encode_query(const char *name, uint16_t id, bool ipv4, bool ipv6, uint8_t out[MDNS_QUERY_MAX_BYTES]);
/* Adds the addresses that a response to query `id` gives for `name`. False for what is no such response; what was read
 * up to a broken place counts. */
bool mdns_parse_response(const uint8_t *data, size_t len, const char *name, uint16_t id, struct mdns_addresses *out);

#endif
