/* -L: listeners here. They stay bound while the session is down. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "forward/internal.h"
#include "platform/platform.h"

enum { BACKLOG = 4096 };

static void on_listener_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;
    struct forward *forward = listener->forward;
    free(listener);
    forward->listeners_open--;
    forward_check_stopped(forward);
}

void local_close(struct forward *forward)
{
    for (size_t i = 0; i < forward->listener_count; i++) {
        struct listener *listener = forward->listeners[i];
        descriptors_forget(listener);
        uv_close(&listener->as.handle, on_listener_closed);
    }
    forward->listener_count = 0;
    forward->bound_port = 0;
    if (forward->lookup != NULL) {
        forward->lookup->data = NULL;
        (void)uv_cancel((uv_req_t *)forward->lookup);
        forward->lookup = NULL;
    }
}

void local_accept(struct listener *listener)
{
    struct forward *forward = listener->forward;
    uv_loop_t *loop = forward->loop;
    if (!descriptors_or_pause(listener)) {
        return; /* libuv asks the system for no further connection until this one is taken */
    }
    bool is_pipe = listener->as.handle.type == UV_NAMED_PIPE;
    uv_stream_t *socket = malloc(is_pipe ? sizeof(uv_pipe_t) : sizeof(uv_tcp_t));
    int status = socket == NULL ? UV_ENOMEM
                 : is_pipe      ? uv_pipe_init(loop, (uv_pipe_t *)socket, 0)
                                : uv_tcp_init(loop, (uv_tcp_t *)socket);
    if (status != 0) {
        free(socket);
        descriptors_give();
        return;
    }
    status = uv_accept(&listener->as.stream, socket);
    if (status != 0) {
        uv_close((uv_handle_t *)socket, (uv_close_cb)free);
        descriptors_give();
        return;
    }
    connection_accept(forward, socket);
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct listener *listener = stream->data;
    if (status < 0) {
        log_warning(listener->forward->log_name, "-L %s: accepting a connection failed: %s", listener->text,
                    err_uv_text(status));
        return;
    }
    local_accept(listener);
}

static struct listener *listener_add(struct forward *forward, bool is_pipe)
{
    if (forward->listener_count == LISTENERS_MAX) {
        return NULL;
    }
    struct listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL) {
        return NULL;
    }
    listener->forward = forward;
    list_init(&listener->paused);
    int status =
        is_pipe ? uv_pipe_init(forward->loop, &listener->as.pipe, 0) : uv_tcp_init(forward->loop, &listener->as.tcp);
    if (status != 0) {
        free(listener);
        return NULL;
    }
    listener->as.handle.data = listener;
    forward->listeners[forward->listener_count++] = listener;
    forward->listeners_open++;
    return listener;
}

static uint16_t port_of(const struct sockaddr_storage *address)
{
    return ntohs(address->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)address)->sin6_port
                                                : ((const struct sockaddr_in *)address)->sin_port);
}

static int listen_address(struct forward *forward, const struct sockaddr *address)
{
    struct sockaddr_storage bound;
    int len = sizeof bound;
    struct listener *listener = listener_add(forward, false);
    if (listener == NULL) {
        return UV_ENOMEM;
    }
    (void)dial_address_text(address, listener->text, sizeof listener->text);
    int status = platform_tcp_bind(&listener->as.tcp, address, address->sa_family == AF_INET6 ? UV_TCP_IPV6ONLY : 0);
    if (status == 0) {
        status = uv_listen(&listener->as.stream, BACKLOG, on_connection);
    }
    if (status == 0 && uv_tcp_getsockname(&listener->as.tcp, (struct sockaddr *)&bound, &len) == 0) {
        forward->bound_port = port_of(&bound);
        listener->open = true;
    }
    return status;
}

/* This system lacks that address family; the other one serves. */
static bool is_absent_family(int status)
{
    return status == UV_EAFNOSUPPORT || status == UV_EADDRNOTAVAIL || status == UV_EPROTONOSUPPORT;
}

static void bind_failed(struct forward *forward, const char *where, int status)
{
    struct err_info why;
    const char *mend = status == UV_EADDRINUSE ? "; another program listens there: stop it or choose another port"
                       : status == UV_EACCES   ? "; ports below 1024 need administrator rights"
                                               : "";
    (void)err_set(&why, ERR_BIND, "cannot listen on %s: %s%s", where, err_uv_text(status), mend);
    local_close(forward);
    forward_set_state(forward, FORWARD_FAILED, &why);
}

/* Listens on every address given; those of a family that this system lacks are passed over if another one works. */
static void bind_all(struct forward *forward, const struct sockaddr_storage *addresses, size_t count)
{
    size_t bound = 0;
    int absent = UV_EADDRNOTAVAIL;
    char where[128] = "?";
    for (size_t i = 0; i < count; i++) {
        struct sockaddr_storage address = addresses[i];
        if (forward->spec->listen.port == 0 && forward->bound_port != 0) { /* all on the port that the first one got */
            ((struct sockaddr_in *)&address)->sin_port =
                htons(forward->bound_port); /* the same place in both families */
        }
        int status = listen_address(forward, (const struct sockaddr *)&address);
        if (status == 0) {
            bound++;
            continue;
        }
        (void)dial_address_text((const struct sockaddr *)&address, where, sizeof where);
        if (!is_absent_family(status)) {
            bind_failed(forward, where, status);
            return;
        }
        absent = status;
    }
    if (bound == 0) {
        bind_failed(forward, where, absent);
        return;
    }
    forward_set_state(forward, FORWARD_UP, NULL);
}

static void on_lookup(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct forward *forward = req->data;
    struct sockaddr_storage addresses[LISTENERS_MAX];
    size_t count = 0;
    free(req);
    if (forward == NULL) {
        uv_freeaddrinfo(list);
        return;
    }
    forward->lookup = NULL;
    if (status != 0) {
        struct err_info why;
        (void)err_set(&why, ERR_BIND, "cannot listen on %s: the name does not resolve: %s", forward->spec->listen.host,
                      err_uv_text(status));
        forward_set_state(forward, FORWARD_FAILED, &why);
        return;
    }
    for (const struct addrinfo *at = list; at != NULL && count < LISTENERS_MAX; at = at->ai_next) {
        memcpy(&addresses[count++], at->ai_addr, at->ai_addrlen);
    }
    uv_freeaddrinfo(list);
    bind_all(forward, addresses, count);
}

static void lookup(struct forward *forward)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP, .ai_flags = AI_PASSIVE};
    char service[8];
    int status = UV_ENOMEM;
    (void)snprintf(service, sizeof service, "%u", forward->spec->listen.port);
    forward->lookup = malloc(sizeof *forward->lookup);
    if (forward->lookup != NULL) {
        forward->lookup->data = forward;
        status = uv_getaddrinfo(forward->loop, forward->lookup, on_lookup, forward->spec->listen.host, service, &hints);
    }
    if (status != 0) {
        free(forward->lookup);
        forward->lookup = NULL;
        bind_failed(forward, forward->spec->listen.host, status);
    }
}

static void bind_path(struct forward *forward, const char *path)
{
    struct listener *listener = listener_add(forward, true);
    int status = UV_ENOMEM;
    if (listener != NULL) {
        uv_fs_t req;
        (void)snprintf(listener->text, sizeof listener->text, "%s", path);
        if (forward->spec->stream_local_bind_unlink) {
            (void)uv_fs_unlink(NULL, &req, path, NULL);
            uv_fs_req_cleanup(&req);
        }
        status = uv_pipe_bind(&listener->as.pipe, path);
        if (status == 0) { /* between bind and listen nobody can connect: no one sees wider rights */
            (void)uv_fs_chmod(NULL, &req, path, 0600, NULL);
            uv_fs_req_cleanup(&req);
            status = uv_listen(&listener->as.stream, BACKLOG, on_connection);
        }
    }
    if (status != 0) {
        bind_failed(forward, path, status);
    } else {
        forward_set_state(forward, FORWARD_UP, NULL);
    }
}

void local_bind(struct forward *forward)
{
    const struct endpoint *listen = &forward->spec->listen;
    struct sockaddr_storage addresses[2];
    bool all =
        listen->host == NULL ? forward->spec->gateway_ports : listen->host[0] == '\0' || strcmp(listen->host, "*") == 0;
    bool loopback = !all && (listen->host == NULL || strcmp(listen->host, "localhost") == 0);
    if (listen->kind == ENDPOINT_UNIX) {
        bind_path(forward, listen->path);
    } else if (all || loopback) {
        (void)uv_ip4_addr(all ? "0.0.0.0" : "127.0.0.1", listen->port, (struct sockaddr_in *)&addresses[0]);
        (void)uv_ip6_addr(all ? "::" : "::1", listen->port, (struct sockaddr_in6 *)&addresses[1]);
        bind_all(forward, addresses, 2);
    } else if (uv_ip4_addr(listen->host, listen->port, (struct sockaddr_in *)&addresses[0]) == 0 ||
               uv_ip6_addr(listen->host, listen->port, (struct sockaddr_in6 *)&addresses[0]) == 0) {
        bind_all(forward, addresses, 1);
    } else {
        lookup(forward);
    }
}
