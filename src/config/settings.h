/* The ssh_config(5) words that holdfast has, under both their names (HostName in ssh_config and -o, hostname in YAML):
 * one table says type, range and place of each. A `struct settings` is one layer of what was said; layers are merged.
 */
#ifndef HOLDFAST_CONFIG_SETTINGS_H
#define HOLDFAST_CONFIG_SETTINGS_H

#include "session/spec.h"

struct settings {
    struct host_spec host;                       /* values; user and files as written until settings_complete */
    struct string_list global_known_hosts_files; /* ssh_config only */
    bool gateway_ports;
    bool exit_on_forward_failure;
    bool stream_local_bind_unlink;
    bool no_reclaim;            /* YAML only */
    bool clear_all_forwardings; /* ssh_config only */
    uint64_t given;             /* a bit per word that was said */
};

/* How values are written. YAML: durations and sizes carry units, accept_new. SSH: the writings of ssh_config(5). */
enum dialect { DIALECT_YAML, DIALECT_SSH };

/* One word; the table is private. */
struct setting;

void settings_init(struct settings *settings);
void settings_deinit(struct settings *settings);
/* The word of that name (ssh: without case), or NULL. */
const struct setting *setting_find(enum dialect dialect, const char *word);
/* Fills `out` (of `cap` places) with the names of all words in that dialect; returns how many. Static strings. */
size_t setting_words(enum dialect dialect, const char **out, size_t cap);
/* May the word have several values? */
bool setting_is_list(const struct setting *setting);
/* Is the word about one host only, so that it has no place under `defaults:`? */
bool setting_is_per_host(const struct setting *setting);
bool settings_has(const struct settings *settings, const struct setting *setting);
/* Sets the word, or appends one value when it is a list. `dir` is what relative paths are relative to (NULL: kept as
 * written). ERR_DEFINITION with a sentence that does not name the word, or ERR_MEMORY. */
enum err settings_set(struct settings *settings, const struct setting *setting, enum dialect dialect, const char *dir,
                      const char *value, struct err_info *info);
/* Gives `to` every word that it has not and `from` has. */
enum err settings_merge(struct settings *to, const struct settings *from);
/* Fills in what nobody said: `name` as the only host name, the login name, default identities and known_hosts files.
 * The system's known_hosts files follow the user's, but for a YAML definition that names its files itself. */
enum err settings_complete(struct settings *settings, enum dialect dialect, const char *name, struct err_info *info);

/* yes, no, true or false. ERR_DEFINITION with a sentence for anything else. */
enum err settings_parse_bool(const char *value, bool *out, struct err_info *info);

#endif
