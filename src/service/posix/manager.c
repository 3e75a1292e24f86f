/* `holdfast service` on Linux and macOS: what both have in common. */
#include "service/manager.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "platform/platform.h"
#include "service/posix/account.h"
#include "service/posix/keepers.h"
#include "service/service.h"

enum { NAME_MAX_BYTES = 60 };

#ifdef __APPLE__
static const struct keeper *const keeper = &launchd_keeper;
#else
static const struct keeper *const keeper = &systemd_keeper;
#endif

static bool is_persons;

char *keeper_program(void)
{
    char path[PATH_MAX];
    size_t size = sizeof path;
    return uv_exepath(path, &size) == 0 ? strdup(path) : NULL;
}

enum err keeper_check_rights(bool for_person, struct err_info *info)
{
    if (for_person || geteuid() == 0)
        return OK;
    return err_set(info, ERR_IO, "only root may change services of the machine; use sudo, or --user for your own");
}

enum err service_host(const char *name, int (*body)(void *arg), void *arg, int *out_code, struct err_info *info)
{
    (void)name;
    (void)body;
    (void)arg;
    (void)out_code;
    return err_set(info, ERR_UNSUPPORTED, "service run is for Windows; services of this system start 'holdfast run'");
}

enum err service_use_persons(struct err_info *info)
{
    (void)info;
    is_persons = true;
    return OK;
}

bool service_is_persons(void)
{
    return is_persons;
}

enum err service_name_check(const char *name, struct err_info *info)
{
    size_t len = strlen(name);
    bool good = len > 0 && len <= NAME_MAX_BYTES && isalnum((unsigned char)name[0]);
    for (size_t i = 0; i < len && good; i++)
        good = isalnum((unsigned char)name[i]) || strchr("-_.", name[i]) != NULL;
    return good ? OK
                : err_set(info, ERR_USAGE,
                          "'%s' cannot be a service's name: use letters, digits, '-', '_' and '.', at most %d", name,
                          NAME_MAX_BYTES);
}

char *service_account(const char *name, const char *wanted)
{
    (void)name;
    if (is_persons)
        return platform_user_name();
    return strdup(wanted != NULL ? wanted : keeper->default_account);
}

bool service_account_needs_password(const char *account)
{
    (void)account;
    return false;
}

char *service_folder(void)
{
    return is_persons ? platform_default_definitions() : strdup("/etc/holdfast");
}

char *service_state_dir(void)
{
    return NULL;
}

char *service_log_path(const char *name)
{
    return keeper->log_path(name, is_persons);
}

enum err service_text(const struct service_plan *plan, char **out, struct err_info *info)
{
    return keeper->text(plan, is_persons, out, info);
}

enum err service_access_check(const char *account, const char *path, enum service_access access, struct err_info *info)
{
    return is_persons ? OK : account_access_check(account, path, access, info);
}

enum err service_may_change(struct err_info *info)
{
    return keeper->may_change(is_persons, info);
}

enum err service_make_folders(const char *account, struct err_info *info)
{
    if (is_persons)
        return OK;
    (void)mkdir("/etc/holdfast", 0755);
    return account_check(account, info);
}

enum err service_install(const struct service_plan *plan, void (*warn)(const char *text), struct err_info *info)
{
    char *program = keeper_program();
    enum err result = program != NULL ? service_access_check(plan->account, program, SERVICE_RUNS, info) : OK;
    free(program);
    return result == OK ? keeper->install(plan, is_persons, warn, info) : result;
}

enum err service_uninstall(const char *name, struct err_info *info)
{
    return keeper->uninstall(name, is_persons, info);
}

enum err service_start(const char *name, struct err_info *info)
{
    enum err result = service_may_change(info);
    return result == OK ? keeper->start(name, is_persons, info) : result;
}

enum err service_stop(const char *name, struct err_info *info)
{
    enum err result = service_may_change(info);
    return result == OK ? keeper->stop(name, is_persons, info) : result;
}

enum err service_query(const char *name, struct service_facts *out, struct err_info *info)
{
    return keeper->query(name, is_persons, out, info);
}

void service_facts_deinit(struct service_facts *facts)
{
    free(facts->account);
    free(facts->command);
}
