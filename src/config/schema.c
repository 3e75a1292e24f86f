/* The rules that every map of a definition follows. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/loader.h"
#include "config/text.h"

#define SHOWN_BYTES 80
#define KNOWN_MAX 64

/* --- errors --- */

static size_t path_text(const struct key_path *path, char *out, size_t cap)
{
    size_t used = path->up == NULL ? 0 : path_text(path->up, out, cap);
    char shown[SHOWN_BYTES];
    int written;
    if (path->key == NULL) {
        written = snprintf(out + used, cap - used, "[%zu]", path->index);
    } else {
        written =
            snprintf(out + used, cap - used, "%s%s", used > 0 ? "." : "", text_shown(path->key, shown, sizeof shown));
    }
    if (written < 0) {
        return used;
    }
    return (size_t)written >= cap - used ? cap - 1 : used + (size_t)written;
}

bool loader_is_full(const struct loader *loader)
{
    return loader->out_of_memory || loader->error_count >= LOAD_ERRORS_MAX;
}

static void add_error(struct loader *loader, struct place place, const struct key_path *path, const char *sentence)
{
    char keys[512] = "";
    if (loader_is_full(loader)) {
        return;
    }
    if (path != NULL) {
        (void)path_text(path, keys, sizeof keys);
    }
    char *text = text_format("%s%s%s", keys, path == NULL ? "" : ": ", sentence);
    struct load_error *errors =
        text == NULL ? NULL : realloc(loader->errors, (loader->error_count + 1) * sizeof *errors);
    if (errors == NULL) {
        free(text);
        loader->out_of_memory = true;
        return;
    }
    loader->errors = errors;
    errors[loader->error_count++] = (struct load_error){.place = place, .text = text};
}

void loader_error(struct loader *loader, struct place place, const struct key_path *path, const char *format, ...)
{
    char sentence[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    add_error(loader, place, path, sentence);
}

void loader_error_info(struct loader *loader, struct place place, const struct key_path *path,
                       const struct err_info *info)
{
    if (info->code == ERR_MEMORY) {
        loader->out_of_memory = true;
    } else {
        add_error(loader, place, path, info->message);
    }
}

struct place loader_place(const struct loader *loader, const struct yaml_node *node)
{
    return (struct place){.file = loader->file, .line = node->line, .column = node->column};
}

/* --- values --- */

const char *schema_scalar(struct loader *loader, const struct key_path *path, const struct yaml_node *value)
{
    if (value->kind != YAML_TREE_SCALAR) {
        loader_error(loader, loader_place(loader, value), path, "one value is expected here, not a %s",
                     value->kind == YAML_TREE_LIST ? "list" : "map");
        return NULL;
    }
    if (yaml_node_is_null(value) || value->text[0] == '\0') {
        loader_error(loader, loader_place(loader, value), path, "a value is missing");
        return NULL;
    }
    return value->text;
}

bool schema_is_map(struct loader *loader, const struct key_path *path, const struct yaml_node *value, const char *what)
{
    if (value->kind == YAML_TREE_MAP && value->child_count > 0) {
        return true;
    }
    bool empty = yaml_node_is_null(value) || (value->kind != YAML_TREE_SCALAR && value->child_count == 0);
    loader_error(loader, loader_place(loader, value), path, "%s; %s", empty ? "nothing is in it" : "this is no map",
                 what);
    return false;
}

const struct yaml_node *schema_get(const struct yaml_node *map, const char *key)
{
    for (size_t i = 0; i + 1 < map->child_count; i += 2) {
        if (strcmp(map->children[i]->text, key) == 0) {
            return map->children[i + 1];
        }
    }
    return NULL;
}

static void read_setting(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                         const struct setting *setting, struct settings *layer)
{
    struct err_info info = {.code = OK};
    if (!setting_is_list(setting) || value->kind != YAML_TREE_LIST) {
        const char *text = schema_scalar(loader, path, value);
        if (text != NULL && settings_set(layer, setting, DIALECT_YAML, loader->dir, text, &info) != OK) {
            loader_error_info(loader, loader_place(loader, value), path, &info);
        }
        return;
    }
    if (value->child_count == 0) {
        loader_error(loader, loader_place(loader, value), path, "the list is empty");
    }
    for (size_t i = 0; i < value->child_count; i++) {
        struct key_path item = {.up = path, .key = NULL, .index = i};
        const char *text = schema_scalar(loader, &item, value->children[i]);
        if (text != NULL && settings_set(layer, setting, DIALECT_YAML, loader->dir, text, &info) != OK) {
            loader_error_info(loader, loader_place(loader, value->children[i]), &item, &info);
        }
    }
}

/* --- keys --- */

struct key_order {
    const struct yaml_node *key;
    size_t index;
};

static int compare_keys(const void *a, const void *b)
{
    const struct key_order *left = a;
    const struct key_order *right = b;
    int order = strcmp(left->key->text, right->key->text);
    return order != 0 ? order : (left->index > right->index) - (left->index < right->index);
}

/* Complains of every key that was there before, and marks it in `doubled` (one per key). */
static void find_doubled(struct loader *loader, const struct key_path *path, const struct yaml_node *map, bool *doubled)
{
    size_t count = map->child_count / 2;
    struct key_order *order = calloc(count, sizeof *order);
    if (order == NULL) {
        loader->out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        order[i] = (struct key_order){.key = map->children[2 * i], .index = i};
    }
    qsort(order, count, sizeof *order, compare_keys);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(order[i].key->text, order[i - 1].key->text) == 0) {
            char shown[SHOWN_BYTES];
            const struct yaml_node *first = order[i - 1].key;
            doubled[order[i].index] = true;
            loader_error(loader, loader_place(loader, order[i].key), path, "key '%s' is already in line %u",
                         text_shown(first->text, shown, sizeof shown), first->line);
            order[i].key = first; /* a third one names the first place as well */
        }
    }
    free(order);
}

static bool is_secret(const char *key)
{
    static const char *const words[] = {"password",    "passphrase",  "passwd", "secret",
                                        "private_key", "credentials", "pin",    "token"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (text_equal_nocase(key, words[i])) {
            return true;
        }
    }
    return text_match("*_password", key, true) || text_match("*_passphrase", key, true);
}

static void unknown_key(struct loader *loader, const struct key_path *path, const struct yaml_node *key,
                        const struct key_rule *rules, size_t rule_count, const struct settings *layer)
{
    const char *known[KNOWN_MAX];
    char shown[SHOWN_BYTES];
    size_t count = layer == NULL ? 0 : setting_words(DIALECT_YAML, known, KNOWN_MAX);
    if (loader_is_full(loader)) {
        return;
    }
    for (size_t i = 0; i < rule_count && count < KNOWN_MAX; i++) {
        if (rules[i].read != NULL) {
            known[count++] = rules[i].key;
        }
    }
    const char *nearest = text_nearest(key->text, known, count);
    (void)text_shown(key->text, shown, sizeof shown);
    if (is_secret(key->text)) {
        loader_error(loader, loader_place(loader, key), path,
                     "'%s': secrets are never in YAML; use a key file or an agent", shown);
    } else if (nearest != NULL) {
        loader_error(loader, loader_place(loader, key), path, "unknown key '%s'; did you mean '%s'?", shown, nearest);
    } else {
        loader_error(loader, loader_place(loader, key), path, "unknown key '%s'", shown);
    }
}

static void read_key(struct loader *loader, const struct key_path *path, const struct yaml_node *key,
                     const struct yaml_node *value, const struct key_rule *rules, size_t rule_count, void *target,
                     struct settings *layer, bool per_host)
{
    struct key_path inner = {.up = path, .key = key->text, .index = 0};
    for (size_t i = 0; i < rule_count; i++) {
        if (strcmp(key->text, rules[i].key) == 0) {
            if (rules[i].read == NULL) {
                loader_error(loader, loader_place(loader, key), &inner, "not in this version");
            } else {
                rules[i].read(loader, &inner, value, target);
            }
            return;
        }
    }
    const struct setting *setting = layer == NULL ? NULL : setting_find(DIALECT_YAML, key->text);
    if (setting == NULL) {
        unknown_key(loader, path, key, rules, rule_count, layer);
    } else if (!per_host && setting_is_per_host(setting)) {
        loader_error(loader, loader_place(loader, key), &inner, "this is about one host; it goes under hosts:");
    } else {
        read_setting(loader, &inner, value, setting, layer);
    }
}

void schema_read_map(struct loader *loader, const struct key_path *path, const struct yaml_node *map,
                     const struct key_rule *rules, size_t rule_count, void *target, struct settings *layer,
                     bool per_host)
{
    size_t count = map->child_count / 2;
    bool *doubled = calloc(count + 1, sizeof *doubled);
    if (doubled == NULL) {
        loader->out_of_memory = true;
        return;
    }
    if (count > 1) {
        find_doubled(loader, path, map, doubled);
    }
    for (size_t i = 0; i < count && !loader_is_full(loader); i++) {
        if (!doubled[i]) {
            read_key(loader, path, map->children[2 * i], map->children[2 * i + 1], rules, rule_count, target, layer,
                     per_host);
        }
    }
    free(doubled);
}
