#include "cli/status_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/text_buffer.h"
#include "config/text.h"
#include "control/status_read.h"

enum { COLUMNS = 8, CELL_CAP_BYTES = 128 };
static const char *const heads[COLUMNS] = {"TUNNEL", "STATE", "SINCE", "PEER", "RTT", "IN", "OUT", "RECONNECTS"};

struct row {
    char cells[COLUMNS][CELL_CAP_BYTES];
};

/* "12s", "3m12s", "2h05m", "4d3h"; "-" when `from` is not known. */
static void age_text(uint64_t from, uint64_t now, char *out, size_t cap_bytes)
{
    uint64_t s = now > from ? (now - from) / 1000 : 0; /* clocks are set, too */
    if (from == 0)
        (void)snprintf(out, cap_bytes, "-");
    else if (s < 60)
        (void)snprintf(out, cap_bytes, "%" PRIu64 "s", s);
    else if (s < 3600)
        (void)snprintf(out, cap_bytes, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
    else if (s < 86400)
        (void)snprintf(out, cap_bytes, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
    else
        (void)snprintf(out, cap_bytes, "%" PRIu64 "d%" PRIu64 "h", s / 86400, s / 3600 % 24);
}

static void bytes_text(int64_t bytes, char *out, size_t cap_bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1024 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        value /= 1024;
    if (bytes < 0)
        (void)snprintf(out, cap_bytes, "-");
    else
        (void)snprintf(out, cap_bytes, unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

static void word(const json_t *object, const char *key, char *out, size_t cap_bytes)
{
    (void)text_shown(status_text_or(object, key, "-"), out, cap_bytes);
}

static void fill_row(const json_t *tunnel, uint64_t now, struct row *row)
{
    const json_t *peer = json_object_get(tunnel, "peer");
    int64_t rtt_ms = status_number_of(tunnel, "rtt_ms");
    word(tunnel, "name", row->cells[0], CELL_CAP_BYTES);
    word(tunnel, "state", row->cells[1], CELL_CAP_BYTES);
    age_text(status_time_of(tunnel, "since"), now, row->cells[2], CELL_CAP_BYTES);
    if (status_text_of(peer, "address") != NULL)
        word(peer, "address", row->cells[3], CELL_CAP_BYTES);
    else
        word(tunnel, "host", row->cells[3], CELL_CAP_BYTES);
    if (rtt_ms >= 0)
        (void)snprintf(row->cells[4], CELL_CAP_BYTES, "%" PRId64 " ms", rtt_ms);
    else
        (void)snprintf(row->cells[4], CELL_CAP_BYTES, "-");
    bytes_text(status_number_of(tunnel, "bytes_in"), row->cells[5], CELL_CAP_BYTES);
    bytes_text(status_number_of(tunnel, "bytes_out"), row->cells[6], CELL_CAP_BYTES);
    (void)snprintf(row->cells[7], CELL_CAP_BYTES, "%" PRId64, status_number_of(tunnel, "reconnects"));
}

/* Characters, not bytes, so that columns stand below one another. */
static size_t columns_of(const char *text)
{
    size_t count = 0;
    for (; *text != 0; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static void add_row(struct text_buffer *out, const struct row *row, const size_t *widths)
{
    for (size_t i = 0; i < COLUMNS; i++) {
        text_buffer_add(out, row->cells[i]);
        for (size_t at = columns_of(row->cells[i]); i + 1 < COLUMNS && at < widths[i] + 2; at++)
            text_buffer_add(out, " ");
    }
    text_buffer_add(out, "\n");
}

/* ---- what is below a tunnel's row ---- */

static void add_forward(struct text_buffer *out, const json_t *forward)
{
    char type[32];
    char listen[400];
    char to[400];
    char in[32];
    char sent[32];
    char text[600];
    const char *state = status_text_of(forward, "state");
    bool is_bound = status_text_of(forward, "bound") != NULL;
    int64_t total = status_number_of(forward, "channels_total");
    word(forward, "type", type, sizeof type);
    word(forward, is_bound ? "bound" : "listen", listen, sizeof listen);
    word(forward, "to", to, sizeof to);
    text_buffer_format(out, "  %s %s%s%s: ", type, listen, strcmp(to, "-") == 0 ? "" : " -> ",
                       strcmp(to, "-") == 0 ? "" : to);
    text_buffer_add(out, state != NULL ? text_shown(state, text, sizeof text) : "-");
    const char *error = status_text_of(forward, "error");
    if (error != NULL)
        text_buffer_format(out, ": %s", text_shown(error, text, sizeof text));
    if (total > 0) {
        bytes_text(status_number_of(forward, "bytes_in"), in, sizeof in);
        bytes_text(status_number_of(forward, "bytes_out"), sent, sizeof sent);
        text_buffer_format(out, "; %" PRId64 " open of %" PRId64 " connections, %s in, %s out",
                           status_number_of(forward, "channels"), total, in, sent);
    }
    text_buffer_add(out, "\n");
}

/* When it is tried again, and what went wrong last, where it is not up. */
static void add_trouble(struct text_buffer *out, const json_t *tunnel, uint64_t now)
{
    char text[600];
    char wait[32];
    const char *state = status_text_of(tunnel, "state");
    const json_t *error = json_object_get(tunnel, "last_error");
    const char *message = status_text_of(error, "message");
    int64_t retry_ms = status_number_of(tunnel, "next_retry_ms");
    if (retry_ms >= 0)
        text_buffer_format(out, "  next try in %s (attempt %" PRId64 ")\n",
                           duration_text((uint64_t)(retry_ms + 999) / 1000 * 1000, wait, sizeof wait),
                           status_number_of(tunnel, "attempts") + 1);
    if (message != NULL && state != NULL && strcmp(state, "up") != 0 && strcmp(state, "stopped") != 0) {
        age_text(status_time_of(error, "at"), now, wait, sizeof wait);
        text_buffer_format(out, "  %s ago: %s\n", wait, text_shown(message, text, sizeof text));
    }
}

static void add_title(struct text_buffer *out, const json_t *status, uint64_t now)
{
    char version[64];
    char age[32];
    word(status, "version", version, sizeof version);
    age_text(status_time_of(status, "started_at"), now, age, sizeof age);
    text_buffer_format(out, "holdfast %s, process %" PRId64 ", running for %s\n\n", version,
                       status_number_of(status, "pid"), age);
}

char *status_table(const json_t *status, uint64_t now_unix_ms)
{
    struct text_buffer out = {.text = NULL};
    size_t count = status_tunnel_count(status);
    struct row *rows = calloc(count + 1, sizeof *rows); /* the first one holds the heads */
    size_t widths[COLUMNS] = {0};
    if (rows == NULL)
        return NULL;
    for (size_t i = 0; i < COLUMNS; i++)
        (void)snprintf(rows[0].cells[i], CELL_CAP_BYTES, "%s", heads[i]);
    for (size_t i = 0; i < count; i++)
        fill_row(status_tunnel(status, i), now_unix_ms, &rows[i + 1]);
    for (size_t i = 0; i <= count; i++) {
        for (size_t at = 0; at < COLUMNS; at++) {
            size_t width = columns_of(rows[i].cells[at]);
            widths[at] = width > widths[at] ? width : widths[at];
        }
    }
    add_title(&out, status, now_unix_ms);
    add_row(&out, &rows[0], widths);
    for (size_t i = 0; i < count; i++) {
        const json_t *tunnel = status_tunnel(status, i);
        add_row(&out, &rows[i + 1], widths);
        add_trouble(&out, tunnel, now_unix_ms);
        for (size_t at = 0; at < status_forward_count(tunnel); at++)
            add_forward(&out, status_forward(tunnel, at));
    }
    free(rows);
    return text_buffer_take(&out);
}
