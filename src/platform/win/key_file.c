/* Who may read a private key file: its reader, its owner, SYSTEM and Administrators, and nobody else, as Win32-OpenSSH
 * has it. */
#include <aclapi.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/platform.h"
#include "platform/win/access.h"

#define MEND_CAP_BYTES 2048

/* A key file as the system shows it. */
struct look {
    const char *path;
    wchar_t *wide;
    PSECURITY_DESCRIPTOR descriptor;
    PSID owner;
    PACL acl; /* NULL: there is none, and all may do all */
    DWORD attributes;
};

static void look_deinit(struct look *look)
{
    if (look->descriptor != NULL) {
        (void)LocalFree(look->descriptor);
    }
    free(look->wide);
    memset(look, 0, sizeof *look);
}

/* `look` is to be deinitialised in any case. */
static enum err look_at(const char *path, struct look *look, struct err_info *info)
{
    memset(look, 0, sizeof *look);
    look->path = path;
    look->wide = win_wide(path);
    if (look->wide == NULL) {
        return err_set(info, ERR_IO, "%s is not a file name", path);
    }
    look->attributes = GetFileAttributesW(look->wide);
    DWORD failed = look->attributes == INVALID_FILE_ATTRIBUTES ? GetLastError() : ERROR_SUCCESS;
    if (failed == ERROR_SUCCESS && (look->attributes & FILE_ATTRIBUTE_DIRECTORY) != 0) {
        return err_set(info, ERR_IO, "%s is a directory, not a private key", path);
    }
    if (failed == ERROR_SUCCESS) {
        failed =
            GetNamedSecurityInfoW(look->wide, SE_FILE_OBJECT, OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION,
                                  &look->owner, NULL, &look->acl, NULL, &look->descriptor);
    }
    return failed == ERROR_SUCCESS ? OK : err_set(info, ERR_IO, "%s: %s", path, win_err_text(failed));
}

/* Does the drive keep access lists at all? FAT does not. */
static bool drive_keeps_lists(const struct look *look)
{
    wchar_t root[MAX_PATH + 1];
    DWORD flags = 0;
    return GetVolumePathNameW(look->wide, root, MAX_PATH) == 0 ||
           GetVolumeInformationW(root, NULL, 0, NULL, NULL, &flags, NULL, 0) == 0 ||
           (flags & FILE_PERSISTENT_ACLS) != 0;
}

/* The owner when that is a person beside the reader, who keeps what he has; else NULL. */
static PSID other_owner(const struct look *look, PSID reader)
{
    bool person = look->owner != NULL && !EqualSid(look->owner, reader) && !win_sid_is_keeper(look->owner) &&
                  !win_sid_is_one_service(look->owner);
    return person ? look->owner : NULL;
}

/* --- sentences --- */

static void append(char *out, size_t cap_bytes, const char *format, ...) PRINTF_LIKE(3, 4);
static void append(char *out, size_t cap_bytes, const char *format, ...)
{
    size_t len = strlen(out);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(out + len, cap_bytes - len, format, args);
    va_end(args);
}

static void append_name(char *out, size_t cap_bytes, PSID sid)
{
    char *name = win_sid_name(sid);
    append(out, cap_bytes, "%s", name != NULL ? name : "an unknown account");
    free(name);
}

/* As icacls takes an account: one that has no name yet, such as a service that is still to be installed, by its SID
 * behind a '*'. */
static void append_trustee(char *out, size_t cap_bytes, PSID sid)
{
    char *name = win_sid_name(sid);
    append(out, cap_bytes, "%s%s", name != NULL && strncmp(name, "S-1-", 4) == 0 ? "*" : "",
           name != NULL ? name : "an unknown account");
    free(name);
}

/* The command that gives the file the list which mend() makes. SIDs stand for groups, since icacls takes their names in
 * the language of Windows only. */
static void mend_line(const struct look *look, PSID reader, const struct win_strangers *strangers, char *out,
                      size_t cap_bytes)
{
    PSID readers[] = {reader, other_owner(look, reader)};
    out[0] = '\0';
    append(out, cap_bytes, "icacls \"%s\" /inheritance:r /grant:r", look->path);
    for (size_t i = 0; i < 2; i++) {
        if (readers[i] != NULL && !win_sid_is_keeper(readers[i])) {
            append(out, cap_bytes, " \"");
            append_trustee(out, cap_bytes, readers[i]);
            append(out, cap_bytes, ":(R)\"");
        }
    }
    append(out, cap_bytes, " \"*S-1-5-18:(F)\" \"*S-1-5-32-544:(F)\"");
    bool first = true;
    for (size_t i = 0; strangers != NULL && i < strangers->count; i++) {
        char *sid = strangers->items[i].inherited ? NULL : win_sid_text((PSID)(uintptr_t)&strangers->items[i].sid.sid);
        if (sid != NULL) {
            append(out, cap_bytes, "%s \"*%s\"", first ? " /remove:g" : "", sid);
            first = false;
        }
        free(sid);
    }
}

/* The command must not be cut: where it is long, the path is in it only. */
static enum err say(enum err code, const struct look *look, const char *what, const char *mend, struct err_info *info)
{
    struct err_info probe;
    char text[MEND_CAP_BYTES];
    int len = snprintf(text, sizeof text, "private key %s %s, so it is not used; run: %s", look->path, what, mend);
    if (len >= 0 && (size_t)len < sizeof probe.message) {
        return err_set(info, code, "%s", text);
    }
    return err_set(info, code, "the key %s; run: %s", what, mend);
}

static enum err say_strangers(const struct look *look, PSID reader, const struct win_strangers *strangers,
                              struct err_info *info)
{
    char what[300] = "can be read by ";
    char mend[MEND_CAP_BYTES];
    for (size_t i = 0; i < strangers->count; i++) {
        append(what, sizeof what, "%s", i == 0 ? "" : ", ");
        append_name(what, sizeof what, (PSID)(uintptr_t)&strangers->items[i].sid.sid);
    }
    if (strangers->left_out > 0) {
        append(what, sizeof what, " and %lu more", (unsigned long)strangers->left_out);
    }
    mend_line(look, reader, strangers, mend, sizeof mend);
    return say(ERR_IO, look, what, mend, info);
}

/* --- verdicts --- */

/* Nobody else may read it. */
static enum err check_strangers(const struct look *look, PSID reader, struct err_info *info)
{
    struct win_strangers strangers;
    PSID admitted[] = {reader, look->owner};
    if (look->acl == NULL) {
        memset(&strangers, 0, sizeof strangers);
        if (!drive_keeps_lists(look)) {
            return err_set(info, ERR_IO,
                           "private key %s can be read by everyone, so it is not used: its drive keeps no access lists "
                           "(is it FAT?); move it to an NTFS drive",
                           look->path);
        }
        strangers.items[0].inherited = true;
        strangers.count = win_sid_known(WinWorldSid, &strangers.items[0].sid) ? 1 : 0;
        return say_strangers(look, reader, &strangers, info);
    }
    win_acl_strangers(look->acl, admitted, look->owner != NULL ? 2 : 1, &strangers);
    return strangers.count + strangers.left_out == 0 ? OK : say_strangers(look, reader, &strangers, info);
}

/* The account itself must be able to read it. */
static enum err check_reader(const struct look *look, PSID account, const char *name, struct err_info *info)
{
    char what[300];
    char mend[MEND_CAP_BYTES];
    if ((look->attributes & FILE_ATTRIBUTE_ENCRYPTED) != 0) {
        return err_set(info, ERR_REFUSED,
                       "private key %s is encrypted (EFS) for who made it, and %.100s cannot read it; run: cipher /d "
                       "\"%s\"",
                       look->path, name, look->path);
    }
    if (look->acl == NULL || win_acl_lets_read(look->acl, account) ||
        win_system_lets(look->acl, account, FILE_READ_DATA)) {
        return OK;
    }
    (void)snprintf(what, sizeof what, "cannot be read by %.200s", name);
    mend_line(look, account, NULL, mend, sizeof mend);
    return say(ERR_REFUSED, look, what, mend, info);
}

/* Gives the file the list of mend_line(). */
static enum err mend(const struct look *look, PSID reader, struct err_info *info)
{
    struct win_acl acl;
    union win_sid system;
    union win_sid administrators;
    PSID owner = other_owner(look, reader);
    bool made = win_acl_begin(&acl) && win_sid_known(WinLocalSystemSid, &system) &&
                win_sid_known(WinBuiltinAdministratorsSid, &administrators) &&
                (win_sid_is_keeper(reader) || win_acl_allow(&acl, reader, FILE_GENERIC_READ, 0)) &&
                (owner == NULL || win_acl_allow(&acl, owner, FILE_GENERIC_READ, 0)) &&
                win_acl_allow(&acl, &system.sid, FILE_ALL_ACCESS, 0) &&
                win_acl_allow(&acl, &administrators.sid, FILE_ALL_ACCESS, 0);
    DWORD failed = made ? SetNamedSecurityInfoW(look->wide, SE_FILE_OBJECT,
                                                DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION, NULL,
                                                NULL, win_acl_list(&acl), NULL)
                        : GetLastError();
    return failed == ERROR_SUCCESS
               ? OK
               : err_set(info, ERR_IO, "the access list of %s cannot be set: %s", look->path, win_err_text(failed));
}

static enum err judge(const char *path, PSID account, const char *name, struct err_info *info)
{
    struct look look;
    enum err result = look_at(path, &look, info);
    if (result == OK) {
        result = check_reader(&look, account, name, info);
    }
    if (result == OK) {
        result = check_strangers(&look, account, info);
    }
    look_deinit(&look);
    return result;
}

enum err platform_key_file_check(const char *path, struct err_info *info)
{
    struct look look;
    union win_sid us;
    enum err result = look_at(path, &look, info);
    if (result == OK && !win_sid_of_us(&us)) {
        result = err_set(info, ERR_IO, "%s: who runs this is not known here: %s", path, win_err_text(GetLastError()));
    }
    if (result == OK) {
        result = check_strangers(&look, &us.sid, info);
    }
    look_deinit(&look);
    return result;
}

enum err platform_key_file_check_for(const char *path, const char *account, bool fix, struct err_info *info)
{
    struct look look;
    union win_sid sid;
    enum err result = win_sid_of_account(account, &sid, info);
    if (result != OK) {
        return result;
    }
    result = judge(path, &sid.sid, account, info);
    if (result == OK || !fix) {
        return result;
    }
    result = look_at(path, &look, info);
    if (result == OK) {
        result = mend(&look, &sid.sid, info);
    }
    look_deinit(&look);
    return result == OK ? judge(path, &sid.sid, account, info) : result;
}
