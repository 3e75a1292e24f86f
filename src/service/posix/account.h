/* Whom a service runs as, and what that account may do with a file. Room-internal. */
#ifndef HOLDFAST_SERVICE_POSIX_ACCOUNT_H
#define HOLDFAST_SERVICE_POSIX_ACCOUNT_H

#include <stdbool.h>

#include "service/manager.h"

/* No user can be called so. */
#define ACCOUNT_DYNAMIC "a user of its own (DynamicUser)"

/* True for the account that systemd makes for a service while it runs. */
bool account_is_dynamic(const char *account);
/* OK when there is such a user, or it is dynamic; else ERR_USAGE. */
enum err account_check(const char *account, struct err_info *info);
/* service_access_check of manager.h for an account of the machine. By owner, group and mode of the file and of all
 * folders above it; access lists are not looked at. A dynamic account is nobody's owner and in no group. */
enum err account_access_check(const char *account, const char *path, enum service_access access, struct err_info *info);

#endif
