/* What a service needs of its service manager, found out from the definitions. */
#ifndef HOLDFAST_CLI_SERVICE_NEEDS_H
#define HOLDFAST_CLI_SERVICE_NEEDS_H

#include "config/config.h"
#include "service/manager.h"

/* The lists that a service_plan borrows. Zero at first. */
struct service_needs {
    struct string_list keys;
    struct string_list writable;
};

/* Fills the plan's keys, writable folders and the rest that follows from `config` and from its own definitions.
 * ERR_MEMORY. */
enum err service_needs_find(struct service_needs *needs, const struct config *config, struct service_plan *plan);
void service_needs_deinit(struct service_needs *needs);

#endif
