#include "control/server.h"

#include <stdlib.h>

#include "base/log.h"
#include "control/internal.h"
#include "platform/local_server.h"

enum { TICK_MS = 500 };

static void maybe_free(struct control_server *server)
{
    if (server->stopping && server->handles == 0 && server->client_count == 0)
        free(server);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct control_server *server = handle->data;
    server->handles--;
    maybe_free(server);
}

void control_server_forget(struct control_server *server)
{
    server->client_count--;
    if (server->client_count == 0 && !server->stopping)
        (void)uv_timer_stop(&server->tick);
    maybe_free(server);
}

static void for_all_clients(struct control_server *server, void (*act)(struct list *link, uint64_t now_ms))
{
    struct list *link = server->clients.next;
    while (link != &server->clients) {
        struct list *next = link->next;
        act(link, uv_now(server->loop));
        link = next;
    }
}

static void on_tick(uv_timer_t *timer)
{
    for_all_clients(timer->data, server_client_check);
}

/* In any thread, and with the log's lock held. */
static void on_line(void *arg)
{
    struct control_server *server = arg;
    (void)uv_async_send(&server->line_logged);
}

static void on_line_logged(uv_async_t *async)
{
    for_all_clients(async->data, server_client_feed);
}

static void on_connection(void *arg, uv_stream_t *stream)
{
    struct control_server *server = arg;
    if (server->client_count == 0)
        (void)uv_timer_start(&server->tick, on_tick, TICK_MS, TICK_MS);
    server_client_new(server, stream);
}

static enum err open_handles(struct control_server *server, struct err_info *info)
{
    int status = uv_timer_init(server->loop, &server->tick);
    if (status == 0) {
        server->tick.data = server;
        uv_unref((uv_handle_t *)&server->tick);
        server->handles++;
        status = uv_async_init(server->loop, &server->line_logged, on_line_logged);
    }
    if (status != 0)
        return err_set(info, err_from_uv(status), "cannot use the event loop: %s", err_uv_text(status));
    server->line_logged.data = server;
    uv_unref((uv_handle_t *)&server->line_logged);
    server->handles++;
    server->ring = log_ring_new(CONTROL_LOG_CAP_BYTES, on_line, server);
    return server->ring != NULL ? OK : err_set(info, ERR_MEMORY, "out of memory");
}

enum err control_server_start(uv_loop_t *loop, const char *path, const struct control_handlers *handlers,
                              struct control_server **out, struct err_info *info)
{
    struct control_server *server = calloc(1, sizeof *server);
    *out = NULL;
    if (server == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    server->loop = loop;
    server->handlers = *handlers;
    list_init(&server->clients);
    enum err result = open_handles(server, info);
    if (result == OK)
        result = local_server_start(loop, path, on_connection, server, &server->local, info);
    if (result != OK) {
        control_server_stop(server);
        return result;
    }
    *out = server;
    return OK;
}

void control_server_stop(struct control_server *server)
{
    if (server == NULL)
        return;
    server->stopping = true;
    log_ring_free(server->ring);
    server->ring = NULL;
    local_server_stop(server->local);
    server->local = NULL;
    for_all_clients(server, server_client_end);
    if (server->handles > 1)
        uv_close((uv_handle_t *)&server->line_logged, on_handle_closed);
    if (server->handles > 0)
        uv_close((uv_handle_t *)&server->tick, on_handle_closed);
    else
        free(server);
}
