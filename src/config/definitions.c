/* The schema of DESIGN section 6: defaults, hosts, tunnels and forwards of one file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "config/endpoint.h"
#include "config/loader.h"
#include "config/text.h"
#include "platform/platform.h"

#define SHOWN_BYTES 80
#define NAME_MAX_BYTES 64
#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define MINUTE_MS UINT64_C(60000)

/* --- small values --- */

void loader_read_duration(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                          uint64_t min_ms, uint64_t max_ms, uint64_t *out_ms)
{
    struct err_info info = {.code = OK};
    char shown[SHOWN_BYTES];
    char min[32];
    char max[32];
    uint64_t ms = 0;
    const char *text = schema_scalar(loader, path, value);
    if (text == NULL) {
        return;
    }
    (void)text_shown(text, shown, sizeof shown);
    if (duration_parse(shown, &ms, &info) != OK) {
        loader_error_info(loader, loader_place(loader, value), path, &info);
        return;
    }
    if (ms < min_ms || ms > max_ms) {
        loader_error(loader, loader_place(loader, value), path, "%s is not in %s-%s", shown,
                     duration_text(min_ms, min, sizeof min), duration_text(max_ms, max, sizeof max));
        return;
    }
    *out_ms = ms;
}

/* Names of tunnels and hosts stand in logs, file names and on command lines. */
static void check_name(struct loader *loader, const struct key_path *path, const struct yaml_node *key)
{
    const char *name = key->text;
    bool good = name[0] != '\0' && name[0] != '-' && name[0] != '.' && strlen(name) <= NAME_MAX_BYTES;
    for (size_t i = 0; good && name[i] != '\0'; i++) {
        unsigned char byte = (unsigned char)name[i];
        good = byte >= 0x80 || (byte >= '0' && byte <= '9') ||
               (text_lower(name[i]) >= 'a' && text_lower(name[i]) <= 'z') || strchr("._-", byte) != NULL;
    }
    if (!good) {
        char shown[SHOWN_BYTES];
        loader_error(loader, loader_place(loader, key), path,
                     "'%s' is no name; letters, digits, '.', '_' and '-' make one, %d bytes at most",
                     text_shown(name, shown, sizeof shown), NAME_MAX_BYTES);
    }
}

/* --- forwards --- */

struct forward_nodes {
    const struct yaml_node *local, *remote, *to, *hold, *gateway_ports;
};

static void keep_local(struct loader *loader, const struct key_path *path, const struct yaml_node *value, void *target)
{
    (void)loader;
    (void)path;
    ((struct forward_nodes *)target)->local = value;
}

static void keep_remote(struct loader *loader, const struct key_path *path, const struct yaml_node *value, void *target)
{
    (void)loader;
    (void)path;
    ((struct forward_nodes *)target)->remote = value;
}

static void keep_to(struct loader *loader, const struct key_path *path, const struct yaml_node *value, void *target)
{
    (void)loader;
    (void)path;
    ((struct forward_nodes *)target)->to = value;
}

static void keep_hold(struct loader *loader, const struct key_path *path, const struct yaml_node *value, void *target)
{
    (void)loader;
    (void)path;
    ((struct forward_nodes *)target)->hold = value;
}

static void keep_gateway_ports(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                               void *target)
{
    (void)loader;
    (void)path;
    ((struct forward_nodes *)target)->gateway_ports = value;
}

static const struct key_rule forward_rules[] = {
    {"local", keep_local},
    {"remote", keep_remote},
    {"to", keep_to},
    {"hold", keep_hold},
    {"dynamic", NULL},
    {"gateway_ports", keep_gateway_ports},
    {"direct", NULL},
    {"remote_dynamic", NULL},
    {"probe", loader_read_later},
    {"probe_interval", loader_read_later},
    {"max_channels", loader_read_later},
    {"command", NULL},
};

/* A socket's path on our own side is relative to the file. */
static void resolve_path(struct loader *loader, struct endpoint *endpoint)
{
    if (endpoint->kind == ENDPOINT_UNIX) {
        char *path = platform_path_resolve(loader->dir, endpoint->path);
        if (path == NULL) {
            loader->out_of_memory = true;
            return;
        }
        free(endpoint->path);
        endpoint->path = path;
    }
}

static void read_listen(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                        struct forward_spec *spec)
{
    struct err_info info = {.code = OK};
    const char *text = schema_scalar(loader, path, value);
    if (text == NULL) {
        return;
    }
    if (endpoint_parse_listen(text, spec->type == FORWARD_REMOTE, &spec->listen, &info) != OK ||
        (spec->type == FORWARD_LOCAL && forward_check_own_side(spec, &info) != OK)) {
        loader_error_info(loader, loader_place(loader, value), path, &info);
    } else if (spec->type == FORWARD_LOCAL) {
        resolve_path(loader, &spec->listen);
    }
}

/* What only a listener of ours has. */
static void read_local_extras(struct loader *loader, const struct key_path *path, const struct forward_nodes *nodes,
                              struct forward_spec *spec, struct forward_note *note)
{
    struct key_path hold = {.up = path, .key = "hold", .index = 0};
    struct key_path gateway = {.up = path, .key = "gateway_ports", .index = 0};
    bool local = spec->type == FORWARD_LOCAL;
    if (nodes->hold != NULL && local) {
        loader_read_duration(loader, &hold, nodes->hold, 0, 10 * MINUTE_MS, &spec->hold_ms);
    } else if (nodes->hold != NULL) {
        loader_error(loader, loader_place(loader, nodes->hold), &hold, "only a local forward holds connections");
    }
    if (nodes->gateway_ports != NULL && local) {
        struct settings layer;
        struct err_info info = {.code = OK};
        const char *text = schema_scalar(loader, &gateway, nodes->gateway_ports);
        settings_init(&layer);
        if (text != NULL &&
            settings_set(&layer, setting_find(DIALECT_YAML, "gateway_ports"), DIALECT_YAML, NULL, text, &info) != OK) {
            loader_error_info(loader, loader_place(loader, nodes->gateway_ports), &gateway, &info);
        }
        spec->gateway_ports = layer.gateway_ports;
        note->gateway_given = true;
        settings_deinit(&layer);
    } else if (nodes->gateway_ports != NULL) {
        loader_error(loader, loader_place(loader, nodes->gateway_ports), &gateway,
                     "only for a local forward; 'remote: \"*:PORT\"' asks the peer for all its addresses");
    }
}

static void add_forward(struct loader *loader, struct tunnel_entry *tunnel, const struct forward_spec *spec,
                        const struct forward_note *note)
{
    struct forward_note *notes = realloc(tunnel->notes, (tunnel->spec.forward_count + 1) * sizeof *notes);
    if (notes != NULL) {
        tunnel->notes = notes;
        notes[tunnel->spec.forward_count] = *note;
    }
    if (notes == NULL || tunnel_spec_add_forward(&tunnel->spec, spec) != OK) {
        loader->out_of_memory = true;
    }
}

static void read_forward(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                         struct tunnel_entry *tunnel)
{
    struct forward_nodes nodes = {NULL, NULL, NULL, NULL, NULL};
    struct forward_spec spec;
    struct key_path to = {.up = path, .key = "to", .index = 0};
    if (!schema_is_map(loader, path, value, "a forward is 'local: PORT' or 'remote: PORT', and 'to: HOST:PORT'")) {
        return;
    }
    size_t errors = loader->error_count;
    schema_read_map(loader, path, value, forward_rules, COUNT(forward_rules), &nodes, NULL, false);
    if (nodes.local == NULL && nodes.remote == NULL && loader->error_count > errors) {
        return; /* it is there, misspelt */
    }
    if (schema_get(value, "dynamic") != NULL || schema_get(value, "remote_dynamic") != NULL ||
        schema_get(value, "direct") != NULL) {
        return;
    }
    if ((nodes.local == NULL) == (nodes.remote == NULL)) {
        loader_error(loader, loader_place(loader, value), path, "%s of 'local' and 'remote' is needed%s",
                     nodes.local == NULL ? "one" : "only one", nodes.local == NULL ? "" : ", and both are here");
        return;
    }
    const struct yaml_node *listen = nodes.local != NULL ? nodes.local : nodes.remote;
    struct key_path listen_path = {.up = path, .key = nodes.local != NULL ? "local" : "remote", .index = 0};
    struct forward_note note = {.place = loader_place(loader, listen), .index = path->index, .gateway_given = false};
    forward_spec_init(&spec);
    spec.type = nodes.local != NULL ? FORWARD_LOCAL : FORWARD_REMOTE;
    read_listen(loader, &listen_path, listen, &spec);
    if (nodes.to != NULL) {
        loader_read_target(loader, &to, nodes.to, &spec);
    } else if (schema_get(value, "command") == NULL) {
        loader_error(loader, loader_place(loader, value), path, "'to' is missing; write 'to: HOST:PORT'");
    }
    read_local_extras(loader, path, &nodes, &spec, &note);
    loader_read_forward_keys(loader, path, value, &spec);
    if (spec.listen.kind != ENDPOINT_NONE) {
        add_forward(loader, tunnel, &spec, &note);
    }
    forward_spec_deinit(&spec);
}

static void read_forwards(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                          void *target)
{
    if (value->kind != YAML_TREE_LIST) {
        loader_error(loader, loader_place(loader, value), path,
                     "a list is expected here; each forward begins with '- local: PORT' or '- remote: PORT'");
        return;
    }
    if (value->child_count == 0) {
        loader_error(loader, loader_place(loader, value), path, "the list is empty");
    }
    for (size_t i = 0; i < value->child_count && !loader_is_full(loader); i++) {
        struct key_path item = {.up = path, .key = NULL, .index = i};
        read_forward(loader, &item, value->children[i], target);
    }
}

/* --- backoff --- */

#define BACKOFF_MIN_MS UINT64_C(10)
#define BACKOFF_MAX_MS (UINT64_C(24) * 60 * MINUTE_MS)

static void read_backoff_first(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                               void *target)
{
    struct tunnel_spec *spec = target;
    loader_read_duration(loader, path, value, BACKOFF_MIN_MS, BACKOFF_MAX_MS, &spec->backoff_first_ms);
}

static void read_backoff_max(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                             void *target)
{
    struct tunnel_spec *spec = target;
    loader_read_duration(loader, path, value, BACKOFF_MIN_MS, BACKOFF_MAX_MS, &spec->backoff_max_ms);
}

static void read_backoff(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                         void *target)
{
    static const struct key_rule rules[] = {{"first", read_backoff_first}, {"max", read_backoff_max}};
    struct tunnel_spec *spec = &((struct tunnel_entry *)target)->spec;
    char first[32];
    char max[32];
    if (!schema_is_map(loader, path, value, "write {first: 500ms, max: 60s}")) {
        return;
    }
    size_t errors = loader->error_count;
    schema_read_map(loader, path, value, rules, COUNT(rules), spec, NULL, false);
    if (loader->error_count == errors && spec->backoff_first_ms > spec->backoff_max_ms) {
        loader_error(loader, loader_place(loader, value), path, "first (%s) is longer than max (%s)",
                     duration_text(spec->backoff_first_ms, first, sizeof first),
                     duration_text(spec->backoff_max_ms, max, sizeof max));
    }
}

/* --- tunnels --- */

static void read_tunnel_host(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                             void *target)
{
    struct tunnel_entry *tunnel = target;
    struct err_info info = {.code = OK};
    const char *text = schema_scalar(loader, path, value);
    tunnel->host_place = loader_place(loader, value);
    if (text != NULL && destination_parse(text, &tunnel->user, &tunnel->host, &tunnel->port, &info) != OK) {
        loader_error_info(loader, tunnel->host_place, path, &info);
    }
}

static const struct key_rule tunnel_rules[] = {
    {"host", read_tunnel_host},
    {"forwards", read_forwards},
    {"backoff", read_backoff},
    {"proxy_jump", NULL},
    {"probe", loader_only_in_forward},
    {"probe_interval", loader_only_in_forward},
    {"on_up", loader_read_on_up},
    {"on_down", loader_read_on_down},
    {"hook_timeout", loader_read_hook_timeout},
    {"max_channels", loader_only_in_forward},
};

static void check_said_twice(struct loader *loader, const struct key_path *path, const struct tunnel_entry *tunnel)
{
    struct key_path host = {.up = path, .key = "host", .index = 0};
    if (tunnel->user != NULL && settings_has(&tunnel->settings, setting_find(DIALECT_YAML, "user"))) {
        loader_error(loader, tunnel->host_place, &host, "the user is said twice, here and by 'user'");
    }
    if (tunnel->port != 0 && settings_has(&tunnel->settings, setting_find(DIALECT_YAML, "port"))) {
        loader_error(loader, tunnel->host_place, &host, "the port is said twice, here and by 'port'");
    }
}

static void read_tunnel(struct loader *loader, const struct key_path *path, const struct yaml_node *key,
                        const struct yaml_node *value)
{
    struct tunnel_entry *tunnels = realloc(loader->tunnels, (loader->tunnel_count + 1) * sizeof *tunnels);
    if (tunnels == NULL) {
        loader->out_of_memory = true;
        return;
    }
    loader->tunnels = tunnels;
    struct tunnel_entry *tunnel = &tunnels[loader->tunnel_count++];
    memset(tunnel, 0, sizeof *tunnel);
    tunnel->place = loader_place(loader, key);
    settings_init(&tunnel->settings);
    tunnel_spec_init(&tunnel->spec);
    tunnel->name = strdup(key->text);
    tunnel->spec.name = strdup(key->text);
    loader->out_of_memory = loader->out_of_memory || tunnel->name == NULL || tunnel->spec.name == NULL;
    check_name(loader, path, key);
    if (!schema_is_map(loader, path, value, "a tunnel has 'host' and 'forwards'")) {
        return;
    }
    schema_read_map(loader, path, value, tunnel_rules, COUNT(tunnel_rules), tunnel, &tunnel->settings, true);
    if (schema_get(value, "host") == NULL) {
        loader_error(loader, tunnel->place, path, "'host' is missing; name an entry of hosts:, or write user@name");
    }
    if (schema_get(value, "forwards") == NULL) {
        loader_error(loader, tunnel->place, path, "'forwards' is missing; write a list of forwards");
    }
    check_said_twice(loader, path, tunnel);
}

static void read_host(struct loader *loader, const struct key_path *path, const struct yaml_node *key,
                      const struct yaml_node *value)
{
    static const struct key_rule rules[] = {{"proxy_jump", NULL}};
    struct host_entry *hosts = realloc(loader->hosts, (loader->host_count + 1) * sizeof *hosts);
    if (hosts == NULL) {
        loader->out_of_memory = true;
        return;
    }
    loader->hosts = hosts;
    struct host_entry *host = &hosts[loader->host_count++];
    memset(host, 0, sizeof *host);
    host->place = loader_place(loader, key);
    settings_init(&host->settings);
    host->name = strdup(key->text);
    loader->out_of_memory = loader->out_of_memory || host->name == NULL;
    check_name(loader, path, key);
    if (schema_is_map(loader, path, value, "a host has 'hostname', 'user' and so on")) {
        schema_read_map(loader, path, value, rules, COUNT(rules), NULL, &host->settings, true);
    }
}

/* --- the file --- */

static void read_named(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                       void (*read)(struct loader *, const struct key_path *, const struct yaml_node *,
                                    const struct yaml_node *))
{
    if (!schema_is_map(loader, path, value, "entries with a name each are expected")) {
        return;
    }
    for (size_t i = 0; i + 1 < value->child_count && !loader_is_full(loader); i += 2) {
        struct key_path inner = {.up = path, .key = value->children[i]->text, .index = 0};
        read(loader, &inner, value->children[i], value->children[i + 1]);
    }
}

static void read_defaults(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                          void *target)
{
    static const struct key_rule rules[] = {{"proxy_jump", NULL},
                                            {"probe", loader_only_in_forward},
                                            {"probe_interval", loader_only_in_forward},
                                            {"on_up", loader_only_in_tunnel},
                                            {"on_down", loader_only_in_tunnel},
                                            {"hook_timeout", loader_only_in_tunnel},
                                            {"max_channels", loader_only_in_forward}};
    (void)target;
    if (schema_is_map(loader, path, value, "leave the key out")) {
        schema_read_map(loader, path, value, rules, COUNT(rules), NULL, &loader->defaults[loader->file], false);
    }
}

static void read_hosts(struct loader *loader, const struct key_path *path, const struct yaml_node *value, void *target)
{
    (void)target;
    read_named(loader, path, value, read_host);
}

static void read_tunnels(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                         void *target)
{
    (void)target;
    read_named(loader, path, value, read_tunnel);
}

/* Any file of all may ask for it. */
static void read_watch(struct loader *loader, const struct key_path *path, const struct yaml_node *value, void *target)
{
    struct err_info info = {.code = OK};
    bool watch = false;
    const char *text = schema_scalar(loader, path, value);
    (void)target;
    if (text != NULL && settings_parse_bool(text, &watch, &info) != OK) {
        loader_error_info(loader, loader_place(loader, value), path, &info);
    }
    loader->watch_definitions = loader->watch_definitions || watch;
}

/* One process writes one file, so one of all files of definitions may say where. */
static void read_metrics_file(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                              void *target)
{
    const char *text = schema_scalar(loader, path, value);
    (void)target;
    if (text == NULL) {
        return;
    }
    if (loader->metrics_file != NULL) {
        const struct place *first = &loader->metrics_place;
        loader_error(loader, loader_place(loader, value), path, "already said at %s:%u:%u",
                     loader->files.items[first->file], first->line, first->column);
    } else if (text[0] == '\0') {
        loader_error(loader, loader_place(loader, value), path, "a file is expected here");
    } else {
        loader->metrics_place = loader_place(loader, value);
        loader->metrics_file = platform_path_resolve(loader->dir, text);
        loader->out_of_memory = loader->out_of_memory || loader->metrics_file == NULL;
    }
}

void definitions_read(struct loader *loader, const struct yaml_node *root)
{
    static const struct key_rule rules[] = {{"defaults", read_defaults},       {"hosts", read_hosts},
                                            {"tunnels", read_tunnels},         {"log", loader_read_log},
                                            {"watch_definitions", read_watch}, {"metrics_file", read_metrics_file}};
    struct place place = {.file = loader->file, .line = 1, .column = 1};
    if (root == NULL || yaml_node_is_null(root) || (root->kind != YAML_TREE_SCALAR && root->child_count == 0)) {
        loader_error(loader, place, NULL, "the file is empty; define a tunnel under tunnels:");
        return;
    }
    if (root->kind != YAML_TREE_MAP) {
        loader_error(loader, loader_place(loader, root), NULL,
                     "the file is no map; it begins with defaults:, hosts: or tunnels:");
        return;
    }
    schema_read_map(loader, NULL, root, rules, COUNT(rules), NULL, NULL, false);
}
