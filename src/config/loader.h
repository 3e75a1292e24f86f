/* What the two halves of config_load share: definitions.c fills entries from one file's tree, config.c joins the files.
 */
#ifndef HOLDFAST_CONFIG_LOADER_H
#define HOLDFAST_CONFIG_LOADER_H

#include "config/config.h"
#include "config/settings.h"
#include "config/yaml_tree.h"

/* Where something was written. */
struct place {
    size_t file; /* index into loader.files */
    unsigned line, column;
};

/* The way from the root to a node, for messages: "tunnels.xp-mode.forwards[0].to". Lives on the stack. */
struct key_path {
    const struct key_path *up;
    const char *key; /* NULL: `index` counts */
    size_t index;
};

struct host_entry {
    char *name;
    struct place place;       /* of its key */
    struct settings settings; /* its own words */
};

/* What a forward's spec does not hold. */
struct forward_note {
    struct place place; /* of the listening end */
    size_t index;       /* in the file's list */
    bool gateway_given;
};

struct tunnel_entry {
    char *name;
    struct place place;      /* of its key */
    struct place host_place; /* of the value of host: */
    char *user;              /* of `host: user@name:port`; NULL and 0 when absent */
    char *host;
    uint16_t port;
    struct settings settings;   /* its own words */
    struct tunnel_spec spec;    /* all but the host */
    struct forward_note *notes; /* one per forward */
};

struct load_error {
    struct place place; /* line 0: about the file as a whole */
    char *text;         /* behind the place: "tunnels.a.host: ..." */
};

#define LOAD_ERRORS_MAX 1000

struct loader {
    struct string_list files;
    char *dir;                 /* of the file that is being read; relative paths begin here */
    size_t file;               /* its index */
    struct settings *defaults; /* one per file */
    struct host_entry *hosts;
    size_t host_count;
    struct tunnel_entry *tunnels;
    size_t tunnel_count;
    struct load_error *errors;
    size_t error_count;
    struct config_log log;
    struct place log_place; /* of `log:`, once its path is there */
    bool watch_definitions;
    char *metrics_file;
    struct place metrics_place; /* likewise */
    bool out_of_memory;
};

/* Notes an error at a place of the current file. printf-style. `path` may be NULL. */
void loader_error(struct loader *loader, struct place place, const struct key_path *path, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* Notes what a parser said in `info`; ERR_MEMORY only marks the load as out of memory. */
void loader_error_info(struct loader *loader, struct place place, const struct key_path *path,
                       const struct err_info *info);
/* No further error is worth looking for. */
bool loader_is_full(const struct loader *loader);
struct place loader_place(const struct loader *loader, const struct yaml_node *node);

/* Reads one file's tree into the loader: its defaults, hosts and tunnels. */
void definitions_read(struct loader *loader, const struct yaml_node *root);

/* Reads a duration with a unit that is in min_ms to max_ms into *out_ms; an error is noted, and *out_ms stays. */
void loader_read_duration(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                          uint64_t min_ms, uint64_t max_ms, uint64_t *out_ms);

/* Reads the `to:` of a forward, whose type is known, into `spec->to`; errors are noted. */
void loader_read_target(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                        struct forward_spec *spec);

/* Reads `log:`, which one file of all may have; errors are noted. */
void loader_read_log(struct loader *loader, const struct key_path *path, const struct yaml_node *value, void *target);

/* Reads the keys of a forward, whose type is known, that are not about its two ends; errors are noted. */
void loader_read_forward_keys(struct loader *loader, const struct key_path *path, const struct yaml_node *map,
                              struct forward_spec *spec);

/* For rules of a tunnel, whose target is a struct tunnel_entry. */
void loader_read_on_up(struct loader *loader, const struct key_path *path, const struct yaml_node *value, void *target);
void loader_read_on_down(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                         void *target);
void loader_read_hook_timeout(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                              void *target);

/* For rules: the key is known and read elsewhere; it has its place under a forward, or under a tunnel. */
void loader_read_later(struct loader *loader, const struct key_path *path, const struct yaml_node *value, void *target);
void loader_only_in_forward(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                            void *target);
void loader_only_in_tunnel(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                           void *target);

/* Complains of forwards of the joined tunnels that would listen on the same address, here or at the same peer. */
void loader_check_listeners(struct loader *loader);

/* The keys one map may have. */
struct key_rule {
    const char *key;
    /* NULL: the key is of a later version. */
    void (*read)(struct loader *loader, const struct key_path *path, const struct yaml_node *value, void *target);
};
/* Walks a map: complains of doubled, unknown and secret keys and of those of later versions, and hands the others to
 * their rule. `layer` (may be NULL) takes ssh_config's words; `per_host` says whether those about one host may be
 * there. */
void schema_read_map(struct loader *loader, const struct key_path *path, const struct yaml_node *map,
                     const struct key_rule *rules, size_t rule_count, void *target, struct settings *layer,
                     bool per_host);
/* The value of `key` in a map, or NULL; the first one if it is doubled. */
const struct yaml_node *schema_get(const struct yaml_node *map, const char *key);
/* The text of a value that must be a single one, else an error and NULL. */
const char *schema_scalar(struct loader *loader, const struct key_path *path, const struct yaml_node *value);
/* True for a map that is not empty, else an error that calls for `what`. */
bool schema_is_map(struct loader *loader, const struct key_path *path, const struct yaml_node *value, const char *what);

#endif
