/* Reading whole small files and looking into folders, on every system. Blocking; used before any loop runs. */
#ifndef HOLDFAST_CONFIG_FILES_H
#define HOLDFAST_CONFIG_FILES_H

#include "session/spec.h"

enum file_kind { FILE_MISSING, FILE_PLAIN, FILE_FOLDER, FILE_UNREADABLE };

/* What is there. FILE_UNREADABLE fills `info`. */
enum file_kind file_kind(const char *path, struct err_info *info);
/* `path` made absolute: from the current folder, with ~/ expanded. Heap string, NULL when out of memory. */
char *file_absolute(const char *path);
/* The whole file as a heap string with a NUL behind its `len` bytes. ERR_IO with the system's sentence, or when it is
 * larger than `max_bytes`. */
enum err file_read(const char *path, size_t max_bytes, char **out, size_t *out_len, struct err_info *info);
/* Adds the paths of the folder's entries whose names match `pattern` (* and ?), in the order of their bytes. Names that
 * begin with a dot must be asked for with one. */
enum err file_list(const char *folder, const char *pattern, struct string_list *out, struct err_info *info);
/* Adds the files that match a path in which any part may hold * and ?. None is no error. */
enum err file_glob(const char *pattern, struct string_list *out, struct err_info *info);

#endif
