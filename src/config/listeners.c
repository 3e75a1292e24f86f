/* Two forwards that would listen on the same place: found before anything starts. */
#include <stdlib.h>
#include <string.h>

#include "config/loader.h"
#include "config/text.h"

struct listener {
    const struct tunnel_entry *tunnel;
    const struct forward_spec *spec;
    const struct forward_note *note;
    size_t order;
};

/* Groups what could collide: by side, kind and port, in the order of the files within. */
static int compare_listeners(const void *a, const void *b)
{
    const struct listener *left = a;
    const struct listener *right = b;
    if (left->spec->type != right->spec->type) {
        return left->spec->type < right->spec->type ? -1 : 1;
    }
    if (left->spec->listen.kind != right->spec->listen.kind) {
        return left->spec->listen.kind < right->spec->listen.kind ? -1 : 1;
    }
    if (left->spec->listen.port != right->spec->listen.port) {
        return left->spec->listen.port < right->spec->listen.port ? -1 : 1;
    }
    return (left->order > right->order) - (left->order < right->order);
}

static bool same_group(const struct listener *a, const struct listener *b)
{
    return a->spec->type == b->spec->type && a->spec->listen.kind == b->spec->listen.kind &&
           a->spec->listen.port == b->spec->listen.port;
}

/* "*" for all addresses, "localhost" for the loopback ones. */
static const char *listen_host(const struct forward_spec *spec)
{
    static const char *const all[] = {"", "*", "0.0.0.0", "::"};
    static const char *const loopback[] = {"127.0.0.1", "::1", "localhost"};
    const char *host = spec->listen.host;
    if (host == NULL) {
        return spec->type == FORWARD_LOCAL && spec->gateway_ports ? "*" : "localhost";
    }
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(host, all[i]) == 0) {
            return "*";
        }
    }
    for (size_t i = 0; i < sizeof loopback / sizeof loopback[0]; i++) {
        if (text_equal_nocase(host, loopback[i])) {
            return "localhost";
        }
    }
    return host;
}

static bool overlap(const struct listener *a, const struct listener *b)
{
    if (a->spec->listen.kind == ENDPOINT_UNIX) {
        return strcmp(a->spec->listen.path, b->spec->listen.path) == 0;
    }
    const char *left = listen_host(a->spec);
    const char *right = listen_host(b->spec);
    /* One port on both loopback addresses is no collision. */
    if (a->spec->listen.host != NULL && b->spec->listen.host != NULL && strcmp(left, "localhost") == 0 &&
        strcmp(right, "localhost") == 0 && !text_equal_nocase(a->spec->listen.host, "localhost") &&
        !text_equal_nocase(b->spec->listen.host, "localhost")) {
        return strcmp(a->spec->listen.host, b->spec->listen.host) == 0;
    }
    return strcmp(left, "*") == 0 || strcmp(right, "*") == 0 || text_equal_nocase(left, right);
}

static bool same_peer(const struct listener *a, const struct listener *b)
{
    const struct host_spec *left = &a->tunnel->spec.host;
    const struct host_spec *right = &b->tunnel->spec.host;
    return left->hostnames.count > 0 && right->hostnames.count > 0 && left->port == right->port &&
           text_equal_nocase(left->hostnames.items[0], right->hostnames.items[0]);
}

static void complain(struct loader *loader, const struct listener *first, const struct listener *second)
{
    struct key_path root = {.up = NULL, .key = "tunnels", .index = 0};
    struct key_path tunnel = {.up = &root, .key = second->tunnel->name, .index = 0};
    struct key_path forwards = {.up = &tunnel, .key = "forwards", .index = 0};
    struct key_path item = {.up = &forwards, .key = NULL, .index = second->note->index};
    struct key_path end = {.up = &item, .key = forward_type_name(second->spec->type), .index = 0};
    char text[320];
    const struct place *place = &first->note->place;
    loader_error(loader, second->note->place, &end, "%s is already taken by tunnels.%s.forwards[%lu] at %s:%u:%u",
                 endpoint_text(&second->spec->listen, text, sizeof text), first->tunnel->name,
                 (unsigned long)first->note->index, loader->files.items[place->file], place->line, place->column);
}

static void check_group(struct loader *loader, const struct listener *listeners, size_t count)
{
    if (listeners[0].spec->listen.kind == ENDPOINT_TCP && listeners[0].spec->listen.port == 0) {
        return;
    }
    for (size_t i = 1; i < count && !loader_is_full(loader); i++) {
        for (size_t j = 0; j < i; j++) {
            if (overlap(&listeners[j], &listeners[i]) &&
                (listeners[i].spec->type == FORWARD_LOCAL || same_peer(&listeners[j], &listeners[i]))) {
                complain(loader, &listeners[j], &listeners[i]);
                break;
            }
        }
    }
}

void loader_check_listeners(struct loader *loader)
{
    size_t count = 0;
    for (size_t i = 0; i < loader->tunnel_count; i++) {
        count += loader->tunnels[i].spec.forward_count;
    }
    struct listener *listeners = calloc(count + 1, sizeof *listeners);
    if (listeners == NULL) {
        loader->out_of_memory = true;
        return;
    }
    size_t filled = 0;
    for (size_t i = 0; i < loader->tunnel_count; i++) {
        const struct tunnel_entry *tunnel = &loader->tunnels[i];
        for (size_t j = 0; j < tunnel->spec.forward_count; j++) {
            listeners[filled] = (struct listener){tunnel, &tunnel->spec.forwards[j], &tunnel->notes[j], filled};
            filled++;
        }
    }
    qsort(listeners, filled, sizeof *listeners, compare_listeners);
    for (size_t start = 0; start < filled;) {
        size_t end = start + 1;
        while (end < filled && same_group(&listeners[start], &listeners[end])) {
            end++;
        }
        check_group(loader, &listeners[start], end - start);
        start = end;
    }
    free(listeners);
}
