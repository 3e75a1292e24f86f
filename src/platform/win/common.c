#include "platform/win/common.h"

#include <shlobj.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

wchar_t *win_wide(const char *text)
{
    int len = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
    wchar_t *wide = len > 0 ? malloc((size_t)len * sizeof *wide) : NULL;
    if (wide != NULL)
        (void)MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, wide, len);
    return wide;
}

char *win_utf8(const wchar_t *text)
{
    int len = WideCharToMultiByte(CP_UTF8, 0, text, -1, NULL, 0, NULL, NULL);
    char *utf8 = len > 0 ? malloc((size_t)len) : NULL;
    if (utf8 != NULL)
        (void)WideCharToMultiByte(CP_UTF8, 0, text, -1, utf8, len, NULL, NULL);
    return utf8;
}

char *win_environment(const wchar_t *name)
{
    char *value = NULL;
    DWORD cap = GetEnvironmentVariableW(name, NULL, 0);
    wchar_t *wide = cap > 1 ? malloc(cap * sizeof *wide) : NULL;
    if (wide != NULL) {
        DWORD len = GetEnvironmentVariableW(name, wide, cap);
        if (len > 0 && len < cap)
            value = win_utf8(wide);
    }
    free(wide);
    return value;
}

wchar_t *win_own_path(void)
{
    enum { CAP = 32768 };
    wchar_t *path = malloc(CAP * sizeof *path);
    DWORD len = path != NULL ? GetModuleFileNameW(NULL, path, CAP) : 0;
    if (len == 0 || len >= CAP) {
        free(path);
        return NULL;
    }
    return path;
}

char *win_program_data(void)
{
    wchar_t path[MAX_PATH];
    return SHGetFolderPathW(NULL, CSIDL_COMMON_APPDATA, NULL, SHGFP_TYPE_CURRENT, path) == S_OK ? win_utf8(path) : NULL;
}

char *win_system_program(const char *name)
{
    BOOL is_32_on_64 = FALSE;
    char *root = win_environment(L"SystemRoot");
    if (!IsWow64Process(GetCurrentProcess(), &is_32_on_64))
        is_32_on_64 = FALSE;
    const char *parts[] = {root != NULL ? root : "C:\\Windows", is_32_on_64 ? "Sysnative" : "System32", name};
    size_t cap_bytes = strlen(parts[0]) + strlen(parts[1]) + strlen(parts[2]) + 3;
    char *path = malloc(cap_bytes);
    if (path != NULL)
        (void)snprintf(path, cap_bytes, "%s\\%s\\%s", parts[0], parts[1], parts[2]);
    free(root);
    return path;
}

enum err win_err(DWORD code)
{
    return err_from_uv(uv_translate_sys_error((int)code));
}

const char *win_err_text(DWORD code)
{
    return err_uv_text(uv_translate_sys_error((int)code));
}
