#include "service/posix/account.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUPS_MAX 256

struct identity {
    uid_t uid;
    gid_t groups[GROUPS_MAX];
    int group_count;
};

bool account_is_dynamic(const char *account)
{
    return strcmp(account, ACCOUNT_DYNAMIC) == 0;
}

enum err account_check(const char *account, struct err_info *info)
{
    if (account_is_dynamic(account) || getpwnam(account) != NULL)
        return OK;
    return err_set(info, ERR_USAGE, "there is no user '%s'; make one, or leave --account out", account);
}

static enum err identify(const char *account, struct identity *out, struct err_info *info)
{
    memset(out, 0, sizeof *out);
    out->uid = (uid_t)-1;
    if (account_is_dynamic(account))
        return OK;
    enum err result = account_check(account, info);
    if (result != OK)
        return result;
    const struct passwd *user = getpwnam(account);
    out->uid = user->pw_uid;
    out->group_count = GROUPS_MAX;
#ifdef __APPLE__
    int groups[GROUPS_MAX];
    if (getgrouplist(account, (int)user->pw_gid, groups, &out->group_count) < 0)
        out->group_count = GROUPS_MAX;
    for (int i = 0; i < out->group_count; i++)
        out->groups[i] = (gid_t)groups[i];
#else
    if (getgrouplist(account, user->pw_gid, out->groups, &out->group_count) < 0)
        out->group_count = GROUPS_MAX;
#endif
    return OK;
}

/* The three bits of the mode that hold for it. */
static unsigned rights_of(const struct identity *who, const struct stat *status)
{
    unsigned mode = (unsigned)status->st_mode;
    if (who->uid == status->st_uid)
        return mode >> 6 & 7U;
    for (int i = 0; i < who->group_count; i++) {
        if (who->groups[i] == status->st_gid)
            return mode >> 3 & 7U;
    }
    return mode & 7U;
}

static enum err look_at(const struct identity *who, const char *account, const char *path, unsigned wanted,
                        const char *for_what, struct err_info *info)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return err_set(info, ERR_IO, "%s: %s", path, strerror(errno));
    if (who->uid == 0 || (rights_of(who, &status) & wanted) == wanted)
        return OK;
    const char *letters = wanted == 1 ? "x" : wanted == 4 ? "r" : wanted == 5 ? "rx" : "rwx";
    if (wanted == 3 && account_is_dynamic(account))
        return err_set(info, ERR_REFUSED,
                       "%s cannot be written by %s; name a place in /var/lib/holdfast or /var/log/holdfast, which "
                       "systemd makes for it, or a user with --account",
                       path, account);
    if (wanted == 3)
        return err_set(info, ERR_REFUSED, "%s cannot be written by %s; run: chown %s %s", path, account, account, path);
    return err_set(info, ERR_REFUSED, "%s is closed to %s, which has to %s; run: chmod o+%s %s", path, account,
                   for_what, letters, path);
}

enum err account_access_check(const char *account, const char *path, enum service_access access, struct err_info *info)
{
    static const unsigned wanted[] = {[SERVICE_READS] = 4, [SERVICE_WRITES] = 3, [SERVICE_RUNS] = 5};
    static const char *const words[] = {
        [SERVICE_READS] = "read it", [SERVICE_WRITES] = "write it", [SERVICE_RUNS] = "run it"};
    struct identity who;
    struct stat status;
    char whole[PATH_MAX];
    char why[PATH_MAX + 32];
    enum err result = identify(account, &who, info);
    if (result != OK)
        return result;
    if (realpath(path, whole) == NULL)
        return err_set(info, ERR_IO, "%s: %s", path, strerror(errno));
#ifndef __APPLE__
    if (strncmp(whole, "/tmp/", 5) == 0 || strncmp(whole, "/var/tmp/", 9) == 0)
        return err_set(info, ERR_REFUSED, "%s: a service has a /tmp of its own, so it cannot %s there; move it", path,
                       words[access]);
#endif
    (void)snprintf(why, sizeof why, "reach %s", whole);
    for (char *at = whole + 1; result == OK && (at = strchr(at, '/')) != NULL; at++) {
        *at = 0;
        result = look_at(&who, account, whole, 1, why, info);
        *at = '/';
    }
    bool is_folder = stat(whole, &status) == 0 && S_ISDIR(status.st_mode);
    unsigned bits = is_folder && access == SERVICE_READS ? 5 : wanted[access];
    return result == OK ? look_at(&who, account, whole, bits, words[access], info) : result;
}
