#include "service/win/event_log.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

#include "base/log.h"
#include "platform/win/common.h"
#include "service_messages.h" /* made of messages.mc */

#define SOURCES_KEY L"SYSTEM\\CurrentControlSet\\Services\\EventLog\\Application\\"
/* ReportEventW takes strings of up to 31,839 characters; ours have 4 KiB and a name. */
#define EVENT_CAP_BYTES 6000

static HANDLE source;

static void report(void *arg, enum log_level level, const char *tunnel, const char *message)
{
    char text[EVENT_CAP_BYTES];
    (void)arg;
    (void)snprintf(text, sizeof text, "%s: %s", tunnel != NULL ? tunnel : "holdfast", message);
    wchar_t *wide = win_wide(text);
    if (wide != NULL) {
        const wchar_t *strings[] = {wide};
        bool is_error = level == LOG_LEVEL_ERROR;
        bool is_warning = level == LOG_LEVEL_WARNING;
        WORD type = is_error ? EVENTLOG_ERROR_TYPE : is_warning ? EVENTLOG_WARNING_TYPE : EVENTLOG_INFORMATION_TYPE;
        DWORD id = is_error ? EVENT_ERROR : is_warning ? EVENT_WARNING : EVENT_INFO;
        (void)ReportEventW(source, type, 0, id, NULL, 1, 0, strings, NULL);
    }
    free(wide);
}

void event_log_open(const wchar_t *service)
{
    source = RegisterEventSourceW(NULL, service);
    if (source != NULL) {
        log_set_sink(report, NULL, LOG_LEVEL_WARNING);
    }
}

void event_log_close(void)
{
    log_set_sink(NULL, NULL, LOG_LEVEL_ERROR);
    if (source != NULL) {
        (void)DeregisterEventSource(source);
    }
    source = NULL;
}

static DWORD open_source(const wchar_t *service, REGSAM access, bool create, HKEY *out)
{
    wchar_t path[256];
    (void)_snwprintf(path, sizeof path / sizeof path[0] - 1, SOURCES_KEY L"%ls", service);
    path[sizeof path / sizeof path[0] - 1] = 0;
    LSTATUS status = create ? RegCreateKeyExW(HKEY_LOCAL_MACHINE, path, 0, NULL, 0, access, NULL, out, NULL)
                            : RegOpenKeyExW(HKEY_LOCAL_MACHINE, path, 0, access, out);
    return (DWORD)status;
}

DWORD event_source_add(const wchar_t *service, const wchar_t *program)
{
    HKEY key = NULL;
    DWORD types = EVENTLOG_ERROR_TYPE | EVENTLOG_WARNING_TYPE | EVENTLOG_INFORMATION_TYPE;
    DWORD status = open_source(service, KEY_SET_VALUE, true, &key);
    if (status != ERROR_SUCCESS) {
        return status;
    }
    status = (DWORD)RegSetValueExW(key, L"EventMessageFile", 0, REG_EXPAND_SZ, (const BYTE *)program,
                                   (DWORD)((wcslen(program) + 1) * sizeof *program));
    if (status == ERROR_SUCCESS) {
        status = (DWORD)RegSetValueExW(key, L"TypesSupported", 0, REG_DWORD, (const BYTE *)&types, sizeof types);
    }
    (void)RegCloseKey(key);
    return status;
}

DWORD event_source_remove(const wchar_t *service)
{
    HKEY sources = NULL;
    DWORD status = open_source(L"", KEY_ENUMERATE_SUB_KEYS | DELETE, false, &sources);
    if (status == ERROR_SUCCESS) {
        status = (DWORD)RegDeleteKeyW(sources, service);
        (void)RegCloseKey(sources);
    }
    return status == ERROR_FILE_NOT_FOUND ? ERROR_SUCCESS : status;
}
