/* Services of systemd: a unit file, and systemctl. */
#include <limits.h>
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
#include "service/posix/unit.h"

#define UNIT_CAP_BYTES (SERVICE_NAME_CAP_BYTES + sizeof ".service")

static enum err systemctl(const char *verb, const char *unit, bool is_persons, char **output, struct err_info *info)
{
    static const char *const places[] = {"/usr/bin/systemctl", "/bin/systemctl", NULL};
    static const char facts[] =
        "--property=LoadState,ActiveState,MainPID,ExecMainStatus,UnitFileState,User,DynamicUser,"
        "ExecStart,StatusText";
    const char *words[10] = {command_find(places), is_persons ? "--user" : "--system", "--no-ask-password", verb};
    size_t count = 4;
    if (strcmp(verb, "clean") == 0) { /* "all" would take the definitions too */
        words[count++] = "--what=state";
        words[count++] = "--what=logs";
        words[count++] = "--what=runtime";
    }
    if (strcmp(verb, "show") == 0)
        words[count++] = facts;
    words[count++] = unit;
    return command_run(words, output, info);
}

static const char *unit_name(const char *name, char *out)
{
    (void)snprintf(out, UNIT_CAP_BYTES, "%s.service", name);
    return out;
}

/* Where the unit's file is; heap, NULL when the home directory is unknown. */
static char *unit_path(const char *name, bool is_persons)
{
    char rest[UNIT_CAP_BYTES + sizeof "~/.config/systemd/user/"];
    const char *config = getenv("XDG_CONFIG_HOME");
    if (!is_persons) {
        (void)snprintf(rest, sizeof rest, "/etc/systemd/system/%s.service", name);
        return strdup(rest);
    }
    bool is_given = config != NULL && config[0] == '/';
    (void)snprintf(rest, sizeof rest, "%ssystemd/user/%s.service", is_given ? "" : "~/.config/", name);
    return platform_path_resolve(is_given ? config : NULL, rest);
}

static char *log_path(const char *name, bool is_persons)
{
    char text[SERVICE_NAME_CAP_BYTES + 32];
    (void)snprintf(text, sizeof text, "journalctl %s%s", is_persons ? "--user-unit=" : "-u ", name);
    return strdup(text);
}

static enum err text_of(const struct service_plan *plan, bool is_persons, char **out, struct err_info *info)
{
    char *program = keeper_program();
    enum err result = program == NULL ? err_set(info, ERR_IO, "where this program is cannot be found out")
                                      : unit_text(plan, program, is_persons, out, info);
    free(program);
    return result;
}

static enum err check_runs(struct err_info *info)
{
    struct stat status;
    if (lstat("/run/systemd/system", &status) == 0 && S_ISDIR(status.st_mode))
        return OK;
    return err_set(info, ERR_UNSUPPORTED,
                   "systemd does not run here (there is no /run/systemd/system): let what starts services here start "
                   "'holdfast run', or take the unit to where systemd runs: holdfast service install --print");
}

static enum err may_change(bool is_persons, struct err_info *info)
{
    enum err result = check_runs(info);
    return result == OK ? keeper_check_rights(is_persons, info) : result;
}

/* True when the services of this user run without a login. Where logind has not been asked its file is not there. */
static bool lingers(const char *user)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "/var/lib/systemd/linger/%s", user);
    return access(path, F_OK) == 0;
}

static enum err install(const struct service_plan *plan, bool is_persons, void (*warn)(const char *text),
                        struct err_info *info)
{
    char unit[UNIT_CAP_BYTES];
    char *text = NULL;
    char *path = unit_path(plan->name, is_persons);
    enum err result = may_change(is_persons, info);
    if (result == OK)
        result = own_file_may_write(path, UNIT_MARK, info);
    if (result == OK)
        result = text_of(plan, is_persons, &text, info);
    if (result == OK)
        result = own_file_write(path, text, info);
    if (result == OK)
        result = systemctl("daemon-reload", NULL, is_persons, NULL, info);
    if (result == OK)
        result = systemctl("enable", unit_name(plan->name, unit), is_persons, NULL, info);
    if (result == OK && is_persons && !lingers(plan->account))
        warn("it runs while you are logged in; from boot on once you have run: loginctl enable-linger");
    free(text);
    free(path);
    return result;
}

static enum err ask(const char *name, bool is_persons, struct service_facts *out, struct err_info *info)
{
    char unit[UNIT_CAP_BYTES];
    char *text = NULL;
    memset(out, 0, sizeof *out);
    enum err result = check_runs(info);
    if (result == OK)
        result = systemctl("show", unit_name(name, unit), is_persons, &text, info);
    if (result == OK)
        systemd_read_facts(text, out);
    free(text);
    if (result == OK && out->state == SERVICE_IS_ABSENT)
        result = err_set(info, ERR_USAGE, "there is no service '%s'; 'holdfast service install' makes one", name);
    return result;
}

static enum err uninstall(const char *name, bool is_persons, struct err_info *info)
{
    char unit[UNIT_CAP_BYTES];
    char *path = unit_path(name, is_persons);
    enum err result = may_change(is_persons, info);
    if (result == OK)
        result = own_file_may_remove(path, UNIT_MARK, name, info);
    if (result == OK)
        result = systemctl("stop", unit_name(name, unit), is_persons, NULL, info);
    if (result == OK)
        result = systemctl("disable", unit, is_persons, NULL, info);
    if (result == OK) {
        if (!is_persons)
            (void)systemctl("clean", unit, false, NULL, NULL); /* its state; definitions are no part of that */
        (void)unlink(path);
        result = systemctl("daemon-reload", NULL, is_persons, NULL, info);
        (void)systemctl("reset-failed", unit, is_persons, NULL, NULL); /* mostly there is nothing to forget */
    }
    free(path);
    return result;
}

static enum err start(const char *name, bool is_persons, struct err_info *info)
{
    char unit[UNIT_CAP_BYTES];
    struct service_facts facts;
    struct err_info why = {.code = OK};
    enum err result = ask(name, is_persons, &facts, info);
    if (result == OK && (facts.state == SERVICE_IS_RUNNING || facts.state == SERVICE_IS_STARTING))
        result = err_set(info, ERR_BUSY, "the service '%s' runs already", name);
    service_facts_deinit(&facts);
    if (result == OK && systemctl("start", unit_name(name, unit), is_persons, NULL, &why) != OK)
        result = err_set(info, ERR_CLOSED, "the service '%s' did not start: %s; its log: %s%s -n 20", name, why.message,
                         is_persons ? "journalctl --user-unit=" : "journalctl -u ", name);
    return result;
}

static enum err stop(const char *name, bool is_persons, struct err_info *info)
{
    char unit[UNIT_CAP_BYTES];
    struct service_facts facts;
    enum err result = ask(name, is_persons, &facts, info);
    if (result == OK && facts.state == SERVICE_IS_STOPPED)
        result = err_set(info, ERR_CLOSED, "the service '%s' does not run", name);
    service_facts_deinit(&facts);
    return result == OK ? systemctl("stop", unit_name(name, unit), is_persons, NULL, info) : result;
}

const struct keeper systemd_keeper = {.default_account = ACCOUNT_DYNAMIC,
                                      .log_path = log_path,
                                      .text = text_of,
                                      .may_change = may_change,
                                      .install = install,
                                      .uninstall = uninstall,
                                      .start = start,
                                      .stop = stop,
                                      .query = ask};
