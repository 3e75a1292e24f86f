/* One connection to the control channel. It is read only while nothing is being answered, so it has at most one request
 * of bounded size, and one reply, in memory. */
#include <stdlib.h>
#include <string.h>

#include "base/container.h"
#include "base/log.h"
#include "control/answer.h"
#include "control/internal.h"

enum { READ_BYTES = 4096, LOG_BATCH_BYTES = 64 * 1024 };

enum mode {
    MODE_READING = 0, /* for a request */
    MODE_LOGS,        /* gives what is remembered of the log, then `done` */
    MODE_FOLLOWING,   /* gives the log as it comes */
    MODE_LAST_WORD    /* ends when it is written */
};

struct server_client {
    struct list link;
    struct control_server *server;
    uv_stream_t *stream;
    enum mode mode;
    char *in;
    size_t in_len, in_cap;
    size_t in_scanned; /* so many bytes have no line's end in them */
    bool input_ended;
    uv_write_t write;
    char *out; /* being written; NULL: nothing is */
    uint64_t due_ms;
    uint64_t line_number;        /* of the log, that is next */
    uint64_t logs_end;           /* of MODE_LOGS */
    struct control_request logs; /* the request for the log, for its names */
    bool ending;
};

static void advance(struct server_client *client);

/* ---- the end ---- */

static void on_closed(uv_handle_t *handle)
{
    struct server_client *client = handle->data;
    struct control_server *server = client->server;
    control_request_deinit(&client->logs);
    free(client->in);
    free(client->out);
    free(handle);
    free(client);
    control_server_forget(server);
}

static void end(struct server_client *client)
{
    if (client->ending)
        return;
    client->ending = true;
    list_remove(&client->link);
    uv_close((uv_handle_t *)client->stream, on_closed);
}

void server_client_end(struct list *link, uint64_t now_ms)
{
    (void)now_ms;
    end(container_of(link, struct server_client, link));
}

void server_client_check(struct list *link, uint64_t now_ms)
{
    struct server_client *client = container_of(link, struct server_client, link);
    if (client->mode == MODE_FOLLOWING && client->out == NULL)
        return; /* it waits for us */
    if (now_ms >= client->due_ms)
        end(client);
}

/* ---- writing ---- */

static void on_written(uv_write_t *request, int status)
{
    struct server_client *client = request->data;
    free(client->out);
    client->out = NULL;
    if (client->ending)
        return;
    if (status != 0 || client->mode == MODE_LAST_WORD) {
        end(client);
        return;
    }
    client->due_ms = uv_now(client->server->loop) + CONTROL_REQUEST_TIMEOUT_MS;
    advance(client);
}

/* Takes over `text`; NULL ends the client, since there was no memory for it. */
static void put(struct server_client *client, char *text, uint64_t timeout_ms)
{
    if (text == NULL) {
        end(client);
        return;
    }
    uv_buf_t buf = uv_buf_init(text, (unsigned)strlen(text));
    client->out = text;
    client->due_ms = uv_now(client->server->loop) + timeout_ms;
    client->write.data = client;
    int status = uv_write(&client->write, client->stream, &buf, 1, on_written);
    if (status != 0)
        end(client);
}

static void put_error(struct server_client *client, const struct err_info *why)
{
    put(client, control_reply_error(why), CONTROL_REPLY_TIMEOUT_MS);
}

/* ---- the log ---- */

static bool wants(const struct server_client *client, const struct log_ring_line *line)
{
    for (size_t i = 0; i < client->logs.name_count; i++) {
        if (line->tunnel != NULL && strcmp(line->tunnel, client->logs.names[i]) == 0)
            return true;
    }
    return client->logs.name_count == 0;
}

/* Appends `text`, which it takes over, to `*batch`. False when out of memory. */
static bool append(char **batch, size_t *len, char *text)
{
    size_t more = text != NULL ? strlen(text) : 0;
    char *longer = text != NULL ? realloc(*batch, *len + more + 1) : NULL;
    if (longer != NULL) {
        memcpy(longer + *len, text, more + 1);
        *batch = longer;
        *len += more;
    }
    free(text);
    return longer != NULL;
}

/* The next lines of the log as one text, "" for none. NULL: out of memory. */
static char *next_lines(struct server_client *client)
{
    struct log_ring_line line;
    size_t len = 0;
    char *batch = NULL;
    bool ok = append(&batch, &len, strdup(""));
    while (ok && len < LOG_BATCH_BYTES && (client->mode == MODE_FOLLOWING || client->line_number < client->logs_end) &&
           log_ring_read(client->server->ring, &client->line_number, &line)) {
        if (line.missed > 0)
            ok = append(&batch, &len, control_reply_dropped(line.missed));
        if (ok && wants(client, &line))
            ok = append(&batch, &len, control_answer_log(&line));
        log_ring_line_deinit(&line);
    }
    if (ok)
        return batch;
    free(batch);
    return NULL;
}

static void feed(struct server_client *client)
{
    if (client->out != NULL || client->ending)
        return;
    char *lines = next_lines(client);
    if (lines != NULL && lines[0] == 0) {
        free(lines);
        if (client->mode == MODE_LOGS) {
            client->mode = MODE_READING;
            control_request_deinit(&client->logs);
            put(client, control_reply_ok("this is all that is remembered"), CONTROL_REPLY_TIMEOUT_MS);
        }
        return;
    }
    put(client, lines, client->mode == MODE_FOLLOWING ? CONTROL_FOLLOW_TIMEOUT_MS : CONTROL_REPLY_TIMEOUT_MS);
}

void server_client_feed(struct list *link, uint64_t now_ms)
{
    struct server_client *client = container_of(link, struct server_client, link);
    (void)now_ms;
    if (client->mode == MODE_FOLLOWING)
        feed(client);
}

/* Takes over `request`. */
static void begin_logs(struct server_client *client, struct control_request *request)
{
    struct err_info why;
    if (control_check_names(&client->server->handlers, request, &why) != OK) {
        control_request_deinit(request);
        put_error(client, &why);
        return;
    }
    client->logs = *request;
    client->mode = request->follow ? MODE_FOLLOWING : MODE_LOGS;
    client->line_number = log_ring_first(client->server->ring);
    client->logs_end = log_ring_end(client->server->ring);
    feed(client);
}

/* ---- requests ---- */

static void carry_out(struct server_client *client, const char *line, size_t len)
{
    struct control_request request;
    struct err_info why;
    if (control_request_decode(line, len, &request, &why) != OK) {
        put_error(client, &why);
    } else if (request.command == CONTROL_LOGS) {
        begin_logs(client, &request);
    } else {
        put(client, control_answer(&client->server->handlers, &request), CONTROL_REPLY_TIMEOUT_MS);
        control_request_deinit(&request);
    }
}

/* Takes the next request out of what came. False: there is no whole one yet. */
static bool take_request(struct server_client *client)
{
    char *line_end = client->in_len > client->in_scanned
                         ? memchr(client->in + client->in_scanned, '\n', client->in_len - client->in_scanned)
                         : NULL;
    if (line_end == NULL) {
        client->in_scanned = client->in_len;
        return false;
    }
    size_t len = (size_t)(line_end - client->in);
    size_t taken = len + 1;
    char *line = client->in; /* kept while it is carried out: the buffer is only moved afterwards */
    carry_out(client, line, len);
    client->in_len -= taken;
    client->in_scanned = 0;
    memmove(client->in, client->in + taken, client->in_len);
    return true;
}

static void refuse_long_request(struct server_client *client)
{
    struct err_info why;
    (void)err_set(&why, ERR_USAGE, "a request is at most %d bytes long", CONTROL_REQUEST_CAP_BYTES);
    client->mode = MODE_LAST_WORD;
    put_error(client, &why);
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct server_client *client = handle->data;
    (void)suggested;
    if (client->in_cap - client->in_len < READ_BYTES) {
        char *in = realloc(client->in, client->in_cap + (size_t)2 * READ_BYTES);
        if (in != NULL) {
            client->in = in;
            client->in_cap += (size_t)2 * READ_BYTES;
        }
    }
    /* With no memory this is no buffer, which ends it. */
    *buf = uv_buf_init(client->in != NULL ? client->in + client->in_len : NULL,
                       (unsigned)(client->in_cap - client->in_len));
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct server_client *client = stream->data;
    (void)buf;
    if (count < 0) {
        client->input_ended = true;
        (void)uv_read_stop(stream);
        /* What is being answered is still wanted by one who has only ended his side. */
        if (count != UV_EOF || client->out == NULL || client->mode == MODE_FOLLOWING)
            end(client);
        return;
    }
    if (client->mode == MODE_FOLLOWING || client->mode == MODE_LAST_WORD)
        return; /* it is read to see its end, and thrown away */
    client->in_len += (size_t)count;
    if (client->out == NULL)
        advance(client);
    else if (client->in_len >= CONTROL_REQUEST_CAP_BYTES)
        (void)uv_read_stop(stream);
}

/* Nothing is being written: goes on with what there is to do. */
static void advance(struct server_client *client)
{
    if (client->mode != MODE_READING) {
        feed(client);
    } else if (!take_request(client)) {
        if (client->in_len >= CONTROL_REQUEST_CAP_BYTES)
            refuse_long_request(client);
        else if (client->input_ended)
            end(client);
    }
    if (!client->ending && !client->input_ended && client->out == NULL)
        (void)uv_read_start(client->stream, on_alloc, on_read); /* it may have been stopped meanwhile */
}

/* ---- the beginning ---- */

static void on_refused(uv_handle_t *handle)
{
    free(handle);
}

void server_client_new(struct control_server *server, uv_stream_t *stream)
{
    struct err_info why;
    struct server_client *client =
        server->client_count < (size_t)2 * CONTROL_CLIENTS_MAX ? calloc(1, sizeof *client) : NULL;
    if (client == NULL) { /* so many that not even those that are refused have been told */
        uv_close((uv_handle_t *)stream, on_refused);
        return;
    }
    client->server = server;
    client->stream = stream;
    client->due_ms = uv_now(server->loop) + CONTROL_REQUEST_TIMEOUT_MS;
    stream->data = client;
    uv_unref((uv_handle_t *)stream);
    list_append(&server->clients, &client->link);
    server->client_count++;
    if (server->client_count > CONTROL_CLIENTS_MAX) {
        (void)err_set(&why, ERR_BUSY, "%d others are connected already; try again later", CONTROL_CLIENTS_MAX);
        client->mode = MODE_LAST_WORD;
        put_error(client, &why);
    }
    if (!client->ending && uv_read_start(stream, on_alloc, on_read) != 0)
        end(client);
}
