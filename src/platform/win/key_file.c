/* Who may read a private key file. */
#include <aclapi.h>
#include <stdio.h>
#include <stdlib.h>

#include "platform/platform.h"
#include "platform/win/common.h"

/* Those that stand for people in general. */
static const struct {
    WELL_KNOWN_SID_TYPE type;
    const char *name;
    const char *sid; /* as icacls takes it in every language of Windows */
} crowds[] = {
    {WinWorldSid, "Everyone", "*S-1-1-0"},
    {WinAuthenticatedUserSid, "Authenticated Users", "*S-1-5-11"},
    {WinBuiltinUsersSid, "Users", "*S-1-5-32-545"},
    {WinBuiltinGuestsSid, "Guests", "*S-1-5-32-546"},
};
#define CROWDS (sizeof crowds / sizeof crowds[0])

static bool is_crowd(PSID sid, size_t index)
{
    BYTE known[SECURITY_MAX_SID_SIZE];
    DWORD size = sizeof known;
    return CreateWellKnownSid(crowds[index].type, NULL, known, &size) && EqualSid(sid, known);
}

/* The crowd that the list lets read, CROWDS when there is none; `out_inherited` when a folder above says so. */
static size_t crowd_that_reads(PACL acl, bool *out_inherited)
{
    for (DWORD i = 0; i < acl->AceCount; i++) {
        ACCESS_ALLOWED_ACE *ace = NULL;
        if (!GetAce(acl, i, (LPVOID *)&ace) || ace->Header.AceType != ACCESS_ALLOWED_ACE_TYPE ||
            (ace->Header.AceFlags & INHERIT_ONLY_ACE) != 0 ||
            (ace->Mask & (FILE_READ_DATA | GENERIC_READ | GENERIC_ALL)) == 0)
            continue;
        for (size_t crowd = 0; crowd < CROWDS; crowd++) {
            if (is_crowd(&ace->SidStart, crowd)) {
                *out_inherited = (ace->Header.AceFlags & INHERITED_ACE) != 0;
                return crowd;
            }
        }
    }
    return CROWDS;
}

/* The refusal, with the command that mends it. */
static enum err refuse(const char *path, const char *crowd, const char *sid, bool inherited, struct err_info *info)
{
    if (!inherited)
        return err_set(info, ERR_IO,
                       "private key %s can be read by %s, so it is not used; run: icacls \"%s\" /remove:g %s", path,
                       crowd, path, sid);
    char *user = platform_user_name();
    enum err result = err_set(info, ERR_IO,
                              "private key %s can be read by %s, so it is not used; run: icacls \"%s\" /inheritance:r "
                              "/grant:r \"%s:F\"",
                              path, crowd, path, user != NULL ? user : "%USERNAME%");
    free(user);
    return result;
}

enum err platform_key_file_check(const char *path, struct err_info *info)
{
    PACL acl = NULL;
    PSECURITY_DESCRIPTOR descriptor = NULL;
    bool inherited = false;
    enum err result = OK;
    wchar_t *wide = win_wide(path);
    if (wide == NULL)
        return err_set(info, ERR_IO, "%s is not a file name", path);
    DWORD attributes = GetFileAttributesW(wide);
    DWORD failed = attributes == INVALID_FILE_ATTRIBUTES ? GetLastError() : ERROR_SUCCESS;
    if (failed == ERROR_SUCCESS && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0) {
        result = err_set(info, ERR_IO, "%s is a directory, not a private key", path);
        goto out;
    }
    if (failed == ERROR_SUCCESS)
        failed =
            GetNamedSecurityInfoW(wide, SE_FILE_OBJECT, DACL_SECURITY_INFORMATION, NULL, NULL, &acl, NULL, &descriptor);
    if (failed != ERROR_SUCCESS) {
        result = err_set(info, ERR_IO, "%s: %s", path, win_err_text(failed));
        goto out;
    }
    if (acl == NULL) { /* no list at all: all may do all, as on a FAT volume */
        result = refuse(path, "everyone", "", true, info);
        goto out;
    }
    size_t crowd = crowd_that_reads(acl, &inherited);
    if (crowd < CROWDS)
        result = refuse(path, crowds[crowd].name, crowds[crowd].sid, inherited, info);
out:
    if (descriptor != NULL)
        (void)LocalFree(descriptor);
    free(wide);
    return result;
}
