/* Asks the running service for its status again and again, in a thread of its own, so that a service that is slow or
 * gone does not hold up the screen. */
#ifndef HOLDFAST_CLI_WATCH_FETCH_H
#define HOLDFAST_CLI_WATCH_FETCH_H

#include <jansson.h>
#include <uv.h>

#include "control/client.h"

enum { WATCH_FETCH_INTERVAL_MS = 1000 };

struct watch_fetch;

/* What came last. */
struct watch_fetched {
    json_t *status;      /* NULL: none since it was last taken */
    uint64_t at_unix_ms; /* when it came */
    bool is_in_trouble;  /* `trouble` says why none comes */
    struct err_info trouble;
};

/* Takes over the connection `client` and asks it by `request`, which must outlive it. `fetched` is sent after each
 * answer and each failure. NULL: there is no thread to be had, and `client` is closed. */
struct watch_fetch *watch_fetch_start(struct control_client *client, const struct control_request *request,
                                      uv_async_t *fetched);
/* Any thread; the caller owns the status. */
void watch_fetch_take(struct watch_fetch *fetch, struct watch_fetched *out);
/* Ends the thread, which may take as long as one answer. NULL is fine. */
void watch_fetch_stop(struct watch_fetch *fetch);

/* One question: *client is opened when it is NULL, and closed and NULL after a failure. Blocking, for a few seconds at
 * most. A new reference in *out. */
enum err watch_fetch_once(struct control_client **client, const struct control_request *request, json_t **out,
                          struct err_info *info);

#endif
