#include "session/mdns.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session/mdns_wire.h"

enum {
    SOCKETS_MAX = 32,
    PORT = 5353,
    HOP_LIMIT = 255,
    ASK_AGAIN_MS = 1000,
    ASKS = 2,
    MORE_MS = 100, /* how long the other family may take to follow the first */
    PACKET_BYTES = 9000
};

struct link {
    struct mdns *mdns;
    uv_udp_t udp;
    bool is_ipv6;
    uint32_t scope;
};

struct mdns {
    uv_timer_t timer;
    struct link *links[SOCKETS_MAX];
    size_t link_count, handles;
    char *name;
    uint16_t id;
    bool ipv4, ipv6, closing;
    unsigned asked;
    uint8_t query[MDNS_QUERY_MAX_BYTES];
    size_t query_len;
    char packet[PACKET_BYTES];
    struct sockaddr_storage found[MDNS_FOUND_MAX];
    size_t found_count;
    mdns_done on_done;
    void *arg;
};

static void release(struct mdns *mdns)
{
    if (--mdns->handles > 0) {
        return;
    }
    mdns->on_done(mdns->arg, mdns->found, mdns->found_count);
    free(mdns->name);
    free(mdns);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void on_link_closed(uv_handle_t *handle)
{
    struct link *link = handle->data;
    struct mdns *mdns = link->mdns;
    free(link);
    release(mdns);
}

static void finish(struct mdns *mdns)
{
    if (mdns->closing) {
        return;
    }
    mdns->closing = true;
    uv_close((uv_handle_t *)&mdns->timer, on_timer_closed);
    for (size_t i = 0; i < mdns->link_count; i++) {
        uv_close((uv_handle_t *)&mdns->links[i]->udp, on_link_closed);
    }
}

/* ---- answers ---- */

static bool is_link_local(const struct mdns_address *address)
{
    return address->is_ipv6 && address->bytes[0] == 0xfe && (address->bytes[1] & 0xc0) == 0x80;
}

static void take(struct link *link, const struct mdns_address *address)
{
    struct mdns *mdns = link->mdns;
    struct sockaddr_storage found;
    memset(&found, 0, sizeof found);
    if (address->is_ipv6) {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)&found;
        six->sin6_family = AF_INET6;
        memcpy(&six->sin6_addr, address->bytes, 16);
        six->sin6_scope_id = is_link_local(address) ? link->scope : 0;
    } else {
        struct sockaddr_in *four = (struct sockaddr_in *)(void *)&found;
        four->sin_family = AF_INET;
        memcpy(&four->sin_addr, address->bytes, 4);
    }
    for (size_t i = 0; i < mdns->found_count; i++) {
        if (memcmp(&mdns->found[i], &found, sizeof found) == 0) {
            return;
        }
    }
    if (mdns->found_count < MDNS_FOUND_MAX) {
        mdns->found[mdns->found_count++] = found;
    }
}

static void on_enough(uv_timer_t *timer)
{
    finish(timer->data);
}

static void check_found(struct mdns *mdns)
{
    bool four = !mdns->ipv4;
    bool six = !mdns->ipv6;
    for (size_t i = 0; i < mdns->found_count; i++) {
        four = four || mdns->found[i].ss_family == AF_INET;
        six = six || mdns->found[i].ss_family == AF_INET6;
    }
    if (four && six) {
        finish(mdns);
    } else if (mdns->found_count > 0) {
        (void)uv_timer_start(&mdns->timer, on_enough, MORE_MS, 0);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct mdns *mdns = ((struct link *)handle->data)->mdns;
    (void)suggested;
    *out = uv_buf_init(mdns->packet, sizeof mdns->packet);
}

static uint16_t port_of(const struct sockaddr *from)
{
    return ntohs(from->sa_family == AF_INET6 ? ((const struct sockaddr_in6 *)(const void *)from)->sin6_port
                                             : ((const struct sockaddr_in *)(const void *)from)->sin_port);
}

static void on_packet(uv_udp_t *udp, ssize_t len, const uv_buf_t *buf, const struct sockaddr *from, unsigned flags)
{
    struct link *link = udp->data;
    struct mdns *mdns = link->mdns;
    struct mdns_addresses addresses = {.count = 0};
    size_t before = mdns->found_count;
    /* Section 6: answers come from port 5353; others are to be ignored. */
    if (mdns->closing || len <= 0 || from == NULL || port_of(from) != PORT || (flags & UV_UDP_PARTIAL) != 0 ||
        !mdns_parse_response((const uint8_t *)buf->base, (size_t)len, mdns->name, mdns->id, &addresses)) {
        return;
    }
    for (size_t i = 0; i < addresses.count; i++) {
        if (addresses.items[i].is_ipv6 ? mdns->ipv6 : mdns->ipv4) {
            take(link, &addresses.items[i]);
        }
    }
    if (mdns->found_count > before) {
        check_found(mdns);
    }
}

/* ---- questions ---- */

static void ask_on(struct link *link)
{
    struct sockaddr_storage group;
    uv_buf_t buf = uv_buf_init((char *)link->mdns->query, (unsigned)link->mdns->query_len);
    memset(&group, 0, sizeof group);
    if (link->is_ipv6) {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)&group;
        (void)uv_ip6_addr("ff02::fb", PORT, six);
        six->sin6_scope_id = link->scope;
    } else {
        (void)uv_ip4_addr("224.0.0.251", PORT, (struct sockaddr_in *)(void *)&group);
    }
    (void)uv_udp_try_send(&link->udp, &buf, 1, (const struct sockaddr *)&group); /* lost is lost; we ask again */
}

static void on_turn(uv_timer_t *timer)
{
    struct mdns *mdns = timer->data;
    if (mdns->asked == ASKS || mdns->link_count == 0 || mdns->query_len == 0) {
        finish(mdns);
        return;
    }
    mdns->asked++;
    for (size_t i = 0; i < mdns->link_count; i++) {
        ask_on(mdns->links[i]);
    }
    (void)uv_timer_start(timer, on_turn, ASK_AGAIN_MS, 0);
}

/* Binds to the card's own address, and sends multicasts through it. 0 or a libuv status. */
static int bind_link(struct link *link, const uv_interface_address_t *card)
{
    char text[INET6_ADDRSTRLEN + UV_IF_NAMESIZE + 1];
    char ip[INET6_ADDRSTRLEN];
    char zone[UV_IF_NAMESIZE];
    size_t zone_len = sizeof zone;
    struct sockaddr_storage address;
    memset(&address, 0, sizeof address);
    if (link->is_ipv6) {
        if (uv_ip6_name(&card->address.address6, ip, sizeof ip) != 0 ||
            uv_if_indextoiid(link->scope, zone, &zone_len) != 0) {
            return UV_EINVAL;
        }
        (void)snprintf(text, sizeof text, "%s%%%s", ip, zone);
        memcpy(&address, &card->address.address6, sizeof card->address.address6);
    } else {
        if (uv_ip4_name(&card->address.address4, text, sizeof text) != 0) {
            return UV_EINVAL;
        }
        memcpy(&address, &card->address.address4, sizeof card->address.address4);
    }
    int status = uv_udp_bind(&link->udp, (const struct sockaddr *)&address, 0);
    if (status == 0) {
        status = uv_udp_set_multicast_interface(&link->udp, text);
    }
    if (status == 0) {
        (void)uv_udp_set_multicast_ttl(&link->udp, HOP_LIMIT);
        status = uv_udp_recv_start(&link->udp, on_alloc, on_packet);
    }
    return status;
}

/* IPv6 is asked from link-local addresses, of which each interface has one. */
static bool is_usable(const uv_interface_address_t *card)
{
    const struct sockaddr_in6 *six = &card->address.address6;
    if (card->is_internal) {
        return false;
    }
    return card->address.address4.sin_family == AF_INET ||
           (six->sin6_family == AF_INET6 && six->sin6_scope_id != 0 && six->sin6_addr.s6_addr[0] == 0xfe &&
            (six->sin6_addr.s6_addr[1] & 0xc0) == 0x80);
}

static void add_link(struct mdns *mdns, uv_loop_t *loop, const uv_interface_address_t *card)
{
    struct link *link = calloc(1, sizeof *link);
    if (link == NULL || uv_udp_init(loop, &link->udp) != 0) {
        free(link);
        return;
    }
    link->mdns = mdns;
    link->udp.data = link;
    link->is_ipv6 = card->address.address4.sin_family == AF_INET6;
    link->scope = link->is_ipv6 ? card->address.address6.sin6_scope_id : 0;
    mdns->handles++;
    if (bind_link(link, card) == 0) {
        mdns->links[mdns->link_count++] = link;
    } else {
        uv_close((uv_handle_t *)&link->udp, on_link_closed);
    }
}

static void add_links(struct mdns *mdns, uv_loop_t *loop)
{
    uv_interface_address_t *interfaces = NULL;
    int count = 0;
    if (uv_interface_addresses(&interfaces, &count) != 0) {
        return;
    }
    for (int i = 0; i < count && mdns->link_count < SOCKETS_MAX; i++) {
        if (is_usable(&interfaces[i])) {
            add_link(mdns, loop, &interfaces[i]);
        }
    }
    uv_free_interface_addresses(interfaces, count);
}

struct mdns *mdns_start(uv_loop_t *loop, const char *name, int address_family, mdns_done on_done, void *arg)
{
    struct mdns *mdns = calloc(1, sizeof *mdns);
    if (mdns == NULL || (mdns->name = strdup(name)) == NULL) {
        free(mdns);
        return NULL;
    }
    mdns->on_done = on_done;
    mdns->arg = arg;
    mdns->ipv4 = address_family != 6;
    mdns->ipv6 = address_family != 4;
    (void)uv_random(NULL, NULL, &mdns->id, sizeof mdns->id, 0, NULL);
    mdns->query_len = mdns_encode_query(name, mdns->id, mdns->ipv4, mdns->ipv6, mdns->query);
    mdns->handles = 1;
    (void)uv_timer_init(loop, &mdns->timer);
    mdns->timer.data = mdns;
    add_links(mdns, loop);
    (void)uv_timer_start(&mdns->timer, on_turn, 0, 0);
    return mdns;
}

void mdns_cancel(struct mdns *mdns)
{
    finish(mdns);
}
