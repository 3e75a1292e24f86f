/* One who talks to a pipe as he likes, for test_control_pipe.py.
 * pipe_client PIPE talk     what comes at standard input goes to the pipe, what the pipe says to standard output, until
 *                           the pipe's other end goes; then "the end" on a line.
 * pipe_client PIPE deaf     asks and asks, and reads nothing: "jammed" when no more is taken; when standard input ends,
 *                           reads what is there, "the end BYTES".
 * pipe_client PIPE crowd N  N connections that each ask once, are answered "ok", "busy" or "gone", and stay until
 *                           standard input ends: "ok N busy N gone N".
 * pipe_client PIPE flee N   N connections that end at once, every other one after half a request: "fled N". */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <windows.h>

#define REQUEST "{\"v\":1,\"command\":\"status\"}\n"

enum { JAMMED_MS = 2000, OPEN_MS = 60000, ANSWER_MS = 30000, CHUNK_BYTES = 65536, CROWD_MAX = 2000 };

static const char *pipe_name;

static HANDLE open_pipe(void)
{
    ULONGLONG began = GetTickCount64();
    for (;;) {
        HANDLE pipe =
            CreateFileA(pipe_name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, FILE_FLAG_OVERLAPPED, NULL);
        if (pipe != INVALID_HANDLE_VALUE)
            return pipe;
        if (GetLastError() != ERROR_PIPE_BUSY || GetTickCount64() - began > OPEN_MS) {
            (void)fprintf(stderr, "pipe_client: %s: error %lu\n", pipe_name, GetLastError());
            exit(1);
        }
        (void)WaitNamedPipeA(pipe_name, JAMMED_MS);
    }
}

/* Moves up to `len` bytes; 0 when the pipe ended, or after `timeout_ms`, which `timed_out` (may be NULL) tells apart.
 */
static DWORD move(HANDLE pipe, bool out, char *data, DWORD len, DWORD timeout_ms, bool *timed_out)
{
    OVERLAPPED overlapped = {.hEvent = CreateEventA(NULL, TRUE, FALSE, NULL)};
    DWORD moved = 0;
    bool late = false;
    BOOL done = out ? WriteFile(pipe, data, len, NULL, &overlapped) : ReadFile(pipe, data, len, NULL, &overlapped);
    if (done || GetLastError() == ERROR_IO_PENDING) {
        late = WaitForSingleObject(overlapped.hEvent, timeout_ms) != WAIT_OBJECT_0;
        if (late)
            (void)CancelIoEx(pipe, &overlapped);
        if (!GetOverlappedResult(pipe, &overlapped, &moved, TRUE))
            moved = 0;
    }
    (void)CloseHandle(overlapped.hEvent);
    if (timed_out != NULL)
        *timed_out = late;
    return moved;
}

static bool send_all(HANDLE pipe, char *data, DWORD len)
{
    while (len > 0) {
        DWORD moved = move(pipe, true, data, len, INFINITE, NULL);
        if (moved == 0)
            return false;
        data += moved;
        len -= moved;
    }
    return true;
}

/* Standard input; a console's or a pipe's, so that it gives what is there. */
static DWORD from_input(char *data, DWORD cap_bytes)
{
    DWORD len = 0;
    return ReadFile(GetStdHandle(STD_INPUT_HANDLE), data, cap_bytes, &len, NULL) ? len : 0;
}

static void to_output(const char *data, size_t len)
{
    (void)fwrite(data, 1, len, stdout);
    (void)fflush(stdout);
}

static DWORD WINAPI pass_input(void *arg)
{
    static char data[CHUNK_BYTES];
    DWORD len = 0;
    while ((len = from_input(data, sizeof data)) > 0 && send_all(arg, data, len)) {}
    if (len == 0) /* it was told to leave */
        ExitProcess(0);
    return 0;
}

static void talk(void)
{
    static char data[CHUNK_BYTES];
    HANDLE pipe = open_pipe();
    DWORD len = 0;
    (void)CloseHandle(CreateThread(NULL, 0, pass_input, pipe, 0, NULL));
    while ((len = move(pipe, false, data, sizeof data, INFINITE, NULL)) > 0)
        to_output(data, len);
    to_output("the end\n", 8);
}

static void wait_for_input_end(void)
{
    char data[256];
    while (from_input(data, sizeof data) > 0) {}
}

static void be_deaf(void)
{
    static char data[CHUNK_BYTES];
    HANDLE pipe = open_pipe();
    bool jammed = false;
    unsigned long total = 0;
    DWORD len = 0;
    char request[] = REQUEST;
    while (move(pipe, true, request, sizeof request - 1, JAMMED_MS, &jammed) > 0) {}
    to_output(jammed ? "jammed\n" : "not taken\n", jammed ? 7 : 10);
    wait_for_input_end();
    while ((len = move(pipe, false, data, sizeof data, ANSWER_MS, NULL)) > 0)
        total += len;
    (void)printf("the end %lu\n", total);
}

/* The first line that comes: 'o' for one that says ok, 'b' for a refusal, 'g' for the end of the connection. */
static char ask(HANDLE pipe)
{
    static char reply[CHUNK_BYTES];
    char request[] = REQUEST;
    DWORD len = 0;
    (void)send_all(pipe, request, sizeof request - 1); /* one that is refused may be gone before */
    while (len < sizeof reply - 1 && memchr(reply, '\n', len) == NULL) {
        DWORD moved = move(pipe, false, reply + len, (DWORD)sizeof reply - 1 - len, ANSWER_MS, NULL);
        if (moved == 0)
            return 'g';
        len += moved;
    }
    reply[len] = 0;
    return strstr(reply, "\"ok\":true") != NULL ? 'o' : 'b';
}

static void crowd(unsigned count)
{
    static HANDLE pipes[CROWD_MAX];
    unsigned ok = 0;
    unsigned busy = 0;
    for (unsigned i = 0; i < count; i++) {
        pipes[i] = open_pipe();
        char said = ask(pipes[i]);
        ok += said == 'o';
        busy += said == 'b';
    }
    (void)printf("ok %u busy %u gone %u\n", ok, busy, count - ok - busy);
    (void)fflush(stdout);
    wait_for_input_end();
}

static void flee(unsigned count)
{
    char half[] = "{\"v\":1,";
    for (unsigned i = 0; i < count; i++) {
        HANDLE pipe = open_pipe();
        if (i % 2 != 0)
            (void)send_all(pipe, half, sizeof half - 1);
        (void)CloseHandle(pipe);
    }
    (void)printf("fled %u\n", count);
}

int main(int argc, char **argv)
{
    const char *what = argc >= 3 ? argv[2] : "";
    unsigned count = argc == 4 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    pipe_name = argc >= 3 ? argv[1] : "";
    if (strcmp(what, "talk") == 0) {
        talk();
    } else if (strcmp(what, "deaf") == 0) {
        be_deaf();
    } else if (strcmp(what, "crowd") == 0 && count > 0 && count <= CROWD_MAX) {
        crowd(count);
    } else if (strcmp(what, "flee") == 0 && count > 0) {
        flee(count);
    } else {
        (void)fputs("pipe_client: PIPE talk, deaf, crowd N or flee N\n", stderr);
        return 2;
    }
    return 0;
}
