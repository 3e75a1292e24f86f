/* What the files of this folder share: text as Windows has it, and its error codes. Room-internal. */
#ifndef HOLDFAST_PLATFORM_WIN_COMMON_H
#define HOLDFAST_PLATFORM_WIN_COMMON_H

#include <windows.h>
#include <winsock2.h>

#include "base/err.h"

/* UTF-8 to UTF-16 and back, as heap strings; NULL when out of memory or not well-formed. */
wchar_t *win_wide(const char *text);
char *win_utf8(const wchar_t *text);
/* An environment variable as a heap string in UTF-8; NULL when unset or empty. */
char *win_environment(const wchar_t *name);

/* The one translation of Windows' error codes (GetLastError): to ours, and to the system's sentence (static storage).
 */
enum err win_err(DWORD code);
const char *win_err_text(DWORD code);

#endif
