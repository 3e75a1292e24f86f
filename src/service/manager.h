/* The system's service manager, seen from `holdfast service`: what it is told of our service, and what it tells. The
 * Service Control Manager of Windows, systemd of Linux, launchd of macOS. All calls block. */
#ifndef HOLDFAST_SERVICE_MANAGER_H
#define HOLDFAST_SERVICE_MANAGER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define SERVICE_DEFAULT_NAME "holdfast"
#define SERVICE_NAME_CAP_BYTES 64

/* A service to be. Strings are borrowed. */
struct service_plan {
    const char *name;
    const char *account;            /* as service_account gives it */
    const char *password;           /* of a person's account, else NULL */
    const char *const *definitions; /* absolute paths, for its -c */
    size_t definition_count;
    const char *const *keys; /* identity files, absolute, each once: systemd hands them over */
    size_t key_count;
    const char *const *writable; /* folders that it writes to, absolute, each once */
    size_t writable_count;
    bool binds_low_ports; /* it listens on ports below 1024 */
    bool uses_homes;      /* some of its files are in a person's home or runtime folder */
    bool has_log_file;    /* the definitions say where its log goes */
};

enum service_access { SERVICE_READS, SERVICE_WRITES, SERVICE_RUNS };

enum service_state {
    SERVICE_IS_ABSENT = 0,
    SERVICE_IS_STOPPED,
    SERVICE_IS_STARTING,
    SERVICE_IS_RUNNING,
    SERVICE_IS_STOPPING
};

struct service_facts {
    enum service_state state;
    unsigned long pid;       /* 0 when it does not run */
    unsigned long exit_code; /* of the last run, 0 for a clean end; valid while stopped */
    bool starts_at_boot;
    char *account; /* heap; NULL when the manager does not say */
    char *command; /* heap; the command line that it starts */
};

/* From now on all calls are about services of the person that asks, kept by that person's own service manager, instead
 * of those of the machine. ERR_UNSUPPORTED on Windows, which has none. */
enum err service_use_persons(struct err_info *info);
bool service_is_persons(void);
/* OK when a service may have this name: letters, digits, '-', '_' and '.', at most 60. */
enum err service_name_check(const char *name, struct err_info *info);
/* The account's full name as a heap string, for people to read as well: NULL asks for the one made for the service
 * alone; of a person's services it is that person. */
char *service_account(const char *name, const char *wanted);
/* True for an account that belongs to a person or machine, and so needs a password. */
bool service_account_needs_password(const char *account);
/* Where the definitions of services are, as a heap string (%ProgramData%\holdfast, /etc/holdfast, ~/.config/holdfast).
 */
char *service_folder(void);
/* Where a service keeps the locks of its tunnels, as a heap string. */
char *service_state_dir(void);
/* The log of the service `name`, as a heap string: a file, or under systemd the command that shows it. */
char *service_log_path(const char *name);

/* What service_install would give the service manager, as a heap string in *out. ERR_UNSUPPORTED on Windows, ERR_USAGE
 * for what cannot be said there. Changes nothing. */
enum err service_text(const struct service_plan *plan, char **out, struct err_info *info);
/* OK when `account` may do that with the file or folder `path`. On Windows only what it writes to is looked at:
 * service_make_folders sees to the rest. ERR_REFUSED with what to do; ERR_USAGE: there is no such account. */
enum err service_access_check(const char *account, const char *path, enum service_access access, struct err_info *info);
/* OK when this process may change services; else ERR_IO with what to do about it, or ERR_UNSUPPORTED where there is no
 * service manager of a kind that we know. */
enum err service_may_change(struct err_info *info);
/* Makes the folders of definitions, logs and state, which only administrators may write, and `account` alone reads. */
enum err service_make_folders(const char *account, struct err_info *info);
/* Registers it: started at boot, restarted after a failure. ERR_BUSY when the name is taken; on Linux and macOS a
 * service that this call has made before is made anew. `warn` is called for what
 * could not be set and is not needed to run. */
enum err service_install(const struct service_plan *plan, void (*warn)(const char *text), struct err_info *info);
/* Stops it if it runs, and takes away what service_install and its runs have made; definitions and keys stay. */
enum err service_uninstall(const char *name, struct err_info *info);
/* Both wait until it is so, as long as the service makes progress. ERR_CLOSED: it ended by itself; ERR_BUSY of start:
 * it runs already; ERR_CLOSED of stop: it does not run. */
enum err service_start(const char *name, struct err_info *info);
enum err service_stop(const char *name, struct err_info *info);
enum err service_query(const char *name, struct service_facts *out, struct err_info *info);
void service_facts_deinit(struct service_facts *facts);

#endif
