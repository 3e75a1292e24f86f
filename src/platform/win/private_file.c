#include "platform/win/private_file.h"

#include <stdlib.h>
#include <string.h>

#include "platform/platform.h"

bool win_private_init(struct win_private *made, PSID owner, PSID reader, DWORD flags)
{
    memset(made, 0, sizeof *made);
    made->attributes.nLength = sizeof made->attributes;
    made->attributes.lpSecurityDescriptor = &made->descriptor;
    return win_sid_known(WinLocalSystemSid, &made->system) &&
           win_sid_known(WinBuiltinAdministratorsSid, &made->administrators) && win_acl_begin(&made->acl) &&
           (owner == NULL || win_sid_is_keeper(owner) || win_acl_allow(&made->acl, owner, FILE_ALL_ACCESS, flags)) &&
           (reader == NULL || win_sid_is_keeper(reader) ||
            win_acl_allow(&made->acl, reader, FILE_GENERIC_READ | FILE_GENERIC_EXECUTE, flags)) &&
           win_acl_allow(&made->acl, &made->system.sid, FILE_ALL_ACCESS, flags) &&
           win_acl_allow(&made->acl, &made->administrators.sid, FILE_ALL_ACCESS, flags) &&
           InitializeSecurityDescriptor(&made->descriptor, SECURITY_DESCRIPTOR_REVISION) &&
           SetSecurityDescriptorDacl(&made->descriptor, TRUE, win_acl_list(&made->acl), FALSE) &&
           SetSecurityDescriptorControl(&made->descriptor, SE_DACL_PROTECTED, SE_DACL_PROTECTED) &&
           (owner == NULL || SetSecurityDescriptorOwner(&made->descriptor, owner, FALSE));
}

static DWORD write_all(HANDLE file, const BYTE *data, size_t len)
{
    while (len > 0) {
        DWORD part = len < 1U << 20 ? (DWORD)len : 1U << 20;
        DWORD written = 0;
        if (!WriteFile(file, data, part, &written, NULL)) {
            return GetLastError();
        }
        data += written;
        len -= written;
    }
    return FlushFileBuffers(file) ? ERROR_SUCCESS : GetLastError();
}

DWORD win_private_file_new(const wchar_t *path, struct win_private *access, const void *data, size_t len,
                           bool *out_made)
{
    HANDLE file = CreateFileW(path, GENERIC_WRITE, 0, &access->attributes, CREATE_NEW, FILE_ATTRIBUTE_NORMAL, NULL);
    *out_made = file != INVALID_HANDLE_VALUE;
    if (!*out_made) {
        return GetLastError();
    }
    DWORD failed = write_all(file, data, len);
    (void)CloseHandle(file);
    if (failed != ERROR_SUCCESS) {
        (void)DeleteFileW(path);
    }
    return failed;
}

enum err platform_private_file_new(const char *path, const void *data, size_t len, struct err_info *info)
{
    struct win_private access;
    union win_sid us;
    bool made = false;
    wchar_t *wide = win_wide(path);
    if (wide == NULL) {
        return err_set(info, ERR_IO, "%s is not a file name", path);
    }
    DWORD failed = win_sid_of_us(&us) && win_private_init(&access, &us.sid, NULL, 0)
                       ? win_private_file_new(wide, &access, data, len, &made)
                       : GetLastError();
    free(wide);
    return failed == ERROR_SUCCESS
               ? OK
               : err_set(info, ERR_IO, "%s cannot be %s: %s", path, made ? "written" : "made", win_err_text(failed));
}
