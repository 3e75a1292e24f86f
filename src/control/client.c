#include "control/client.h"

#include <stdlib.h>
#include <string.h>

#include "platform/local_server.h"

enum { READ_BYTES = 64 * 1024, PLACES_MAX = 3 };

struct control_client {
    uv_loop_t loop;
    uv_timer_t timer;
    uv_stream_t *stream;
    char *path;
    char *in;
    size_t in_len, in_cap;
    size_t line_len; /* of the line that was taken, with its end: it goes before the next one is sought */
    enum err fault;  /* what ended the reading */
    bool write_failed;
    bool timed_out;
    bool done;           /* what is waited for has come */
    struct err_info why; /* of connecting */
};

static void on_timeout(uv_timer_t *timer)
{
    struct control_client *client = timer->data;
    client->timed_out = true;
}

/* Turns the loop until client->done, or the time is over (0: none). */
static void turn(struct control_client *client, uint64_t timeout_ms)
{
    client->timed_out = false;
    if (timeout_ms != 0) {
        uv_update_time(&client->loop);
        (void)uv_timer_start(&client->timer, on_timeout, timeout_ms, 0);
    }
    while (!client->done && !client->timed_out && client->fault == OK)
        (void)uv_run(&client->loop, UV_RUN_ONCE);
    (void)uv_timer_stop(&client->timer);
}

/* ---- connecting ---- */

static void on_connected(void *arg, uv_stream_t *stream, const struct err_info *why)
{
    struct control_client *client = arg;
    client->stream = stream;
    if (stream != NULL)
        stream->data = client;
    else
        client->why = *why;
    client->done = true;
}

static enum err try_place(struct control_client *client, const char *path)
{
    client->done = false;
    if (local_connect(&client->loop, path, on_connected, client) != OK)
        return err_set(&client->why, ERR_MEMORY, "out of memory");
    turn(client, 0);
    return client->stream != NULL ? OK : client->why.code;
}

/* Where a service may be, the likeliest first. */
static size_t list_places(char **places)
{
    places[0] = local_path_given();
    if (places[0] != NULL)
        return 1;
    places[0] = local_path_of_person();
    places[1] = local_path_of_machine();
    places[2] = local_path_of_person_elsewhere();
    return places[2] != NULL ? PLACES_MAX : PLACES_MAX - 1;
}

/* What a person does about it. `refused`: somebody is there, and this is why we do not get in; OK: nobody is. */
static enum err nobody(char *const *places, size_t count, const struct err_info *refused, struct err_info *info)
{
    if (refused->code == ERR_BUSY)
        return err_set(info, ERR_BUSY, "a holdfast runs here, and is busy with others (%.300s); try again later",
                       refused->message);
    if (refused->code != OK)
        return err_set(info, ERR_REFUSED,
                       "a holdfast runs here, and does not admit you (%.300s); try as the user it runs as, or as an "
                       "administrator",
                       refused->message);
    return err_set(
        info, ERR_CONNECT,
        "no holdfast is running to ask (none listens at %.120s%s%.100s%s%.120s); start one with 'holdfast run' or "
        "'holdfast service start'",
        places[0] != NULL ? places[0] : "?", count > 1 ? " or " : "", count > 1 && places[1] != NULL ? places[1] : "",
        count > 2 ? " or " : "", count > 2 ? places[2] : "");
}

static enum err connect_somewhere(struct control_client *client, struct err_info *info)
{
    char *places[PLACES_MAX] = {NULL};
    struct err_info refused = {.code = OK};
    size_t count = list_places(places);
    for (size_t i = 0; i < count && client->stream == NULL; i++) {
        if (places[i] == NULL)
            continue;
        enum err result = try_place(client, places[i]);
        if (result == OK) {
            client->path = places[i];
            places[i] = NULL;
        } else if ((result == ERR_REFUSED || result == ERR_BUSY) && refused.code == OK) {
            refused = client->why;
        }
    }
    enum err result = client->stream != NULL ? OK : nobody(places, count, &refused, info);
    for (size_t i = 0; i < count; i++)
        free(places[i]);
    return result;
}

enum err control_client_open(struct control_client **out, struct err_info *info)
{
    struct control_client *client = calloc(1, sizeof *client);
    *out = NULL;
    if (client == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    int status = uv_loop_init(&client->loop);
    if (status != 0) {
        free(client);
        return err_set(info, err_from_uv(status), "cannot make an event loop: %s", err_uv_text(status));
    }
    (void)uv_timer_init(&client->loop, &client->timer);
    client->timer.data = client;
    enum err result = connect_somewhere(client, info);
    if (result != OK) {
        control_client_close(client);
        return result;
    }
    *out = client;
    return OK;
}

static void on_stream_closed(uv_handle_t *handle)
{
    free(handle);
}

void control_client_close(struct control_client *client)
{
    if (client == NULL)
        return;
    uv_close((uv_handle_t *)&client->timer, NULL);
    if (client->stream != NULL)
        uv_close((uv_handle_t *)client->stream, on_stream_closed);
    (void)uv_run(&client->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&client->loop);
    free(client->path);
    free(client->in);
    free(client);
}

const char *control_client_path(const struct control_client *client)
{
    return client->path;
}

/* ---- asking ---- */

static enum err gone(const struct control_client *client, enum err code, struct err_info *info)
{
    return err_set(
        info, code,
        "the service at %.300s went away; if nobody stopped it, its log says why; 'holdfast run' or 'holdfast "
        "service start' starts it",
        client->path);
}

static void on_written(uv_write_t *request, int status)
{
    struct control_client *client = request->data;
    client->write_failed = status != 0;
    client->done = true;
}

enum err control_client_send(struct control_client *client, const struct control_request *request,
                             struct err_info *info)
{
    uv_write_t write = {.data = client};
    char *line = control_request_encode(request);
    if (line == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    if (strlen(line) > CONTROL_REQUEST_CAP_BYTES) {
        free(line);
        return err_set(info, ERR_USAGE, "these are too many names for one request");
    }
    uv_buf_t buf = uv_buf_init(line, (unsigned)strlen(line));
    client->done = false;
    int status = uv_write(&write, client->stream, &buf, 1, on_written);
    /* The request is ours until it has completed, so it is waited for without a limit: the service has one. */
    while (status == 0 && !client->done)
        (void)uv_run(&client->loop, UV_RUN_ONCE);
    free(line);
    if (status == 0 && !client->write_failed)
        return OK;
    return gone(client, ERR_CLOSED, info);
}

/* ---- being answered ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct control_client *client = handle->data;
    (void)suggested;
    if (client->in_cap - client->in_len < READ_BYTES) {
        char *in = realloc(client->in, client->in_cap * 2 + READ_BYTES);
        if (in != NULL) {
            client->in = in;
            client->in_cap = client->in_cap * 2 + READ_BYTES;
        }
    }
    *buf = uv_buf_init(client->in != NULL ? client->in + client->in_len : NULL,
                       (unsigned)(client->in_cap - client->in_len));
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct control_client *client = stream->data;
    (void)buf;
    if (count < 0) {
        client->fault = count == UV_ENOBUFS ? ERR_MEMORY : ERR_CLOSED;
        (void)uv_read_stop(stream);
        return;
    }
    client->in_len += (size_t)count;
    client->done = true;
}

/* The length of the first line, with its end; 0 when there is none. Seeks from `*scanned` on. */
static size_t line_length(const struct control_client *client, size_t *scanned)
{
    const char *end = client->in_len > *scanned ? memchr(client->in + *scanned, '\n', client->in_len - *scanned) : NULL;
    *scanned = client->in_len;
    return end != NULL ? (size_t)(end - client->in) + 1 : 0;
}

static enum err wait_for_line(struct control_client *client, uint64_t timeout_ms, struct err_info *info)
{
    size_t scanned = 0;
    client->in_len -= client->line_len;
    if (client->line_len != 0)
        memmove(client->in, client->in + client->line_len, client->in_len);
    client->line_len = 0;
    while ((client->line_len = line_length(client, &scanned)) == 0) {
        if (client->in_len > CONTROL_REPLY_CAP_BYTES)
            return err_set(info, ERR_PROTOCOL, "what the service at %.300s answers is too long", client->path);
        if (client->fault != OK)
            return gone(client, client->fault, info);
        client->done = false;
        (void)uv_read_start(client->stream, on_alloc, on_read);
        turn(client, timeout_ms);
        (void)uv_read_stop(client->stream);
        if (client->timed_out && !client->done)
            return err_set(info, ERR_TIMEOUT,
                           "the service at %.300s does not answer within %.3g s: it hangs or is halted; see its log, "
                           "or end it and start it anew",
                           client->path, (double)timeout_ms / 1000.0);
    }
    return OK;
}

enum err control_client_next(struct control_client *client, uint64_t timeout_ms, struct control_reply *out,
                             struct err_info *info)
{
    enum err result = wait_for_line(client, timeout_ms, info);
    return result == OK ? control_reply_decode(client->in, client->line_len - 1, out, info) : result;
}

enum err control_client_ask(struct control_client *client, const struct control_request *request,
                            struct control_reply *out, struct err_info *info)
{
    struct err_info why = {.code = OK};
    /* One that is refused may have been told so, and its connection closed, before it has asked. */
    enum err sent = control_client_send(client, request, info);
    if (sent != OK && sent != ERR_CLOSED)
        return sent;
    enum err result = control_client_next(client, CONTROL_ANSWER_TIMEOUT_MS, out, &why);
    if (result != OK)
        *info = why;
    if (result == OK && out->kind == CONTROL_REPLY_ERROR) {
        *info = out->error;
        result = info->code;
        control_reply_deinit(out);
    }
    return result;
}
