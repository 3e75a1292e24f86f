/* Which of this machine's services is behind a pipe. Room-internal. */
#ifndef HOLDFAST_PLATFORM_WIN_PIPE_SERVICE_H
#define HOLDFAST_PLATFORM_WIN_PIPE_SERVICE_H

#include <stdbool.h>

#include "platform/win/access.h"

/* True when process `process_id` is that of a running service whose program is called as ours is, and `account` the one
 * that this service is to run under. Only an administrator can bring that about. Asks the service manager, and blocks
 * for its answer; false where that tells nothing. */
bool win_pipe_service_is(DWORD process_id, PSID account);
/* The same of the process that serves `pipe` and of `owner`, whose the pipe is: the process alone could be feigned. */
bool win_pipe_service_serves(HANDLE pipe, PSID owner);

#endif
