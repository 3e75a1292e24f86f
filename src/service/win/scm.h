/* Our side of the Service Control Manager while we run as its service. Room-internal. */
#ifndef HOLDFAST_SERVICE_WIN_SCM_H
#define HOLDFAST_SERVICE_WIN_SCM_H

#include "service/service_common.h"

/* The hooks of the service that this process is, or NULL in a process that a person started. Static storage. */
const struct service_hooks *scm_hooks(void);

#endif
