/* The keys of a tunnel that name programs: on_up, on_down, and how long these may run. */
#include <stdlib.h>
#include <string.h>

#include "config/loader.h"
#include "config/text.h"
#include "platform/platform.h"

enum { SHOWN_BYTES = 80 };
#define TIMEOUT_MIN_MS UINT64_C(1000)
#define TIMEOUT_MAX_MS (UINT64_C(10) * 60 * 1000)

/* A program with a separator in its name is relative to the file; another one is looked for in PATH when it is run. */
static void add_word(struct loader *loader, struct string_list *words, const char *text)
{
    bool is_path = words->count == 0 && (strchr(text, '/') != NULL || strchr(text, '\\') != NULL);
    char *word = is_path ? platform_path_resolve(loader->dir, text) : strdup(text);
    if (word == NULL || string_list_add(words, word) != OK) {
        loader->out_of_memory = true;
    }
    free(word);
}

static void read_words(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                       struct string_list *words)
{
    char shown[SHOWN_BYTES];
    if (value->kind != YAML_TREE_LIST) {
        const char *text = schema_scalar(loader, path, value);
        if (text != NULL && strpbrk(text, " \t") != NULL) {
            loader_error(loader, loader_place(loader, value), path,
                         "'%s' has blanks; write the program and its arguments as a list, since no shell parts them",
                         text_shown(text, shown, sizeof shown));
        } else if (text != NULL) {
            add_word(loader, words, text);
        }
        return;
    }
    if (value->child_count == 0) {
        loader_error(loader, loader_place(loader, value), path, "the list is empty; write [PROGRAM, ARGUMENT...]");
    }
    for (size_t i = 0; i < value->child_count; i++) {
        struct key_path item = {.up = path, .key = NULL, .index = i};
        const struct yaml_node *node = value->children[i];
        /* An argument may be empty, or ~. */
        const char *text = node->kind == YAML_TREE_SCALAR && i > 0 ? node->text : schema_scalar(loader, &item, node);
        if (text != NULL) {
            add_word(loader, words, text);
        }
    }
}

void loader_read_on_up(struct loader *loader, const struct key_path *path, const struct yaml_node *value, void *target)
{
    read_words(loader, path, value, &((struct tunnel_entry *)target)->spec.on_up);
}

void loader_read_on_down(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                         void *target)
{
    read_words(loader, path, value, &((struct tunnel_entry *)target)->spec.on_down);
}

void loader_read_hook_timeout(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                              void *target)
{
    loader_read_duration(loader, path, value, TIMEOUT_MIN_MS, TIMEOUT_MAX_MS,
                         &((struct tunnel_entry *)target)->spec.hook_timeout_ms);
}
