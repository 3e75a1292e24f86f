#include "platform/win/common.h"

#include <stdlib.h>
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

enum err win_err(DWORD code)
{
    return err_from_uv(uv_translate_sys_error((int)code));
}

const char *win_err_text(DWORD code)
{
    return err_uv_text(uv_translate_sys_error((int)code));
}
