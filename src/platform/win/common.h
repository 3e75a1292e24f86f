/* What the files of this folder share: text as Windows has it, and its error codes. Room-internal. */
#ifndef HOLDFAST_PLATFORM_WIN_COMMON_H
#define HOLDFAST_PLATFORM_WIN_COMMON_H

#include <stdbool.h>
#include <windows.h>
#include <winsock2.h>

#include "base/err.h"

/* UTF-8 to UTF-16 and back, as heap strings; NULL when out of memory or not well-formed. */
wchar_t *win_wide(const char *text);
char *win_utf8(const wchar_t *text);
/* An environment variable as a heap string in UTF-8; NULL when unset or empty. */
char *win_environment(const wchar_t *name);
/* The folder of what belongs to the whole machine (C:\ProgramData), as a heap string. Asked of the system, since the
 * variable of that name is whatever the parent process says. */
char *win_program_data(void);
/* The path of the program that runs, as a heap string. */
wchar_t *win_own_path(void);

/* The path of a program of the system's own, as a heap string: in System32, by its name Sysnative where a 32-bit
 * process would be shown another folder. NULL when out of memory. */
char *win_system_program(const char *name);

/* The one translation of Windows' error codes (GetLastError): to ours, and to the system's sentence (static storage).
 */
enum err win_err(DWORD code);
const char *win_err_text(DWORD code);

#endif
