/* Programs of Windows print in one of three ways: wsl.exe in UTF-16, what comes out of Linux in UTF-8, and the older
 * ones, such as netsh, in the code page of the console. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf16.h"
#include "platform/platform.h"
#include "platform/win/common.h"

unsigned platform_program_flags(void)
{
    return UV_PROCESS_WINDOWS_HIDE;
}

int platform_program_kill(uv_process_t *process)
{
    return uv_process_kill(process, SIGKILL);
}

void platform_program_forget(const uv_process_t *process)
{
    (void)process; /* the system keeps nothing of what has ended but for who holds a handle */
}

void platform_program_reap(void)
{
}

char *platform_program_text(const char *bytes, size_t len)
{
    char *utf8 = NULL;
    int count = (int)len;
    if (utf16_is_likely(bytes, len))
        return utf16_to_utf8(bytes, len);
    if (len == 0)
        return _strdup("");
    UINT page = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, bytes, count, NULL, 0) > 0 ? CP_UTF8 : CP_OEMCP;
    int units = MultiByteToWideChar(page, 0, bytes, count, NULL, 0);
    wchar_t *wide = units > 0 ? calloc((size_t)units + 1, sizeof *wide) : NULL;
    if (wide != NULL && MultiByteToWideChar(page, 0, bytes, count, wide, units) > 0)
        utf8 = win_utf8(wide);
    free(wide);
    return utf8;
}
