/* Secrets by DPAPI, one file each: secret-NAME.dpapi. A person's is encrypted with their key; a service's with the
 * machine's, so that its access list is what keeps others from it. */
#include "platform/secret.h"

#include <aclapi.h>
#include <shlobj.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wincrypt.h>

#include "platform/platform.h"
#include "platform/win/private_file.h"

#define PATH_CAP 600
#define FILE_CAP_BYTES 65536
#define FILE_PREFIX L"secret-"
#define FILE_SUFFIX L".dpapi"

bool platform_has_secrets(void)
{
    return true;
}

/* --- places --- */

/* The folder of holdfast, or the one in it that has the secrets. False when the system does not say where. */
static bool folder_of(enum platform_secret_place place, bool inner, wchar_t out[PATH_CAP])
{
    wchar_t base[PATH_CAP];
    int which = place == PLATFORM_SECRET_OF_SERVICE ? CSIDL_COMMON_APPDATA : CSIDL_APPDATA;
    bool found = SHGetFolderPathW(NULL, which, NULL, SHGFP_TYPE_CURRENT, base) == S_OK;
    int written = found ? _snwprintf(out, PATH_CAP - 1, L"%ls\\holdfast%ls", base, inner ? L"\\secrets" : L"") : -1;
    out[PATH_CAP - 1] = 0;
    return written > 0;
}

/* The file of a secret; `end` is put behind it. */
static enum err file_of(enum platform_secret_place place, const char *name, const wchar_t *end, wchar_t out[PATH_CAP],
                        struct err_info *info)
{
    wchar_t folder[PATH_CAP];
    enum err result = platform_secret_name_check(name, info);
    if (result != OK) {
        return result;
    }
    wchar_t *wide = win_wide(name);
    int written = -1;
    if (wide != NULL && folder_of(place, true, folder)) {
        written = _snwprintf(out, PATH_CAP - 1, L"%ls\\" FILE_PREFIX L"%ls" FILE_SUFFIX L"%ls", folder, wide, end);
        out[PATH_CAP - 1] = 0;
    }
    free(wide);
    return written > 0 ? OK : err_set(info, ERR_IO, "no place for secrets: %%ProgramData%% or %%APPDATA%% is not set");
}

static const char *switch_of(enum platform_secret_place place)
{
    return place == PLATFORM_SECRET_OF_SERVICE ? " --service" : "";
}

static enum err say_path(const wchar_t *path, const char *what, DWORD failed, struct err_info *info)
{
    char *text = win_utf8(path);
    enum err result =
        err_set(info, ERR_IO, "%.300s %s: %s", text != NULL ? text : "the secret's file", what, win_err_text(failed));
    free(text);
    return result;
}

/* A folder of a service must belong to who could read everything anyway, or its owner might put another in its place.
 */
static enum err check_folder(const wchar_t *path, struct err_info *info)
{
    PSECURITY_DESCRIPTOR descriptor = NULL;
    PSID owner = NULL;
    union win_sid us;
    enum err result = OK;
    DWORD attributes = GetFileAttributesW(path);
    DWORD failed = attributes == INVALID_FILE_ATTRIBUTES
                       ? GetLastError()
                       : GetNamedSecurityInfoW((LPWSTR)(uintptr_t)path, SE_FILE_OBJECT, OWNER_SECURITY_INFORMATION,
                                               &owner, NULL, NULL, NULL, &descriptor);
    if (failed != ERROR_SUCCESS || !win_sid_of_us(&us)) {
        return say_path(path, "cannot be looked at", failed, info);
    }
    bool strange = (attributes & FILE_ATTRIBUTE_DIRECTORY) == 0 || (attributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0;
    if (strange || owner == NULL || (!win_sid_is_keeper(owner) && !EqualSid(owner, &us.sid))) {
        char *text = win_utf8(path);
        char *name = owner != NULL ? win_sid_name(owner) : NULL;
        if (strange) {
            result = err_set(info, ERR_IO, "%.200s is not a folder of its own; remove it", text != NULL ? text : "");
        } else {
            result = err_set(info, ERR_IO,
                             "%.150s belongs to %.80s, who could take what is in it; run: icacls \"%.150s\" /setowner "
                             "\"*S-1-5-32-544\"",
                             text != NULL ? text : "", name != NULL ? name : "somebody else", text != NULL ? text : "");
        }
        free(name);
        free(text);
    }
    (void)LocalFree(descriptor);
    return result;
}

/* Creates the folders that are missing, and sees to their access lists. */
static enum err prepare_folders(enum platform_secret_place place, struct err_info *info)
{
    wchar_t outer[PATH_CAP];
    wchar_t inner[PATH_CAP];
    struct win_private access;
    union win_sid us;
    bool of_service = place == PLATFORM_SECRET_OF_SERVICE;
    if (!folder_of(place, false, outer) || !folder_of(place, true, inner)) {
        return err_set(info, ERR_IO, "no place for secrets: %%ProgramData%% or %%APPDATA%% is not set");
    }
    if (!win_sid_of_us(&us) || !win_private_init(&access, of_service ? NULL : &us.sid, NULL, 0)) {
        return err_set(info, ERR_IO, "who runs this is not known here: %s", win_err_text(GetLastError()));
    }
    if (!CreateDirectoryW(outer, NULL) && GetLastError() != ERROR_ALREADY_EXISTS) {
        return say_path(outer, "cannot be made", GetLastError(), info);
    }
    bool made = CreateDirectoryW(inner, &access.attributes) != 0;
    if (!made && GetLastError() != ERROR_ALREADY_EXISTS) {
        return say_path(inner, "cannot be made", GetLastError(), info);
    }
    enum err result = of_service ? check_folder(outer, info) : OK;
    if (result == OK && of_service) {
        result = check_folder(inner, info);
    }
    if (result == OK && !made) {
        DWORD failed = SetNamedSecurityInfoW(inner, SE_FILE_OBJECT,
                                             DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION, NULL,
                                             NULL, win_acl_list(&access.acl), NULL);
        result = failed == ERROR_SUCCESS ? OK : say_path(inner, "cannot be closed to others", failed, info);
    }
    return result;
}

/* --- encryption --- */

/* What one secret is bound to, so that no file stands for another name. Names differ in more than their capitals, as
 * files do. */
static DATA_BLOB entropy_of(const char *name, BYTE out[128])
{
    int len = snprintf((char *)out, 128, "holdfast secret %.64s", name);
    for (int i = 0; i < len; i++) {
        out[i] = out[i] >= 'A' && out[i] <= 'Z' ? (BYTE)(out[i] - 'A' + 'a') : out[i];
    }
    return (DATA_BLOB){.cbData = (DWORD)len, .pbData = out};
}

enum err platform_secret_set(enum platform_secret_place place, const char *account, const char *name, const char *text,
                             struct err_info *info)
{
    wchar_t path[PATH_CAP];
    wchar_t fresh[PATH_CAP];
    BYTE bound[128];
    struct win_private access;
    union win_sid reader;
    union win_sid us;
    bool made = false;
    bool of_service = place == PLATFORM_SECRET_OF_SERVICE;
    DATA_BLOB entropy = entropy_of(name, bound);
    DATA_BLOB plain = {.cbData = (DWORD)strlen(text), .pbData = (BYTE *)(uintptr_t)text};
    DATA_BLOB cipher = {0, NULL};
    enum err result = file_of(place, name, L"", path, info);
    if (result == OK) {
        result = file_of(place, name, L".new", fresh, info);
    }
    if (result == OK && of_service) {
        result = win_sid_of_account(account, &reader, info);
    }
    if (result == OK) {
        result = prepare_folders(place, info);
    }
    if (result != OK) {
        return result;
    }
    DWORD flags = CRYPTPROTECT_UI_FORBIDDEN | (of_service ? CRYPTPROTECT_LOCAL_MACHINE : 0);
    if (!CryptProtectData(&plain, L"holdfast", &entropy, NULL, NULL, flags, &cipher)) {
        return err_set(info, ERR_IO, "the secret '%s' cannot be encrypted: %s", name, win_err_text(GetLastError()));
    }
    if (!win_sid_of_us(&us) ||
        !win_private_init(&access, of_service ? NULL : &us.sid, of_service ? &reader.sid : NULL, 0)) {
        result = err_set(info, ERR_IO, "who runs this is not known here: %s", win_err_text(GetLastError()));
        goto out;
    }
    (void)DeleteFileW(fresh); /* of one that was killed */
    DWORD failed = win_private_file_new(fresh, &access, cipher.pbData, cipher.cbData, &made);
    if (failed == ERROR_SUCCESS && !MoveFileExW(fresh, path, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH)) {
        failed = GetLastError();
        (void)DeleteFileW(fresh);
    }
    if (failed != ERROR_SUCCESS) {
        result = say_path(path, "cannot be written", failed, info);
    }
out:
    (void)LocalFree(cipher.pbData);
    return result;
}

/* The file's bytes, at most FILE_CAP_BYTES. */
static DWORD read_file(const wchar_t *path, BYTE **out, DWORD *out_len)
{
    DWORD failed = ERROR_SUCCESS;
    HANDLE file = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, NULL, OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE) {
        return GetLastError();
    }
    *out = malloc(FILE_CAP_BYTES);
    if (*out == NULL || !ReadFile(file, *out, FILE_CAP_BYTES, out_len, NULL)) {
        failed = *out == NULL ? ERROR_NOT_ENOUGH_MEMORY : GetLastError();
    }
    (void)CloseHandle(file);
    return failed;
}

enum err platform_secret_get(const char *name, char **out, struct err_info *info)
{
    wchar_t path[PATH_CAP];
    BYTE bound[128];
    BYTE *data = NULL;
    DATA_BLOB entropy = entropy_of(name, bound);
    DATA_BLOB cipher = {0, NULL};
    DATA_BLOB plain = {0, NULL};
    enum platform_secret_place place = platform_is_service() ? PLATFORM_SECRET_OF_SERVICE : PLATFORM_SECRET_OF_PERSON;
    *out = NULL;
    enum err result = file_of(place, name, L"", path, info);
    if (result != OK) {
        return result;
    }
    DWORD failed = read_file(path, &data, &cipher.cbData);
    cipher.pbData = data;
    if (failed == ERROR_FILE_NOT_FOUND || failed == ERROR_PATH_NOT_FOUND) {
        result = err_set(info, ERR_IO, "the secret '%s' is not stored for %s; run: holdfast secret set %s%s", name,
                         place == PLATFORM_SECRET_OF_SERVICE ? "services" : "this user", name, switch_of(place));
    } else if (failed != ERROR_SUCCESS) {
        result = err_set(info, ERR_IO, "the secret '%s' cannot be read: %s; run: holdfast secret set %s%s", name,
                         win_err_text(failed), name,
                         place == PLATFORM_SECRET_OF_SERVICE ? " --service --account ACCOUNT" : "");
    } else if (!CryptUnprotectData(&cipher, NULL, &entropy, NULL, NULL, CRYPTPROTECT_UI_FORBIDDEN, &plain)) {
        result =
            err_set(info, ERR_IO,
                    "the secret '%s' cannot be decrypted: another user or another machine stored it; run: holdfast "
                    "secret set %s%s",
                    name, name, switch_of(place));
    } else {
        *out = malloc((size_t)plain.cbData + 1);
        if (*out == NULL) {
            result = err_set(info, ERR_MEMORY, "out of memory");
        } else {
            memcpy(*out, plain.pbData, plain.cbData);
            (*out)[plain.cbData] = '\0';
        }
        platform_wipe(plain.pbData, plain.cbData);
        (void)LocalFree(plain.pbData);
    }
    free(data);
    return result;
}

/* --- what is there --- */

bool platform_secret_exists(enum platform_secret_place place, const char *name)
{
    wchar_t path[PATH_CAP];
    return file_of(place, name, L"", path, NULL) == OK && GetFileAttributesW(path) != INVALID_FILE_ATTRIBUTES;
}

enum err platform_secret_remove(enum platform_secret_place place, const char *name, struct err_info *info)
{
    wchar_t path[PATH_CAP];
    enum err result = file_of(place, name, L"", path, info);
    if (result != OK || DeleteFileW(path)) {
        return result;
    }
    DWORD failed = GetLastError();
    if (failed == ERROR_FILE_NOT_FOUND || failed == ERROR_PATH_NOT_FOUND) {
        return err_set(info, ERR_IO, "there is no secret '%s'; 'holdfast secret list%s' shows those there are", name,
                       switch_of(place));
    }
    return say_path(path, "cannot be removed", failed, info);
}

enum err platform_secret_list(enum platform_secret_place place, void (*each)(void *arg, const char *name), void *arg,
                              struct err_info *info)
{
    wchar_t pattern[PATH_CAP];
    wchar_t folder[PATH_CAP];
    WIN32_FIND_DATAW found;
    size_t prefix_len = wcslen(FILE_PREFIX);
    size_t suffix_len = wcslen(FILE_SUFFIX);
    if (!folder_of(place, true, folder) ||
        _snwprintf(pattern, PATH_CAP, L"%ls\\" FILE_PREFIX L"*" FILE_SUFFIX, folder) < 0) {
        return err_set(info, ERR_IO, "no place for secrets: %%ProgramData%% or %%APPDATA%% is not set");
    }
    HANDLE search = FindFirstFileW(pattern, &found);
    if (search == INVALID_HANDLE_VALUE) {
        DWORD failed = GetLastError();
        bool none = failed == ERROR_FILE_NOT_FOUND || failed == ERROR_PATH_NOT_FOUND;
        return none ? OK : say_path(folder, "cannot be read", failed, info);
    }
    do {
        size_t len = wcslen(found.cFileName);
        if (len > prefix_len + suffix_len && wcscmp(found.cFileName + len - suffix_len, FILE_SUFFIX) == 0) {
            found.cFileName[len - suffix_len] = 0;
            char *name = win_utf8(found.cFileName + prefix_len);
            if (name != NULL) {
                each(arg, name);
            }
            free(name);
        }
    } while (FindNextFileW(search, &found));
    (void)FindClose(search);
    return OK;
}
