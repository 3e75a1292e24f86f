/* A lock is a file that nobody else may open for writing while we have it, and that goes when we do. */
#include <stdio.h>
#include <stdlib.h>

#include "platform/platform.h"
#include "platform/win/common.h"

#define TRIES 10
#define TRY_AGAIN_MS 20

struct platform_lock {
    HANDLE file;
};

/* The process that wrote the lock file, 0 when that cannot be read. */
static unsigned long lock_holder(const wchar_t *path)
{
    char text[32];
    DWORD len = 0;
    HANDLE file = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                              OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return 0;
    if (!ReadFile(file, text, sizeof text - 1, &len, NULL))
        len = 0;
    (void)CloseHandle(file);
    text[len] = 0;
    return strtoul(text, NULL, 10);
}

/* Opens the lock file for us alone. A file on its way out denies access for a moment. */
static DWORD open_alone(const wchar_t *path, HANDLE *out)
{
    DWORD failed = ERROR_SUCCESS;
    for (int i = 0; i < TRIES; i++) {
        *out = CreateFileW(path, GENERIC_READ | GENERIC_WRITE | DELETE, FILE_SHARE_READ, NULL, OPEN_ALWAYS,
                           FILE_ATTRIBUTE_NORMAL | FILE_FLAG_DELETE_ON_CLOSE, NULL);
        if (*out != INVALID_HANDLE_VALUE)
            return ERROR_SUCCESS;
        failed = GetLastError();
        if (failed != ERROR_ACCESS_DENIED)
            break;
        Sleep(TRY_AGAIN_MS);
    }
    return failed;
}

enum err platform_lock_take(const char *path, struct platform_lock **out, struct err_info *info)
{
    char text[32];
    DWORD written = 0;
    HANDLE file = INVALID_HANDLE_VALUE;
    enum err result = OK;
    *out = NULL;
    struct platform_lock *lock = malloc(sizeof *lock);
    wchar_t *wide = win_wide(path);
    if (lock == NULL || wide == NULL) {
        result = err_set(info, ERR_MEMORY, "out of memory");
        goto out;
    }
    DWORD failed = open_alone(wide, &file);
    if (failed == ERROR_SHARING_VIOLATION) {
        unsigned long holder = lock_holder(wide);
        result = holder != 0 ? err_set(info, ERR_BUSY, "already kept by process %lu", holder)
                             : err_set(info, ERR_BUSY, "already kept by another process");
        goto out;
    }
    if (failed != ERROR_SUCCESS) {
        result = err_set(info, ERR_IO, "cannot open the lock file %s: %s", path, win_err_text(failed));
        goto out;
    }
    int len = snprintf(text, sizeof text, "%lu\n", GetCurrentProcessId());
    if (!SetEndOfFile(file) || !WriteFile(file, text, (DWORD)len, &written, NULL)) {
        result = err_set(info, ERR_IO, "cannot write the lock file %s: %s", path, win_err_text(GetLastError()));
        (void)CloseHandle(file);
        goto out;
    }
    lock->file = file;
    *out = lock;
    lock = NULL;
out:
    free(wide);
    free(lock);
    return result;
}

void platform_lock_release(struct platform_lock *lock)
{
    if (lock == NULL)
        return;
    (void)CloseHandle(lock->file);
    free(lock);
}
