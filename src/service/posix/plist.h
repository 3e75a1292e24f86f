/* The property list of launchd for one service. Pure. Room-internal. */
#ifndef HOLDFAST_SERVICE_POSIX_PLIST_H
#define HOLDFAST_SERVICE_POSIX_PLIST_H

#include "service/manager.h"

#define PLIST_MARK "<!-- Written by 'holdfast service install'. -->"

/* The list as a heap string in *out. `program` is our absolute path, `log` the service's log; what it says before that
 * is open goes to `errors`. With `is_persons` it is an agent of a person, without a user's name. ERR_USAGE for a path
 * with control characters. */
enum err plist_text(const struct service_plan *plan, const char *program, const char *log, const char *errors,
                    bool is_persons, char **out, struct err_info *info);

#endif
