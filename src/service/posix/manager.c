/* systemd and launchd are told what to start by files of their own; packaging/ has them in a later version. */
#include "service/manager.h"

#include <stdlib.h>
#include <string.h>

#include "service/service.h"

static enum err refuse(struct err_info *info)
{
    return err_set(
        info, ERR_UNSUPPORTED,
        "service: not in this version on this system; let systemd (Type=notify) or launchd start 'holdfast run'");
}

enum err service_host(const char *name, int (*body)(void *arg), void *arg, int *out_code, struct err_info *info)
{
    (void)name;
    (void)body;
    (void)arg;
    (void)out_code;
    return refuse(info);
}

enum err service_name_check(const char *name, struct err_info *info)
{
    (void)name;
    return refuse(info);
}

char *service_account(const char *name, const char *wanted)
{
    (void)name;
    (void)wanted;
    return NULL;
}

bool service_account_needs_password(const char *account)
{
    (void)account;
    return false;
}

char *service_folder(void)
{
    return strdup("/etc/holdfast");
}

char *service_state_dir(void)
{
    return NULL;
}

char *service_log_path(const char *name)
{
    (void)name;
    return NULL;
}

enum err service_may_change(struct err_info *info)
{
    return refuse(info);
}

enum err service_make_folders(const char *account, struct err_info *info)
{
    (void)account;
    return refuse(info);
}

enum err service_install(const struct service_plan *plan, void (*warn)(const char *text), struct err_info *info)
{
    (void)plan;
    (void)warn;
    return refuse(info);
}

enum err service_uninstall(const char *name, struct err_info *info)
{
    (void)name;
    return refuse(info);
}

enum err service_start(const char *name, struct err_info *info)
{
    (void)name;
    return refuse(info);
}

enum err service_stop(const char *name, struct err_info *info)
{
    (void)name;
    return refuse(info);
}

enum err service_query(const char *name, struct service_facts *out, struct err_info *info)
{
    (void)name;
    memset(out, 0, sizeof *out);
    return refuse(info);
}

void service_facts_deinit(struct service_facts *facts)
{
    free(facts->account);
    free(facts->command);
}
