#include "config/endpoint.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "config/text.h"
#include "platform/platform.h"

#define SHOWN_BYTES 80
#define HOST_MAX_BYTES 255
#define UNIX_PATH_MAX_BYTES 107

enum err port_parse(const char *text, bool allow_zero, uint16_t *out, struct err_info *info)
{
    char shown[SHOWN_BYTES];
    unsigned long value = 0;
    size_t len = strlen(text);
    if (len == 0) {
        return err_set(info, ERR_DEFINITION, "a port is missing");
    }
    if (strspn(text, "0123456789") != len) {
        return err_set(info, ERR_DEFINITION, "'%s' is not a port number", text_shown(text, shown, sizeof shown));
    }
    for (size_t i = 0; i < len && value <= UINT16_MAX; i++) {
        value = value * 10 + (unsigned long)(text[i] - '0');
    }
    if (value > UINT16_MAX || (value == 0 && !allow_zero)) {
        return err_set(info, ERR_DEFINITION, "port %s is not in %d-65535", text_shown(text, shown, sizeof shown),
                       allow_zero ? 0 : 1);
    }
    *out = (uint16_t)value;
    return OK;
}

static bool is_digits(const char *text)
{
    return *text != '\0' && strspn(text, "0123456789") == strlen(text);
}

/* "C:\..." or "C:/...": the colon belongs to the path. */
static bool has_drive(const char *text)
{
    char letter = text_lower(text[0]);
    return letter >= 'a' && letter <= 'z' && text[1] == ':' && (text[2] == '\\' || text[2] == '/');
}

static bool is_path(const char *text)
{
    return strchr(text, '/') != NULL || strchr(text, '\\') != NULL;
}

static bool is_ipv6(const char *text)
{
    struct in6_addr address;
    return uv_inet_pton(AF_INET6, text, &address) == 0;
}

/* Is this a name or address that a resolver may be asked for? `what` is what it is called in the message. */
static enum err host_check(const char *host, const char *what, struct err_info *info)
{
    char shown[SHOWN_BYTES];
    size_t len = strlen(host);
    if (len == 0) {
        return err_set(info, ERR_DEFINITION, "the %s is missing", what);
    }
    (void)text_shown(host, shown, sizeof shown);
    if (len > HOST_MAX_BYTES) {
        return err_set(info, ERR_DEFINITION, "the %s '%.40s...' is longer than %d bytes", what, shown, HOST_MAX_BYTES);
    }
    if (strchr(host, ':') != NULL && !is_ipv6(host)) {
        return err_set(info, ERR_DEFINITION, "'%s' is not an IPv6 address", shown);
    }
    if (host[0] == '-') {
        return err_set(info, ERR_DEFINITION, "the %s '%s' begins with '-'", what, shown);
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)host[i];
        if (byte <= 0x20 || byte == 0x7f || strchr("\"'`$&;|<>()[]{}@/\\*?!#,", byte) != NULL) {
            return err_set(info, ERR_DEFINITION, "'%s' is not a host name or address", shown);
        }
    }
    return OK;
}

static enum err endpoint_set_tcp(struct endpoint *out, const char *host, uint16_t port)
{
    *out = (struct endpoint){.kind = ENDPOINT_TCP, .port = port};
    if (host != NULL && (out->host = strdup(host)) == NULL) {
        return ERR_MEMORY;
    }
    return OK;
}

static enum err endpoint_set_unix(struct endpoint *out, const char *path, struct err_info *info)
{
    char shown[SHOWN_BYTES];
    if (strlen(path) > UNIX_PATH_MAX_BYTES) {
        return err_set(info, ERR_DEFINITION, "the socket path '%.40s...' is longer than %d bytes",
                       text_shown(path, shown, sizeof shown), UNIX_PATH_MAX_BYTES);
    }
    *out = (struct endpoint){.kind = ENDPOINT_UNIX, .path = strdup(path)};
    return out->path == NULL ? err_set(info, ERR_MEMORY, "out of memory") : OK;
}

/* Splits HOST:PORT or [IPV6]:PORT in place. `port` is NULL where there is none. ERR_DEFINITION for what is neither. */
static enum err host_port_split(char *text, char **host, char **port, struct err_info *info)
{
    char shown[SHOWN_BYTES];
    *port = NULL;
    *host = text;
    if (text[0] == '[') {
        char *end = strchr(text, ']');
        if (end == NULL || (end[1] != '\0' && end[1] != ':')) {
            return err_set(info, ERR_DEFINITION, "'%s' is not [ADDRESS]:PORT", text_shown(text, shown, sizeof shown));
        }
        *host = text + 1;
        *port = end[1] == ':' ? end + 2 : NULL;
        *end = '\0';
        return OK;
    }
    char *colon = strchr(text, ':');
    if (colon != NULL && strchr(colon + 1, ':') != NULL) {
        return err_set(info, ERR_DEFINITION, "'%s' has more than one ':'; an IPv6 address goes in brackets: [::1]:80",
                       text_shown(text, shown, sizeof shown));
    }
    if (colon != NULL) {
        *colon = '\0';
        *port = colon + 1;
    }
    return OK;
}

static bool is_wildcard(const char *host)
{
    return host[0] == '\0' || strcmp(host, "*") == 0;
}

/* A listening address and port that were already parted. `host` NULL: not given. */
static enum err listen_set(struct endpoint *out, const char *host, const char *port, bool allow_zero,
                           struct err_info *info)
{
    uint16_t number = 0;
    enum err result = port_parse(port, allow_zero, &number, info);
    if (result == OK && host != NULL && !is_wildcard(host)) {
        result = host_check(host, "bind address", info);
    }
    if (result == OK && endpoint_set_tcp(out, host, number) != OK) {
        result = err_set(info, ERR_MEMORY, "out of memory");
    }
    return result;
}

static enum err target_set(struct endpoint *out, const char *host, const char *port, struct err_info *info)
{
    uint16_t number = 0;
    enum err result = host_check(host, "host", info);
    if (result == OK) {
        result = port_parse(port, false, &number, info);
    }
    if (result == OK && endpoint_set_tcp(out, host, number) != OK) {
        result = err_set(info, ERR_MEMORY, "out of memory");
    }
    return result;
}

enum err endpoint_parse_listen(const char *text, bool allow_zero, struct endpoint *out, struct err_info *info)
{
    char shown[SHOWN_BYTES];
    char *host = NULL;
    char *port = NULL;
    *out = (struct endpoint){.kind = ENDPOINT_NONE};
    if (is_path(text)) {
        return endpoint_set_unix(out, text, info);
    }
    if (is_digits(text)) {
        return listen_set(out, NULL, text, allow_zero, info);
    }
    char *copy = strdup(text);
    if (copy == NULL) {
        return err_set(info, ERR_MEMORY, "out of memory");
    }
    enum err result = host_port_split(copy, &host, &port, info);
    if (result == OK && port == NULL) {
        result = err_set(info, ERR_DEFINITION, "'%s' is not [BIND:]PORT or the path of a socket",
                         text_shown(text, shown, sizeof shown));
    }
    if (result == OK) {
        result = listen_set(out, host, port, allow_zero, info);
    }
    free(copy);
    return result;
}

enum err endpoint_parse_target(const char *text, struct endpoint *out, struct err_info *info)
{
    char shown[SHOWN_BYTES];
    char *host = NULL;
    char *port = NULL;
    *out = (struct endpoint){.kind = ENDPOINT_NONE};
    if (strncmp(text, "wsl:", 4) == 0 || strncmp(text, "command:", 8) == 0) {
        return err_set(info, ERR_UNSUPPORTED, "not in this version");
    }
    if (is_path(text)) {
        return endpoint_set_unix(out, text, info);
    }
    char *copy = strdup(text);
    if (copy == NULL) {
        return err_set(info, ERR_MEMORY, "out of memory");
    }
    enum err result = host_port_split(copy, &host, &port, info);
    if (result == OK && port == NULL) {
        result =
            err_set(info, ERR_DEFINITION, "'%s' has no port; write HOST:PORT", text_shown(text, shown, sizeof shown));
    }
    if (result == OK) {
        result = target_set(out, host, port, info);
    }
    free(copy);
    return result;
}

/* --- -L and -R --- */

#define FIELDS_MAX 4

struct fields {
    char *text[FIELDS_MAX];
    bool path[FIELDS_MAX];
    size_t count;
};

/* bind/port/host/hostport, the older writing for IPv6: only when the ports stand where they must. */
static bool split_slashes(char *text, struct fields *out)
{
    char *parts[FIELDS_MAX];
    size_t count = 0;
    if (text[0] == '/' || text[0] == '[') {
        return false;
    }
    for (char *at = text; at != NULL; count++) {
        if (count == FIELDS_MAX) {
            return false;
        }
        parts[count] = at;
        at = strchr(at, '/');
        at = at == NULL ? NULL : at + 1;
    }
    if (count < 3 || !is_digits(parts[count - 1])) {
        return false;
    }
    size_t port_len = (size_t)(parts[count - 2] - parts[count - 3]) - 1;
    if (port_len == 0 || strspn(parts[count - 3], "0123456789") != port_len) {
        return false;
    }
    *out = (struct fields){.count = count};
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            parts[i][-1] = '\0';
        }
        out->text[i] = parts[i];
    }
    return true;
}

/* Fields parted by colons, each as it is or in brackets. False when there are too many or a bracket is not closed. */
static bool split_colons(char *text, struct fields *out)
{
    *out = (struct fields){.count = 0};
    for (char *at = text; at != NULL; out->count++) {
        char *end;
        if (out->count == FIELDS_MAX) {
            return false;
        }
        if (*at == '[') {
            end = strchr(++at, ']');
            if (end == NULL || (end[1] != ':' && end[1] != '\0')) {
                return false;
            }
            *end++ = '\0';
        } else {
            end = strchr(has_drive(at) ? at + 2 : at, ':');
        }
        out->text[out->count] = at;
        at = end == NULL || *end == '\0' ? NULL : end + 1;
        if (at != NULL) {
            *end = '\0';
        }
        out->path[out->count] = is_path(out->text[out->count]);
    }
    return true;
}

static enum err fields_to_forward(const struct fields *f, bool zero, struct forward_spec *out, struct err_info *info)
{
    enum err result = ERR_USAGE;
    const char *const *text = (const char *const *)f->text;
    size_t used = 0;
    if (f->path[0]) { /* socket:... */
        result = endpoint_set_unix(&out->listen, text[0], info);
        used = 1;
    } else if (f->count == 4 || (f->count == 3 && f->path[2])) { /* bind:port:... */
        result = listen_set(&out->listen, text[0], text[1], zero, info);
        used = 2;
    } else if (f->count == 3 || (f->count == 2 && f->path[1])) { /* port:... */
        result = listen_set(&out->listen, NULL, text[0], zero, info);
        used = 1;
    }
    if (result != OK) {
        return result;
    }
    if (f->count == used + 1 && f->path[used]) {
        return endpoint_set_unix(&out->to, text[used], info);
    }
    if (f->count == used + 2 && !f->path[used] && !f->path[used + 1]) {
        return target_set(&out->to, text[used], text[used + 1], info);
    }
    return ERR_USAGE;
}

enum err forward_parse_flag(enum forward_type type, const char *text, struct forward_spec *out, struct err_info *info)
{
    char shown[SHOWN_BYTES];
    struct fields fields = {.count = 0};
    enum err result = ERR_USAGE;
    forward_spec_init(out);
    out->type = type;
    if (type != FORWARD_LOCAL && type != FORWARD_REMOTE) {
        return err_set(info, ERR_UNSUPPORTED, "not in this version");
    }
    if (info != NULL) {
        info->code = OK;
    }
    char *copy = strdup(text);
    if (copy == NULL) {
        return err_set(info, ERR_MEMORY, "out of memory");
    }
    bool split = split_slashes(copy, &fields) || split_colons(copy, &fields);
    if (split && type == FORWARD_REMOTE &&
        (fields.count == 1 || (fields.count == 2 && is_digits(fields.text[1]) && !fields.path[0]))) {
        result = err_set(info, ERR_UNSUPPORTED, "not in this version");
    } else if (split && fields.count > 1) {
        result = fields_to_forward(&fields, type == FORWARD_REMOTE, out, info);
    }
    free(copy);
    if (result != OK) {
        forward_spec_deinit(out);
    }
    if (result == ERR_USAGE) {
        return err_set(info, ERR_DEFINITION,
                       "'%s' is not [BIND:]PORT:HOST:HOSTPORT; an IPv6 address goes in brackets: [::1]",
                       text_shown(text, shown, sizeof shown));
    }
    return result;
}

enum err forward_check_own_side(const struct forward_spec *spec, struct err_info *info)
{
    char shown[SHOWN_BYTES];
    const struct endpoint *own = spec->type == FORWARD_REMOTE ? &spec->to : &spec->listen;
    if (own->kind != ENDPOINT_UNIX || platform_has_local_sockets()) {
        return OK;
    }
    return err_set(info, ERR_UNSUPPORTED,
                   "'%s' would be a socket on this machine, which on Windows is not in this version; use a port",
                   text_shown(own->path, shown, sizeof shown));
}

/* --- [user@]host[:port] --- */

/* Undoes %XX in place. False for a % that no two hexadecimal digits follow, and for %00. */
static bool percent_decode(char *text)
{
    char *to = text;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at != '%') {
            *to++ = *at;
            continue;
        }
        char digits[3] = {at[1], at[1] == '\0' ? '\0' : at[2], '\0'};
        if (strlen(digits) != 2 || strspn(digits, "0123456789abcdefABCDEF") != 2 || strcmp(digits, "00") == 0) {
            return false;
        }
        *to++ = (char)strtol(digits, NULL, 16);
        at += 2;
    }
    *to = '\0';
    return true;
}

/* Turns ssh://[user[;parameters]@]host[:port][/] into the part between the slashes. */
static enum err uri_strip(char *text, struct err_info *info)
{
    char *rest = text + strlen("ssh://");
    size_t len = strcspn(rest, "/");
    if (rest[len] == '/' && rest[len + 1] != '\0') {
        return err_set(info, ERR_DEFINITION, "an ssh:// address ends after the port; this one goes on with a path");
    }
    memmove(text, rest, len);
    text[len] = '\0';
    return OK;
}

/* `at` is what was left of the last @. */
static enum err user_set(char *at, bool uri, char **out_user, struct err_info *info)
{
    if (uri) {
        at[strcspn(at, ";:")] = '\0';
        if (!percent_decode(at)) {
            return err_set(info, ERR_DEFINITION, "the user has a '%%' that no two hexadecimal digits follow");
        }
    }
    if (*at == '\0') {
        return err_set(info, ERR_DEFINITION, "the user before '@' is missing");
    }
    *out_user = strdup(at);
    return *out_user == NULL ? err_set(info, ERR_MEMORY, "out of memory") : OK;
}

enum err destination_parse(const char *text, char **out_user, char **out_host, uint16_t *out_port,
                           struct err_info *info)
{
    enum err result = OK;
    char *host = NULL;
    char *port = NULL;
    bool uri = strncmp(text, "ssh://", 6) == 0;
    *out_user = NULL;
    *out_host = NULL;
    *out_port = 0;
    char *copy = strdup(text);
    if (copy == NULL) {
        return err_set(info, ERR_MEMORY, "out of memory");
    }
    if (uri) {
        result = uri_strip(copy, info);
    }
    char *rest = copy;
    char *at = strrchr(copy, '@');
    if (result == OK && at != NULL) {
        *at = '\0';
        rest = at + 1;
        result = user_set(copy, uri, out_user, info);
    }
    if (result == OK) {
        host = rest;
        if (!is_ipv6(rest)) {
            result = host_port_split(rest, &host, &port, info);
        }
    }
    if (result == OK) {
        result = host_check(host, "host", info);
    }
    if (result == OK && port != NULL) {
        result = port_parse(port, false, out_port, info);
    }
    if (result == OK && (*out_host = strdup(host)) == NULL) {
        result = err_set(info, ERR_MEMORY, "out of memory");
    }
    if (result != OK) {
        free(*out_user);
        *out_user = NULL;
    }
    free(copy);
    return result;
}
