/* One YAML file as a tree of nodes that know their place. No aliases, anchors, tags or second documents: definitions
 * need none of them, and without them a file is never larger in memory than on disk. */
#ifndef HOLDFAST_CONFIG_YAML_TREE_H
#define HOLDFAST_CONFIG_YAML_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum yaml_kind { YAML_TREE_SCALAR, YAML_TREE_LIST, YAML_TREE_MAP };

/* Lines and columns count from 1. A map's children are key, value, key, value...; its keys are scalars. */
struct yaml_node {
    enum yaml_kind kind;
    bool plain; /* a scalar without quotes */
    unsigned line, column;
    char *text; /* of a scalar, never with a NUL inside */
    struct yaml_node **children;
    size_t child_count;
};

/* Where and why a file is no YAML we read. */
struct yaml_problem {
    unsigned line, column;
    struct err_info info;
};

#define YAML_TREE_MAX_BYTES ((size_t)1024 * 1024)
#define YAML_TREE_MAX_DEPTH 16

/* Parses `len` bytes. OK with *out NULL: the file holds nothing but comments. ERR_DEFINITION or ERR_MEMORY with
 * `problem`. */
enum err yaml_tree_parse(const char *text, size_t len, struct yaml_node **out, struct yaml_problem *problem);
void yaml_tree_free(struct yaml_node *node);
/* A plain scalar that YAML reads as nothing: empty, ~ or null. */
bool yaml_node_is_null(const struct yaml_node *node);
/* The version of libyaml that is linked. Static string. */
const char *yaml_tree_library_version(void);

#endif
