#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/platform.h"
#include "platform/win/common.h"

static bool is_separator(char byte)
{
    return byte == '\\' || byte == '/';
}

/* `left`\`right` as a heap string, with one separator between them. Frees `left`; NULL when that is NULL or out of
 * memory. */
static char *join(char *left, const char *right)
{
    char *path = NULL;
    if (left != NULL) {
        size_t len = strlen(left);
        size_t cap_bytes = len + 1 + strlen(right) + 1;
        path = malloc(cap_bytes);
        if (path != NULL)
            (void)snprintf(path, cap_bytes, "%s%s%s", left, len > 0 && is_separator(left[len - 1]) ? "" : "\\", right);
    }
    free(left);
    return path;
}

/* LocalSystem, and any account that the service manager logged on. */
bool platform_is_service(void)
{
    static const WELL_KNOWN_SID_TYPE types[] = {WinLocalSystemSid, WinServiceSid};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        BYTE sid[SECURITY_MAX_SID_SIZE];
        DWORD size = sizeof sid;
        BOOL is_member = FALSE;
        if (CreateWellKnownSid(types[i], NULL, sid, &size) && CheckTokenMembership(NULL, sid, &is_member) && is_member)
            return true;
    }
    return false;
}

char *platform_ssh_dir(void)
{
    return join(platform_home_dir(), ".ssh");
}

char *platform_system_ssh_dir(void)
{
    return join(win_program_data(), "ssh");
}

const char *platform_null_device(void)
{
    return "NUL";
}

char *platform_default_definitions(void)
{
    return join(platform_is_service() ? win_program_data() : win_environment(L"APPDATA"), "holdfast");
}

/* Creates the folder and those above it that are missing. 0 or a libuv status. */
static int make_dirs(char *path)
{
    int status = 0;
    for (char *at = path;; at++) {
        char held = *at;
        uv_fs_t request;
        if ((held != 0 && !is_separator(held)) || at == path)
            continue;
        *at = 0;
        status = uv_fs_mkdir(NULL, &request, path, 0700, NULL);
        uv_fs_req_cleanup(&request);
        *at = held;
        if (held == 0)
            return status == UV_EEXIST ? 0
                                       : status; /* one above may be a drive, or not ours to create: the last decides */
    }
}

char *platform_state_dir(struct err_info *info)
{
    char *path = join(platform_is_service() ? win_program_data() : win_environment(L"LOCALAPPDATA"), "holdfast\\state");
    if (path == NULL) {
        (void)err_set(info, ERR_IO, "no place for the state: %%ProgramData%% or %%LOCALAPPDATA%% is not set");
        return NULL;
    }
    int status = make_dirs(path);
    if (status != 0) {
        (void)err_set(info, err_from_uv(status), "cannot create the state directory %s: %s", path, err_uv_text(status));
        free(path);
        return NULL;
    }
    return path;
}

bool platform_path_is_absolute(const char *path)
{
    bool is_letter = (path[0] >= 'a' && path[0] <= 'z') || (path[0] >= 'A' && path[0] <= 'Z');
    return (is_letter && path[1] == ':' && is_separator(path[2])) || (is_separator(path[0]) && is_separator(path[1]));
}

bool platform_path_is_below(const char *folder, const char *path)
{
    size_t len = strlen(folder);
    while (len > 0 && is_separator(folder[len - 1]))
        len--;
    for (size_t i = 0; i < len; i++) {
        bool are_alike = is_separator(folder[i]) ? is_separator(path[i]) : _strnicmp(folder + i, path + i, 1) == 0;
        if (!are_alike)
            return false;
    }
    return is_separator(path[len]);
}

char *platform_path_folder(const char *path)
{
    bool has_drive = path[0] != 0 && path[1] == ':';
    size_t root = has_drive ? 2 : 0; /* what is never taken away: "C:", "C:\", "\" */
    size_t len = strlen(path);
    root += path[root] != 0 && is_separator(path[root]) ? 1 : 0;
    while (len > root && !is_separator(path[len - 1]))
        len--;
    while (len > root && is_separator(path[len - 1]))
        len--;
    char *folder = len == 0 ? _strdup(".") : malloc(len + 1);
    if (folder != NULL && len > 0) {
        memcpy(folder, path, len);
        folder[len] = 0;
    }
    return folder;
}

/* "C:" + "\a" for a path from the root of the drive that `dir` is on. */
static char *on_drive_of(const char *dir, const char *path)
{
    char drive[3] = {0};
    if (dir != NULL && dir[0] != 0 && dir[1] == ':')
        memcpy(drive, dir, 2);
    size_t cap_bytes = sizeof drive + strlen(path);
    char *whole = malloc(cap_bytes);
    if (whole != NULL)
        (void)snprintf(whole, cap_bytes, "%s%s", drive, path);
    return whole;
}

char *platform_path_resolve(const char *dir, const char *path)
{
    if (strcmp(path, "/dev/null") == 0 || _stricmp(path, "NUL") == 0)
        return _strdup(platform_null_device()); /* the first is in many an ssh line, and no folder here */
    if (path[0] == '~' && (path[1] == 0 || is_separator(path[1])))
        return path[1] == 0 ? platform_home_dir() : join(platform_home_dir(), path + 2);
    if (platform_path_is_absolute(path) || dir == NULL || dir[0] == 0)
        return _strdup(path);
    if (is_separator(path[0]))
        return on_drive_of(dir, path);
    return join(_strdup(dir), path);
}
