// fake_agent: stands for an ssh-agent of Windows in tests, at a named pipe or as Pageant's window. It is a fake: it
// makes one Ed25519 key of its own, which is real, prints its public line, and speaks only the two questions that a
// client asks (list, sign). It keeps no key, asks nobody, and runs until it is killed.
//
//   fake_agent pipe NAME          at the pipe NAME, as Win32-OpenSSH's agent
//   fake_agent pageant-pipe       at the pipe whose name newer Pageants use
//   fake_agent pageant            as a window called Pageant that takes WM_COPYDATA
//   fake_agent silent NAME        takes the question, never answers
//   fake_agent closes NAME        takes the question, ends the connection
//   fake_agent huge NAME          answers with a length of 4 GiB
//   fake_agent foreign NAME       at a pipe that says it belongs to Guests
//   fake_agent silent-window      Pageant's window, which hangs
#include <aclapi.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "platform/win/agent_pageant.h"

#define CAP_BYTES 65536
#define HALF_BYTES 32

static EVP_PKEY *key;
static unsigned char blob[4 + 11 + 4 + HALF_BYTES];
static const char *mode;

static size_t put_u32(unsigned char *out, size_t value)
{
    out[0] = (unsigned char)(value >> 24);
    out[1] = (unsigned char)(value >> 16);
    out[2] = (unsigned char)(value >> 8);
    out[3] = (unsigned char)value;
    return 4;
}

static size_t get_u32(const unsigned char *in)
{
    return (size_t)in[0] << 24 | (size_t)in[1] << 16 | (size_t)in[2] << 8 | in[3];
}

static size_t put_string(unsigned char *out, const void *data, size_t len)
{
    (void)put_u32(out, len);
    memcpy(out + 4, data, len);
    return 4 + len;
}

static int make_key(void)
{
    unsigned char half[HALF_BYTES];
    unsigned char line[128];
    size_t len = sizeof half;
    key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (key == NULL || EVP_PKEY_get_raw_public_key(key, half, &len) != 1)
        return 0;
    size_t at = put_string(blob, "ssh-ed25519", 11);
    (void)put_string(blob + at, half, HALF_BYTES);
    (void)EVP_EncodeBlock(line, blob, sizeof blob);
    printf("ssh-ed25519 %s fake-agent\n", (char *)line);
    return fflush(stdout) == 0;
}

static size_t answer_sign(const unsigned char *question, size_t len, unsigned char *answer)
{
    unsigned char signature[64];
    size_t signature_len = sizeof signature;
    size_t key_len = len >= 5 ? get_u32(question + 1) : 0;
    if (key_len != sizeof blob || len < 5 + key_len + 4 || memcmp(question + 5, blob, key_len) != 0)
        return 0;
    const unsigned char *data = question + 5 + key_len + 4;
    size_t data_len = get_u32(question + 5 + key_len);
    if (data_len > len - (5 + key_len + 4))
        return 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int good = context != NULL && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
               EVP_DigestSign(context, signature, &signature_len, data, data_len) == 1;
    EVP_MD_CTX_free(context);
    if (!good)
        return 0;
    answer[0] = 14;
    size_t at = 1 + put_u32(answer + 1, 4 + 11 + 4 + signature_len);
    at += put_string(answer + at, "ssh-ed25519", 11);
    return at + put_string(answer + at, signature, signature_len);
}

/* The answer to a question; both without their four length bytes. */
static size_t answer_to(const unsigned char *question, size_t len, unsigned char *answer)
{
    size_t at = 0;
    if (len == 1 && question[0] == 11) {
        answer[0] = 12;
        at = 1 + put_u32(answer + 1, 1);
        at += put_string(answer + at, blob, sizeof blob);
        at += put_string(answer + at, "a fake agent's key", 18);
    } else if (len > 1 && question[0] == 13) {
        at = answer_sign(question, len, answer);
    }
    if (at == 0) {
        answer[0] = 5;
        at = 1;
    }
    return at;
}

static int read_all(HANDLE pipe, unsigned char *data, size_t len)
{
    while (len > 0) {
        DWORD got = 0;
        if (!ReadFile(pipe, data, (DWORD)len, &got, NULL) || got == 0)
            return 0;
        data += got;
        len -= got;
    }
    return 1;
}

static void serve_one(HANDLE pipe)
{
    static unsigned char question[CAP_BYTES];
    static unsigned char answer[CAP_BYTES];
    unsigned char head[4];
    DWORD written = 0;
    while (read_all(pipe, head, sizeof head)) {
        size_t len = get_u32(head);
        if (len > sizeof question || !read_all(pipe, question, len))
            return;
        if (strcmp(mode, "closes") == 0)
            return;
        if (strcmp(mode, "huge") == 0) {
            (void)WriteFile(pipe, "\xff\xff\xff\xff", 4, &written, NULL);
            continue;
        }
        if (strcmp(mode, "silent") == 0)
            continue;
        size_t answer_len = answer_to(question, len, answer + 4);
        (void)put_u32(answer, answer_len);
        for (size_t at = 0; at < answer_len + 4; at += written) { /* in pieces, as a stream may come */
            DWORD part = (DWORD)(answer_len + 4 - at < 50 ? answer_len + 4 - at : 50);
            if (!WriteFile(pipe, answer + at, part, &written, NULL))
                return;
        }
    }
}

/* A descriptor as nobody but an administrator could make it on Windows: its owner is somebody else. Wine lets it pass.
 */
static void belong_to_guests(SECURITY_DESCRIPTOR *descriptor)
{
    static union {
        SID sid;
        BYTE bytes[SECURITY_MAX_SID_SIZE];
    } guests;
    DWORD size = sizeof guests;
    (void)CreateWellKnownSid(WinBuiltinGuestsSid, NULL, &guests.sid, &size);
    (void)InitializeSecurityDescriptor(descriptor, SECURITY_DESCRIPTOR_REVISION);
    (void)SetSecurityDescriptorDacl(descriptor, TRUE, NULL, FALSE);
    (void)SetSecurityDescriptorOwner(descriptor, &guests.sid, FALSE);
}

static int serve_pipe(const char *name)
{
    SECURITY_DESCRIPTOR descriptor;
    SECURITY_ATTRIBUTES attributes = {sizeof attributes, NULL, FALSE};
    int announced = 0;
    if (strcmp(mode, "foreign") == 0) {
        belong_to_guests(&descriptor);
        attributes.lpSecurityDescriptor = &descriptor;
    }
    for (;;) {
        HANDLE pipe = CreateNamedPipeA(name, PIPE_ACCESS_DUPLEX, PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT,
                                       PIPE_UNLIMITED_INSTANCES, 4096, 4096, 0, &attributes);
        if (pipe == INVALID_HANDLE_VALUE) {
            fprintf(stderr, "no pipe %s: %lu\n", name, GetLastError());
            return 1;
        }
        if (!announced && !make_key())
            return 1;
        announced = 1;
        if (ConnectNamedPipe(pipe, NULL) || GetLastError() == ERROR_PIPE_CONNECTED)
            serve_one(pipe);
        (void)FlushFileBuffers(pipe);
        (void)DisconnectNamedPipe(pipe);
        (void)CloseHandle(pipe);
    }
}

/* The question is in shared memory, and the answer goes into its place. */
static LRESULT take_question(const COPYDATASTRUCT *message)
{
    static unsigned char question[CAP_BYTES];
    const char *name = message->lpData;
    if (message->dwData != 0x804e50baU || message->cbData == 0 || name[message->cbData - 1] != 0)
        return 0;
    HANDLE mapping = OpenFileMappingA(FILE_MAP_ALL_ACCESS, FALSE, name);
    unsigned char *view = mapping != NULL ? MapViewOfFile(mapping, FILE_MAP_WRITE, 0, 0, 0) : NULL;
    LRESULT taken = 0;
    if (view != NULL) {
        size_t len = get_u32(view);
        if (len <= sizeof question) {
            memcpy(question, view + 4, len);
            (void)put_u32(view, answer_to(question, len, view + 4));
            taken = 1;
        }
        (void)UnmapViewOfFile(view);
    }
    if (mapping != NULL)
        (void)CloseHandle(mapping);
    return taken;
}

static LRESULT CALLBACK on_message(HWND window, UINT message, WPARAM wide, LPARAM lparam)
{
    if (message == WM_COPYDATA) {
        if (strcmp(mode, "silent-window") == 0)
            Sleep(INFINITE);
        return take_question((const COPYDATASTRUCT *)lparam);
    }
    return DefWindowProcW(window, message, wide, lparam);
}

static int serve_window(void)
{
    WNDCLASSW class_ = {.lpfnWndProc = on_message, .hInstance = GetModuleHandleW(NULL), .lpszClassName = L"Pageant"};
    MSG message;
    (void)RegisterClassW(&class_);
    if (CreateWindowExW(0, L"Pageant", L"Pageant", WS_OVERLAPPED, 0, 0, 10, 10, NULL, NULL, class_.hInstance, NULL) ==
        NULL) {
        fprintf(stderr, "no window: %lu\n", GetLastError());
        return 1;
    }
    if (!make_key())
        return 1;
    while (GetMessageW(&message, NULL, 0, 0) > 0)
        (void)DispatchMessageW(&message);
    return 0;
}

int main(int argc, char **argv)
{
    mode = argc > 1 ? argv[1] : "";
    if (strcmp(mode, "pageant") == 0 || strcmp(mode, "silent-window") == 0)
        return serve_window();
    if (strcmp(mode, "pageant-pipe") == 0) {
        char *name = win_pageant_pipe_name();
        return name != NULL ? serve_pipe(name) : 1;
    }
    if (argc != 3) {
        fprintf(stderr, "usage: fake_agent pipe|silent|closes|huge|foreign NAME | pageant-pipe | pageant\n");
        return 2;
    }
    return serve_pipe(argv[2]);
}
