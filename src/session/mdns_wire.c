#include "session/mdns_wire.h"

#include <string.h>

enum {
    HEADER_BYTES = 12,
    NAME_MAX_BYTES = 255,
    LABEL_MAX_BYTES = 63,
    JUMPS_MAX = 32,
    RECORDS_MAX = 64,
    TYPE_A = 1,
    TYPE_AAAA = 28,
    CLASS_IN = 1,
    CLASS_MASK = 0x7fff, /* the top bit says that caches are to be flushed, or that a unicast answer is welcome */
    FLAG_RESPONSE = 0x80,
    OPCODE_MASK = 0x78,
    RCODE_MASK = 0x0f
};

static char lower(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte;
}

static size_t plain_length(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && name[len - 1] == '.' ? len - 1 : len;
}

bool mdns_is_local(const char *name)
{
    static const char suffix[] = ".local";
    size_t len = plain_length(name);
    size_t suffix_len = sizeof suffix - 1;
    if (len <= suffix_len) {
        return false;
    }
    for (size_t i = 0; i < suffix_len; i++) {
        if (lower(name[len - suffix_len + i]) != suffix[i]) {
            return false;
        }
    }
    return true;
}

/* The name as labels with their lengths. Returns how many bytes it takes, 0 for a label that is empty or too long. */
static size_t encode_name(const char *name, uint8_t *out)
{
    size_t len = plain_length(name);
    size_t used = 0;
    if (len == 0 || len + 2 > NAME_MAX_BYTES) {
        return 0;
    }
    for (size_t start = 0; start <= len;) {
        const char *dot = memchr(name + start, '.', len - start);
        size_t end = dot == NULL ? len : (size_t)(dot - name);
        size_t label = end - start;
        if (label == 0 || label > LABEL_MAX_BYTES) {
            return 0;
        }
        out[used++] = (uint8_t)label;
        memcpy(out + used, name + start, label);
        used += label;
        start = end + 1;
    }
    out[used++] = 0;
    return used;
}

static size_t put_question(uint8_t *out, const uint8_t *name, size_t name_len, uint8_t type)
{
    memcpy(out, name, name_len);
    out[name_len] = 0;
    out[name_len + 1] = type;
    out[name_len + 2] = 0;
    out[name_len + 3] = CLASS_IN;
    return name_len + 4;
}

size_t mdns_encode_query(const char *name, uint16_t id, bool ipv4, bool ipv6, uint8_t out[MDNS_QUERY_MAX_BYTES])
{
    /* Two questions with the second name as a pointer to the first: a legacy query may do so too. */
    uint8_t encoded[NAME_MAX_BYTES + 1];
    static const uint8_t pointer[] = {0xc0, HEADER_BYTES};
    size_t name_len = encode_name(name, encoded);
    size_t used = HEADER_BYTES;
    if (name_len == 0 || (!ipv4 && !ipv6)) {
        return 0;
    }
    memset(out, 0, HEADER_BYTES);
    out[0] = (uint8_t)(id >> 8);
    out[1] = (uint8_t)(id & 0xff);
    out[5] = (uint8_t)((ipv4 ? 1 : 0) + (ipv6 ? 1 : 0));
    used += put_question(out + used, encoded, name_len, ipv4 ? TYPE_A : TYPE_AAAA);
    if (ipv4 && ipv6) {
        used += put_question(out + used, pointer, sizeof pointer, TYPE_AAAA);
    }
    return used;
}

struct reader {
    const uint8_t *data;
    size_t len, at;
};

static bool read_u16(struct reader *reader, uint16_t *out)
{
    if (reader->len - reader->at < 2) {
        return false;
    }
    *out = (uint16_t)((reader->data[reader->at] << 8) | reader->data[reader->at + 1]);
    reader->at += 2;
    return true;
}

/* Reads a name, following its pointers, each of which leads backwards; `out` takes it as labels with lengths, in lower
 * case, and `out_len` how many bytes that are. */
static bool read_name(struct reader *reader, uint8_t out[NAME_MAX_BYTES + 1], size_t *out_len)
{
    size_t at = reader->at;
    size_t used = 0;
    bool jumped = false;
    for (int jumps = 0; at < reader->len;) {
        uint8_t label = reader->data[at];
        if ((label & 0xc0) == 0xc0) {
            if (at + 1 >= reader->len || ++jumps > JUMPS_MAX) {
                return false;
            }
            size_t to = (size_t)((label & 0x3f) << 8) | reader->data[at + 1];
            reader->at = jumped ? reader->at : at + 2;
            jumped = true;
            if (to >= at) {
                return false;
            }
            at = to;
            continue;
        }
        if (label > LABEL_MAX_BYTES || at + 1 + label > reader->len || used + 1 + label > NAME_MAX_BYTES) {
            return false;
        }
        out[used++] = label;
        for (size_t i = 0; i < label; i++) {
            out[used++] = (uint8_t)lower((char)reader->data[at + 1 + i]);
        }
        at += (size_t)label + 1;
        if (label == 0) {
            reader->at = jumped ? reader->at : at;
            *out_len = used;
            return true;
        }
    }
    return false;
}

static void add(struct mdns_addresses *out, bool is_ipv6, const uint8_t *bytes)
{
    size_t len = is_ipv6 ? 16 : 4;
    for (size_t i = 0; i < out->count; i++) {
        if (out->items[i].is_ipv6 == is_ipv6 && memcmp(out->items[i].bytes, bytes, len) == 0) {
            return;
        }
    }
    if (out->count < MDNS_ADDRESSES_MAX) {
        struct mdns_address *item = &out->items[out->count++];
        memset(item, 0, sizeof *item);
        item->is_ipv6 = is_ipv6;
        memcpy(item->bytes, bytes, len);
    }
}

/* One resource record; false at the first thing that is broken. */
static bool read_record(struct reader *reader, const uint8_t *wanted, size_t wanted_len, struct mdns_addresses *out)
{
    uint8_t name[NAME_MAX_BYTES + 1];
    size_t name_len = 0;
    uint16_t type = 0;
    uint16_t class = 0;
    uint16_t ttl = 0;
    uint16_t len = 0;
    if (!read_name(reader, name, &name_len) || !read_u16(reader, &type) || !read_u16(reader, &class) ||
        !read_u16(reader, &ttl) || !read_u16(reader, &ttl) || !read_u16(reader, &len) ||
        reader->len - reader->at < len) {
        return false;
    }
    const uint8_t *bytes = reader->data + reader->at;
    reader->at += len;
    if ((class & CLASS_MASK) == CLASS_IN && name_len == wanted_len && memcmp(name, wanted, wanted_len) == 0 &&
        ((type == TYPE_A && len == 4) || (type == TYPE_AAAA && len == 16))) {
        add(out, type == TYPE_AAAA, bytes);
    }
    return true;
}

bool mdns_parse_response(const uint8_t *data, size_t len, const char *name, uint16_t id, struct mdns_addresses *out)
{
    struct reader reader = {.data = data, .len = len, .at = 0};
    uint8_t wanted[NAME_MAX_BYTES + 1];
    uint8_t skipped[NAME_MAX_BYTES + 1];
    uint16_t words[6] = {0, 0, 0, 0, 0, 0};
    uint16_t ignored = 0;
    size_t skipped_len = 0;
    size_t wanted_len = encode_name(name, wanted);
    for (size_t i = 0; i < wanted_len; i++) { /* lengths are under 64, so no letters */
        wanted[i] = (uint8_t)lower((char)wanted[i]);
    }
    for (size_t i = 0; i < 6; i++) {
        if (!read_u16(&reader, &words[i])) {
            return false;
        }
    }
    if (wanted_len == 0 || words[0] != id || (data[2] & FLAG_RESPONSE) == 0 || (data[2] & OPCODE_MASK) != 0 ||
        (data[3] & RCODE_MASK) != 0 || words[2] > RECORDS_MAX) {
        return false;
    }
    for (uint16_t i = 0; i < words[2]; i++) { /* a unicast answer repeats the questions */
        if (!read_name(&reader, skipped, &skipped_len) || !read_u16(&reader, &ignored) ||
            !read_u16(&reader, &ignored)) {
            return false;
        }
    }
    size_t records = (size_t)words[3] + words[4] + words[5];
    for (size_t i = 0; i < records && i < RECORDS_MAX; i++) {
        if (!read_record(&reader, wanted, wanted_len, out)) {
            break;
        }
    }
    return true;
}
