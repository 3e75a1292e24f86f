/* A lock is a file that nobody else may open for writing while we have it, and that goes when we do. */
#include <stdlib.h>

#include "platform/lock_text.h"
#include "platform/platform.h"
#include "platform/win/common.h"

#define TRIES 10
#define TRY_AGAIN_MS 20

struct platform_lock {
    HANDLE file;
};

/* What the file at `path` says, as a string; its length, or -1: it cannot be read. A link is not followed. */
static int read_lock(const wchar_t *path, char text[LOCK_TEXT_CAP_BYTES], BY_HANDLE_FILE_INFORMATION *about)
{
    DWORD len = 0;
    text[0] = 0;
    HANDLE file = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                              OPEN_EXISTING, FILE_FLAG_OPEN_REPARSE_POINT | FILE_FLAG_BACKUP_SEMANTICS, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return -1;
    BOOL is_read = GetFileInformationByHandle(file, about) && ReadFile(file, text, LOCK_TEXT_CAP_BYTES - 1, &len, NULL);
    (void)CloseHandle(file);
    text[is_read ? len : 0] = 0;
    return is_read ? (int)len : -1;
}

/* The process that wrote the lock file, 0 when that cannot be read. */
static unsigned long lock_holder(const wchar_t *path)
{
    char text[LOCK_TEXT_CAP_BYTES];
    BY_HANDLE_FILE_INFORMATION about;
    return read_lock(path, text, &about) > 0 ? lock_text_holder(text) : 0;
}

/* True for a file that holdfast did not make. What cannot be read is for open_alone. */
static bool is_of_others(const wchar_t *path)
{
    char text[LOCK_TEXT_CAP_BYTES];
    BY_HANDLE_FILE_INFORMATION about;
    DWORD attributes = GetFileAttributesW(path);
    if (attributes == INVALID_FILE_ATTRIBUTES)
        return false;
    if ((attributes & (FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_REPARSE_POINT)) != 0)
        return true;
    int len = read_lock(path, text, &about);
    if (len < 0)
        return false;
    if (about.nFileSizeHigh != 0 || about.nFileSizeLow >= LOCK_TEXT_CAP_BYTES)
        return true;
    return lock_text_look(text, (size_t)len) == LOCK_TEXT_OTHERS;
}

/* Opens the lock file for us alone. A file on its way out denies access for a moment. */
static DWORD open_alone(const wchar_t *path, HANDLE *out)
{
    DWORD failed = ERROR_SUCCESS;
    for (int i = 0; i < TRIES; i++) {
        *out = CreateFileW(path, GENERIC_READ | GENERIC_WRITE | DELETE, FILE_SHARE_READ, NULL, OPEN_ALWAYS,
                           FILE_ATTRIBUTE_NORMAL | FILE_FLAG_DELETE_ON_CLOSE | FILE_FLAG_OPEN_REPARSE_POINT, NULL);
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
    char text[LOCK_TEXT_CAP_BYTES];
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
    if (is_of_others(wide)) {
        result = err_set(info, ERR_IO, "%s is there and is no lock of holdfast's; move it away, or remove it", path);
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
    size_t len = lock_text_make(GetCurrentProcessId(), text);
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
