#include "platform/win/pipe_service.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

enum { SERVICES_BYTES = 64 * 1024 };

static const wchar_t *base_name(const wchar_t *path)
{
    const wchar_t *base = path;
    for (; *path != 0; path++) {
        if (*path == L'\\' || *path == L'/')
            base = path + 1;
    }
    return base;
}

/* Does the command line begin with a program that has the name of ours? Cuts `line` after it. */
static bool is_our_program(wchar_t *line)
{
    wchar_t *program = line[0] == L'"' ? line + 1 : line;
    wchar_t *end = wcschr(program, line[0] == L'"' ? L'"' : L' ');
    wchar_t *ours = win_own_path();
    if (end != NULL)
        *end = 0;
    bool is = ours != NULL && _wcsicmp(base_name(program), base_name(ours)) == 0;
    free(ours);
    return is;
}

static bool is_account(const wchar_t *name, PSID account)
{
    union win_sid sid;
    struct err_info why;
    char *text = name != NULL ? win_utf8(name) : NULL;
    bool is = text != NULL && win_sid_of_account(text, &sid, &why) == OK && EqualSid(&sid.sid, account);
    free(text);
    return is;
}

static bool is_configured_so(SC_HANDLE manager, const wchar_t *name, PSID account)
{
    DWORD needed = 0;
    SC_HANDLE service = OpenServiceW(manager, name, SERVICE_QUERY_CONFIG);
    if (service == NULL)
        return false;
    (void)QueryServiceConfigW(service, NULL, 0, &needed);
    QUERY_SERVICE_CONFIGW *config = needed > 0 ? malloc(needed) : NULL;
    bool is = config != NULL && QueryServiceConfigW(service, config, needed, &needed) &&
              config->lpBinaryPathName != NULL && is_our_program(config->lpBinaryPathName) &&
              is_account(config->lpServiceStartName, account);
    free(config);
    (void)CloseServiceHandle(service);
    return is;
}

bool win_pipe_service_is(DWORD process_id, PSID account)
{
    DWORD resume = 0;
    bool found = false;
    bool more = process_id != 0;
    BYTE *buffer = malloc(SERVICES_BYTES);
    SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT | SC_MANAGER_ENUMERATE_SERVICE);
    while (buffer != NULL && manager != NULL && more && !found) {
        DWORD needed = 0;
        DWORD count = 0;
        BOOL whole = EnumServicesStatusExW(manager, SC_ENUM_PROCESS_INFO, SERVICE_WIN32, SERVICE_ACTIVE, buffer,
                                           SERVICES_BYTES, &needed, &count, &resume, NULL);
        const ENUM_SERVICE_STATUS_PROCESSW *services = (const void *)buffer;
        more = !whole && GetLastError() == ERROR_MORE_DATA && count > 0;
        for (DWORD i = 0; (whole || more) && i < count && !found; i++)
            found = services[i].ServiceStatusProcess.dwProcessId == process_id &&
                    is_configured_so(manager, services[i].lpServiceName, account);
    }
    if (manager != NULL)
        (void)CloseServiceHandle(manager);
    free(buffer);
    return found;
}

bool win_pipe_service_serves(HANDLE pipe, PSID owner)
{
    ULONG process_id = 0;
    return GetNamedPipeServerProcessId(pipe, &process_id) && win_pipe_service_is(process_id, owner);
}
