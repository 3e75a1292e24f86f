#include "cli/watch_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/watch_text.h"
#include "control/status_read.h"

enum {
    ROWS_BELOW_TITLE = 3, /* the head of the table, a line of it, the foot */
    WIDE = 120,
    NARROW = 60,
    STATE_COLUMNS = 14,
    RATE_COLUMNS = 9,
    RTT_COLUMNS = 8,
    WHEN_COLUMNS = 12,
    COUNT_COLUMNS = 6,
    NAME_MIN_COLUMNS = 8
};

static const struct screen_style plain = {.colour = SCREEN_PLAIN};
static const struct screen_style faint = {.colour = SCREEN_FAINT};
static const struct screen_style bold = {.bold = true};
static const struct screen_style bad = {.colour = SCREEN_RED};
static const struct screen_style bar = {.reverse = true};

/* The list, drawn line by line; those above or below the picture are counted, and no more. */
struct list {
    const struct watch_view *view;
    struct screen_frame *frame;
    unsigned head; /* rows above the list */
    size_t line;   /* of the list, from 0 */
    unsigned name; /* columns of the name, and of the host behind it (0: not shown) */
    unsigned host;
};

static size_t room_below(unsigned head, unsigned height)
{
    return height > head + 1 ? height - head - 1 : 0;
}

/* The row of the list's line that is to be drawn; outside the picture for one that is not seen. */
static unsigned row_of(const struct list *list)
{
    size_t scroll = list->view->scroll;
    if (list->line < scroll || list->line - scroll >= room_below(list->head, list->frame->height))
        return list->frame->height;
    return list->head + (unsigned)(list->line - scroll);
}

/* A text that ends at the column before `end`. */
static void put_right(struct screen_frame *frame, unsigned row, unsigned end, unsigned columns, const char *text,
                      struct screen_style style)
{
    unsigned len = screen_text_columns(text);
    len = len < columns ? len : columns;
    if (end >= len)
        (void)screen_text(frame, row, end - len, len, text, style);
}

static void fill_row(struct screen_frame *frame, unsigned row, struct screen_style style)
{
    for (unsigned i = 0; i < frame->width; i++)
        (void)screen_text(frame, row, i, 1, " ", style);
}

static struct screen_style style_of_state(const char *state)
{
    static const struct {
        const char *state;
        struct screen_style style;
    } styles[] = {
        {"up", {.colour = SCREEN_GREEN, .bold = true}},
        {"degraded", {.colour = SCREEN_YELLOW, .bold = true}},
        {"waiting", {.colour = SCREEN_YELLOW}},
        {"port_busy", {.colour = SCREEN_YELLOW}},
        {"failed", {.colour = SCREEN_RED, .bold = true}},
        {"stopped", {.colour = SCREEN_FAINT}},
        {"idle", {.colour = SCREEN_FAINT}},
    };
    for (size_t i = 0; i < sizeof styles / sizeof styles[0]; i++) {
        if (strcmp(state, styles[i].state) == 0)
            return styles[i].style;
    }
    return (struct screen_style){.colour = SCREEN_CYAN}; /* on its way */
}

/* --- the tunnels --- */

/* Bytes a second since the status before, or "-" where that cannot be said. */
static void rate_text(const struct watch_view *view, const json_t *tunnel, const char *key, char *out, size_t cap_bytes)
{
    const json_t *before = view->before.json != NULL && status_is_same_run(view->before.json, view->now.json)
                               ? status_find(view->before.json, status_text_or(tunnel, "name", ""))
                               : NULL;
    int64_t bytes = status_number_of(tunnel, key);
    int64_t bytes_before = status_number_of(before, key);
    uint64_t elapsed_ms =
        view->now.at_unix_ms > view->before.at_unix_ms ? view->now.at_unix_ms - view->before.at_unix_ms : 0;
    if (before == NULL || bytes_before < 0 || bytes < bytes_before || elapsed_ms == 0)
        (void)snprintf(out, cap_bytes, "-");
    else
        (void)watch_text_bytes((uint64_t)((double)(bytes - bytes_before) * 1000 / (double)elapsed_ms), out, cap_bytes);
}

static const char *bytes_text(const json_t *object, const char *key, char *out, size_t cap_bytes)
{
    int64_t bytes = status_number_of(object, key);
    if (bytes >= 0)
        return watch_text_bytes((uint64_t)bytes, out, cap_bytes);
    (void)snprintf(out, cap_bytes, "-");
    return out;
}

/* "up 3h12m", "retry 4s", or how long it has been in its state. */
static void when_text(const struct watch_view *view, const json_t *tunnel, char *out, size_t cap_bytes)
{
    char span[WATCH_TEXT_CAP_BYTES];
    int64_t retry_ms = status_number_of(tunnel, "next_retry_ms");
    uint64_t since_ms = status_time_of(tunnel, "since");
    const char *state = status_text_or(tunnel, "state", "");
    if (retry_ms >= 0) {
        uint64_t age_ms = view->now_unix_ms > view->now.at_unix_ms ? view->now_unix_ms - view->now.at_unix_ms : 0;
        uint64_t left_ms = (uint64_t)retry_ms > age_ms ? (uint64_t)retry_ms - age_ms : 0;
        (void)snprintf(out, cap_bytes, "retry %s", watch_text_span(left_ms + 999, span, sizeof span));
    } else if (since_ms == 0) {
        (void)snprintf(out, cap_bytes, "-");
    } else {
        uint64_t for_ms = view->now_unix_ms > since_ms ? view->now_unix_ms - since_ms : 0;
        (void)snprintf(out, cap_bytes, "%s%s", strcmp(state, "up") == 0 ? "up " : "for ",
                       watch_text_span(for_ms, span, sizeof span));
    }
}

static void rtt_text(const json_t *tunnel, char *out, size_t cap_bytes)
{
    int64_t rtt_ms = status_number_of(tunnel, "rtt_ms");
    if (rtt_ms < 0)
        (void)snprintf(out, cap_bytes, "-");
    else if (rtt_ms < 100000)
        (void)snprintf(out, cap_bytes, "%" PRId64 " ms", rtt_ms);
    else
        (void)snprintf(out, cap_bytes, "%" PRId64 " s", rtt_ms / 1000);
}

/* The cells of a tunnel's line; the head of the table has the same places. */
struct row_texts {
    const char *name, *host, *state, *in, *out, *rtt, *total_in, *total_out, *reconnects, *when;
};

static void put_row(const struct list *list, unsigned row, const struct row_texts *texts, struct screen_style style,
                    struct screen_style state_style)
{
    struct screen_frame *frame = list->frame;
    unsigned at = list->name + 1;
    bool is_wide = frame->width >= WIDE;
    (void)screen_text(frame, row, 0, list->name, texts->name, style);
    if (list->host != 0) {
        (void)screen_text(frame, row, at, list->host, texts->host, style);
        at += list->host + 1;
    }
    (void)screen_text(frame, row, at, STATE_COLUMNS, texts->state, state_style);
    at += STATE_COLUMNS + 1;
    if (frame->width >= NARROW) {
        const char *const right[] = {texts->in,       texts->out,       texts->rtt,
                                     texts->total_in, texts->total_out, texts->reconnects};
        static const unsigned columns[] = {RATE_COLUMNS, RATE_COLUMNS, RTT_COLUMNS,
                                           RATE_COLUMNS, RATE_COLUMNS, COUNT_COLUMNS};
        for (size_t i = 0; i < (is_wide ? 6U : 3U); i++) {
            put_right(frame, row, at + columns[i], columns[i], right[i], style);
            at += columns[i] + 1;
        }
    }
    (void)screen_text(frame, row, at, WHEN_COLUMNS, texts->when, style);
}

static void list_tunnel_line(struct list *list, const json_t *tunnel)
{
    char in[WATCH_TEXT_CAP_BYTES];
    char out[WATCH_TEXT_CAP_BYTES];
    char rtt[WATCH_TEXT_CAP_BYTES];
    char total_in[WATCH_TEXT_CAP_BYTES];
    char total_out[WATCH_TEXT_CAP_BYTES];
    char reconnects[WATCH_TEXT_CAP_BYTES];
    char when[WATCH_TEXT_CAP_BYTES + 8];
    const char *state = status_text_or(tunnel, "state", "?");
    rate_text(list->view, tunnel, "bytes_in", in, sizeof in);
    rate_text(list->view, tunnel, "bytes_out", out, sizeof out);
    rtt_text(tunnel, rtt, sizeof rtt);
    (void)bytes_text(tunnel, "bytes_in", total_in, sizeof total_in);
    (void)bytes_text(tunnel, "bytes_out", total_out, sizeof total_out);
    (void)snprintf(reconnects, sizeof reconnects, "%" PRId64, status_number_of(tunnel, "reconnects"));
    when_text(list->view, tunnel, when, sizeof when);
    const struct row_texts texts = {.name = status_text_or(tunnel, "name", "?"),
                                    .host = status_text_or(tunnel, "host", ""),
                                    .state = state,
                                    .in = in,
                                    .out = out,
                                    .rtt = rtt,
                                    .total_in = total_in,
                                    .total_out = total_out,
                                    .reconnects = reconnects,
                                    .when = when};
    bool is_old = list->view->trouble != NULL;
    put_row(list, row_of(list), &texts, is_old ? faint : plain, is_old ? faint : style_of_state(state));
    list->line++;
}

/* An error over as many lines as it takes, broken between words. */
static void list_error(struct list *list, unsigned indent, const char *text)
{
    unsigned columns = list->frame->width > indent ? list->frame->width - indent : 0;
    if (columns == 0)
        return;
    while (*text != '\0') {
        char line[WATCH_TEXT_LINE_CAP_BYTES];
        text = watch_text_break(text, columns, line, sizeof line);
        (void)screen_text(list->frame, row_of(list), indent, columns, line, list->view->trouble != NULL ? faint : bad);
        list->line++;
    }
}

static const char *flag_of(const char *type)
{
    if (strcmp(type, "local") == 0)
        return "-L";
    if (strcmp(type, "dynamic") == 0)
        return "-D";
    return strcmp(type, "direct") == 0 ? "direct" : "-R";
}

static void list_forward(struct list *list, const json_t *forward)
{
    struct screen_frame *frame = list->frame;
    char ends[WATCH_TEXT_LINE_CAP_BYTES];
    char counts[WATCH_TEXT_LINE_CAP_BYTES];
    char in[WATCH_TEXT_CAP_BYTES];
    char out[WATCH_TEXT_CAP_BYTES];
    const char *to = status_text_of(forward, "to");
    const char *state = status_text_or(forward, "state", "?");
    bool is_old = list->view->trouble != NULL;
    int64_t open = status_number_of(forward, "channels");
    int64_t total = status_number_of(forward, "channels_total");
    (void)snprintf(ends, sizeof ends, "%s %s%s%s", flag_of(status_text_or(forward, "type", "")),
                   status_text_or(forward, "bound", status_text_or(forward, "listen", "?")),
                   to != NULL ? " -> " : " (SOCKS)", to != NULL ? to : "");
    if (frame->width >= WIDE)
        (void)snprintf(counts, sizeof counts, "%6" PRId64 " open %8" PRId64 " in all %9s in %9s out",
                       open < 0 ? 0 : open, total < 0 ? 0 : total, bytes_text(forward, "bytes_in", in, sizeof in),
                       bytes_text(forward, "bytes_out", out, sizeof out));
    else
        (void)snprintf(counts, sizeof counts, "%5" PRId64 " open", open < 0 ? 0 : open);
    unsigned right = screen_text_columns(counts);
    unsigned state_columns = 9;
    unsigned left = frame->width > right + state_columns + 4 ? frame->width - right - state_columns - 4 : 0;
    (void)screen_text(frame, row_of(list), 2, left, ends, is_old ? faint : plain);
    (void)screen_text(frame, row_of(list), left + 3, state_columns, state, is_old ? faint : style_of_state(state));
    put_right(frame, row_of(list), frame->width, right, counts, is_old ? faint : plain);
    list->line++;
    if (status_text_of(forward, "error") != NULL)
        list_error(list, 5, status_text_of(forward, "error"));
}

static void list_tunnel(struct list *list, const json_t *tunnel)
{
    const char *state = status_text_or(tunnel, "state", "");
    const char *error = status_text_of(json_object_get(tunnel, "last_error"), "message");
    list_tunnel_line(list, tunnel);
    if (error != NULL && strcmp(state, "up") != 0 && strcmp(state, "degraded") != 0 && strcmp(state, "stopped") != 0)
        list_error(list, 2, error);
    for (size_t i = 0; i < status_forward_count(tunnel); i++)
        list_forward(list, status_forward(tunnel, i));
}

/* --- around them --- */

/* The name gets what the columns with a width of their own leave; a host beside it, where there is room for both. */
static void share_columns(struct list *list, const json_t *status)
{
    unsigned width = list->frame->width;
    unsigned fixed = STATE_COLUMNS + 1 + WHEN_COLUMNS + 1;
    unsigned longest = NAME_MIN_COLUMNS;
    if (width >= NARROW)
        fixed += 2 * (RATE_COLUMNS + 1) + RTT_COLUMNS + 1;
    if (width >= WIDE)
        fixed += 2 * (RATE_COLUMNS + 1) + COUNT_COLUMNS + 1;
    unsigned left = width > fixed + NAME_MIN_COLUMNS ? width - fixed : NAME_MIN_COLUMNS;
    for (size_t i = 0; i < status_tunnel_count(status); i++) {
        unsigned len = screen_text_columns(status_text_or(status_tunnel(status, i), "name", ""));
        longest = len > longest ? len : longest;
    }
    list->name = left;
    list->host = 0;
    if (width >= WIDE && left > longest + 1 + NAME_MIN_COLUMNS) {
        list->name = longest;
        list->host = left - longest - 1;
    }
}

/* A sentence from the first row on, its further rows indented, in at most `rows` of them. Returns how many it took. */
static unsigned draw_sentence(struct screen_frame *frame, unsigned rows, const char *text, struct screen_style style)
{
    unsigned row = 0;
    do {
        char line[WATCH_TEXT_LINE_CAP_BYTES];
        unsigned indent = row > 0 && frame->width > 2 ? 2 : 0;
        const char *rest = watch_text_break(text, frame->width - indent, line, sizeof line);
        bool is_last = row + 1 == rows;
        (void)screen_text(frame, row, indent, frame->width - indent, is_last ? text : line, style);
        text = is_last ? "" : rest;
        row++;
    } while (*text != '\0');
    return row;
}

/* What stands above the table, in a picture `height` rows high (that of `frame` may have none of them). Returns how
 * many rows it took. */
static unsigned draw_title(const struct watch_view *view, struct screen_frame *frame, unsigned height)
{
    char left[WATCH_TEXT_LINE_CAP_BYTES];
    char right[WATCH_TEXT_LINE_CAP_BYTES];
    char span[WATCH_TEXT_CAP_BYTES];
    const json_t *status = view->now.json;
    uint64_t started_ms = status_time_of(status, "started_at");
    unsigned rows = height > ROWS_BELOW_TITLE ? height - ROWS_BELOW_TITLE : 1;
    if (frame->width == 0)
        return 1;
    if (view->trouble != NULL) {
        (void)snprintf(left, sizeof left, "holdfast: %s", view->trouble);
        return draw_sentence(frame, rows, left, (struct screen_style){.colour = SCREEN_RED, .bold = true});
    }
    (void)snprintf(
        left, sizeof left, "holdfast %s  pid %" PRId64 "  up %s", status_text_or(status, "version", "?"),
        status_number_of(status, "pid"),
        watch_text_span(view->now_unix_ms > started_ms && started_ms != 0 ? view->now_unix_ms - started_ms : 0, span,
                        sizeof span));
    watch_text_summary(status, right, sizeof right);
    unsigned used = screen_text_columns(left);
    bool is_beside = used + 2 + screen_text_columns(right) <= frame->width;
    (void)screen_text(frame, 0, 0, frame->width, left, bold);
    if (!is_beside && rows > 1)
        (void)screen_text(frame, 1, 2, frame->width, right, plain);
    else if (used + 2 < frame->width)
        put_right(frame, 0, frame->width, frame->width - used - 2, right, plain);
    return is_beside || rows == 1 ? 1 : 2;
}

static void draw_foot(const struct watch_view *view, struct screen_frame *frame, size_t room, size_t lines)
{
    char text[WATCH_TEXT_LINE_CAP_BYTES];
    unsigned row = frame->height - 1;
    size_t last = view->scroll + room < lines ? view->scroll + room : lines;
    fill_row(frame, row, bar);
    unsigned used = screen_text(frame, row, 0, frame->width, " q quit  Up Down PgUp PgDn scroll", bar);
    (void)snprintf(text, sizeof text, "lines %zu-%zu of %zu ", lines == 0 ? 0 : view->scroll + 1, last, lines);
    if (used + 2 < frame->width)
        put_right(frame, row, frame->width, frame->width - used - 2, text, bar);
}

/* Draws the list into a picture, and counts its lines. */
static size_t draw_list(struct list *list)
{
    const json_t *status = list->view->now.json;
    share_columns(list, status);
    for (size_t i = 0; i < status_tunnel_count(status); i++)
        list_tunnel(list, status_tunnel(status, i));
    return list->line;
}

size_t watch_view_lines(const struct watch_view *view, unsigned width)
{
    struct screen_frame nothing = {.cells = NULL, .width = width, .height = 0};
    struct list list = {.view = view, .frame = &nothing};
    return draw_list(&list);
}

size_t watch_view_room(const struct watch_view *view, unsigned width, unsigned height)
{
    struct screen_frame nothing = {.cells = NULL, .width = width, .height = 0};
    return room_below(draw_title(view, &nothing, height) + 1, height);
}

void watch_view_draw(const struct watch_view *view, struct screen_frame *frame)
{
    struct list list = {.view = view, .frame = frame};
    const struct row_texts head = {.name = "NAME",
                                   .host = "HOST",
                                   .state = "STATE",
                                   .in = "IN/s",
                                   .out = "OUT/s",
                                   .rtt = "RTT",
                                   .total_in = "IN",
                                   .total_out = "OUT",
                                   .reconnects = "RECON",
                                   .when = "SINCE"};
    if (frame->height == 0)
        return;
    unsigned title = draw_title(view, frame, frame->height);
    list.head = title + 1;
    size_t lines = draw_list(&list);
    if (frame->height > title + 1) {
        fill_row(frame, title, bar);
        put_row(&list, title, &head, bar, bar);
        draw_foot(view, frame, room_below(list.head, frame->height), lines);
    }
}
