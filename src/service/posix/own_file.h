/* The file that tells a service manager of our service: written whole or not at all, and never over somebody else's.
 * Room-internal. */
#ifndef HOLDFAST_SERVICE_POSIX_OWN_FILE_H
#define HOLDFAST_SERVICE_POSIX_OWN_FILE_H

#include <stdbool.h>

#include "base/err.h"

enum own_file { OWN_FILE_ABSENT, OWN_FILE_OURS, OWN_FILE_OF_OTHERS };

/* Whether `path` is there, and has the line `mark` near its beginning. */
enum own_file own_file_look(const char *path, const char *mark);
/* OK when the file of the service may be written there; `path` is NULL where the home directory is unknown. */
enum err own_file_may_write(const char *path, const char *mark, struct err_info *info);
/* OK when it is there, and ours to take away. */
enum err own_file_may_remove(const char *path, const char *mark, const char *service, struct err_info *info);
/* Writes `text` there (mode 0644), and makes the folders above it. Blocking. */
enum err own_file_write(const char *path, const char *text, struct err_info *info);

#endif
