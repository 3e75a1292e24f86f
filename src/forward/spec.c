#include "forward/spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/same_text.h"

void forward_spec_init(struct forward_spec *spec)
{
    memset(spec, 0, sizeof *spec);
    spec->hold_ms = 10000;
    spec->probe_interval_ms = 30000;
}

enum err forward_spec_copy(struct forward_spec *to, const struct forward_spec *from)
{
    *to = *from;
    memset(&to->listen, 0, sizeof to->listen);
    memset(&to->to, 0, sizeof to->to);
    if (endpoint_copy(&to->listen, &from->listen) != OK || endpoint_copy(&to->to, &from->to) != OK) {
        forward_spec_deinit(to);
        return ERR_MEMORY;
    }
    return OK;
}

void forward_spec_deinit(struct forward_spec *spec)
{
    endpoint_deinit(&spec->listen);
    endpoint_deinit(&spec->to);
}

bool forward_spec_equal(const struct forward_spec *a, const struct forward_spec *b)
{
    return a->type == b->type && endpoint_equal(&a->listen, &b->listen) && endpoint_equal(&a->to, &b->to) &&
           a->gateway_ports == b->gateway_ports && a->stream_local_bind_unlink == b->stream_local_bind_unlink &&
           a->hold_ms == b->hold_ms && a->max_channels == b->max_channels && a->probe == b->probe &&
           a->probe_interval_ms == b->probe_interval_ms;
}

static bool same_words(char *const *a, char *const *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    while (*a != NULL && *b != NULL && strcmp(*a, *b) == 0) {
        a++;
        b++;
    }
    return *a == NULL && *b == NULL;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
    return a->kind == b->kind && same_text(a->host, b->host) && a->port == b->port && same_text(a->path, b->path) &&
           same_words(a->words, b->words);
}

void endpoint_deinit(struct endpoint *endpoint)
{
    for (size_t i = 0; endpoint->words != NULL && endpoint->words[i] != NULL; i++) {
        free(endpoint->words[i]);
    }
    free((void *)endpoint->words);
    free(endpoint->host);
    free(endpoint->path);
    *endpoint = (struct endpoint){.kind = ENDPOINT_NONE};
}

enum err endpoint_copy(struct endpoint *to, const struct endpoint *from)
{
    enum err result = OK;
    *to = (struct endpoint){.kind = from->kind, .port = from->port};
    if ((from->host != NULL && (to->host = strdup(from->host)) == NULL) ||
        (from->path != NULL && (to->path = strdup(from->path)) == NULL)) {
        result = ERR_MEMORY;
    }
    for (size_t i = 0; result == OK && from->words != NULL && from->words[i] != NULL; i++) {
        result = endpoint_add_word(to, from->words[i]);
    }
    if (result != OK) {
        endpoint_deinit(to);
    }
    return result;
}

bool endpoint_moves(const struct endpoint *endpoint)
{
    return endpoint->kind == ENDPOINT_COMMAND || endpoint->kind == ENDPOINT_WSL;
}

enum err endpoint_add_word(struct endpoint *endpoint, const char *word)
{
    size_t count = 0;
    while (endpoint->words != NULL && endpoint->words[count] != NULL) {
        count++;
    }
    char *copy = strdup(word);
    char **words = copy == NULL ? NULL : realloc((void *)endpoint->words, (count + 2) * sizeof *words);
    if (words == NULL) {
        free(copy);
        return ERR_MEMORY;
    }
    words[count] = copy;
    words[count + 1] = NULL;
    endpoint->words = words;
    return OK;
}

static void tcp_text(const char *host, uint16_t port, char *out, size_t cap_bytes)
{
    if (host == NULL) {
        (void)snprintf(out, cap_bytes, "%u", (unsigned)port);
    } else if (strchr(host, ':') != NULL) {
        (void)snprintf(out, cap_bytes, "[%s]:%u", host, (unsigned)port);
    } else {
        (void)snprintf(out, cap_bytes, "%s:%u", host[0] == '\0' ? "*" : host, (unsigned)port);
    }
}

const char *endpoint_text(const struct endpoint *endpoint, char *out, size_t cap_bytes)
{
    switch (endpoint->kind) {
    case ENDPOINT_TCP: tcp_text(endpoint->host, endpoint->port, out, cap_bytes); break;
    case ENDPOINT_UNIX: (void)snprintf(out, cap_bytes, "%s", endpoint->path); break;
    case ENDPOINT_WSL: (void)snprintf(out, cap_bytes, "wsl:%s:%u", endpoint->host, (unsigned)endpoint->port); break;
    case ENDPOINT_COMMAND:
        (void)snprintf(out, cap_bytes, "command:%s", endpoint->words[0]);
        if (endpoint->port != 0) {
            size_t len = strlen(out);
            (void)snprintf(out + len, cap_bytes - len, ":%u", (unsigned)endpoint->port);
        }
        break;
    case ENDPOINT_NONE: (void)snprintf(out, cap_bytes, "-"); break;
    }
    return out;
}

const char *forward_listen_text(const struct forward_spec *spec, uint16_t bound_port, char *out, size_t cap_bytes)
{
    const char *host = spec->listen.host;
    if (spec->listen.kind != ENDPOINT_TCP) {
        return endpoint_text(&spec->listen, out, cap_bytes);
    }
    if (host == NULL) {
        host = spec->type == FORWARD_LOCAL && spec->gateway_ports ? "*" : "127.0.0.1";
    }
    tcp_text(host, bound_port != 0 ? bound_port : spec->listen.port, out, cap_bytes);
    return out;
}

const char *forward_spec_text(const struct forward_spec *spec, uint16_t bound_port, char *out, size_t cap_bytes)
{
    char listen[320];
    char to[320];
    (void)forward_listen_text(spec, bound_port, listen, sizeof listen);
    if (spec->to.kind == ENDPOINT_NONE) {
        (void)snprintf(out, cap_bytes, "%s %s", forward_type_flag(spec->type), listen);
    } else {
        (void)snprintf(out, cap_bytes, "%s %s -> %s", forward_type_flag(spec->type), listen,
                       endpoint_text(&spec->to, to, sizeof to));
    }
    return out;
}

const char *forward_bind_host(const struct forward_spec *spec)
{
    const char *host = spec->listen.host;
    if (host == NULL) {
        return spec->gateway_ports ? "" : "localhost";
    }
    return strcmp(host, "*") == 0 ? "" : host;
}

const char *forward_loop_host(const struct forward_spec *spec)
{
    const char *host = forward_bind_host(spec);
    return host[0] == '\0' ? "localhost" : host;
}

const char *forward_type_flag(enum forward_type type)
{
    switch (type) {
    case FORWARD_LOCAL: return "-L";
    case FORWARD_REMOTE:
    case FORWARD_REMOTE_DYNAMIC: return "-R";
    case FORWARD_DYNAMIC: return "-D";
    case FORWARD_DIRECT: return "direct";
    }
    return "?";
}

const char *forward_type_name(enum forward_type type)
{
    switch (type) {
    case FORWARD_LOCAL: return "local";
    case FORWARD_REMOTE: return "remote";
    case FORWARD_DYNAMIC: return "dynamic";
    case FORWARD_REMOTE_DYNAMIC: return "remote_dynamic";
    case FORWARD_DIRECT: return "direct";
    }
    return "?";
}
