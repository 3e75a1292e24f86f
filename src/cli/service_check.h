/* What would break a service later, looked at before it is installed: a service has no terminal, no agent and no home
 * of the person who installs it. */
#ifndef HOLDFAST_CLI_SERVICE_CHECK_H
#define HOLDFAST_CLI_SERVICE_CHECK_H

#include <stdbool.h>

#include "config/config.h"
#include "service/manager.h"

/* Prints every problem with its mend to standard error, one line each, and returns CLI_OK or the exit code of the
 * first. `fix` mends what the access lists of keys lack. Blocking. */
int service_check(const struct config *config, const struct service_plan *plan, bool fix);

#endif
