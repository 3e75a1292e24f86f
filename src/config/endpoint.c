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

/* --- targets that move --- */

#define DISTRIBUTION_MAX_BYTES 64

enum err distribution_check(const char *name, struct err_info *info)
{
    char shown[SHOWN_BYTES];
    size_t len = strlen(name);
    bool good = len > 0 && len <= DISTRIBUTION_MAX_BYTES && name[0] != '-';
    for (size_t i = 0; good && i < len; i++) {
        char byte = text_lower(name[i]);
        good = (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || strchr("._-", byte) != NULL;
    }
    return good ? OK
                : err_set(info, ERR_DEFINITION, "'%s' is no name of a distribution; 'wsl --list' shows those there are",
                          text_shown(name, shown, sizeof shown));
}

static bool is_moving(const char *word)
{
    return strcmp(word, "wsl") == 0 || strcmp(word, "command") == 0;
}

/* `kind` is a word of is_moving. */
static enum err moving_set(struct endpoint *out, const char *kind, const char *name, const char *port,
                           struct err_info *info)
{
    bool is_wsl = strcmp(kind, "wsl") == 0;
    enum err result = OK;
    *out = (struct endpoint){.kind = is_wsl ? ENDPOINT_WSL : ENDPOINT_COMMAND};
    if (is_wsl) {
        result = distribution_check(name, info);
    } else if (name[0] == '\0') {
        result = err_set(info, ERR_DEFINITION, "the command is missing; write command:PROGRAM:PORT");
    }
    if (result == OK) {
        result = port_parse(port, false, &out->port, info);
    }
    if (result == OK && (is_wsl ? (out->host = strdup(name)) == NULL : endpoint_add_word(out, name) != OK)) {
        result = err_set(info, ERR_MEMORY, "out of memory");
    }
    if (result != OK) {
        endpoint_deinit(out);
    }
    return result;
}

/* wsl:DISTRIBUTION:PORT and command:PROGRAM:PORT, spoiling `text`; ERR_USAGE for what is neither. */
static enum err moving_parse(char *text, struct endpoint *out, struct err_info *info)
{
    char *name = strchr(text, ':');
    char *port = strrchr(text, ':');
    if (name == NULL || port == name) {
        return ERR_USAGE; /* at most HOST:PORT */
    }
    *name = '\0';
    if (!is_moving(text)) {
        *name = ':';
        return ERR_USAGE;
    }
    *port = '\0';
    return moving_set(out, text, name + 1, port + 1, info);
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
    char *copy = strdup(text);
    if (copy == NULL) {
        return err_set(info, ERR_MEMORY, "out of memory");
    }
    enum err result = moving_parse(copy, out, info);
    if (result != ERR_USAGE) {
        goto out;
    }
    if (is_path(text)) {
        result = endpoint_set_unix(out, text, info);
        goto out;
    }
    result = host_port_split(copy, &host, &port, info);
    if (result == OK && port == NULL) {
        result =
            err_set(info, ERR_DEFINITION, "'%s' has no port; write HOST:PORT", text_shown(text, shown, sizeof shown));
    }
    if (result == OK) {
        result = target_set(out, host, port, info);
    }
out:
    free(copy);
    return result;
}

/* --- -L and -R --- */

#define FIELDS_MAX 5
#define SLASH_FIELDS_MAX 4

struct fields {
    char *text[FIELDS_MAX];
    bool path[FIELDS_MAX];
    size_t count;
};

/* bind/port/host/hostport, the older writing for IPv6: only when the ports stand where they must. */
static bool split_slashes(char *text, struct fields *out)
{
    char *parts[SLASH_FIELDS_MAX];
    size_t count = 0;
    if (text[0] == '/' || text[0] == '[') {
        return false;
    }
    for (char *at = text; at != NULL; count++) {
        if (count == SLASH_FIELDS_MAX) {
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

/* The listening end; `rest` is how many fields are the target's. ERR_USAGE for none. */
static enum err listen_from_fields(const struct fields *f, size_t rest, bool zero, struct endpoint *out,
                                   struct err_info *info)
{
    const char *const *text = (const char *const *)f->text;
    size_t count = f->count - rest;
    if (count == 1 && f->path[0]) { /* socket:... */
        return endpoint_set_unix(out, text[0], info);
    }
    if (count == 2) { /* bind:port:... */
        return listen_set(out, text[0], text[1], zero, info);
    }
    return count == 1 ? listen_set(out, NULL, text[0], zero, info) : ERR_USAGE; /* port:... */
}

static enum err fields_to_forward(const struct fields *f, bool zero, struct forward_spec *out, struct err_info *info)
{
    const char *const *text = (const char *const *)f->text;
    size_t last = f->count - 1;
    bool moves = f->count >= 4 && is_moving(text[last - 2]) && !f->path[last];
    size_t rest = moves ? 3 : f->path[last] ? 1 : 2;
    if (f->count <= rest || (rest == 2 && f->path[last - 1])) {
        return ERR_USAGE;
    }
    enum err result = listen_from_fields(f, rest, zero, &out->listen, info);
    if (result != OK) {
        return result;
    }
    if (moves) {
        return moving_set(&out->to, text[last - 2], text[last - 1], text[last], info);
    }
    return rest == 1 ? endpoint_set_unix(&out->to, text[last], info)
                     : target_set(&out->to, text[last - 1], text[last], info);
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

enum err forward_check_target(const struct forward_spec *spec, struct err_info *info)
{
    char text[160];
    char shown[SHOWN_BYTES];
    if (spec->to.kind != ENDPOINT_WSL || (spec->type != FORWARD_LOCAL && platform_has_wsl())) {
        return OK;
    }
    (void)text_shown(endpoint_text(&spec->to, text, sizeof text), shown, sizeof shown);
    if (spec->type == FORWARD_LOCAL) {
        return err_set(info, ERR_UNSUPPORTED,
                       "'%s' is inside this machine, and here the peer connects; turn it round (-R)", shown);
    }
    return err_set(info, ERR_UNSUPPORTED,
                   "'%s' is a distribution of the Windows subsystem for Linux, which only Windows has; "
                   "write its address, or a command that prints it",
                   shown);
}

enum err forward_check_own_side(const struct forward_spec *spec, struct err_info *info)
{
    char shown[SHOWN_BYTES];
    const struct endpoint *own = spec->type == FORWARD_REMOTE ? &spec->to : &spec->listen;
    if (own->kind != ENDPOINT_UNIX || platform_has_local_sockets()) {
        return forward_check_target(spec, info);
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
