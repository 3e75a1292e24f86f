/* Shared by server.c (the endpoint) and server_client.c (one connection). */
#ifndef HOLDFAST_CONTROL_INTERNAL_H
#define HOLDFAST_CONTROL_INTERNAL_H

#include "base/list.h"
#include "base/log_ring.h"
#include "control/server.h"

struct control_server {
    uv_loop_t *loop;
    struct control_handlers handlers;
    struct local_server *local;
    struct log_ring *ring;
    uv_async_t line_logged;
    uv_timer_t tick; /* looks at the clients' deadlines, while there are any */
    int handles;     /* of the server alone */
    struct list clients;
    size_t client_count;
    bool stopping;
};

/* ---- server.c ---- */
/* A client is gone. */
void control_server_forget(struct control_server *server);

/* ---- server_client.c ---- */
/* Takes over the connection, whose `data` is free for it. */
void server_client_new(struct control_server *server, uv_stream_t *stream);
/* These take the link in control_server.clients. */
void server_client_feed(struct list *link, uint64_t now_ms);  /* the log has new lines */
void server_client_check(struct list *link, uint64_t now_ms); /* ends it when its time is over */
void server_client_end(struct list *link, uint64_t now_ms);

#endif
