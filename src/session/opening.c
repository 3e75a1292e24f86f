#include "session/opening.h"

#include <string.h>

enum { MSG_KEXINIT = 20, COOKIE_BYTES = 16 };

/* Copies a line of the peer's, made fit for a message. */
static void keep_line(struct opening *out, const uint8_t *line, size_t len)
{
    size_t kept = 0;
    while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == ' ')) {
        len--;
    }
    for (; kept < len && kept + 1 < sizeof out->line; kept++) {
        out->line[kept] = line[kept] < 0x20 || line[kept] >= 0x7f ? '?' : (char)line[kept];
    }
    out->line[kept] = '\0';
}

static bool begins(const uint8_t *line, size_t len, const char *word)
{
    return len >= strlen(word) && memcmp(line, word, strlen(word)) == 0;
}

/* The first packet: length, padding length, then KEXINIT. */
static void parse_offer(const uint8_t *bytes, size_t len, struct opening *out)
{
    struct wire_reader reader;
    wire_reader_init(&reader, bytes, len);
    (void)wire_read_u32(&reader);
    (void)wire_read_u8(&reader);
    uint8_t type = wire_read_u8(&reader);
    for (size_t i = 0; i < COOKIE_BYTES; i++) {
        (void)wire_read_u8(&reader);
    }
    for (size_t i = 0; i < OPENING_LIST_COUNT; i++) {
        out->lists[i] = wire_read_string(&reader);
    }
    out->has_offer = type == MSG_KEXINIT && !reader.bad;
}

void opening_parse(const uint8_t *bytes, size_t len, struct opening *out)
{
    size_t at = 0;
    memset(out, 0, sizeof *out);
    while (at < len && !out->is_ssh) { /* lines before the greeting are allowed */
        const uint8_t *line = bytes + at;
        const uint8_t *end = memchr(line, '\n', len - at);
        size_t line_len = end != NULL ? (size_t)(end - line) : len - at;
        bool is_two = begins(line, line_len, "SSH-2.0-") || begins(line, line_len, "SSH-1.99-");
        out->is_old_ssh = out->is_old_ssh || (!is_two && begins(line, line_len, "SSH-1."));
        out->is_ssh = is_two && end != NULL;
        if (is_two || (line_len > 0 && out->line[0] == '\0')) {
            keep_line(out, line, line_len);
        }
        at += line_len + (end != NULL ? 1 : 0);
    }
    if (out->is_ssh) {
        parse_offer(bytes + at, len - at, out);
    }
}

static bool lists(struct wire_slice list, const char *name, size_t len)
{
    for (size_t at = 0; at < list.len;) {
        const uint8_t *comma = memchr(list.data + at, ',', list.len - at);
        size_t part = comma != NULL ? (size_t)(comma - list.data) - at : list.len - at;
        if (part == len && memcmp(list.data + at, name, len) == 0) {
            return true;
        }
        at += part + 1;
    }
    return false;
}

struct wire_slice opening_common(struct wire_slice theirs, const char *ours)
{
    while (*ours != '\0') {
        size_t part = strcspn(ours, ",");
        if (part > 0 && lists(theirs, ours, part)) {
            return (struct wire_slice){(const uint8_t *)ours, part};
        }
        ours += part + (ours[part] == ',');
    }
    return (struct wire_slice){NULL, 0};
}
