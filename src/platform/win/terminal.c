/* Questions on the console, wherever standard input and output lead. */
#include <stdlib.h>
#include <string.h>

#include "platform/platform.h"
#include "platform/win/common.h"

#define ANSWER_CAP 1024

static SRWLOCK one_question = SRWLOCK_INIT;
static volatile LONG cancelled;

/* What the control handler needs while a question is asked; `console` is NULL otherwise. */
static HANDLE volatile asking_console;
static DWORD mode_before;

static HANDLE open_console(const wchar_t *name)
{
    return CreateFileW(name, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0,
                       NULL);
}

/* Puts echo back before Ctrl-C or the closing of the window ends us, and lets the next handler decide. */
static BOOL WINAPI on_control(DWORD event)
{
    HANDLE console = asking_console;
    (void)event;
    if (console != NULL)
        (void)SetConsoleMode(console, mode_before);
    return FALSE;
}

static void write_text(HANDLE console, const char *text)
{
    DWORD written = 0;
    wchar_t *wide = win_wide(text);
    if (wide != NULL)
        (void)WriteConsoleW(console, wide, (DWORD)wcslen(wide), &written, NULL);
    free(wide);
}

/* Reads one line without its end. False at end of input (Ctrl-Z), Ctrl-C or cancel. */
static bool read_line(HANDLE console, wchar_t line[ANSWER_CAP])
{
    DWORD len = 0;
    if (!ReadConsoleW(console, line, ANSWER_CAP - 1, &len, NULL) || len == 0 || cancelled || line[0] == 0x1a)
        return false;
    while (len > 0 && (line[len - 1] == L'\n' || line[len - 1] == L'\r'))
        len--;
    line[len] = 0;
    return true;
}

static enum err ask(HANDLE in, HANDLE out, const char *prompt, bool echo, char **out_answer)
{
    wchar_t line[ANSWER_CAP];
    enum err result = ERR_CANCELLED;
    DWORD mode = ENABLE_LINE_INPUT | ENABLE_PROCESSED_INPUT | (echo ? ENABLE_ECHO_INPUT : 0);
    if (!GetConsoleMode(in, &mode_before))
        return ERR_UNSUPPORTED;
    asking_console = in;
    (void)SetConsoleCtrlHandler(on_control, TRUE);
    (void)SetConsoleMode(in, mode);
    write_text(out, prompt);
    if (read_line(in, line)) {
        *out_answer = win_utf8(line);
        result = *out_answer != NULL ? OK : ERR_MEMORY;
    }
    if (!echo || result != OK)
        write_text(out, "\r\n");
    (void)SetConsoleMode(in, mode_before);
    (void)SetConsoleCtrlHandler(on_control, FALSE);
    asking_console = NULL;
    SecureZeroMemory(line, sizeof line);
    return result;
}

enum err platform_terminal_ask(const char *prompt, bool echo, char **out_answer, struct err_info *info)
{
    enum err result = ERR_UNSUPPORTED;
    *out_answer = NULL;
    HANDLE in = open_console(L"CONIN$");
    HANDLE out = open_console(L"CONOUT$");
    if (in != INVALID_HANDLE_VALUE && out != INVALID_HANDLE_VALUE) {
        AcquireSRWLockExclusive(&one_question);
        result = cancelled ? ERR_CANCELLED : ask(in, out, prompt, echo, out_answer);
        ReleaseSRWLockExclusive(&one_question);
    }
    if (in != INVALID_HANDLE_VALUE)
        (void)CloseHandle(in);
    if (out != INVALID_HANDLE_VALUE)
        (void)CloseHandle(out);
    switch (result) {
    case OK: break;
    case ERR_UNSUPPORTED: (void)err_set(info, result, "there is no terminal to ask at"); break;
    case ERR_MEMORY: (void)err_set(info, result, "out of memory"); break;
    default: (void)err_set(info, result, "no answer was given"); break;
    }
    return result;
}

bool platform_has_terminal(void)
{
    HANDLE console = open_console(L"CONIN$");
    DWORD mode = 0;
    if (console == INVALID_HANDLE_VALUE)
        return false;
    bool is_console = GetConsoleMode(console, &mode) != 0;
    (void)CloseHandle(console);
    return is_console;
}

/* ReadConsole has no way to be interrupted but input: an Enter that nobody typed. */
void platform_terminal_cancel(void)
{
    INPUT_RECORD enter;
    DWORD written = 0;
    (void)InterlockedExchange(&cancelled, 1);
    HANDLE console = asking_console;
    if (console == NULL)
        return;
    memset(&enter, 0, sizeof enter);
    enter.EventType = KEY_EVENT;
    enter.Event.KeyEvent.bKeyDown = TRUE;
    enter.Event.KeyEvent.wRepeatCount = 1;
    enter.Event.KeyEvent.wVirtualKeyCode = VK_RETURN;
    enter.Event.KeyEvent.uChar.UnicodeChar = L'\r';
    (void)WriteConsoleInputW(console, &enter, 1, &written);
}
