/* Where services have their things: %ProgramData%\holdfast. Everybody may make files below %ProgramData%, and a
 * definition decides whom a service connects to with which key, so these folders are closed to all but administrators,
 * the system and the service's own account. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <windows.h>

#include <aclapi.h>
#include <sddl.h>

#include "platform/platform.h"
#include "platform/win/access.h"
#include "platform/win/common.h"
#include "service/manager.h"

/* Protected from what %ProgramData% hands down; inherited by what is made within. */
#define CLOSED L"D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"

/* `name` below the folder `above`, which is freed; NULL when that is NULL. */
static char *below(char *above, const char *name)
{
    char *path = above != NULL ? platform_path_resolve(above, name) : NULL;
    free(above);
    return path;
}

char *service_folder(void)
{
    return below(win_program_data(), "holdfast");
}

char *service_state_dir(void)
{
    return below(service_folder(), "state");
}

char *service_log_path(const char *name)
{
    char file[SERVICE_NAME_CAP_BYTES + 16];
    (void)snprintf(file, sizeof file, "logs\\%s.log", name);
    return below(service_folder(), file);
}

/* Adds an entry for `sid` to the folder's list, which is closed to others first when `close` says so. */
static DWORD set_access(wchar_t *path, PSID sid, DWORD rights, bool close)
{
    PSECURITY_DESCRIPTOR descriptor = NULL;
    PACL acl = NULL;
    PACL wider = NULL;
    BOOL present = FALSE;
    BOOL defaulted = FALSE;
    DWORD code = ERROR_SUCCESS;
    if (close) {
        if (!ConvertStringSecurityDescriptorToSecurityDescriptorW(CLOSED, SDDL_REVISION_1, &descriptor, NULL) ||
            !GetSecurityDescriptorDacl(descriptor, &present, &acl, &defaulted)) {
            code = GetLastError();
        }
    } else {
        code =
            GetNamedSecurityInfoW(path, SE_FILE_OBJECT, DACL_SECURITY_INFORMATION, NULL, NULL, &acl, NULL, &descriptor);
    }
    if (code == ERROR_SUCCESS) {
        EXPLICIT_ACCESS_W access;
        memset(&access, 0, sizeof access);
        access.grfAccessPermissions = rights;
        access.grfAccessMode = GRANT_ACCESS;
        access.grfInheritance = SUB_CONTAINERS_AND_OBJECTS_INHERIT;
        access.Trustee.TrusteeForm = TRUSTEE_IS_SID;
        access.Trustee.TrusteeType = TRUSTEE_IS_UNKNOWN;
        access.Trustee.ptstrName = (wchar_t *)sid;
        code = SetEntriesInAclW(1, &access, acl, &wider);
    }
    if (code == ERROR_SUCCESS) {
        SECURITY_INFORMATION what = DACL_SECURITY_INFORMATION | (close ? PROTECTED_DACL_SECURITY_INFORMATION : 0U);
        code = SetNamedSecurityInfoW(path, SE_FILE_OBJECT, what, NULL, NULL, wider, NULL);
    }
    (void)LocalFree(wider);
    (void)LocalFree(descriptor);
    return code;
}

/* Looks at a folder that was there before. *closed: its list is its own, as a service installed before has left it. Any
 * user may have made it, to have a say in what the service does: one of a stranger, or one that its own list opens to a
 * stranger, is refused. */
static enum err look_at(wchar_t *wide, const char *path, PSID sid, bool *closed, struct err_info *info)
{
    PSECURITY_DESCRIPTOR descriptor = NULL;
    SECURITY_DESCRIPTOR_CONTROL control = 0;
    DWORD revision = 0;
    PACL acl = NULL;
    PSID owner = NULL;
    union win_sid us;
    enum err result = OK;
    /* A link is asked for nothing: its list is that of where it leads, and its owner can lead it elsewhere later. */
    DWORD attributes = GetFileAttributesW(wide);
    if (attributes != INVALID_FILE_ATTRIBUTES &&
        ((attributes & FILE_ATTRIBUTE_DIRECTORY) == 0 || (attributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0)) {
        return err_set(info, ERR_IO,
                       "%s is no folder of its own, but a link or a file, so no service is run from it; look where it "
                       "leads, and remove it",
                       path);
    }
    DWORD code = GetNamedSecurityInfoW(wide, SE_FILE_OBJECT, OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION,
                                       &owner, NULL, &acl, NULL, &descriptor);
    if (code != ERROR_SUCCESS || !win_sid_of_us(&us)) {
        result = err_set(info, ERR_IO, "the access list of %s cannot be read: %s", path, win_err_text(code));
        goto out;
    }
    *closed = GetSecurityDescriptorControl(descriptor, &control, &revision) && (control & SE_DACL_PROTECTED) != 0;
    if (!win_sid_is_keeper(owner) && !EqualSid(owner, &us.sid)) {
        char *name = win_sid_name(owner);
        result = err_set(info, ERR_IO,
                         "%s belongs to %s, who could change what the service does; look at what is in it, then run: "
                         "takeown /f \"%s\" /a /r /d y  and  icacls \"%s\" /reset /t",
                         path, name != NULL ? name : "somebody else", path, path);
        free(name);
    } else if (*closed) {
        const PSID admitted[] = {sid, &us.sid, owner};
        struct win_strangers strangers;
        win_acl_strangers(acl, admitted, sizeof admitted / sizeof admitted[0], &strangers);
        if (strangers.count > 0) {
            char *name = win_sid_name(&strangers.items[0].sid.sid);
            char *text = win_sid_text(&strangers.items[0].sid.sid);
            result = err_set(info, ERR_IO,
                             "%s can be read or changed by %s, so no service is run from it; run: icacls \"%s\" "
                             "/remove:g \"*%s\"",
                             path, name != NULL ? name : "others", path, text != NULL ? text : "");
            free(name);
            free(text);
        }
    }
out:
    (void)LocalFree(descriptor);
    return result;
}

static enum err make(const char *path, PSID sid, DWORD rights, bool close, struct err_info *info)
{
    wchar_t *wide = win_wide(path);
    bool closed = false;
    enum err result = OK;
    DWORD code = wide == NULL ? ERROR_NOT_ENOUGH_MEMORY : ERROR_SUCCESS;
    if (code == ERROR_SUCCESS && !CreateDirectoryW(wide, NULL)) {
        code = GetLastError();
        if (code == ERROR_ALREADY_EXISTS) {
            code = ERROR_SUCCESS;
            result = look_at(wide, path, sid, &closed, info);
        }
    }
    if (code == ERROR_SUCCESS && result == OK) {
        code = set_access(wide, sid, rights, close && !closed);
    }
    free(wide);
    if (code != ERROR_SUCCESS) {
        result = err_set(info, win_err(code), "cannot make the folder %s and close it to other users: %s", path,
                         win_err_text(code));
    }
    return result;
}

enum err service_make_folders(const char *account, struct err_info *info)
{
    static const char *const names[] = {"logs", "state"};
    union win_sid sid;
    enum err result = win_sid_of_account(account, &sid, info);
    if (result != OK) {
        return result;
    }
    char *folder = service_folder();
    if (folder == NULL) {
        result = err_set(info, ERR_IO, "Windows does not say where %%ProgramData%% is");
    } else {
        result = make(folder, &sid.sid, FILE_GENERIC_READ | FILE_GENERIC_EXECUTE, true, info);
    }
    for (size_t i = 0; i < 2 && result == OK; i++) {
        char *path = platform_path_resolve(folder, names[i]);
        result = path == NULL
                     ? err_set(info, ERR_MEMORY, "out of memory")
                     : make(path, &sid.sid, FILE_GENERIC_READ | FILE_GENERIC_WRITE | FILE_GENERIC_EXECUTE | DELETE,
                            false, info);
        free(path);
    }
    free(folder);
    return result;
}

enum err service_use_persons(struct err_info *info)
{
    return err_set(
        info, ERR_UNSUPPORTED,
        "--user: Windows has no services of a person; 'holdfast service install --account .\\\\NAME' makes one "
        "that runs as that person, with or without being logged on");
}

bool service_is_persons(void)
{
    return false;
}

enum err service_text(const struct service_plan *plan, char **out, struct err_info *info)
{
    (void)plan;
    *out = NULL;
    return err_set(info, ERR_UNSUPPORTED, "--print: a service of Windows is not a text; 'sc qc holdfast' shows one");
}

enum err service_access_check(const char *account, const char *path, enum service_access access, struct err_info *info)
{
    PSECURITY_DESCRIPTOR descriptor = NULL;
    PACL acl = NULL;
    union win_sid sid;
    if (access != SERVICE_WRITES) {
        return OK; /* service_make_folders has seen to it, and keys are looked at by themselves */
    }
    enum err result = win_sid_of_account(account, &sid, info);
    wchar_t *wide = win_wide(path);
    if (result != OK || wide == NULL) {
        free(wide);
        return result != OK ? result : err_set(info, ERR_IO, "%s is not a file name", path);
    }
    DWORD code =
        GetNamedSecurityInfoW(wide, SE_FILE_OBJECT, DACL_SECURITY_INFORMATION, NULL, NULL, &acl, NULL, &descriptor);
    if (code != ERROR_SUCCESS) {
        result = err_set(info, ERR_IO, "the access list of %s cannot be read: %s", path, win_err_text(code));
    } else if (acl != NULL && !win_acl_lets_write(acl, &sid.sid) && !win_system_lets(acl, &sid.sid, FILE_WRITE_DATA)) {
        char *state = service_state_dir();
        char *text = win_sid_text(&sid.sid);
        result =
            err_set(info, ERR_REFUSED,
                    "%s cannot be written by %s; name a place in %s, or run: icacls \"%s\" /grant \"*%s:(OI)(CI)(M)\"",
                    path, account, state != NULL ? state : "its state folder", path, text != NULL ? text : "");
        free(state);
        free(text);
    }
    (void)LocalFree(descriptor);
    free(wide);
    return result;
}
