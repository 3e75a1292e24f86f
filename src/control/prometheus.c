#include "control/prometheus.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "control/status_read.h"

enum unit { UNIT_NONE, UNIT_MS, UNIT_TIME };

/* One metric whose value is one key of a tunnel or of a forward. */
struct metric {
    const char *name;
    const char *type;
    const char *help;
    const char *key;
    enum unit unit;
};

static const struct metric tunnel_metrics[] = {
    {"holdfast_tunnel_state_since_timestamp_seconds", "gauge", "When the tunnel came into its state.", "since",
     UNIT_TIME},
    {"holdfast_tunnel_attempts_total", "counter", "Attempts to connect that were begun.", "attempts", UNIT_NONE},
    {"holdfast_tunnel_reconnects_total", "counter", "Sessions that were up after the first one.", "reconnects",
     UNIT_NONE},
    {"holdfast_tunnel_next_retry_seconds", "gauge",
     "Until the next attempt of the tunnel or of one of its forwards, where one waits.", "next_retry_ms", UNIT_MS},
    {"holdfast_tunnel_rtt_seconds", "gauge", "Time the peer took to answer, while there is a session.", "rtt_ms",
     UNIT_MS},
    {"holdfast_tunnel_received_bytes_total", "counter", "Bytes that came from the peer, over all sessions.", "bytes_in",
     UNIT_NONE},
    {"holdfast_tunnel_sent_bytes_total", "counter", "Bytes that went to the peer, over all sessions.", "bytes_out",
     UNIT_NONE},
};

static const struct metric forward_metrics[] = {
    {"holdfast_forward_open_channels", "gauge", "Connections that are open now.", "channels", UNIT_NONE},
    {"holdfast_forward_channels_total", "counter", "Connections that were carried.", "channels_total", UNIT_NONE},
    {"holdfast_forward_received_bytes_total", "counter", "Bytes that came from the peer's side.", "bytes_in",
     UNIT_NONE},
    {"holdfast_forward_sent_bytes_total", "counter", "Bytes that went to the peer's side.", "bytes_out", UNIT_NONE},
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void add_head(struct text_buffer *out, const char *name, const char *type, const char *help)
{
    text_buffer_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value: backslash, quote and line feed are escaped. */
static void add_escaped(struct text_buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\\' || *text == '"')
            text_buffer_format(out, "\\%c", *text);
        else if (*text == '\n')
            text_buffer_add(out, "\\n");
        else
            text_buffer_add_bytes(out, text, 1);
    }
}

static void add_label(struct text_buffer *out, const char *before, const char *name, const char *value)
{
    text_buffer_format(out, "%s%s=\"", before, name);
    add_escaped(out, value != NULL ? value : "");
    text_buffer_add(out, "\"");
}

static void add_tunnel_label(struct text_buffer *out, const char *name, const json_t *tunnel)
{
    text_buffer_add(out, name);
    add_label(out, "{", "tunnel", status_text_of(tunnel, "name"));
}

/* Several -R with port 0 look alike, and a series may be there only once: for each forward, tunnel by tunnel, how many
 * of its tunnel before it look like it. NULL when out of memory. */
static size_t *count_likes(const json_t *status)
{
    size_t count = 0;
    for (size_t i = 0; i < status_tunnel_count(status); i++)
        count += status_forward_count(status_tunnel(status, i));
    size_t *likes = calloc(count + 1, sizeof *likes);
    bool is_whole = likes != NULL;
    size_t at = 0;
    for (size_t i = 0; is_whole && i < status_tunnel_count(status); i++) {
        const json_t *tunnel = status_tunnel(status, i);
        json_t *seen = json_object(); /* a forward by its looks, and how many there are */
        for (size_t f = 0; is_whole && f < status_forward_count(tunnel); f++) {
            struct text_buffer looks = {.text = NULL};
            text_buffer_format(&looks, "%s %s", status_text_or(status_forward(tunnel, f), "type", ""),
                               status_text_or(status_forward(tunnel, f), "listen", ""));
            char *key = text_buffer_take(&looks);
            json_int_t before = key != NULL ? json_integer_value(json_object_get(seen, key)) : 0;
            is_whole = key != NULL && json_object_set_new_nocheck(seen, key, json_integer(before + 1)) == 0;
            likes[at++] = (size_t)before;
            free(key);
        }
        json_decref(seen);
    }
    if (is_whole)
        return likes;
    free(likes);
    return NULL;
}

static void add_forward_labels(struct text_buffer *out, const char *name, const json_t *tunnel, size_t index,
                               size_t likes)
{
    const json_t *forward = status_forward(tunnel, index);
    add_tunnel_label(out, name, tunnel);
    text_buffer_add(out, ",forward=\"");
    add_escaped(out, status_text_or(forward, "listen", ""));
    if (likes > 0)
        text_buffer_format(out, "#%zu", likes + 1);
    text_buffer_add(out, "\"");
    add_label(out, ",", "type", status_text_of(forward, "type"));
    text_buffer_add(out, "}");
}

/* Milliseconds as seconds, without a floating point's doubts. */
static void add_seconds(struct text_buffer *out, uint64_t ms)
{
    text_buffer_format(out, " %" PRIu64 ".%03u\n", ms / 1000, (unsigned)(ms % 1000));
}

static bool is_known(const json_t *object, const struct metric *metric)
{
    return metric->unit == UNIT_TIME ? status_time_of(object, metric->key) != 0
                                     : status_number_of(object, metric->key) >= 0;
}

static void add_value(struct text_buffer *out, const json_t *object, const struct metric *metric)
{
    if (metric->unit == UNIT_TIME)
        add_seconds(out, status_time_of(object, metric->key));
    else if (metric->unit == UNIT_MS)
        add_seconds(out, (uint64_t)status_number_of(object, metric->key));
    else
        text_buffer_format(out, " %" PRId64 "\n", status_number_of(object, metric->key));
}

static void add_service(struct text_buffer *out, const json_t *status)
{
    add_head(out, "holdfast_build_info", "gauge", "Always 1; the version is a label.");
    text_buffer_add(out, "holdfast_build_info");
    add_label(out, "{", "version", status_text_of(status, "version"));
    text_buffer_add(out, "} 1\n");
    if (status_time_of(status, "started_at") != 0) {
        add_head(out, "holdfast_start_time_seconds", "gauge", "When the service was started.");
        text_buffer_add(out, "holdfast_start_time_seconds");
        add_seconds(out, status_time_of(status, "started_at"));
    }
}

static void add_state(struct text_buffer *out, const json_t *tunnel, const char *state, bool is_it)
{
    add_tunnel_label(out, "holdfast_tunnel_state", tunnel);
    add_label(out, ",", "state", state);
    text_buffer_add(out, is_it ? "} 1\n" : "} 0\n");
}

/* A state that is none of these has its own line while it lasts. */
static const char *const states[] = {"stopped", "resolving", "connecting", "handshaking", "authenticating", "binding",
                                     "up",      "degraded",  "port_busy",  "waiting",     "failed"};

static void add_states(struct text_buffer *out, const json_t *status)
{
    add_head(out, "holdfast_tunnel_state", "gauge", "1 for the state that the tunnel is in, 0 for the others.");
    for (size_t i = 0; i < status_tunnel_count(status); i++) {
        const json_t *tunnel = status_tunnel(status, i);
        const char *now = status_text_or(tunnel, "state", "");
        bool is_listed = false;
        for (size_t state = 0; state < COUNT(states); state++) {
            bool is_it = strcmp(states[state], now) == 0;
            is_listed = is_listed || is_it;
            add_state(out, tunnel, states[state], is_it);
        }
        if (!is_listed)
            add_state(out, tunnel, now, true);
    }
}

static void add_tunnels(struct text_buffer *out, const json_t *status)
{
    size_t count = status_tunnel_count(status);
    add_head(out, "holdfast_tunnel_info", "gauge", "Always 1; the host of the tunnel is a label.");
    for (size_t i = 0; i < count; i++) {
        add_tunnel_label(out, "holdfast_tunnel_info", status_tunnel(status, i));
        add_label(out, ",", "host", status_text_of(status_tunnel(status, i), "host"));
        text_buffer_add(out, "} 1\n");
    }
    add_head(out, "holdfast_tunnel_up", "gauge", "1 while the tunnel's session and all its forwards are up.");
    for (size_t i = 0; i < count; i++) {
        add_tunnel_label(out, "holdfast_tunnel_up", status_tunnel(status, i));
        text_buffer_format(out, "} %d\n", strcmp(status_text_or(status_tunnel(status, i), "state", ""), "up") == 0);
    }
    add_states(out, status);
    for (size_t m = 0; m < COUNT(tunnel_metrics); m++) {
        const struct metric *metric = &tunnel_metrics[m];
        add_head(out, metric->name, metric->type, metric->help);
        for (size_t i = 0; i < count; i++) {
            if (!is_known(status_tunnel(status, i), metric))
                continue;
            add_tunnel_label(out, metric->name, status_tunnel(status, i));
            text_buffer_add(out, "}");
            add_value(out, status_tunnel(status, i), metric);
        }
    }
}

static void add_errors(struct text_buffer *out, const json_t *status)
{
    static const char name[] = "holdfast_tunnel_last_error_timestamp_seconds";
    add_head(out, name, "gauge", "When the tunnel last failed, and of which class that was.");
    for (size_t i = 0; i < status_tunnel_count(status); i++) {
        const json_t *error = json_object_get(status_tunnel(status, i), "last_error");
        if (status_time_of(error, "at") == 0)
            continue;
        add_tunnel_label(out, name, status_tunnel(status, i));
        add_label(out, ",", "class", status_text_of(error, "class"));
        text_buffer_add(out, "}");
        add_seconds(out, status_time_of(error, "at"));
    }
}

static void add_forwards(struct text_buffer *out, const json_t *status, const size_t *likes)
{
    const size_t *like = likes;
    add_head(out, "holdfast_forward_up", "gauge", "1 while the forward listens.");
    for (size_t i = 0; i < status_tunnel_count(status); i++) {
        const json_t *tunnel = status_tunnel(status, i);
        for (size_t f = 0; f < status_forward_count(tunnel); f++) {
            add_forward_labels(out, "holdfast_forward_up", tunnel, f, *like++);
            text_buffer_format(out, " %d\n", strcmp(status_text_or(status_forward(tunnel, f), "state", ""), "up") == 0);
        }
    }
    for (size_t m = 0; m < COUNT(forward_metrics); m++) {
        const struct metric *metric = &forward_metrics[m];
        add_head(out, metric->name, metric->type, metric->help);
        like = likes;
        for (size_t i = 0; i < status_tunnel_count(status); i++) {
            const json_t *tunnel = status_tunnel(status, i);
            for (size_t f = 0; f < status_forward_count(tunnel); f++, like++) {
                if (!is_known(status_forward(tunnel, f), metric))
                    continue;
                add_forward_labels(out, metric->name, tunnel, f, *like);
                add_value(out, status_forward(tunnel, f), metric);
            }
        }
    }
}

char *prometheus_text(const json_t *status)
{
    struct text_buffer out = {.text = NULL};
    size_t *likes = count_likes(status);
    if (likes == NULL)
        return NULL;
    add_service(&out, status);
    add_tunnels(&out, status);
    add_errors(&out, status);
    add_forwards(&out, status, likes);
    free(likes);
    return text_buffer_take(&out);
}
