#include "control/status_read.h"

#include <string.h>

#include "base/duration.h"

const char *status_text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

const char *status_text_or(const json_t *object, const char *key, const char *otherwise)
{
    const char *text = status_text_of(object, key);
    return text != NULL ? text : otherwise;
}

int64_t status_number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_real(value) && json_real_value(value) >= 0 && json_real_value(value) < 9e15)
        return (int64_t)json_real_value(value);
    return json_is_integer(value) && json_integer_value(value) >= 0 ? json_integer_value(value) : -1;
}

uint64_t status_time_of(const json_t *object, const char *key)
{
    const char *text = status_text_of(object, key);
    uint64_t unix_ms = 0;
    return text != NULL && time_parse(text, &unix_ms) == OK ? unix_ms : 0;
}

size_t status_tunnel_count(const json_t *status)
{
    return json_array_size(json_object_get(status, "tunnels"));
}

const json_t *status_tunnel(const json_t *status, size_t index)
{
    return json_array_get(json_object_get(status, "tunnels"), index);
}

size_t status_forward_count(const json_t *tunnel)
{
    return json_array_size(json_object_get(tunnel, "forwards"));
}

const json_t *status_forward(const json_t *tunnel, size_t index)
{
    return json_array_get(json_object_get(tunnel, "forwards"), index);
}

const json_t *status_find(const json_t *status, const char *name)
{
    for (size_t i = 0; i < status_tunnel_count(status); i++) {
        const char *here = status_text_of(status_tunnel(status, i), "name");
        if (here != NULL && strcmp(here, name) == 0)
            return status_tunnel(status, i);
    }
    return NULL;
}

bool status_is_same_run(const json_t *a, const json_t *b)
{
    const char *started_a = status_text_of(a, "started_at");
    const char *started_b = status_text_of(b, "started_at");
    return started_a != NULL && started_b != NULL && strcmp(started_a, started_b) == 0 &&
           status_number_of(a, "pid") == status_number_of(b, "pid");
}
