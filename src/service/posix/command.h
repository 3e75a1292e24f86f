/* Runs systemctl and its like to their end. Room-internal. */
#ifndef HOLDFAST_SERVICE_POSIX_COMMAND_H
#define HOLDFAST_SERVICE_POSIX_COMMAND_H

#include "base/err.h"

/* Runs `words` (ended by NULL; the first is an absolute path, no shell takes part) and takes the first 4 KiB that it
 * prints as a heap string into *output, unless that is NULL. Blocking, up to two minutes. ERR_IO: it did not start, or
 * ended with another code than 0, with what it said; ERR_TIMEOUT. */
enum err command_run(const char *const *words, char **output, struct err_info *info);
/* The first of the paths (ended by NULL) that can be run, or the last. Static text of the caller. */
const char *command_find(const char *const *paths);

#endif
