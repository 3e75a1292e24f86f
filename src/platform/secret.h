/* Passphrases kept by the system: DPAPI on Windows, nothing yet elsewhere. Named, never shown. */
#ifndef HOLDFAST_PLATFORM_SECRET_H
#define HOLDFAST_PLATFORM_SECRET_H

#include <stdbool.h>

#include "base/err.h"

enum platform_secret_place {
    PLATFORM_SECRET_OF_PERSON, /* %APPDATA%\holdfast\secrets: this user alone, wherever logged on */
    PLATFORM_SECRET_OF_SERVICE /* %ProgramData%\holdfast\secrets: this machine; the service's account and administrators
                                */
};

/* False: all but platform_secret_name_check and platform_has_secrets answer ERR_UNSUPPORTED here. */
bool platform_has_secrets(void);
/* Letters, digits, '.', '_' and '-', 64 at most. ERR_USAGE with a sentence that does not name what it is about. Pure.
 */
enum err platform_secret_name_check(const char *name, struct err_info *info);

/* Keeps `text` under `name`, in place of what was there. `account` is who reads one of a service; NULL for a person's.
 * Blocking. ERR_USAGE: no such account; ERR_IO: it cannot be kept, with the reason. */
enum err platform_secret_set(enum platform_secret_place place, const char *account, const char *name, const char *text,
                             struct err_info *info);
/* The secret of that name where a process like ours has its own (a service: PLATFORM_SECRET_OF_SERVICE). Heap string
 * that the caller wipes and frees. Blocking: from a worker thread only. ERR_IO with what to run when it is not there or
 * cannot be read. */
enum err platform_secret_get(const char *name, char **out, struct err_info *info);
bool platform_secret_exists(enum platform_secret_place place, const char *name);
/* ERR_IO when there is none of that name, or it cannot be removed. */
enum err platform_secret_remove(enum platform_secret_place place, const char *name, struct err_info *info);
/* Calls `each` with every name, in no order. */
enum err platform_secret_list(enum platform_secret_place place, void (*each)(void *arg, const char *name), void *arg,
                              struct err_info *info);

#endif
