#include "cli/watch_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/status_read.h"

const char *watch_text_bytes(uint64_t bytes, char *out, size_t cap_bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    double value = (double)bytes;
    while (value >= 1000 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(out, cap_bytes, unit > 0 && value < 9.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return out;
}

const char *watch_text_span(uint64_t ms, char *out, size_t cap_bytes)
{
    uint64_t seconds = ms / 1000;
    if (seconds < 60)
        (void)snprintf(out, cap_bytes, "%us", (unsigned)seconds);
    else if (seconds < 3600)
        (void)snprintf(out, cap_bytes, "%um%02us", (unsigned)(seconds / 60), (unsigned)(seconds % 60));
    else if (seconds < 86400)
        (void)snprintf(out, cap_bytes, "%uh%02um", (unsigned)(seconds / 3600), (unsigned)(seconds / 60 % 60));
    else
        (void)snprintf(out, cap_bytes, "%" PRIu64 "d%02uh", seconds / 86400, (unsigned)(seconds / 3600 % 24));
    return out;
}

/* Adds ", 3 waiting"; what does not fit is left out. */
static void add_count(char *out, size_t cap_bytes, const char *before, size_t count, const char *what)
{
    size_t len = strlen(out);
    if (len < cap_bytes)
        (void)snprintf(out + len, cap_bytes - len, "%s%zu %s", before, count, what);
}

static size_t count_of(const json_t *status, const char *state)
{
    size_t count = 0;
    for (size_t i = 0; i < status_tunnel_count(status); i++) {
        const char *here = status_text_of(status_tunnel(status, i), "state");
        count += here != NULL && strcmp(here, state) == 0;
    }
    return count;
}

void watch_text_summary(const json_t *status, char *out, size_t cap_bytes)
{
    static const char *const shown[] = {"up", "degraded", "port_busy", "waiting", "failed", "stopped"};
    size_t left = status_tunnel_count(status);
    const char *before = ": ";
    out[0] = '\0';
    add_count(out, cap_bytes, "", left, left == 1 ? "tunnel" : "tunnels");
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        size_t count = count_of(status, shown[i]);
        if (count == 0)
            continue;
        add_count(out, cap_bytes, before, count, shown[i]);
        before = ", ";
        left -= count;
    }
    if (left > 0)
        add_count(out, cap_bytes, before, left, "connecting");
}

/* How long the character at `text` is in bytes: a first byte and those that continue it. */
static size_t character_len(const char *text)
{
    size_t len = 1;
    while (((unsigned char)text[len] & 0xc0) == 0x80)
        len++;
    return len;
}

static bool is_break(const char *text, size_t at)
{
    return text[at] == ' ' && at > 0 && text[at - 1] != ' ';
}

const char *watch_text_break(const char *text, unsigned columns, char *line, size_t cap_bytes)
{
    size_t end = 0;   /* behind the last character that fits */
    size_t blank = 0; /* where the last blanks among them begin; 0: none */
    unsigned used = 0;
    while (text[end] != '\0' && used < columns && end + character_len(text + end) < cap_bytes) {
        if (is_break(text, end))
            blank = end;
        end += character_len(text + end);
        used++;
    }
    if (is_break(text, end))
        blank = end;
    if (text[end] != '\0' && blank != 0)
        end = blank;
    memcpy(line, text, end);
    line[end] = '\0';
    while (text[end] == ' ')
        end++;
    return text + end;
}
