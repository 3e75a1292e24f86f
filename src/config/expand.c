/* From what was said to a tunnel: tokens, home directories, defaults of the one-line form. */
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "config/files.h"
#include "config/options.h"
#include "config/text.h"
#include "platform/agent.h"
#include "platform/platform.h"

#define EXPANDED_MAX_BYTES 65536

static enum err out_of_memory(struct err_info *info)
{
    return err_set(info, ERR_MEMORY, "out of memory");
}

/* --- tokens --- */

static char *local_host_name(bool first_part)
{
    char name[UV_MAXHOSTNAMESIZE];
    size_t size = sizeof name;
    if (uv_os_gethostname(name, &size) != 0) {
        return text_dup("localhost", strlen("localhost"));
    }
    return text_dup(name, first_part ? strcspn(name, ".") : strlen(name));
}

static char *user_id(void)
{
    uv_passwd_t passwd;
    if (uv_os_get_passwd(&passwd) != 0) {
        return NULL;
    }
    char *text = text_format("%ld", (long)passwd.uid);
    uv_os_free_passwd(&passwd);
    return text;
}

static const char *host_name(const struct ssh_options *options)
{
    const struct string_list *names = &options->settings.host.hostnames;
    const char *host = options->host == NULL ? "" : options->host;
    return names->count > 0 ? names->items[0] : host;
}

/* The value of one token as a heap string; NULL when it has none. */
static char *token_value(const struct ssh_options *options, char token)
{
    const struct host_spec *host = &options->settings.host;
    const char *typed = options->host == NULL ? "" : options->host;
    switch (token) {
    case '%': return text_dup("%", 1);
    case 'h': return strdup(host_name(options));
    case 'n': return strdup(typed);
    case 'k': return strdup(host->host_key_alias != NULL ? host->host_key_alias : host_name(options));
    case 'p': return text_format("%u", (unsigned)host->port);
    case 'r': return host->user != NULL ? strdup(host->user) : platform_user_name();
    case 'u': return platform_user_name();
    case 'd': return platform_home_dir();
    case 'i': return user_id();
    case 'l': return local_host_name(false);
    case 'L': return local_host_name(true);
    default: return NULL;
    }
}

/* Appends to a heap string that it may move. */
static enum err append(char **out, const char *text, size_t len)
{
    size_t used = *out == NULL ? 0 : strlen(*out);
    if (used + len > EXPANDED_MAX_BYTES) {
        return ERR_DEFINITION;
    }
    char *longer = realloc(*out, used + len + 1);
    if (longer == NULL) {
        return ERR_MEMORY;
    }
    memcpy(longer + used, text, len);
    longer[used + len] = '\0';
    *out = longer;
    return OK;
}

static enum err append_token(const struct ssh_options *options, char token, char **out, struct err_info *info)
{
    char *value = token_value(options, token);
    if (value == NULL) {
        bool printable = token > 0x20 && token < 0x7f;
        return err_set(info, ERR_USAGE, "%%%c: not in this version; %%h %%n %%k %%p %%r %%u %%d %%i %%l %%L %%%% are",
                       printable ? token : '?');
    }
    enum err result = append(out, value, strlen(value));
    free(value);
    return result;
}

/* `at` points behind "${"; moves it behind the closing brace. */
static enum err append_variable(const char **at, char **out, struct err_info *info)
{
    char name[128];
    char value[4096];
    size_t value_size = sizeof value;
    size_t len = strcspn(*at, "}");
    if ((*at)[len] != '}' || len == 0 || len >= sizeof name) {
        return err_set(info, ERR_USAGE, "a '${' without its name and '}'");
    }
    memcpy(name, *at, len);
    name[len] = '\0';
    *at += len + 1;
    if (uv_os_getenv(name, value, &value_size) != 0) {
        return err_set(info, ERR_USAGE, "${%s} has no value in the environment", name);
    }
    return append(out, value, value_size);
}

static enum err expand_text(const struct ssh_options *options, const char *text, char **out, struct err_info *info)
{
    enum err result = append(out, "", 0);
    for (const char *at = text; result == OK && *at != '\0';) {
        if (at[0] == '%') {
            result = append_token(options, at[1], out, info);
            at += at[1] == '\0' ? 1 : 2;
        } else if (at[0] == '$' && at[1] == '{') {
            at += 2;
            result = append_variable(&at, out, info);
        } else {
            size_t len = strcspn(at + 1, "%$") + 1;
            result = append(out, at, len);
            at += len;
        }
    }
    if (result == ERR_DEFINITION) {
        return err_set(info, ERR_USAGE, "the value is too long");
    }
    return result == ERR_MEMORY ? out_of_memory(info) : result;
}

enum err ssh_expand(const struct ssh_options *options, const char *text, bool path, char **out, struct err_info *info)
{
    char *expanded = NULL;
    *out = NULL;
    enum err result = expand_text(options, text, &expanded, info);
    if (result == OK && path) {
        *out = file_absolute(expanded);
        result = *out == NULL ? out_of_memory(info) : OK;
        free(expanded);
        return result;
    }
    if (result != OK) {
        free(expanded);
        return result;
    }
    *out = expanded;
    return OK;
}

/* --- completing --- */

/* `none` is kept as it is. */
static enum err expand_paths(const struct ssh_options *options, struct string_list *list, struct err_info *info)
{
    for (size_t i = 0; i < list->count; i++) {
        char *path = NULL;
        if (text_equal_nocase(list->items[i], "none")) {
            continue;
        }
        enum err result = ssh_expand(options, list->items[i], true, &path, info);
        if (result != OK) {
            return result;
        }
        free(list->items[i]);
        list->items[i] = path;
    }
    return OK;
}

static void drop_none(struct string_list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (text_equal_nocase(list->items[i], "none")) {
            free(list->items[i]);
        } else {
            list->items[kept++] = list->items[i];
        }
    }
    list->count = kept;
}

/* $NAME and SSH_AUTH_SOCK ask for a socket that the environment names. */
static enum err expand_agent(struct ssh_options *options, struct err_info *info)
{
    char **agent = &options->settings.host.identity_agent;
    char *path = NULL;
    if (*agent == NULL || strcmp(*agent, "none") == 0 || platform_agent_is_address(*agent)) {
        return OK;
    }
    if (strcmp(*agent, "SSH_AUTH_SOCK") == 0) {
        free(*agent);
        *agent = NULL;
        return OK;
    }
    char *text = (*agent)[0] == '$' && (*agent)[1] != '{' ? text_format("${%s}", *agent + 1) : strdup(*agent);
    if (text == NULL) {
        return out_of_memory(info);
    }
    enum err result = ssh_expand(options, text, true, &path, info);
    free(text);
    if (result == OK) {
        free(*agent);
        *agent = path;
    }
    return result;
}

static enum err expand_host_names(struct ssh_options *options, struct err_info *info)
{
    struct string_list *names = &options->settings.host.hostnames;
    struct string_list typed = {NULL, 0};
    enum err result = OK;
    struct string_list written = *names;
    *names = typed; /* so that %h means what was typed */
    for (size_t i = 0; result == OK && i < written.count; i++) {
        char *name = NULL;
        result = ssh_expand(options, written.items[i], false, &name, info);
        if (result == OK) {
            free(written.items[i]);
            written.items[i] = name;
        }
    }
    *names = written;
    return result;
}

static enum err add_forwards(struct ssh_options *options, struct tunnel_spec *out, struct err_info *info)
{
    const struct settings *settings = &options->settings;
    for (size_t i = 0; i < options->forward_count && !settings->clear_all_forwardings; i++) {
        struct forward_spec *forward = &options->forwards[i];
        forward->gateway_ports = forward->type == FORWARD_LOCAL && settings->gateway_ports;
        forward->stream_local_bind_unlink = settings->stream_local_bind_unlink;
        if (tunnel_spec_add_forward(out, forward) != OK) {
            return out_of_memory(info);
        }
    }
    return OK;
}

enum err ssh_options_complete(struct ssh_options *options, struct tunnel_spec *out, struct err_info *info)
{
    struct settings *settings = &options->settings;
    struct host_spec *host = &settings->host;
    enum err result = expand_host_names(options, info);
    tunnel_spec_init(out);
    if (!settings_has(settings, setting_find(DIALECT_SSH, "StrictHostKeyChecking"))) {
        host->strict_host_key_checking = HOST_KEY_ASK;
    }
    result = result == OK ? expand_paths(options, &host->identity_files, info) : result;
    result = result == OK ? expand_paths(options, &host->known_hosts_files, info) : result;
    result = result == OK ? expand_paths(options, &settings->global_known_hosts_files, info) : result;
    result = result == OK ? expand_agent(options, info) : result;
    drop_none(&host->identity_files);
    if (result == OK && host->known_hosts_files.count > 0) {
        drop_none(&host->known_hosts_files);
        /* Without a file of the user's own, new keys are written nowhere, least of all to the system's file. */
        if (host->known_hosts_files.count == 0 &&
            string_list_add(&host->known_hosts_files, platform_null_device()) != OK) {
            result = out_of_memory(info);
        }
    }
    result = result == OK ? settings_complete(settings, DIALECT_SSH, options->host, info) : result;
    if (result != OK) {
        return result;
    }
    host_spec_deinit(&out->host);
    out->name = strdup(options->host);
    out->where = strdup("command line");
    out->one_line = true;
    out->exit_on_forward_failure = settings->exit_on_forward_failure;
    if (host_spec_copy(&out->host, host) != OK || out->name == NULL || out->where == NULL) {
        result = out_of_memory(info);
    }
    result = result == OK ? add_forwards(options, out, info) : result;
    if (result != OK) {
        tunnel_spec_deinit(out);
    }
    return result;
}
