#include "control/status_json.h"

#include <string.h>

#include "base/duration.h"
#include "control/json_text.h"

/* "" is what is not known yet. */
static json_t *text_or_null(const char *text)
{
    return text == NULL || text[0] == 0 ? json_null() : json_of_text(text);
}

static json_t *number(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static json_t *number_or_null(int64_t value)
{
    return value < 0 ? json_null() : json_integer(value);
}

static json_t *moment(uint64_t unix_ms)
{
    char text[32];
    return json_string(time_text(unix_ms, text, sizeof text));
}

static json_t *forward_json(const struct status_forward *forward)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "type", forward_type_name(forward->type),
                     "listen", json_of_text(forward->listen), "bound", text_or_null(forward->bound), "to",
                     text_or_null(forward->to), "state", forward_state_name(forward->state), "error",
                     json_of_text(forward->error), "channels", number(forward->counts.channels), "channels_total",
                     number(forward->counts.channels_total), "bytes_in", number(forward->counts.bytes_in), "bytes_out",
                     number(forward->counts.bytes_out));
}

static json_t *error_json(const struct tunnel_facts *facts)
{
    if (facts->last_error == NULL)
        return json_null();
    return json_pack("{s:s, s:o, s:o}", "class", err_class_name(err_classify(facts->last_error->code)), "message",
                     json_of_text(facts->last_error->message), "at", moment(facts->last_error_unix_ms));
}

static json_t *peer_json(const struct tunnel_facts *facts)
{
    const struct session_facts *session = &facts->session;
    if (!facts->has_peer)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "address", text_or_null(session->address), "banner",
                     text_or_null(session->banner), "kex", text_or_null(session->kex), "cipher",
                     text_or_null(session->cipher), "host_key", text_or_null(session->host_key));
}

static json_t *tunnel_json(const struct status_tunnel *tunnel)
{
    const struct tunnel_facts *facts = &tunnel->facts;
    json_t *forwards = json_array();
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        if (json_array_append_new(forwards, forward_json(&tunnel->forwards[i])) != 0) {
            json_decref(forwards);
            return NULL;
        }
    }
    return json_pack("{s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
                     json_of_text(tunnel->name), "host", json_of_text(tunnel->host), "state",
                     tunnel_state_name(facts->state), "since", moment(facts->since_unix_ms), "attempts",
                     number(facts->attempts), "reconnects", number(facts->reconnects), "next_retry_ms",
                     number_or_null(facts->next_retry_ms), "last_error", error_json(facts), "peer", peer_json(facts),
                     "rtt_ms", number_or_null(facts->has_peer ? facts->session.rtt_ms : -1), "bytes_in",
                     number(facts->bytes_in), "bytes_out", number(facts->bytes_out), "forwards", forwards);
}

static bool is_wanted(const char *name, char *const *names, size_t name_count)
{
    for (size_t i = 0; i < name_count; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return name_count == 0;
}

json_t *status_to_json(const struct status *status, char *const *names, size_t name_count)
{
    json_t *tunnels = json_array();
    for (size_t i = 0; i < status->tunnel_count; i++) {
        if (is_wanted(status->tunnels[i].name, names, name_count) &&
            json_array_append_new(tunnels, tunnel_json(&status->tunnels[i])) != 0) {
            json_decref(tunnels);
            return NULL;
        }
    }
    return json_pack("{s:s, s:i, s:o, s:o}", "version", status->version, "pid", status->pid, "started_at",
                     moment(status->started_unix_ms), "tunnels", tunnels);
}
