/* The service managers of POSIX systems, each behind the same calls; manager.c picks the one of this system.
 * Room-internal. */
#ifndef HOLDFAST_SERVICE_POSIX_KEEPERS_H
#define HOLDFAST_SERVICE_POSIX_KEEPERS_H

#include "service/manager.h"

/* As the calls of manager.h that they are named after. `is_persons` says whose services are meant. */
struct keeper {
    const char *default_account; /* for a service of the machine */
    char *(*log_path)(const char *name, bool is_persons);
    enum err (*text)(const struct service_plan *plan, bool is_persons, char **out, struct err_info *info);
    enum err (*may_change)(bool is_persons, struct err_info *info);
    enum err (*install)(const struct service_plan *plan, bool is_persons, void (*warn)(const char *text),
                        struct err_info *info);
    enum err (*uninstall)(const char *name, bool is_persons, struct err_info *info);
    enum err (*start)(const char *name, bool is_persons, struct err_info *info);
    enum err (*stop)(const char *name, bool is_persons, struct err_info *info);
    enum err (*query)(const char *name, bool is_persons, struct service_facts *out, struct err_info *info);
};

extern const struct keeper systemd_keeper;
extern const struct keeper launchd_keeper;

/* Where this program is, as a heap string; NULL when that cannot be known. */
char *keeper_program(void);

/* OK when this process may change services of that kind, as far as it is a matter of who runs it. */
enum err keeper_check_rights(bool is_persons, struct err_info *info);

/* What `systemctl show` and `launchctl print` said of a service, into `out`, whose strings are new. Pure. */
void systemd_read_facts(const char *text, struct service_facts *out);
void launchd_read_facts(const char *text, struct service_facts *out);

#endif
