/* Definitions: YAML files to a set of tunnel specs, every error with FILE:LINE:COL (DESIGN section 6). */
#ifndef HOLDFAST_CONFIG_CONFIG_H
#define HOLDFAST_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "tunnel/spec.h"

/* `log:` of the definitions. */
struct config_log {
    char *path;         /* heap, absolute; NULL: nothing was said */
    uint64_t max_bytes; /* at which it becomes PATH.1 */
    unsigned keep;      /* how many older ones are kept */
};

struct config {
    struct tunnel_spec *tunnels; /* in the order of the files */
    size_t tunnel_count;
    struct config_log log;
    bool watch_definitions; /* a file of them says so */
    uint64_t fingerprint;   /* config_fingerprint from before they were read; set also when they are invalid */
    char *metrics_file;     /* heap, absolute; NULL: none is to be written */
};

/* All errors of a load, in file order, each one line "FILE:LINE:COL: path.to.key: sentence". */
struct config_errors {
    char **lines;
    size_t count;
};

/* Loads files and directories (a directory means its *.yaml in name order) into `out`. Either everything is valid and
 * OK is returned, or `out` is empty, `errors` has at least one line, and ERR_DEFINITION (or ERR_IO) is returned.
 * `paths` empty means the default place (platform_default_definitions). */
enum err config_load(const char *const *paths, size_t path_count, struct config *out, struct config_errors *errors);
/* What the files and folders of config_load look like from outside: another number when one of them was written to,
 * replaced, added or removed. Reads none of them; blocking. */
uint64_t config_fingerprint(const char *const *paths, size_t path_count);
void config_deinit(struct config *config);
void config_errors_deinit(struct config_errors *errors);

#endif
