#include "platform/win/agent_pipe.h"

#include <aclapi.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "platform/win/access.h"

#define PREFIX "\\\\.\\pipe\\"

/* Where the pipe's own name begins in `path`; NULL when that names no pipe. ssh_config's quoting makes \. of \\. in
 * front. */
static const char *own_name(const char *path)
{
    const char *prefix = PREFIX;
    if ((path[0] == '\\' || path[0] == '/') && path[1] == '.') {
        prefix++;
    }
    for (; *prefix != 0; prefix++, path++) {
        int byte = *path == '/' ? '\\' : *path >= 'A' && *path <= 'Z' ? *path - 'A' + 'a' : *path;
        if (byte != *prefix) {
            return NULL;
        }
    }
    return *path != 0 ? path : NULL;
}

bool win_agent_pipe_is_name(const char *path)
{
    return own_name(path) != NULL;
}

wchar_t *win_agent_pipe_wide(const char *path)
{
    static const wchar_t prefix[] = L"" PREFIX;
    const char *name = own_name(path);
    wchar_t *wide = name != NULL ? win_wide(name) : NULL;
    size_t len = wide != NULL ? wcslen(wide) + 1 : 0;
    wchar_t *whole = wide != NULL ? malloc(sizeof prefix + len * sizeof *whole) : NULL;
    if (whole != NULL) {
        memcpy(whole, prefix, sizeof prefix);
        memcpy(whole + sizeof prefix / sizeof prefix[0] - 1, wide, len * sizeof *wide);
    }
    free(wide);
    return whole;
}

bool win_agent_pipe_exists(const char *path)
{
    wchar_t *wide = win_agent_pipe_wide(path);
    bool exists = wide != NULL && (WaitNamedPipeW(wide, 1) || GetLastError() == ERROR_SEM_TIMEOUT);
    free(wide);
    return exists;
}

static DWORD left_ms(uint64_t deadline_ns)
{
    uint64_t now = uv_hrtime();
    return now >= deadline_ns ? 0 : (DWORD)((deadline_ns - now) / 1000000U) + 1;
}

bool win_agent_pipe_server(HANDLE pipe, union win_sid *out)
{
    PSECURITY_DESCRIPTOR descriptor = NULL;
    PSID owner = NULL;
    ULONG process = 0;
    DWORD failed =
        GetSecurityInfo(pipe, SE_KERNEL_OBJECT, OWNER_SECURITY_INFORMATION, &owner, NULL, NULL, NULL, &descriptor);
    bool known = failed == ERROR_SUCCESS && owner != NULL && CopySid(sizeof *out, &out->sid, owner);
    if (descriptor != NULL) {
        (void)LocalFree(descriptor);
    }
    return known || (GetNamedPipeServerProcessId(pipe, &process) && win_sid_of_process(process, out));
}

/* A pipe's name is taken by who comes first; an owner cannot be feigned. */
static enum err check_owner(HANDLE pipe, const char *path, struct err_info *info)
{
    union win_sid us;
    union win_sid theirs;
    if (!win_sid_of_us(&us) || !win_agent_pipe_server(pipe, &theirs)) {
        return err_set(info, ERR_REFUSED, "whose agent is at %.200s is not known, so it is not asked", path);
    }
    if (EqualSid(&theirs.sid, &us.sid) || win_sid_is_keeper(&theirs.sid)) {
        return OK;
    }
    char *name = win_sid_name(&theirs.sid);
    enum err result = err_set(info, ERR_REFUSED, "the agent at %.200s belongs to %.100s, so it is not asked", path,
                              name != NULL ? name : "somebody else");
    free(name);
    return result;
}

/* Opens an instance that nobody else has; waits for one while all are taken. */
static DWORD open_instance(const wchar_t *name, uint64_t deadline_ns, HANDLE *out)
{
    for (;;) {
        DWORD wait_ms = left_ms(deadline_ns);
        *out = CreateFileW(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING,
                           FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION, NULL);
        if (*out != INVALID_HANDLE_VALUE) {
            return ERROR_SUCCESS;
        }
        DWORD failed = GetLastError();
        if (failed != ERROR_PIPE_BUSY) {
            return failed;
        }
        if (wait_ms == 0 || (!WaitNamedPipeW(name, wait_ms) && GetLastError() == ERROR_SEM_TIMEOUT)) {
            return ERROR_SEM_TIMEOUT;
        }
    }
}

enum err win_agent_pipe_open(struct win_agent_pipe *pipe, const char *path, uint64_t deadline_ns, struct err_info *info)
{
    pipe->pipe = INVALID_HANDLE_VALUE;
    pipe->event = CreateEventW(NULL, TRUE, FALSE, NULL);
    wchar_t *wide = win_agent_pipe_wide(path);
    if (pipe->event == NULL || wide == NULL) {
        free(wide);
        return err_set(info, ERR_MEMORY, "out of memory");
    }
    DWORD failed = open_instance(wide, deadline_ns, &pipe->pipe);
    free(wide);
    if (failed == ERROR_SEM_TIMEOUT) {
        return err_set(info, ERR_TIMEOUT, "the agent at %.200s is busy with others", path);
    }
    if (failed != ERROR_SUCCESS) {
        return err_set(info, ERR_CONNECT, "no agent at %.200s: %s", path, win_err_text(failed));
    }
    return check_owner(pipe->pipe, path, info);
}

/* Moves some bytes one way, and waits for them. */
static enum err move_some(struct win_agent_pipe *pipe, bool out, uint8_t *data, size_t len, uint64_t deadline_ns,
                          DWORD *out_moved, struct err_info *info)
{
    OVERLAPPED overlapped;
    DWORD part = len < 65536 ? (DWORD)len : 65536;
    memset(&overlapped, 0, sizeof overlapped);
    overlapped.hEvent = pipe->event;
    *out_moved = 0;
    (void)ResetEvent(pipe->event);
    BOOL done = out ? WriteFile(pipe->pipe, data, part, NULL, &overlapped)
                    : ReadFile(pipe->pipe, data, part, NULL, &overlapped);
    DWORD failed = done ? ERROR_SUCCESS : GetLastError();
    if (failed == ERROR_IO_PENDING && WaitForSingleObject(pipe->event, left_ms(deadline_ns)) != WAIT_OBJECT_0) {
        (void)CancelIoEx(pipe->pipe, &overlapped);
        (void)GetOverlappedResult(pipe->pipe, &overlapped, out_moved, TRUE); /* the memory is ours again */
        return err_set(info, ERR_TIMEOUT, "the agent does not answer");
    }
    if (failed == ERROR_SUCCESS || failed == ERROR_IO_PENDING || failed == ERROR_MORE_DATA) {
        bool whole = GetOverlappedResult(pipe->pipe, &overlapped, out_moved, TRUE) != 0;
        failed = whole || GetLastError() == ERROR_MORE_DATA ? ERROR_SUCCESS : GetLastError();
    }
    return failed == ERROR_SUCCESS ? OK : err_set(info, ERR_CLOSED, "the agent closed the connection");
}

static enum err move_all(struct win_agent_pipe *pipe, bool out, uint8_t *data, size_t len, uint64_t deadline_ns,
                         struct err_info *info)
{
    enum err result = OK;
    while (len > 0 && result == OK) {
        DWORD moved = 0;
        if (left_ms(deadline_ns) == 0) {
            return err_set(info, ERR_TIMEOUT, "the agent does not answer");
        }
        result = move_some(pipe, out, data, len, deadline_ns, &moved, info);
        data += moved;
        len -= moved;
    }
    return result;
}

enum err win_agent_pipe_write(struct win_agent_pipe *pipe, const uint8_t *data, size_t len, uint64_t deadline_ns,
                              struct err_info *info)
{
    return move_all(pipe, true, (uint8_t *)(uintptr_t)data, len, deadline_ns, info);
}

enum err win_agent_pipe_read(struct win_agent_pipe *pipe, uint8_t *data, size_t len, uint64_t deadline_ns,
                             struct err_info *info)
{
    return move_all(pipe, false, data, len, deadline_ns, info);
}

void win_agent_pipe_close(struct win_agent_pipe *pipe)
{
    if (pipe->pipe != NULL && pipe->pipe != INVALID_HANDLE_VALUE) {
        (void)CloseHandle(pipe->pipe);
    }
    if (pipe->event != NULL) {
        (void)CloseHandle(pipe->event);
    }
    pipe->pipe = INVALID_HANDLE_VALUE;
    pipe->event = NULL;
}
