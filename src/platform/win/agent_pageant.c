#include "platform/win/agent_pageant.h"

#include <bcrypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wincrypt.h>

#include "platform/platform.h"
#include "platform/win/private_file.h"

#define CLASS_AND_TITLE L"Pageant"
#define COPYDATA_MARK 0x804e50baU    /* what WM_COPYDATA to Pageant says first */
#define MAPPING_BYTES (256U * 1024U) /* older ones use 8 KiB of it */
#define USER_NAME_CAP 257

/* --- the name of the pipe --- */

static bool sha256(const BYTE *data, ULONG len, BYTE out[32])
{
    BCRYPT_ALG_HANDLE algorithm = NULL;
    BCRYPT_HASH_HANDLE hash = NULL;
    bool good = BCryptOpenAlgorithmProvider(&algorithm, BCRYPT_SHA256_ALGORITHM, NULL, 0) >= 0 &&
                BCryptCreateHash(algorithm, &hash, NULL, 0, NULL, 0, 0) >= 0 &&
                BCryptHashData(hash, (PUCHAR)(uintptr_t)data, len, 0) >= 0 && BCryptFinishHash(hash, out, 32, 0) >= 0;
    if (hash != NULL) {
        (void)BCryptDestroyHash(hash);
    }
    if (algorithm != NULL) {
        (void)BCryptCloseAlgorithmProvider(algorithm, 0);
    }
    return good;
}

/* \\.\pipe\pageant.USER.HASH: SHA-256, in hex, of an SSH string that holds "Pageant" encrypted with the user's key. */
char *win_pageant_pipe_name(void)
{
    BYTE text[4 + CRYPTPROTECTMEMORY_BLOCK_SIZE] = {0,   0,   0,  CRYPTPROTECTMEMORY_BLOCK_SIZE, 'P', 'a', 'g', 'e',
                                                    'a', 'n', 't'};
    BYTE digest[32];
    char hex[65];
    wchar_t user[USER_NAME_CAP];
    DWORD user_len = USER_NAME_CAP;
    char *name = NULL;
    if (!CryptProtectMemory(text + 4, CRYPTPROTECTMEMORY_BLOCK_SIZE, CRYPTPROTECTMEMORY_CROSS_PROCESS) ||
        !sha256(text, sizeof text, digest) || !GetUserNameW(user, &user_len)) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof digest; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
    char *user_text = win_utf8(user);
    if (user_text != NULL) {
        size_t cap_bytes = strlen(user_text) + sizeof hex + 32;
        name = malloc(cap_bytes);
        if (name != NULL) {
            (void)snprintf(name, cap_bytes, "\\\\.\\pipe\\pageant.%s.%s", user_text, hex);
        }
    }
    free(user_text);
    return name;
}

/* --- the window --- */

enum err win_pageant_window(HWND *out, struct err_info *info)
{
    union win_sid us;
    union win_sid theirs;
    DWORD process = 0;
    *out = FindWindowW(CLASS_AND_TITLE, CLASS_AND_TITLE);
    if (*out == NULL) {
        return OK;
    }
    (void)GetWindowThreadProcessId(*out, &process);
    if (win_sid_of_us(&us) && win_sid_of_process(process, &theirs) && EqualSid(&us.sid, &theirs.sid)) {
        return OK;
    }
    *out = NULL;
    return err_set(info, ERR_REFUSED,
                   "the Pageant here is not a program of this user, or runs as administrator, so it is not asked");
}

/* Tells Pageant where the question is, and waits until its answer is in the same place. */
static enum err ask_window(HWND window, const char *mapping_name, uint64_t timeout_ms, struct err_info *info)
{
    COPYDATASTRUCT message = {
        .dwData = COPYDATA_MARK, .cbData = (DWORD)strlen(mapping_name) + 1, .lpData = (void *)(uintptr_t)mapping_name};
    DWORD_PTR taken = 0;
    SetLastError(ERROR_SUCCESS);
    LRESULT sent = SendMessageTimeoutW(window, WM_COPYDATA, 0, (LPARAM)&message, SMTO_NORMAL | SMTO_ERRORONEXIT,
                                       timeout_ms < INT32_MAX ? (UINT)timeout_ms : (UINT)INT32_MAX, &taken);
    if (sent != 0) {
        return taken != 0 ? OK : err_set(info, ERR_PROTOCOL, "Pageant did not take the question");
    }
    switch (GetLastError()) {
    case ERROR_SUCCESS:
    case ERROR_TIMEOUT: return err_set(info, ERR_TIMEOUT, "Pageant does not answer");
    case ERROR_ACCESS_DENIED: return err_set(info, ERR_REFUSED, "Pageant runs as administrator, and holdfast does not");
    default: return err_set(info, ERR_CLOSED, "Pageant went away");
    }
}

/* The answer, which Pageant may change under our eyes. */
static enum err take_answer(const volatile uint8_t *view, size_t cap_bytes, uint8_t **out, size_t *out_len,
                            struct err_info *info)
{
    size_t len = (size_t)view[0] << 24 | (size_t)view[1] << 16 | (size_t)view[2] << 8 | view[3];
    if (len == 0 || len > cap_bytes || len > MAPPING_BYTES - 4) {
        return err_set(info, ERR_PROTOCOL, "the agent's answer of %lu bytes is out of bounds", (unsigned long)len);
    }
    uint8_t *answer = malloc(len);
    if (answer == NULL) {
        return err_set(info, ERR_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < len; i++) {
        answer[i] = view[4 + i];
    }
    *out = answer;
    *out_len = len;
    return OK;
}

enum err win_pageant_exchange(HWND window, const uint8_t *request, size_t request_len, size_t cap_bytes,
                              uint64_t timeout_ms, uint8_t **out_answer, size_t *out_answer_len, struct err_info *info)
{
    struct win_private access;
    union win_sid us;
    char name[64];
    enum err result = OK;
    if (request_len > MAPPING_BYTES - 4) {
        return err_set(info, ERR_PROTOCOL, "a question of %lu bytes is too long for Pageant",
                       (unsigned long)request_len);
    }
    if (!win_sid_of_us(&us) || !win_private_init(&access, &us.sid, NULL, 0)) {
        return err_set(info, ERR_IO, "no memory to share with Pageant: %s", win_err_text(GetLastError()));
    }
    (void)snprintf(name, sizeof name, "holdfast-agent-%08lx-%08lx", GetCurrentProcessId(), GetCurrentThreadId());
    /* Pageant looks whose it is; the name must be new, or it is somebody else's. */
    SetLastError(ERROR_SUCCESS);
    HANDLE mapping =
        CreateFileMappingA(INVALID_HANDLE_VALUE, &access.attributes, PAGE_READWRITE, 0, MAPPING_BYTES, name);
    bool ours = mapping != NULL && GetLastError() != ERROR_ALREADY_EXISTS;
    uint8_t *view = ours ? MapViewOfFile(mapping, FILE_MAP_WRITE, 0, 0, 0) : NULL;
    if (view == NULL) {
        result = err_set(info, ERR_IO, "no memory to share with Pageant: %s", win_err_text(GetLastError()));
    } else {
        for (unsigned i = 0; i < 4; i++) {
            view[i] = (uint8_t)(request_len >> (24 - 8 * i));
        }
        memcpy(view + 4, request, request_len);
        result = ask_window(window, name, timeout_ms, info);
        if (result == OK) {
            result = take_answer(view, cap_bytes, out_answer, out_answer_len, info);
        }
        platform_wipe(view, MAPPING_BYTES);
        (void)UnmapViewOfFile(view);
    }
    if (mapping != NULL) {
        (void)CloseHandle(mapping);
    }
    return result;
}
