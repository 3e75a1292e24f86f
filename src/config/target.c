/* The `to:` of a forward: one value, or a map for a target that moves: {command: [PROGRAM, WORD...], port: N},
 * {wsl: DISTRIBUTION, port: N}. */
#include <stdlib.h>
#include <string.h>

#include "config/endpoint.h"
#include "config/loader.h"
#include "config/text.h"
#include "platform/platform.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define SHOWN_BYTES 80

struct target_nodes {
    const struct yaml_node *command, *wsl, *port;
};

static void keep_command(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                         void *target)
{
    (void)loader;
    (void)path;
    ((struct target_nodes *)target)->command = value;
}

static void keep_wsl(struct loader *loader, const struct key_path *path, const struct yaml_node *value, void *target)
{
    (void)loader;
    (void)path;
    ((struct target_nodes *)target)->wsl = value;
}

static void keep_port(struct loader *loader, const struct key_path *path, const struct yaml_node *value, void *target)
{
    (void)loader;
    (void)path;
    ((struct target_nodes *)target)->port = value;
}

/* A path on our own side is relative to the file. */
static void resolve(struct loader *loader, char **path)
{
    char *resolved = platform_path_resolve(loader->dir, *path);
    if (resolved == NULL) {
        loader->out_of_memory = true;
        return;
    }
    free(*path);
    *path = resolved;
}

/* A program without a separator is looked for in PATH when it is run. */
static void resolve_program(struct loader *loader, struct endpoint *to)
{
    if (to->words != NULL && (strchr(to->words[0], '/') != NULL || strchr(to->words[0], '\\') != NULL)) {
        resolve(loader, &to->words[0]);
    }
}

static void read_word(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                      struct endpoint *to)
{
    /* An argument may be empty, or ~. */
    const char *text =
        value->kind == YAML_TREE_SCALAR && to->words != NULL ? value->text : schema_scalar(loader, path, value);
    if (text != NULL && endpoint_add_word(to, text) != OK) {
        loader->out_of_memory = true;
    }
}

static void read_command(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                         struct endpoint *to)
{
    char shown[SHOWN_BYTES];
    if (value->kind == YAML_TREE_SCALAR && strpbrk(value->text, " \t") != NULL) {
        loader_error(loader, loader_place(loader, value), path,
                     "'%s' has blanks; write the program and its arguments as a list, since no shell parts them",
                     text_shown(value->text, shown, sizeof shown));
    } else if (value->kind != YAML_TREE_LIST) {
        read_word(loader, path, value, to);
    } else if (value->child_count == 0) {
        loader_error(loader, loader_place(loader, value), path, "the list is empty; write [PROGRAM, ARGUMENT...]");
    }
    for (size_t i = 0; value->kind == YAML_TREE_LIST && i < value->child_count; i++) {
        struct key_path item = {.up = path, .key = NULL, .index = i};
        read_word(loader, &item, value->children[i], to);
    }
}

static void read_map(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                     struct endpoint *to)
{
    static const struct key_rule rules[] = {{"command", keep_command}, {"wsl", keep_wsl}, {"port", keep_port}};
    struct target_nodes nodes = {NULL, NULL, NULL};
    struct err_info info = {.code = OK};
    struct key_path wsl = {.up = path, .key = "wsl", .index = 0};
    struct key_path command = {.up = path, .key = "command", .index = 0};
    struct key_path port = {.up = path, .key = "port", .index = 0};
    size_t errors = loader->error_count;
    schema_read_map(loader, path, value, rules, COUNT(rules), &nodes, NULL, false);
    if (loader->error_count > errors) {
        return;
    }
    if ((nodes.command == NULL) == (nodes.wsl == NULL)) {
        loader_error(loader, loader_place(loader, value), path, "%s of 'command' and 'wsl' is needed",
                     nodes.command == NULL ? "one" : "only one");
        return;
    }
    to->kind = nodes.command != NULL ? ENDPOINT_COMMAND : ENDPOINT_WSL;
    const char *text = nodes.wsl == NULL ? NULL : schema_scalar(loader, &wsl, nodes.wsl);
    if (nodes.command != NULL) {
        read_command(loader, &command, nodes.command, to);
    } else if (text != NULL && distribution_check(text, &info) != OK) {
        loader_error_info(loader, loader_place(loader, nodes.wsl), &wsl, &info);
    } else if (text != NULL && (to->host = strdup(text)) == NULL) {
        loader->out_of_memory = true;
    }
    text = nodes.port == NULL ? NULL : schema_scalar(loader, &port, nodes.port);
    if (nodes.port == NULL && nodes.wsl != NULL) {
        loader_error(loader, loader_place(loader, value), path,
                     "'port' is missing; write {wsl: DISTRIBUTION, port: N}");
    } else if (text != NULL && port_parse(text, false, &to->port, &info) != OK) {
        loader_error_info(loader, loader_place(loader, nodes.port), &port, &info);
    }
}

void loader_read_target(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                        struct forward_spec *spec)
{
    struct err_info info = {.code = OK};
    size_t errors = loader->error_count;
    bool is_remote = spec->type == FORWARD_REMOTE;
    if (value->kind == YAML_TREE_MAP) {
        read_map(loader, path, value, &spec->to);
    } else {
        const char *text = schema_scalar(loader, path, value);
        if (text != NULL && endpoint_parse_target(text, &spec->to, &info) != OK) {
            loader_error_info(loader, loader_place(loader, value), path, &info);
        }
    }
    if (loader->error_count > errors || loader->out_of_memory) {
        endpoint_deinit(&spec->to);
        return;
    }
    if ((is_remote ? forward_check_own_side(spec, &info) : forward_check_target(spec, &info)) != OK) {
        loader_error_info(loader, loader_place(loader, value), path, &info);
    }
    resolve_program(loader, &spec->to);
    if (is_remote && spec->to.kind == ENDPOINT_UNIX) {
        resolve(loader, &spec->to.path);
    }
}
