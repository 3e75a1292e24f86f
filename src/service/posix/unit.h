/* The unit file of systemd for one service. Pure. Room-internal. */
#ifndef HOLDFAST_SERVICE_POSIX_UNIT_H
#define HOLDFAST_SERVICE_POSIX_UNIT_H

#include "service/manager.h"

/* The first line of each unit that is ours to change. */
#define UNIT_MARK "# Written by 'holdfast service install'; run that again after a change of keys."

/* The unit as a heap string in *out. `program` is our absolute path. plan->account is a user's name or what
 * account_is_dynamic knows; with `is_persons` the unit is for a person's own systemd. ERR_USAGE for a path that no unit
 * can name. */
enum err unit_text(const struct service_plan *plan, const char *program, bool is_persons, char **out,
                   struct err_info *info);

#endif
