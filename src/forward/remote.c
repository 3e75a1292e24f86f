/* -R: a listener on the peer (RFC 4254 section 7.1, and streamlocal-forward@openssh.com for paths). */
#include <stdlib.h>
#include <string.h>

#include "base/container.h"
#include "forward/internal.h"

/* What the peer is asked to bind: ssh's habit is "localhost" for nothing, "" for every address. */
static const char *bind_host(const struct forward *forward)
{
    const char *host = forward->spec->listen.host;
    if (host == NULL) {
        return forward->spec->gateway_ports ? "" : "localhost";
    }
    return strcmp(host, "*") == 0 ? "" : host;
}

/* An answer may come after its forward was idle and asked again: `request` tells which question it answers. */
struct question {
    struct forward *forward;
    struct list link;
    unsigned request;
    uint16_t asked_port;
};

static void answered(struct forward *forward, uint16_t asked, enum err result, uint16_t port)
{
    struct err_info why;
    char where[256];
    if (result == OK) {
        forward->bound_port = port != 0 && asked == 0 ? port : asked;
        forward->last_port = forward->bound_port;
        forward_set_state(forward, FORWARD_UP, NULL);
        return;
    }
    if (forward->spec->listen.kind == ENDPOINT_TCP && forward->spec->listen.port == 0 && asked != 0) {
        forward->last_port = 0; /* somebody else has the port of last time */
        forward->state = FORWARD_IDLE;
        remote_bind(forward);
        return;
    }
    (void)err_set(
        &why, ERR_BIND,
        "the peer refused to listen on %s: the port is taken there (perhaps by a dead session of ours), or its "
        "sshd_config does not permit it (AllowTcpForwarding, PermitListen, GatewayPorts)",
        endpoint_text(&forward->spec->listen, where, sizeof where));
    forward_set_state(forward, FORWARD_FAILED, &why);
}

static void on_reply(void *arg, enum err result, uint16_t port)
{
    struct question *question = arg;
    struct forward *forward = question->forward;
    bool current = forward != NULL && question->request == forward->request && forward->state == FORWARD_BINDING &&
                   result != ERR_CLOSED;
    uint16_t asked = question->asked_port;
    list_remove(&question->link);
    free(question);
    if (current) {
        answered(forward, asked, result, port);
    }
}

void remote_forget(struct list *question)
{
    container_of(question, struct question, link)->forward = NULL;
}

void remote_bind(struct forward *forward)
{
    const struct endpoint *listen = &forward->spec->listen;
    struct question *question = calloc(1, sizeof *question);
    if (question == NULL) {
        struct err_info why;
        (void)err_set(&why, ERR_MEMORY, "out of memory");
        forward_set_state(forward, FORWARD_FAILED, &why);
        return;
    }
    forward->state = FORWARD_BINDING;
    question->forward = forward;
    question->request = ++forward->request;
    list_init(&question->link);
    list_append(&forward->questions, &question->link);
    if (listen->kind == ENDPOINT_UNIX) {
        session_listen_unix(forward->session, listen->path, on_reply, question);
    } else {
        question->asked_port = listen->port != 0 ? listen->port : forward->last_port;
        session_listen(forward->session, bind_host(forward), question->asked_port, on_reply, question);
    }
}

void remote_cancel(struct forward *forward)
{
    const struct endpoint *listen = &forward->spec->listen;
    if (forward->session == NULL || (forward->state != FORWARD_UP && forward->state != FORWARD_BINDING)) {
        return;
    }
    if (listen->kind == ENDPOINT_UNIX) {
        session_unlisten_unix(forward->session, listen->path, NULL, NULL);
    } else if (forward->bound_port != 0) {
        session_unlisten(forward->session, bind_host(forward), forward->bound_port, NULL, NULL);
    }
}

int forward_matches(const struct forward *forward, const struct channel_offer *offer)
{
    const struct endpoint *listen = &forward->spec->listen;
    if (forward->spec->type != FORWARD_REMOTE || forward->drained ||
        offer->is_unix != (listen->kind == ENDPOINT_UNIX)) {
        return 0;
    }
    if (offer->is_unix) {
        return strcmp(listen->path, offer->listen_host) == 0 ? 2 : 0;
    }
    if (forward->bound_port == 0 || forward->bound_port != offer->listen_port) {
        return 0;
    }
    return strcmp(bind_host(forward), offer->listen_host) == 0 ? 2 : 1;
}

void forward_take(struct forward *forward, struct channel *channel, const struct channel_offer *offer)
{
    connection_take(forward, channel, offer);
}
