/* What the subcommands share: complaints, and the flags about the log. */
#ifndef HOLDFAST_CLI_COMMON_H
#define HOLDFAST_CLI_COMMON_H

#include <stdint.h>

#include "base/log.h"
#include "cli/args.h"
#include "config/config.h"

/* "holdfast: ..." as one line on standard error; control characters are shown as '?'. Returns CLI_USAGE. */
int cli_usage(const char *format, ...) PRINTF_LIKE(1, 2);

/* How the log was asked for. */
struct log_flags {
    int verbose; /* how many -v */
    bool quiet;
    const char *level;  /* of --log-level */
    const char *format; /* of --log-format */
    const char *file;   /* of -E, --log-file */
    uint64_t max_bytes; /* of --log-max-size; 0: it may grow for ever */
    unsigned keep;      /* how many older ones are kept; 0: as many as is usual */
};

/* Takes -v, -q, -E, --log-level, --log-format, --log-file and --log-max-size. 1: it was one of them; 0: it
 * was not; -1: it was, and wrong (the complaint is printed). */
int log_flags_take(struct log_flags *flags, struct args *args);
/* Opens the log; `normal` is the level without flags. Returns CLI_OK, or CLI_FAILED with the complaint printed: a file
 * that cannot be written is no mistake in what was asked for. */
int log_flags_open(const struct log_flags *flags, enum log_level normal);
/* Likewise, for what is to run without anybody: a file that cannot be written now, on a disk that comes later, is
 * opened as soon as it can be. CLI_FAILED when out of memory. */
int log_flags_open_or_wait(const struct log_flags *flags, enum log_level normal);

/* Whether it is -h or --help. */
bool cli_is_help(const struct args *args);
/* Complains of a flag or long option that a command does not have. Returns CLI_USAGE. */
int cli_unknown(const struct args *args, const char *command, const char *const *long_names, size_t long_count);
/* -c FILE|DIR, as `run` and `check` take it, and their other flags. `log` may be NULL: the command has no log.
 * Returns -1 to go on, or an exit code. *paths is heap memory of words of argv. */
int cli_take_definitions(int argc, char **argv, struct log_flags *log, const char ***paths, size_t *path_count);
/* Loads; prints every error to standard error. Returns CLI_OK or CLI_USAGE. */
int cli_load(const char *const *paths, size_t path_count, struct config *config);

/* The tunnel of that name; NULL when the definitions have none, with the complaint of `command` printed. */
const struct tunnel_spec *cli_find_tunnel(const struct config *config, const char *command, const char *name);

/* The command that `word` is nearly, or the flag that it lacks the dashes of; NULL for neither. Static text. */
const char *cli_nearest_command(const char *word);

/* The help of a command, or NULL for a name that is none. Static text of at most 24 lines. */
const char *help_text(const char *command);

#endif
