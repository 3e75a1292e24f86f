#include "forward/answer.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { SHOWN_BYTES = 120, LINE_BYTES = 1024 };

#define EXPECTED "its first line must be HOST or HOST:PORT"

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n' || byte == '\f' || byte == '\v';
}

/* Copies what is between `begin` and `end` without the blanks around it. */
static void copy_line(const char *begin, const char *end, char *out, size_t cap_bytes)
{
    while (begin < end && is_blank(*begin)) {
        begin++;
    }
    while (end > begin && is_blank(end[-1])) {
        end--;
    }
    size_t len = (size_t)(end - begin) < cap_bytes ? (size_t)(end - begin) : cap_bytes - 1;
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)begin[i];
        out[i] = byte < 0x20 || byte == 0x7f ? '?' : begin[i];
    }
    out[len] = '\0';
}

const char *answer_line(const char *text, int last, char *out, size_t cap_bytes)
{
    char line[LINE_BYTES];
    out[0] = '\0';
    for (const char *at = text; *at != '\0';) {
        const char *end = at + strcspn(at, "\n");
        copy_line(at, end, line, sizeof line < cap_bytes ? sizeof line : cap_bytes);
        if (line[0] != '\0') {
            (void)snprintf(out, cap_bytes, "%s", line);
            if (!last) {
                break;
            }
        }
        at = *end == '\0' ? end : end + 1;
    }
    return out;
}

/* The first line, blank or not. False when it is longer than any answer can be. */
static bool first_line(const char *output, char *out)
{
    const char *end = output + strcspn(output, "\n");
    copy_line(output, end, out, LINE_BYTES);
    return strlen(out) + 1 < LINE_BYTES;
}

static enum err nothing(struct err_info *info)
{
    return err_set(info, ERR_RESOLVE, "printed nothing; " EXPECTED);
}

static enum err nonsense(const char *line, struct err_info *info)
{
    return err_set(info, ERR_RESOLVE, "printed '%.*s', which is no address; " EXPECTED, SHOWN_BYTES, line);
}

static bool is_address(const char *text, int family)
{
    unsigned char address[16];
    return uv_inet_pton(family, text, address) == 0;
}

/* fe80::1%eth0 too. */
static bool is_ipv6(const char *text)
{
    char plain[64];
    size_t len = strcspn(text, "%");
    if (len >= sizeof plain || (text[len] == '%' && text[len + 1] == '\0')) {
        return false;
    }
    memcpy(plain, text, len);
    plain[len] = '\0';
    return is_address(plain, AF_INET6);
}

/* Letters, digits and what else is in names that a resolver may be asked for. */
static bool is_name(const char *text)
{
    size_t len = strlen(text);
    bool good = len > 0 && len < sizeof((struct answer *)NULL)->host && text[0] != '-' && text[0] != '.';
    for (size_t i = 0; good && i < len; i++) {
        unsigned char byte = (unsigned char)text[i];
        good = byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
               (byte >= 'A' && byte <= 'Z') || strchr("._-", byte) != NULL;
    }
    return good;
}

static bool read_port(const char *text, uint16_t *out)
{
    size_t len = strlen(text);
    if (len == 0 || len > 5 || strspn(text, "0123456789") != len) {
        return false;
    }
    unsigned long value = strtoul(text, NULL, 10);
    *out = (uint16_t)value;
    return value > 0 && value <= UINT16_MAX;
}

static void take_host(struct answer *out, const char *host)
{
    (void)snprintf(out->host, sizeof out->host, "%.255s", host); /* what is longer was refused */
}

/* [IPV6] or [IPV6]:PORT; `line` is spoilt. */
static bool parse_brackets(char *line, struct answer *out)
{
    char *end = strchr(line, ']');
    if (end == NULL || (end[1] != '\0' && end[1] != ':')) {
        return false;
    }
    *end = '\0';
    take_host(out, line + 1);
    return is_ipv6(line + 1) && (end[1] == '\0' || read_port(end + 2, &out->port));
}

enum err answer_parse(const char *output, struct answer *out, struct err_info *info)
{
    char line[LINE_BYTES];
    char copy[LINE_BYTES];
    *out = (struct answer){.port = 0};
    bool good = first_line(output, line);
    if (line[0] == '\0') {
        return nothing(info);
    }
    memcpy(copy, line, sizeof copy);
    char *colon = strchr(copy, ':');
    if (good && copy[0] == '[') {
        good = parse_brackets(copy, out);
    } else if (good && is_ipv6(copy)) {
        take_host(out, copy);
    } else if (good) {
        if (colon != NULL) {
            *colon = '\0';
        }
        good = is_name(copy) && (colon == NULL || read_port(colon + 1, &out->port));
        take_host(out, copy);
    }
    return good ? OK : nonsense(line, info);
}

enum err answer_parse_addresses(const char *output, struct answer *out, struct err_info *info)
{
    char line[LINE_BYTES];
    char copy[LINE_BYTES];
    const char *six = NULL;
    const char *found = NULL;
    *out = (struct answer){.port = 0};
    (void)first_line(output, line);
    if (line[0] == '\0') {
        return err_set(info, ERR_RESOLVE, "printed nothing, so it has no network; look at 'ip address' there");
    }
    memcpy(copy, line, sizeof copy);
    for (char *at = copy; *at != '\0' && found == NULL;) {
        size_t len = strcspn(at, " \t");
        char *next = at[len] == '\0' ? at + len : at + len + 1;
        at[len] = '\0';
        if (is_address(at, AF_INET)) {
            found = at;
        } else if (six == NULL && is_ipv6(at)) {
            six = at;
        }
        at = next;
    }
    found = found != NULL ? found : six;
    if (found == NULL) {
        return err_set(info, ERR_RESOLVE, "printed '%.*s', in which there is no address", SHOWN_BYTES, line);
    }
    take_host(out, found);
    return OK;
}
