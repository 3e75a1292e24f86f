#include "cli/watch_fetch.h"

#include <stdlib.h>

#include "base/duration.h"

#define ANSWER_MS 3000
#define NANOSECONDS_PER_MS UINT64_C(1000000)

struct watch_fetch {
    uv_thread_t thread;
    uv_mutex_t lock; /* guards what stands below it */
    uv_cond_t stop_asked;
    bool is_stopping;
    struct watch_fetched last;
    /* The thread's own. */
    struct control_client *client;
    const struct control_request *request;
    uv_async_t *fetched;
};

/* Over a connection that stands. */
static enum err ask(struct control_client *client, const struct control_request *request, json_t **out,
                    struct err_info *info)
{
    struct control_reply reply = {.body = NULL};
    enum err result = control_client_send(client, request, info);
    if (result == OK)
        result = control_client_next(client, ANSWER_MS, &reply, info);
    if (result == OK && reply.kind == CONTROL_REPLY_ERROR) {
        *info = reply.error;
        result = info->code;
    } else if (result == OK && reply.status == NULL) {
        result = err_set(info, ERR_PROTOCOL, "the service answers without a status");
    } else if (result == OK) {
        *out = json_incref(reply.status);
    }
    control_reply_deinit(&reply);
    return result;
}

enum err watch_fetch_once(struct control_client **client, const struct control_request *request, json_t **out,
                          struct err_info *info)
{
    bool was_open = *client != NULL;
    *out = NULL;
    enum err result = was_open ? ask(*client, request, out, info) : control_client_open(client, info);
    if (was_open && result == ERR_CLOSED) { /* it may have been started again meanwhile */
        control_client_close(*client);
        was_open = false;
        result = control_client_open(client, info);
    }
    if (!was_open && result == OK)
        result = ask(*client, request, out, info);
    if (result != OK) {
        control_client_close(*client);
        *client = NULL;
    }
    return result;
}

static void publish(struct watch_fetch *fetch, enum err result, json_t *status, const struct err_info *info)
{
    uv_mutex_lock(&fetch->lock);
    if (result == OK) {
        json_decref(fetch->last.status);
        fetch->last.status = status;
        fetch->last.at_unix_ms = time_unix_ms();
    } else {
        fetch->last.trouble = *info;
    }
    fetch->last.is_in_trouble = result != OK;
    uv_mutex_unlock(&fetch->lock);
    (void)uv_async_send(fetch->fetched);
}

/* False: it is to end. */
static bool wait_a_while(struct watch_fetch *fetch)
{
    uint64_t end_ns = uv_hrtime() + WATCH_FETCH_INTERVAL_MS * NANOSECONDS_PER_MS;
    uv_mutex_lock(&fetch->lock);
    for (uint64_t now_ns = uv_hrtime(); !fetch->is_stopping && now_ns < end_ns; now_ns = uv_hrtime())
        (void)uv_cond_timedwait(&fetch->stop_asked, &fetch->lock, end_ns - now_ns);
    bool is_stopping = fetch->is_stopping;
    uv_mutex_unlock(&fetch->lock);
    return !is_stopping;
}

static void run(void *arg)
{
    struct watch_fetch *fetch = arg;
    while (wait_a_while(fetch)) {
        struct err_info info = {.code = OK};
        json_t *status = NULL;
        enum err result = watch_fetch_once(&fetch->client, fetch->request, &status, &info);
        publish(fetch, result, status, &info);
    }
    control_client_close(fetch->client);
}

struct watch_fetch *watch_fetch_start(struct control_client *client, const struct control_request *request,
                                      uv_async_t *fetched)
{
    struct watch_fetch *fetch = calloc(1, sizeof *fetch);
    if (fetch == NULL)
        goto no_memory;
    fetch->client = client;
    fetch->request = request;
    fetch->fetched = fetched;
    if (uv_mutex_init(&fetch->lock) != 0)
        goto no_lock;
    if (uv_cond_init(&fetch->stop_asked) != 0)
        goto no_condition;
    if (uv_thread_create(&fetch->thread, run, fetch) == 0)
        return fetch;
    uv_cond_destroy(&fetch->stop_asked);
no_condition:
    uv_mutex_destroy(&fetch->lock);
no_lock:
    free(fetch);
no_memory:
    control_client_close(client);
    return NULL;
}

void watch_fetch_take(struct watch_fetch *fetch, struct watch_fetched *out)
{
    uv_mutex_lock(&fetch->lock);
    *out = fetch->last;
    fetch->last.status = NULL;
    uv_mutex_unlock(&fetch->lock);
}

void watch_fetch_stop(struct watch_fetch *fetch)
{
    if (fetch == NULL)
        return;
    uv_mutex_lock(&fetch->lock);
    fetch->is_stopping = true;
    uv_cond_signal(&fetch->stop_asked);
    uv_mutex_unlock(&fetch->lock);
    (void)uv_thread_join(&fetch->thread);
    uv_cond_destroy(&fetch->stop_asked);
    uv_mutex_destroy(&fetch->lock);
    json_decref(fetch->last.status);
    free(fetch);
}
