/* -R: a listener on the peer (RFC 4254 section 7.1, and streamlocal-forward@openssh.com for paths). */
#include <stdlib.h>
#include <string.h>

#include "base/container.h"
#include "forward/internal.h"

enum { ANSWER_LIMIT_MS = 10000 };

static uint64_t answer_limit_ms(const struct forward *forward)
{
    return forward->connect_timeout_ms != 0 ? forward->connect_timeout_ms : ANSWER_LIMIT_MS;
}

/* An answer may come after its forward was idle and asked again: `request` tells which question it answers. */
struct question {
    struct forward *forward; /* NULL: it has gone */
    struct session *session;
    struct list link;
    unsigned request;
    uint16_t asked_port;
    char *host; /* what the peer was asked to bind; NULL for a path */
};

static void question_free(struct question *question)
{
    list_remove(&question->link);
    free(question->host);
    free(question);
}

static void explain_refusal(const struct forward *forward, struct err_info *why)
{
    char where[256];
    (void)endpoint_text(&forward->spec->listen, where, sizeof where);
    if (forward->spec->listen.kind == ENDPOINT_UNIX) {
        (void)err_set(why, ERR_BIND,
                      "the peer refused to listen on %s: a file of that name is there (perhaps the socket of a dead "
                      "session: remove it, or set 'StreamLocalBindUnlink yes' in its sshd_config), its folder is "
                      "missing or not writable there, or its sshd_config does not permit it "
                      "(AllowStreamLocalForwarding)",
                      where);
        return;
    }
    (void)err_set(
        why, ERR_BIND,
        "the peer refused to listen on %s: the port is taken there (perhaps by a dead session of ours), or its "
        "sshd_config does not permit it (AllowTcpForwarding, PermitListen, GatewayPorts)",
        where);
}

static void answered(struct forward *forward, uint16_t asked, enum err result, uint16_t port)
{
    struct err_info why;
    bool is_tcp = forward->spec->listen.kind == ENDPOINT_TCP;
    if (result == OK && is_tcp && asked == 0 && port == 0) {
        (void)err_set(&why, ERR_BIND, "the peer did not say which port it listens on");
        forward_set_state(forward, FORWARD_FAILED, &why);
        return;
    }
    if (result == OK) {
        forward->bound_port = asked == 0 ? port : asked;
        forward->last_port = forward->bound_port;
        if (traffic_check_is_due(forward)) {
            traffic_check_begin(forward);
        } else {
            forward_set_state(forward, FORWARD_UP, NULL);
        }
        return;
    }
    if (is_tcp && forward->spec->listen.port == 0 && asked != 0) {
        forward->last_port = 0; /* somebody else has the port of last time */
        forward->state = FORWARD_IDLE;
        remote_bind(forward);
        return;
    }
    forward->refused_port = is_tcp ? asked : 0;
    explain_refusal(forward, &why);
    forward_set_state(forward, FORWARD_FAILED, &why);
}

/* No answer is a failure to be told and tried again; one that comes later still counts. */
static void on_answer_missing(uv_timer_t *timer)
{
    struct forward *forward = timer->data;
    struct err_info why;
    char where[256];
    if (forward->state == FORWARD_BINDING) {
        (void)err_set(&why, ERR_BIND, "the peer did not answer within %.3g s when asked to listen on %s",
                      (double)answer_limit_ms(forward) / 1000.0,
                      endpoint_text(&forward->spec->listen, where, sizeof where));
        forward_set_state(forward, FORWARD_FAILED, &why);
    }
}

static void begin_waiting(struct forward *forward)
{
    forward->state = FORWARD_BINDING;
    forward->answer_due = false;
    (void)uv_timer_start(&forward->timer, on_answer_missing, answer_limit_ms(forward), 0);
}

static void on_reply(void *arg, enum err result, uint16_t port)
{
    struct question *question = arg;
    struct forward *forward = question->forward;
    bool is_left = forward == NULL || forward->drained;
    bool current = !is_left && question->request == forward->request && result != ERR_CLOSED;
    uint16_t asked = question->asked_port;
    if (is_left && result == OK && question->host != NULL && asked == 0 && port != 0) {
        /* which port it would be was not known when the forward was cancelled */
        session_unlisten(question->session, question->host, port, NULL, NULL);
    }
    question_free(question);
    if (current) {
        answered(forward, asked, result, port);
    }
}

void remote_forget(struct list *question)
{
    container_of(question, struct question, link)->forward = NULL;
}

/* The question that the peer was asked over this session and has not answered yet, or NULL. */
static const struct question *open_question(const struct forward *forward)
{
    for (const struct list *link = forward->questions.next; link != &forward->questions; link = link->next) {
        const struct question *question = container_of(link, const struct question, link);
        if (question->request == forward->request) {
            return question;
        }
    }
    return NULL;
}

static struct question *question_new(struct forward *forward)
{
    const struct endpoint *listen = &forward->spec->listen;
    bool is_tcp = listen->kind != ENDPOINT_UNIX;
    struct question *question = calloc(1, sizeof *question);
    if (question == NULL || (is_tcp && (question->host = strdup(forward_bind_host(forward->spec))) == NULL)) {
        struct err_info why;
        free(question);
        (void)err_set(&why, ERR_MEMORY, "out of memory");
        forward_set_state(forward, FORWARD_FAILED, &why);
        return NULL;
    }
    question->forward = forward;
    question->session = forward->session;
    question->request = ++forward->request;
    question->asked_port = !is_tcp ? 0 : listen->port != 0 ? listen->port : forward->last_port;
    list_init(&question->link);
    list_append(&forward->questions, &question->link);
    return question;
}

void remote_bind(struct forward *forward)
{
    if (open_question(forward) != NULL) { /* replies come in order: a second question would not be answered sooner */
        begin_waiting(forward);
        return;
    }
    struct question *question = question_new(forward);
    if (question == NULL) {
        return;
    }
    begin_waiting(forward);
    forward->refused_port = 0;
    forward->is_elsewhere = false;
    if (question->host == NULL) {
        session_listen_unix(forward->session, forward->spec->listen.path, on_reply, question);
    } else {
        session_listen(forward->session, question->host, question->asked_port, on_reply, question);
    }
}

/* The peer takes requests in order, so what it was asked for is cancelled also before it has answered. */
void remote_cancel(struct forward *forward)
{
    const struct endpoint *listen = &forward->spec->listen;
    const struct question *question = open_question(forward);
    bool is_granted = forward->state == FORWARD_UP || forward->state == FORWARD_DEGRADED || forward->check != NULL;
    if (forward->session == NULL || (!is_granted && question == NULL)) {
        return;
    }
    if (listen->kind == ENDPOINT_UNIX) {
        session_unlisten_unix(forward->session, listen->path, NULL, NULL);
        return;
    }
    uint16_t port = question != NULL ? question->asked_port : forward->bound_port;
    if (port != 0) {
        session_unlisten(forward->session, forward_bind_host(forward->spec), port, NULL, NULL);
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
    return strcmp(forward_bind_host(forward->spec), offer->listen_host) == 0 ? 2 : 1;
}

void forward_take(struct forward *forward, struct channel *channel, const struct channel_offer *offer)
{
    connection_take(forward, channel, offer);
}
