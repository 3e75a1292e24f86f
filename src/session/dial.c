#include "session/dial.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session/mdns.h"
#include "session/mdns_wire.h"

enum {
    STAGGER_MS = 250, /* RFC 8305 section 5: between attempts */
    ADDRESSES_MAX = 16,
    DEFAULT_TIMEOUT_MS = 10000,
    RESOLVER_SLOW_MS = 2000 /* for a name under .local: then it is asked for by multicast too */
};

/* Lives until its socket is closed, or is the caller's: a host after it may be tried meanwhile. */
struct attempt {
    struct dial *dial;
    uv_tcp_t *tcp;
    uv_connect_t req;
    const struct sockaddr_storage *address;
    size_t index; /* in dial->attempts while it runs */
    bool over;
};

/* Lives apart from its dial: a running name lookup cannot be taken back. */
struct lookup {
    uv_getaddrinfo_t req;
    struct dial *dial; /* NULL once nobody waits for it */
};

struct dial {
    uv_loop_t *loop;
    char **hosts;
    size_t host_count, host_index;
    uint16_t port;
    int family;
    char *bind_address;
    uint64_t timeout_ms;
    int lookup_status; /* the resolver refused to begin with this host, told by the deadline timer; 0: it did not */
    struct dial_events events;
    struct lookup *lookup;
    struct mdns *mdns;
    bool mdns_asked; /* for this host */
    uv_timer_t stagger, deadline;
    struct sockaddr_storage addresses[ADDRESSES_MAX]; /* of this host */
    struct attempt *attempts[ADDRESSES_MAX];          /* those that run, NULL otherwise */
    size_t address_count, next_address;
    size_t handles; /* not yet closed: the two timers and the attempts' sockets */
    uv_tcp_t *won;
    char won_address[64];
    bool finished;       /* on_done is decided */
    struct err_info why; /* grows with each address that failed */
};

static void begin_host(struct dial *dial);
static void next_attempt(struct dial *dial);
static bool ask_by_multicast(struct dial *dial);

const char *dial_address_text(const struct sockaddr *address, char *out, size_t cap_bytes)
{
    char ip[INET6_ADDRSTRLEN] = "?";
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
        (void)uv_ip6_name(v6, ip, sizeof ip);
        (void)snprintf(out, cap_bytes, "[%s]:%u", ip, ntohs(v6->sin6_port));
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
        (void)uv_ip4_name(v4, ip, sizeof ip);
        (void)snprintf(out, cap_bytes, "%s:%u", ip, ntohs(v4->sin_port));
    }
    return out;
}

static void note_failure(struct dial *dial, enum err code, const char *what, const char *reason)
{
    size_t len = dial->why.code == OK ? 0 : strlen(dial->why.message);
    if (len + 4 < sizeof dial->why.message) {
        (void)snprintf(dial->why.message + len, sizeof dial->why.message - len, "%s%s: %s", len > 0 ? "; " : "", what,
                       reason);
    }
    dial->why.code = code;
}

/* The addresses of this host are known: tells so. */
static void tell_addresses(const struct dial *dial, bool by_multicast)
{
    if (dial->events.on_addresses != NULL) {
        dial->events.on_addresses(dial->events.arg, dial->hosts[dial->host_index], dial->addresses, dial->address_count,
                                  by_multicast);
    }
    if (dial->events.on_resolved != NULL) {
        dial->events.on_resolved(dial->events.arg);
    }
}

static void tell_no_connection(const struct dial *dial, const struct sockaddr_storage *address, int status)
{
    if (dial->events.on_no_connection != NULL) {
        dial->events.on_no_connection(dial->events.arg, dial->hosts[dial->host_index], (const struct sockaddr *)address,
                                      status);
    }
}

/* Time is up for all that this host still has under way. */
static void tell_too_late(const struct dial *dial)
{
    if (dial->address_count == 0) {
        tell_no_connection(dial, NULL, UV_ETIMEDOUT);
    }
    for (size_t i = 0; i < dial->address_count; i++) {
        if (dial->attempts[i] != NULL) {
            tell_no_connection(dial, &dial->addresses[i], UV_ETIMEDOUT);
        }
    }
}

static void dial_free(struct dial *dial)
{
    for (size_t i = 0; i < dial->host_count; i++) {
        free(dial->hosts[i]);
    }
    free(dial->hosts);
    free(dial->bind_address);
    free(dial);
}

static void release(struct dial *dial)
{
    if (--dial->handles > 0) {
        return;
    }
    const struct dial_result result = {.address = dial->won_address, .host_index = dial->host_index};
    dial->events.on_done(dial->events.arg, dial->won, &result, dial->won != NULL ? NULL : &dial->why);
    dial_free(dial);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void on_socket_closed(uv_handle_t *handle)
{
    struct attempt *attempt = handle->data;
    struct dial *dial = attempt->dial;
    free(handle);
    free(attempt);
    release(dial);
}

static void drop_attempt(struct attempt *attempt)
{
    attempt->over = true;
    attempt->dial->attempts[attempt->index] = NULL;
    uv_close((uv_handle_t *)attempt->tcp, on_socket_closed);
}

static void drop_lookup(struct dial *dial)
{
    if (dial->lookup != NULL) {
        dial->lookup->dial = NULL;
        (void)uv_cancel((uv_req_t *)&dial->lookup->req);
        dial->lookup = NULL;
    }
}

/* Ends whatever this host still has under way. */
static void drop_host(struct dial *dial)
{
    for (size_t i = 0; i < dial->address_count; i++) {
        if (dial->attempts[i] != NULL) {
            drop_attempt(dial->attempts[i]);
        }
    }
    dial->address_count = dial->next_address = 0;
    drop_lookup(dial);
    if (dial->mdns != NULL) {
        mdns_cancel(dial->mdns);
        dial->mdns = NULL;
    }
}

/* Closes everything but the winner; on_done follows when the last handle is gone. */
static void finish(struct dial *dial)
{
    if (dial->finished) {
        return;
    }
    dial->finished = true;
    drop_host(dial);
    uv_close((uv_handle_t *)&dial->stagger, on_timer_closed);
    uv_close((uv_handle_t *)&dial->deadline, on_timer_closed);
}

/* This host did not work out: the next one, or the end. */
static void host_failed(struct dial *dial)
{
    drop_host(dial);
    (void)uv_timer_stop(&dial->stagger);
    dial->host_index++;
    if (dial->host_index < dial->host_count) {
        begin_host(dial);
    } else {
        finish(dial);
    }
}

static void on_deadline(uv_timer_t *timer)
{
    struct dial *dial = timer->data;
    char text[96];
    if (dial->lookup_status != 0) {
        int status = dial->lookup_status;
        note_failure(dial, ERR_RESOLVE, dial->hosts[dial->host_index], err_uv_text(status));
        dial->lookup_status = 0;
        (void)uv_timer_start(&dial->deadline, on_deadline, dial->timeout_ms, 0);
        if (!ask_by_multicast(dial)) {
            tell_no_connection(dial, NULL, status);
            host_failed(dial);
        }
        return;
    }
    (void)snprintf(text, sizeof text, "no answer within %.3g s", (double)dial->timeout_ms / 1000.0);
    note_failure(dial, ERR_TIMEOUT, dial->hosts[dial->host_index], text);
    tell_too_late(dial);
    host_failed(dial);
}

/* One address did not work out. */
static void address_failed(struct dial *dial, const struct sockaddr_storage *address, int status)
{
    char text[64];
    enum err code = err_from_uv(status);
    note_failure(dial, code == ERR_IO ? ERR_CONNECT : code,
                 dial_address_text((const struct sockaddr *)address, text, sizeof text), err_uv_text(status));
    tell_no_connection(dial, address, status);
    bool pending = dial->next_address < dial->address_count;
    for (size_t i = 0; i < dial->next_address && !pending; i++) {
        pending = dial->attempts[i] != NULL;
    }
    if (!pending) {
        host_failed(dial);
    } else if (dial->next_address < dial->address_count) {
        next_attempt(dial);
    }
}

static void on_connect(uv_connect_t *req, int status)
{
    struct attempt *attempt = req->data;
    struct dial *dial = attempt->dial;
    if (attempt->over) {
        return;
    }
    if (status != 0) {
        drop_attempt(attempt);
        address_failed(dial, attempt->address, status);
        return;
    }
    dial->won = attempt->tcp;
    (void)dial_address_text((const struct sockaddr *)attempt->address, dial->won_address, sizeof dial->won_address);
    dial->attempts[attempt->index] = NULL;
    dial->handles--; /* its handle is the caller's now */
    free(attempt);
    finish(dial);
}

static int bind_source(const struct dial *dial, uv_tcp_t *tcp, int family)
{
    struct sockaddr_storage source;
    if (dial->bind_address == NULL) {
        return 0;
    }
    int status = family == AF_INET6 ? uv_ip6_addr(dial->bind_address, 0, (struct sockaddr_in6 *)&source)
                                    : uv_ip4_addr(dial->bind_address, 0, (struct sockaddr_in *)&source);
    return status != 0 ? status : uv_tcp_bind(tcp, (const struct sockaddr *)&source, 0);
}

static void on_stagger(uv_timer_t *timer)
{
    next_attempt(timer->data);
}

static int begin_attempt(struct dial *dial, size_t index)
{
    struct attempt *attempt = calloc(1, sizeof *attempt);
    uv_tcp_t *tcp = malloc(sizeof *tcp);
    int status = attempt == NULL || tcp == NULL ? UV_ENOMEM : uv_tcp_init(dial->loop, tcp);
    if (status != 0) {
        free(attempt);
        free(tcp);
        return status;
    }
    *attempt = (struct attempt){.dial = dial, .tcp = tcp, .address = &dial->addresses[index], .index = index};
    dial->attempts[index] = attempt;
    dial->handles++;
    tcp->data = attempt;
    attempt->req.data = attempt;
    status = bind_source(dial, tcp, attempt->address->ss_family);
    if (status == 0) {
        status = uv_tcp_connect(&attempt->req, tcp, (const struct sockaddr *)attempt->address, on_connect);
    }
    if (status != 0) {
        drop_attempt(attempt);
    }
    return status;
}

static void next_attempt(struct dial *dial)
{
    if (dial->finished || dial->next_address >= dial->address_count) {
        return;
    }
    size_t index = dial->next_address++;
    int status = begin_attempt(dial, index);
    if (status != 0) {
        address_failed(dial, &dial->addresses[index], status);
        return;
    }
    (void)uv_timer_start(&dial->stagger, on_stagger, STAGGER_MS, 0);
}

static void add_address(struct dial *dial, const struct addrinfo *info)
{
    memcpy(&dial->addresses[dial->address_count++], info->ai_addr, info->ai_addrlen);
}

static const struct addrinfo *next_of_family(const struct addrinfo *at, int family)
{
    while (at != NULL && at->ai_family != family) {
        at = at->ai_next;
    }
    return at;
}

/* The resolver's order, families taking turns (RFC 8305 section 4). */
static void sort_addresses(struct dial *dial, const struct addrinfo *list)
{
    int first = list->ai_family;
    int second = first == AF_INET6 ? AF_INET : AF_INET6;
    const struct addrinfo *a = next_of_family(list, first);
    const struct addrinfo *b = next_of_family(list, second);
    while ((a != NULL || b != NULL) && dial->address_count < ADDRESSES_MAX) {
        if (a != NULL) {
            add_address(dial, a);
            a = next_of_family(a->ai_next, first);
        }
        if (b != NULL && dial->address_count < ADDRESSES_MAX) {
            add_address(dial, b);
            b = next_of_family(b->ai_next, second);
        }
    }
}

/* ---- names under .local ---- */

/* Who asked by multicast, kept apart: the dial may be at another host by the time the answer comes. */
struct multicast {
    struct dial *dial;
    size_t host_index;
};

static void on_multicast(void *arg, const struct sockaddr_storage *addresses, size_t count)
{
    struct multicast *multicast = arg;
    struct dial *dial = multicast->dial;
    bool current = !dial->finished && dial->mdns != NULL && dial->host_index == multicast->host_index;
    free(multicast);
    if (current) {
        dial->mdns = NULL;
        for (size_t i = 0; i < count && dial->address_count < ADDRESSES_MAX; i++) {
            struct sockaddr_storage *address = &dial->addresses[dial->address_count++];
            *address = addresses[i];
            ((struct sockaddr_in *)(void *)address)->sin_port = htons(dial->port); /* the same place in both families */
        }
        if (count > 0) {
            drop_lookup(dial);
            (void)uv_timer_stop(&dial->stagger);
            tell_addresses(dial, true);
            next_attempt(dial);
        } else if (dial->lookup == NULL) { /* the resolver has failed before */
            note_failure(dial, ERR_RESOLVE, dial->hosts[dial->host_index],
                         "nobody answers to this name on the local network");
            tell_no_connection(dial, NULL, UV_EAI_NONAME);
            host_failed(dial);
        }
    }
    release(dial);
}

/* Asks for this host by multicast DNS if its name is one for it. True: an answer will come. */
static bool ask_by_multicast(struct dial *dial)
{
    const char *host = dial->hosts[dial->host_index];
    if (dial->mdns != NULL) {
        return true;
    }
    if (dial->mdns_asked || !mdns_is_local(host)) {
        return false;
    }
    struct multicast *multicast = malloc(sizeof *multicast);
    if (multicast == NULL) {
        return false;
    }
    *multicast = (struct multicast){.dial = dial, .host_index = dial->host_index};
    dial->mdns_asked = true;
    dial->mdns = mdns_start(dial->loop, host, dial->family, on_multicast, multicast);
    if (dial->mdns == NULL) {
        free(multicast);
        return false;
    }
    dial->handles++;
    return true;
}

static void on_resolver_slow(uv_timer_t *timer)
{
    (void)ask_by_multicast(timer->data);
}

static void on_lookup(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct lookup *lookup = (struct lookup *)req->data;
    struct dial *dial = lookup->dial;
    free(lookup);
    if (dial == NULL) {
        uv_freeaddrinfo(list);
        return;
    }
    dial->lookup = NULL;
    if (status != 0 || list == NULL) {
        uv_freeaddrinfo(list);
        note_failure(dial, ERR_RESOLVE, dial->hosts[dial->host_index],
                     status != 0 ? err_uv_text(status) : "the name has no address");
        if (!ask_by_multicast(dial)) {
            tell_no_connection(dial, NULL, status != 0 ? status : UV_EAI_NODATA);
            host_failed(dial);
        }
        return;
    }
    sort_addresses(dial, list);
    uv_freeaddrinfo(list);
    if (dial->mdns != NULL) {
        mdns_cancel(dial->mdns);
        dial->mdns = NULL;
    }
    tell_addresses(dial, false);
    next_attempt(dial);
}

/* An address needs no resolver, nor a place in its queue behind names whose servers do not answer. */
static bool use_literal(struct dial *dial)
{
    const char *host = dial->hosts[dial->host_index];
    struct sockaddr_storage address;
    bool v4 = dial->family != 6 && uv_ip4_addr(host, dial->port, (struct sockaddr_in *)&address) == 0;
    if (!v4 && (dial->family == 4 || strchr(host, '%') != NULL ||
                uv_ip6_addr(host, dial->port, (struct sockaddr_in6 *)&address) != 0)) {
        return false;
    }
    dial->addresses[0] = address;
    dial->address_count = 1;
    tell_addresses(dial, false);
    next_attempt(dial);
    return true;
}

static void begin_host(struct dial *dial)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    char service[8];
    int status = UV_ENOMEM;
    dial->lookup_status = 0;
    dial->mdns_asked = false;
    hints.ai_family = dial->family == 4 ? AF_INET : dial->family == 6 ? AF_INET6 : AF_UNSPEC;
    (void)snprintf(service, sizeof service, "%u", dial->port);
    (void)uv_timer_start(&dial->deadline, on_deadline, dial->timeout_ms, 0);
    if (use_literal(dial)) {
        return;
    }
    if (mdns_is_local(dial->hosts[dial->host_index])) {
        (void)uv_timer_start(&dial->stagger, on_resolver_slow, RESOLVER_SLOW_MS, 0);
    }
    dial->lookup = calloc(1, sizeof *dial->lookup);
    if (dial->lookup != NULL) {
        dial->lookup->dial = dial;
        dial->lookup->req.data = dial->lookup;
        status =
            uv_getaddrinfo(dial->loop, &dial->lookup->req, on_lookup, dial->hosts[dial->host_index], service, &hints);
    }
    if (status != 0) { /* told by the next tick, never from inside dial_start */
        free(dial->lookup);
        dial->lookup = NULL;
        dial->lookup_status = status;
        (void)uv_timer_start(&dial->deadline, on_deadline, 0, 0);
    }
}

struct dial *dial_start(uv_loop_t *loop, const struct dial_options *options, const struct dial_events *events)
{
    struct dial *dial = calloc(1, sizeof *dial);
    if (dial == NULL || (dial->hosts = calloc(options->host_count, sizeof *dial->hosts)) == NULL) {
        free(dial);
        return NULL;
    }
    dial->host_count = options->host_count;
    bool complete = true;
    for (size_t i = 0; i < options->host_count; i++) {
        dial->hosts[i] = strdup(options->hosts[i]);
        complete = complete && dial->hosts[i] != NULL;
    }
    if (options->bind_address != NULL) {
        dial->bind_address = strdup(options->bind_address);
        complete = complete && dial->bind_address != NULL;
    }
    if (!complete) {
        dial_free(dial);
        return NULL;
    }
    dial->loop = loop;
    dial->port = options->port;
    dial->family = options->address_family;
    dial->timeout_ms = options->timeout_ms != 0 ? options->timeout_ms : DEFAULT_TIMEOUT_MS;
    dial->events = *events;
    (void)uv_timer_init(loop, &dial->stagger);
    (void)uv_timer_init(loop, &dial->deadline);
    dial->stagger.data = dial->deadline.data = dial;
    dial->handles = 2;
    begin_host(dial);
    return dial;
}

static void on_won_closed(uv_handle_t *handle)
{
    struct dial *dial = handle->data;
    free(handle);
    release(dial);
}

void dial_cancel(struct dial *dial)
{
    if (dial->why.code == ERR_CANCELLED || (dial->finished && dial->won == NULL)) {
        return;
    }
    dial->why.code = OK;
    note_failure(dial, ERR_CANCELLED, dial->hosts[dial->host_index], "given up");
    if (dial->won != NULL) { /* it has just connected, and nobody was told */
        dial->won->data = dial;
        dial->handles++;
        uv_close((uv_handle_t *)dial->won, on_won_closed);
        dial->won = NULL;
    }
    finish(dial);
}
