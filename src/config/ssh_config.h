/* ssh_config(5) files: Host and Match blocks, Include, and the words that concern tunnels. */
#ifndef HOLDFAST_CONFIG_SSH_CONFIG_H
#define HOLDFAST_CONFIG_SSH_CONFIG_H

#include "config/options.h"

/* Reads the text of one file into `options` (whose host and flags are set already). `name` is for messages; `dir` is
 * where relative Include patterns begin (NULL: Include finds nothing). Errors are "NAME:LINE: sentence" with ERR_USAGE
 * or ERR_UNSUPPORTED. */
enum err ssh_config_parse(struct ssh_options *options, const char *text, size_t len, const char *name, const char *dir,
                          struct err_info *info);
/* The file at `path`. A missing one is no error unless `must_exist`. */
enum err ssh_config_read(struct ssh_options *options, const char *path, const char *dir, bool must_exist,
                         struct err_info *info);
/* What ssh reads by itself: `file` (from -F; "none" for none), or else ~/.ssh/config and then the system's. */
enum err ssh_config_read_default(struct ssh_options *options, const char *file, struct err_info *info);

#endif
