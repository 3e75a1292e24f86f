/* Services of launchd: a property list, and launchctl (bootstrap and bootout, macOS 10.10 and newer). */
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/platform.h"
#include "service/posix/account.h"
#include "service/posix/command.h"
#include "service/posix/keepers.h"
#include "service/posix/own_file.h"
#include "service/posix/plist.h"

#define LAUNCHCTL "/bin/launchctl"

/* A place of the machine, or the same below the home directory. Heap; NULL when that is unknown. */
static char *place(bool is_persons, const char *folder, const char *name, const char *suffix)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/Library/%s/%s%s", is_persons ? "~" : "", folder, name, suffix);
    return platform_path_resolve(NULL, path);
}

static char *list_path(const char *name, bool is_persons)
{
    return place(is_persons, is_persons ? "LaunchAgents" : "LaunchDaemons", name, ".plist");
}

static char *log_path(const char *name, bool is_persons)
{
    return place(is_persons, "Logs/holdfast", name, ".log");
}

static enum err text_of(const struct service_plan *plan, bool is_persons, char **out, struct err_info *info)
{
    char *program = keeper_program();
    char *log = log_path(plan->name, is_persons);
    char *errors = place(is_persons, "Logs/holdfast", plan->name, ".stderr.log");
    enum err result = program == NULL || log == NULL || errors == NULL
                          ? err_set(info, ERR_IO, "where this program or the home directory is cannot be found out")
                          : plist_text(plan, program, log, errors, is_persons, out, info);
    free(program);
    free(log);
    free(errors);
    return result;
}

static enum err may_change(bool is_persons, struct err_info *info)
{
    if (access(LAUNCHCTL, X_OK) != 0)
        return err_set(info, ERR_UNSUPPORTED,
                       "there is no " LAUNCHCTL " here; 'holdfast service install --print' writes what launchd needs");
    return keeper_check_rights(is_persons, info);
}

/* "system" or "gui/501", and with a name "system/holdfast". */
static const char *domain(const char *name, bool is_persons, char *out, size_t cap_bytes)
{
    const char *slash = name != NULL ? "/" : "";
    if (is_persons)
        (void)snprintf(out, cap_bytes, "gui/%ld%s%s", (long)getuid(), slash, name != NULL ? name : "");
    else
        (void)snprintf(out, cap_bytes, "system%s%s", slash, name != NULL ? name : "");
    return out;
}

static enum err ask(const char *name, bool is_persons, struct service_facts *out, struct err_info *info)
{
    char target[SERVICE_NAME_CAP_BYTES + 32];
    const char *words[] = {LAUNCHCTL, "print", domain(name, is_persons, target, sizeof target), NULL};
    char *text = NULL;
    char *path = list_path(name, is_persons);
    enum own_file found = path != NULL ? own_file_look(path, PLIST_MARK) : OWN_FILE_ABSENT;
    enum err result = OK;
    memset(out, 0, sizeof *out);
    if (command_run(words, &text, NULL) == OK)
        launchd_read_facts(text, out);
    if (out->state == SERVICE_IS_ABSENT && found == OWN_FILE_ABSENT)
        result = err_set(info, ERR_USAGE, "there is no service '%s'; 'holdfast service install' makes one", name);
    else if (out->state == SERVICE_IS_ABSENT)
        out->state = SERVICE_IS_STOPPED; /* launchd has not read the list yet, or has been told to forget it */
    out->starts_at_boot = found != OWN_FILE_ABSENT;
    free(text);
    free(path);
    return result;
}

/* The folder of logs, which the account writes to. */
static enum err make_log_folder(const struct service_plan *plan, bool is_persons, struct err_info *info)
{
    char *log = log_path(plan->name, is_persons);
    const struct passwd *user = is_persons ? NULL : getpwnam(plan->account);
    if (log == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    *strrchr(log, '/') = 0;
    bool is_made = mkdir(log, 0755) == 0;
    if (user != NULL && is_made && chown(log, user->pw_uid, user->pw_gid) != 0) {
        free(log);
        return err_set(info, ERR_IO, "the folder of logs cannot be given to %s", plan->account);
    }
    free(log);
    return OK;
}

/* launchd hands over no files: the account reads the keys itself. */
static enum err check_keys(const struct service_plan *plan, bool is_persons, struct err_info *info)
{
    for (size_t i = 0; i < plan->key_count && !is_persons; i++) {
        if (account_access_check(plan->account, plan->keys[i], SERVICE_READS, NULL) != OK)
            return err_set(info, ERR_REFUSED, "%s cannot read the key %s; run: chown %s %s", plan->account,
                           plan->keys[i], plan->account, plan->keys[i]);
    }
    return OK;
}

static enum err install(const struct service_plan *plan, bool is_persons, void (*warn)(const char *text),
                        struct err_info *info)
{
    char *text = NULL;
    char *path = list_path(plan->name, is_persons);
    enum err result = may_change(is_persons, info);
    if (result == OK)
        result = own_file_may_write(path, PLIST_MARK, info);
    if (result == OK)
        result = check_keys(plan, is_persons, info);
    if (result == OK)
        result = text_of(plan, is_persons, &text, info);
    if (result == OK)
        result = make_log_folder(plan, is_persons, info);
    if (result == OK)
        result = own_file_write(path, text, info);
    if (result == OK && is_persons)
        warn("it runs while you are logged in; without --user it runs from boot on");
    if (result == OK && !is_persons && strcmp(plan->account, "root") == 0)
        warn("it runs as root; --account names another user");
    free(text);
    free(path);
    return result;
}

static enum err bootout(const char *name, bool is_persons, struct err_info *info)
{
    char target[SERVICE_NAME_CAP_BYTES + 32];
    const char *words[] = {LAUNCHCTL, "bootout", domain(name, is_persons, target, sizeof target), NULL};
    return command_run(words, NULL, info);
}

static enum err stop(const char *name, bool is_persons, struct err_info *info)
{
    struct service_facts facts;
    enum err result = ask(name, is_persons, &facts, info);
    if (result == OK && facts.state != SERVICE_IS_RUNNING)
        result = err_set(info, ERR_CLOSED, "the service '%s' does not run", name);
    service_facts_deinit(&facts);
    return result == OK ? bootout(name, is_persons, info) : result;
}

static enum err uninstall(const char *name, bool is_persons, struct err_info *info)
{
    char *path = list_path(name, is_persons);
    enum err result = may_change(is_persons, info);
    if (result == OK)
        result = own_file_may_remove(path, PLIST_MARK, name, info);
    if (result == OK) {
        (void)bootout(name, is_persons, NULL); /* fails when it was not loaded */
        (void)unlink(path);
    }
    free(path);
    return result;
}

static enum err start(const char *name, bool is_persons, struct err_info *info)
{
    char target[SERVICE_NAME_CAP_BYTES + 32];
    struct service_facts facts;
    char *path = list_path(name, is_persons);
    enum err result = ask(name, is_persons, &facts, info);
    if (result == OK && facts.state == SERVICE_IS_RUNNING)
        result = err_set(info, ERR_BUSY, "the service '%s' runs already", name);
    service_facts_deinit(&facts);
    if (result == OK) {
        const char *words[] = {LAUNCHCTL, "bootstrap", domain(NULL, is_persons, target, sizeof target), path, NULL};
        (void)bootout(name, is_persons, NULL); /* one that has ended is still known, and cannot be loaded twice */
        result = command_run(words, NULL, info);
    }
    free(path);
    return result;
}

const struct keeper launchd_keeper = {.default_account = "root",
                                      .log_path = log_path,
                                      .text = text_of,
                                      .may_change = may_change,
                                      .install = install,
                                      .uninstall = uninstall,
                                      .start = start,
                                      .stop = stop,
                                      .query = ask};
