#include "config/log_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "config/loader.h"
#include "config/text.h"
#include "platform/platform.h"

#define MIN_BYTES (UINT64_C(64) << 10)
#define MAX_BYTES (UINT64_C(1) << 40)
#define MAX_KEEP 99

enum err log_size_parse(const char *text, uint64_t *out_bytes, struct err_info *info)
{
    uint64_t bytes = 0;
    enum err result = size_parse(text, &bytes, info);
    if (result == OK && (bytes < MIN_BYTES || bytes > MAX_BYTES)) {
        result = err_set(info, ERR_DEFINITION, "%s is not in 64KiB-1TiB", text);
    }
    if (result == OK) {
        *out_bytes = bytes;
    }
    return result;
}

enum err log_keep_parse(const char *text, unsigned *out, struct err_info *info)
{
    size_t len = strlen(text);
    unsigned long count = len > 0 && len <= 2 && strspn(text, "0123456789") == len ? strtoul(text, NULL, 10) : 0;
    if (count == 0) {
        return err_set(info, ERR_DEFINITION, "%s is not in 1-%d", text, MAX_KEEP);
    }
    *out = (unsigned)count;
    return OK;
}

static void read_path(struct loader *loader, const struct key_path *path, const struct yaml_node *value, void *target)
{
    const char *text = schema_scalar(loader, path, value);
    (void)target;
    if (text == NULL) {
        return;
    }
    if (text[0] == '\0') {
        loader_error(loader, loader_place(loader, value), path, "a file is expected here");
        return;
    }
    loader->log.path = platform_path_resolve(loader->dir, text);
    loader->out_of_memory = loader->out_of_memory || loader->log.path == NULL;
}

static void read_limit(struct loader *loader, const struct key_path *path, const struct yaml_node *value, bool is_keep)
{
    struct err_info info = {.code = OK};
    char shown[64];
    const char *text = schema_scalar(loader, path, value);
    if (text == NULL) {
        return;
    }
    (void)text_shown(text, shown, sizeof shown);
    enum err result = is_keep ? log_keep_parse(shown, &loader->log.keep, &info)
                              : log_size_parse(shown, &loader->log.max_bytes, &info);
    if (result != OK) {
        loader_error_info(loader, loader_place(loader, value), path, &info);
    }
}

static void read_max_size(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                          void *target)
{
    (void)target;
    read_limit(loader, path, value, false);
}

static void read_keep(struct loader *loader, const struct key_path *path, const struct yaml_node *value, void *target)
{
    (void)target;
    read_limit(loader, path, value, true);
}

void loader_read_log(struct loader *loader, const struct key_path *path, const struct yaml_node *value, void *target)
{
    static const struct key_rule rules[] = {{"path", read_path}, {"max_size", read_max_size}, {"keep", read_keep}};
    if (loader->log.path != NULL) {
        loader_error(loader, loader_place(loader, value), path, "already said at %s:%u:%u",
                     loader->files.items[loader->log_place.file], loader->log_place.line, loader->log_place.column);
        return;
    }
    loader->log_place = loader_place(loader, value);
    loader->log.max_bytes = CONFIG_LOG_MAX_BYTES;
    loader->log.keep = CONFIG_LOG_KEEP;
    if (value->kind == YAML_TREE_SCALAR && !yaml_node_is_null(value)) {
        read_path(loader, path, value, target);
        return;
    }
    if (!schema_is_map(loader, path, value, "write a file, or {path: FILE, max_size: 10MiB, keep: 5}")) {
        return;
    }
    schema_read_map(loader, path, value, rules, sizeof rules / sizeof rules[0], target, NULL, false);
    if (schema_get(value, "path") == NULL) {
        loader_error(loader, loader_place(loader, value), path, "'path' is missing; name a file");
    }
}
