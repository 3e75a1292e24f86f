#include "cli/service_needs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "platform/platform.h"
#include "session/host_key.h"

#define LOW_PORTS_END 1024

static enum err add_once(struct string_list *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], text) == 0) {
            return OK;
        }
    }
    return string_list_add(list, text);
}

static bool is_below(const char *path, const char *folder)
{
    return strncmp(path, folder, strlen(folder)) == 0;
}

static bool is_in_homes(const char *path)
{
    return is_below(path, "/home/") || is_below(path, "/root/") || is_below(path, "/run/user/");
}

/* Adds the folder of a file that the service makes, but for those that its manager makes for it. */
static enum err add_folder_of(struct service_needs *needs, const struct service_plan *plan, const char *path)
{
    char own[SERVICE_NAME_CAP_BYTES + 16];
    (void)snprintf(own, sizeof own, "/var/lib/%s/", plan->name);
    bool is_made = is_below(path, own);
    (void)snprintf(own, sizeof own, "/run/%s/", plan->name);
    is_made = is_made || is_below(path, own);
    if (is_made) {
        return OK;
    }
    char *folder = platform_path_folder(path);
    enum err result = folder == NULL ? ERR_MEMORY : add_once(&needs->writable, folder);
    free(folder);
    return result;
}

static enum err look_at_forward(struct service_needs *needs, const struct forward_spec *forward,
                                struct service_plan *plan)
{
    const struct endpoint *listen = &forward->listen;
    enum err result = OK;
    if (forward->to.kind == ENDPOINT_UNIX && forward->to.path != NULL) {
        plan->uses_homes = plan->uses_homes || is_in_homes(forward->to.path);
    }
    if (forward->type != FORWARD_LOCAL) {
        return OK;
    }
    if (listen->kind == ENDPOINT_TCP && listen->port != 0 && listen->port < LOW_PORTS_END) {
        plan->binds_low_ports = true;
    }
    if (listen->kind == ENDPOINT_UNIX && listen->path != NULL) {
        result = add_folder_of(needs, plan, listen->path);
        plan->uses_homes = plan->uses_homes || is_in_homes(listen->path);
    }
    return result;
}

/* A first key that cannot be pinned is taken again and again, and so is anybody's. */
static bool pins_keys(const struct host_spec *host)
{
    bool is_pinned = host->strict_host_key_checking != HOST_KEY_ACCEPT_NEW || host->known_hosts_files.count == 0 ||
                     strcmp(host->known_hosts_files.items[0], "none") == 0;
    for (size_t i = 0; i < host->hostnames.count && !is_pinned; i++) {
        is_pinned = host_key_is_pinned(host, host->hostnames.items[i], host->port);
    }
    return !is_pinned;
}

static enum err look_at_tunnel(struct service_needs *needs, const struct tunnel_spec *tunnel, struct service_plan *plan)
{
    const struct host_spec *host = &tunnel->host;
    enum err result = OK;
    for (size_t i = 0; i < host->identity_files.count && result == OK && !host->identity_files_are_default; i++) {
        result = add_once(&needs->keys, host->identity_files.items[i]);
    }
    for (size_t i = 0; i < host->known_hosts_files.count; i++) {
        plan->uses_homes = plan->uses_homes || is_in_homes(host->known_hosts_files.items[i]);
    }
    if (result == OK && pins_keys(host)) {
        result = add_folder_of(needs, plan, host->known_hosts_files.items[0]);
    }
    for (size_t i = 0; i < tunnel->forward_count && result == OK; i++) {
        result = look_at_forward(needs, &tunnel->forwards[i], plan);
    }
    return result;
}

enum err service_needs_find(struct service_needs *needs, const struct config *config, struct service_plan *plan)
{
    char program[4096];
    size_t size = sizeof program;
    enum err result = OK;
    plan->uses_homes = uv_exepath(program, &size) == 0 && is_in_homes(program);
    for (size_t i = 0; i < plan->definition_count; i++) {
        plan->uses_homes = plan->uses_homes || is_in_homes(plan->definitions[i]);
    }
    for (size_t i = 0; i < config->tunnel_count && result == OK; i++) {
        result = look_at_tunnel(needs, &config->tunnels[i], plan);
    }
    if (config->log.path != NULL && result == OK) {
        plan->has_log_file = true;
        plan->uses_homes = plan->uses_homes || is_in_homes(config->log.path);
        result = add_folder_of(needs, plan, config->log.path);
    }
    if (config->metrics_file != NULL && result == OK) {
        plan->uses_homes = plan->uses_homes || is_in_homes(config->metrics_file);
        result = add_folder_of(needs, plan, config->metrics_file);
    }
    plan->keys = (const char *const *)needs->keys.items;
    plan->key_count = needs->keys.count;
    plan->writable = (const char *const *)needs->writable.items;
    plan->writable_count = needs->writable.count;
    return result;
}

void service_needs_deinit(struct service_needs *needs)
{
    string_list_deinit(&needs->keys);
    string_list_deinit(&needs->writable);
}
