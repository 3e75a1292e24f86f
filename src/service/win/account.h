/* Accounts that services run under. Room-internal. */
#ifndef HOLDFAST_SERVICE_WIN_ACCOUNT_H
#define HOLDFAST_SERVICE_WIN_ACCOUNT_H

#include <windows.h>

#include "base/err.h"

/* Gives a person's account the right to log on as a service. Windows' error code, 0 when it has it. */
DWORD account_allow_logon(const char *account);

#endif
