/* One tunnel said the way of ssh: flags, -o words, and ssh_config files, in that order; the first value of a word wins.
 */
#ifndef HOLDFAST_CONFIG_OPTIONS_H
#define HOLDFAST_CONFIG_OPTIONS_H

#include "config/settings.h"
#include "tunnel/spec.h"

struct ssh_options {
    char *host; /* as typed, without user and port */
    struct settings settings;
    struct forward_spec *forwards;
    size_t forward_count;
    struct string_list ignore_unknown; /* patterns */
    struct string_list warnings;       /* sentences for the log, once it is open */
};

void ssh_options_init(struct ssh_options *options);
void ssh_options_deinit(struct ssh_options *options);

/* Takes a destination ("user@host:port", "ssh://..."): the host, and user and port where nobody said them before. */
enum err ssh_options_set_destination(struct ssh_options *options, const char *text, struct err_info *info);
/* The argument of -o: "Option=value" or "Option value". ERR_USAGE or ERR_UNSUPPORTED with a sentence that names the
 * option. */
enum err ssh_options_set_line(struct ssh_options *options, const char *text, struct err_info *info);
/* One word with one value, as a flag says it ("Port", "22"). */
enum err ssh_options_set(struct ssh_options *options, const char *word, const char *value, struct err_info *info);
/* The argument of -L or -R. */
enum err ssh_options_add_forward(struct ssh_options *options, enum forward_type type, const char *text,
                                 struct err_info *info);
/* One line of a file, already split. What does not concern tunnels is passed over; what would change where we connect
 * and is not ours yet is refused. */
enum err ssh_options_set_from_file(struct ssh_options *options, const char *word, const struct string_list *values,
                                   struct err_info *info);
/* Splits a line of ssh_config(5): the word, then values parted by blanks or one '=', each with or without quotes; #
 * begins a comment. *word is NULL for an empty line. Heap memory; `values` is initialised here. */
enum err ssh_line_split(const char *line, char **word, struct string_list *values, struct err_info *info);
/* Is it a word of ssh_config(5), ours or not? */
bool ssh_word_is_known(const char *word);

/* All that was said, with our defaults and with ~ and % and ${} expanded, as a tunnel of the one-line form. `out` is
 * initialised here. */
enum err ssh_options_complete(struct ssh_options *options, struct tunnel_spec *out, struct err_info *info);
/* %h, %p, %r, %u, %d, %n, %k, %i, %l, %L and %% of ssh_config(5) TOKENS, ${NAME} of the environment, and a leading ~/.
 * `path`: the result is made absolute. Heap string in `out`. */
enum err ssh_expand(const struct ssh_options *options, const char *text, bool path, char **out, struct err_info *info);

#endif
