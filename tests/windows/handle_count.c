/* handle_count PROGRAM.EXE: how many handles each process of that name has open, one number a line. For the tests. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include <windows.h>

#include <shellapi.h>
#include <winternl.h>

int main(void)
{
    int argc = 0;
    wchar_t **argv = CommandLineToArgvW(GetCommandLineW(), &argc);
    ULONG size = 1U << 20;
    ULONG needed = 0;
    if (argc != 2) {
        (void)fputs("handle_count: name one program\n", stderr);
        return 2;
    }
    char *all = malloc(size);
    if (all == NULL || NtQuerySystemInformation(SystemProcessInformation, all, size, &needed) < 0) {
        (void)fputs("handle_count: the system does not tell\n", stderr);
        free(all);
        return 1;
    }
    for (ULONG next = 0, offset = 0;; offset += next) {
        SYSTEM_PROCESS_INFORMATION process;
        memcpy(&process, all + offset, sizeof process);
        size_t len = process.ImageName.Length / sizeof(wchar_t);
        if (len == wcslen(argv[1]) && _wcsnicmp(process.ImageName.Buffer, argv[1], len) == 0) {
            (void)printf("%lu\n", (unsigned long)process.HandleCount);
        }
        next = process.NextEntryOffset;
        if (next == 0) {
            break;
        }
    }
    free(all);
    return 0;
}
