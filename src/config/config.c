#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "config/files.h"
#include "config/loader.h"
#include "config/text.h"
#include "platform/platform.h"

/* --- reading the files --- */

/* Makes `path` the current file, with a place for its defaults. */
static bool add_file(struct loader *loader, const char *path)
{
    size_t count = loader->files.count;
    struct settings *defaults = realloc(loader->defaults, (count + 1) * sizeof *defaults);
    if (defaults == NULL) {
        loader->out_of_memory = true;
        return false;
    }
    loader->defaults = defaults;
    if (string_list_add(&loader->files, path) != OK) {
        loader->out_of_memory = true;
        return false;
    }
    settings_init(&defaults[count]);
    loader->file = count;
    return true;
}

static void file_error(struct loader *loader, const char *path, const char *sentence)
{
    if (add_file(loader, path)) {
        loader_error(loader, (struct place){.file = loader->file, .line = 0, .column = 0}, NULL, "%s", sentence);
    }
}

/* The folder that the file is in, as an absolute path. NULL when out of memory. */
static char *dir_of(const char *path)
{
    char *absolute = file_absolute(path);
    size_t len = absolute == NULL ? 0 : strlen(absolute);
    while (len > 0 && absolute[len - 1] != '/' && absolute[len - 1] != '\\') {
        len--;
    }
    if (absolute != NULL) {
        absolute[len] = '\0';
    }
    return absolute;
}

static void load_file(struct loader *loader, const char *path)
{
    struct err_info info = {.code = OK};
    struct yaml_problem problem;
    struct yaml_node *root = NULL;
    char *text = NULL;
    size_t len = 0;
    if (!add_file(loader, path)) {
        return;
    }
    struct place place = {.file = loader->file, .line = 0, .column = 0};
    free(loader->dir);
    loader->dir = dir_of(path);
    loader->out_of_memory = loader->out_of_memory || loader->dir == NULL;
    if (file_read(path, YAML_TREE_MAX_BYTES, &text, &len, &info) != OK) {
        loader_error_info(loader, place, NULL, &info);
        return;
    }
    if (yaml_tree_parse(text, len, &root, &problem) != OK) {
        place.line = problem.line;
        place.column = problem.column;
        loader_error_info(loader, place, NULL, &problem.info);
    } else if (!loader->out_of_memory) {
        definitions_read(loader, root);
    }
    yaml_tree_free(root);
    free(text);
}

static void load_folder(struct loader *loader, const char *path)
{
    struct string_list files = {NULL, 0};
    struct err_info info = {.code = OK};
    if (file_list(path, "*.yaml", &files, &info) != OK) {
        file_error(loader, path, info.message);
    } else if (files.count == 0) {
        file_error(loader, path, "the folder has no *.yaml; write a definition there");
    }
    for (size_t i = 0; i < files.count; i++) {
        load_file(loader, files.items[i]);
    }
    string_list_deinit(&files);
}

static void load_path(struct loader *loader, const char *path)
{
    struct err_info info = {.code = OK};
    switch (file_kind(path, &info)) {
    case FILE_PLAIN: load_file(loader, path); break;
    case FILE_FOLDER: load_folder(loader, path); break;
    case FILE_MISSING:
        file_error(loader, path, "no such file or folder; write a definition there or name another with -c");
        break;
    case FILE_UNREADABLE: file_error(loader, path, info.message); break;
    }
}

/* --- joining them --- */

struct name_order {
    const char *name;
    const struct place *place;
    size_t index;
};

static int compare_names(const void *a, const void *b)
{
    const struct name_order *left = a;
    const struct name_order *right = b;
    int order = strcmp(left->name, right->name);
    return order != 0 ? order : (left->index > right->index) - (left->index < right->index);
}

static void complain_of_doubled_names(struct loader *loader, const char *section, struct name_order *names,
                                      size_t count)
{
    struct key_path root = {.up = NULL, .key = section, .index = 0};
    if (count < 2) {
        return;
    }
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(names[i].name, names[i - 1].name) == 0) {
            struct key_path path = {.up = &root, .key = names[i].name, .index = 0};
            const struct place *first = names[i - 1].place;
            loader_error(loader, *names[i].place, &path, "already defined at %s:%u:%u",
                         loader->files.items[first->file], first->line, first->column);
            names[i].place = first;
        }
    }
}

static void check_names(struct loader *loader)
{
    size_t room = loader->host_count + loader->tunnel_count + 1;
    struct name_order *names = calloc(room, sizeof *names);
    if (names == NULL) {
        loader->out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < loader->host_count; i++) {
        names[i] = (struct name_order){loader->hosts[i].name, &loader->hosts[i].place, i};
    }
    complain_of_doubled_names(loader, "hosts", names, loader->host_count);
    for (size_t i = 0; i < loader->tunnel_count; i++) {
        names[i] = (struct name_order){loader->tunnels[i].name, &loader->tunnels[i].place, i};
    }
    complain_of_doubled_names(loader, "tunnels", names, loader->tunnel_count);
    free(names);
}

static const struct host_entry *find_host(const struct loader *loader, const char *name)
{
    for (size_t i = 0; i < loader->host_count; i++) {
        if (strcmp(loader->hosts[i].name, name) == 0) {
            return &loader->hosts[i];
        }
    }
    return NULL;
}

/* Layers, nearest first: the tunnel, user and port written with its host, the host's entry, the defaults of the entry's
 * file, the defaults of the tunnel's file. */
static enum err merge_layers(const struct loader *loader, struct tunnel_entry *tunnel)
{
    struct settings *settings = &tunnel->settings;
    const struct host_entry *host = find_host(loader, tunnel->host);
    struct settings in_place;
    struct err_info info;
    enum err result = OK;
    settings_init(&in_place);
    if (tunnel->user != NULL) {
        result = settings_set(&in_place, setting_find(DIALECT_YAML, "user"), DIALECT_YAML, NULL, tunnel->user, &info);
    }
    if (result == OK && tunnel->port != 0) {
        char *port = text_format("%u", (unsigned)tunnel->port);
        result = port == NULL
                     ? ERR_MEMORY
                     : settings_set(&in_place, setting_find(DIALECT_YAML, "port"), DIALECT_YAML, NULL, port, &info);
        free(port);
    }
    if (result == OK) {
        result = settings_merge(settings, &in_place);
    }
    if (result == OK && host != NULL) {
        result = settings_merge(settings, &host->settings);
        result = result == OK ? settings_merge(settings, &loader->defaults[host->place.file]) : result;
    }
    if (result == OK) {
        result = settings_merge(settings, &loader->defaults[tunnel->place.file]);
    }
    settings_deinit(&in_place);
    return result;
}

static void complete_tunnel(struct loader *loader, struct tunnel_entry *tunnel)
{
    struct tunnel_spec *spec = &tunnel->spec;
    struct key_path root = {.up = NULL, .key = "tunnels", .index = 0};
    struct key_path path = {.up = &root, .key = tunnel->name, .index = 0};
    struct err_info info = {.code = OK};
    if (merge_layers(loader, tunnel) != OK) {
        loader->out_of_memory = true;
        return;
    }
    if (settings_complete(&tunnel->settings, DIALECT_YAML, tunnel->host, &info) != OK) {
        loader_error_info(loader, tunnel->place, &path, &info);
        return;
    }
    host_spec_deinit(&spec->host);
    spec->exit_on_forward_failure = tunnel->settings.exit_on_forward_failure;
    spec->no_reclaim = tunnel->settings.no_reclaim;
    for (size_t i = 0; i < spec->forward_count; i++) {
        if (spec->forwards[i].type == FORWARD_LOCAL && !tunnel->notes[i].gateway_given) {
            spec->forwards[i].gateway_ports = tunnel->settings.gateway_ports;
        }
        spec->forwards[i].stream_local_bind_unlink = tunnel->settings.stream_local_bind_unlink;
    }
    spec->where =
        text_format("%s:%u:%u", loader->files.items[tunnel->place.file], tunnel->place.line, tunnel->place.column);
    if (host_spec_copy(&spec->host, &tunnel->settings.host) != OK || spec->where == NULL) {
        loader->out_of_memory = true;
    }
}

static void join(struct loader *loader)
{
    check_names(loader);
    for (size_t i = 0; i < loader->tunnel_count && !loader->out_of_memory; i++) {
        if (loader->tunnels[i].host != NULL) {
            complete_tunnel(loader, &loader->tunnels[i]);
        }
    }
    if (!loader->out_of_memory) {
        loader_check_listeners(loader);
    }
    if (loader->tunnel_count == 0 && loader->error_count == 0) {
        loader_error(loader, (struct place){.file = 0, .line = 0, .column = 0}, NULL,
                     "no tunnels are defined; add one under tunnels:");
    }
}

/* --- the outcome --- */

static int compare_errors(const void *a, const void *b)
{
    const struct place *left = &((const struct load_error *)a)->place;
    const struct place *right = &((const struct load_error *)b)->place;
    if (left->file != right->file) {
        return left->file < right->file ? -1 : 1;
    }
    if (left->line != right->line) {
        return left->line < right->line ? -1 : 1;
    }
    if (left->column != right->column) {
        return left->column < right->column ? -1 : 1;
    }
    return strcmp(((const struct load_error *)a)->text, ((const struct load_error *)b)->text);
}

static enum err add_line(struct config_errors *errors, char *line)
{
    char **lines = line == NULL ? NULL : realloc((void *)errors->lines, (errors->count + 1) * sizeof(char *));
    if (lines == NULL) {
        free(line);
        return ERR_MEMORY;
    }
    errors->lines = lines;
    lines[errors->count++] = line;
    return OK;
}

static enum err report(struct loader *loader, struct config_errors *errors)
{
    enum err result = OK;
    qsort(loader->errors, loader->error_count, sizeof *loader->errors, compare_errors);
    for (size_t i = 0; result == OK && i < loader->error_count; i++) {
        const struct load_error *error = &loader->errors[i];
        const char *file = loader->files.items[error->place.file];
        result = add_line(errors, error->place.line == 0 ? text_format("%s: %s", file, error->text)
                                                         : text_format("%s:%u:%u: %s", file, error->place.line,
                                                                       error->place.column, error->text));
    }
    if (result == OK && loader->error_count >= LOAD_ERRORS_MAX) {
        result =
            add_line(errors, text_format("%s: more errors than are listed here", loader->files.items[loader->file]));
    }
    return result;
}

/* Moves the specs out of the loader. */
static enum err hand_over(struct loader *loader, struct config *out)
{
    out->tunnels = calloc(loader->tunnel_count, sizeof *out->tunnels);
    if (out->tunnels == NULL) {
        return ERR_MEMORY;
    }
    for (size_t i = 0; i < loader->tunnel_count; i++) {
        out->tunnels[i] = loader->tunnels[i].spec;
        memset(&loader->tunnels[i].spec, 0, sizeof loader->tunnels[i].spec);
    }
    out->tunnel_count = loader->tunnel_count;
    out->log = loader->log;
    out->watch_definitions = loader->watch_definitions;
    loader->log.path = NULL;
    out->metrics_file = loader->metrics_file;
    loader->metrics_file = NULL;
    return OK;
}

static void loader_deinit(struct loader *loader)
{
    for (size_t i = 0; i < loader->tunnel_count; i++) {
        struct tunnel_entry *tunnel = &loader->tunnels[i];
        free(tunnel->name);
        free(tunnel->user);
        free(tunnel->host);
        free(tunnel->notes);
        settings_deinit(&tunnel->settings);
        tunnel_spec_deinit(&tunnel->spec);
    }
    for (size_t i = 0; i < loader->host_count; i++) {
        free(loader->hosts[i].name);
        settings_deinit(&loader->hosts[i].settings);
    }
    for (size_t i = 0; i < loader->files.count; i++) {
        settings_deinit(&loader->defaults[i]);
    }
    for (size_t i = 0; i < loader->error_count; i++) {
        free(loader->errors[i].text);
    }
    free(loader->tunnels);
    free(loader->hosts);
    free(loader->defaults);
    free(loader->errors);
    free(loader->dir);
    free(loader->log.path);
    free(loader->metrics_file);
    string_list_deinit(&loader->files);
}

enum err config_load(const char *const *paths, size_t path_count, struct config *out, struct config_errors *errors)
{
    struct loader loader;
    enum err result = OK;
    memset(&loader, 0, sizeof loader);
    memset(out, 0, sizeof *out);
    memset(errors, 0, sizeof *errors);
    out->fingerprint = config_fingerprint(paths, path_count);
    if (path_count == 0) {
        char *place = platform_default_definitions();
        if (place == NULL) {
            return add_line(errors, text_format("no place for definitions is known here; name one with -c")) == OK
                       ? ERR_DEFINITION
                       : ERR_MEMORY;
        }
        load_path(&loader, place);
        free(place);
    }
    for (size_t i = 0; i < path_count; i++) {
        load_path(&loader, paths[i]);
    }
    if (!loader.out_of_memory) {
        join(&loader);
    }
    if (!loader.out_of_memory && loader.error_count > 0) {
        result = report(&loader, errors) == OK ? ERR_DEFINITION : ERR_MEMORY;
    } else {
        result = loader.out_of_memory ? ERR_MEMORY : hand_over(&loader, out);
    }
    if (result == ERR_MEMORY) {
        (void)add_line(errors, text_format("out of memory"));
    }
    loader_deinit(&loader);
    return result;
}

void config_deinit(struct config *config)
{
    for (size_t i = 0; i < config->tunnel_count; i++) {
        tunnel_spec_deinit(&config->tunnels[i]);
    }
    free(config->tunnels);
    free(config->log.path);
    free(config->metrics_file);
    memset(config, 0, sizeof *config);
}

void config_errors_deinit(struct config_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++) {
        free(errors->lines[i]);
    }
    free((void *)errors->lines);
    memset(errors, 0, sizeof *errors);
}
