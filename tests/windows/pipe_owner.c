/* pipe_owner PIPE ACCOUNT: "yes" when the pipe is served by a service of holdfast that is to run as ACCOUNT, else "no".
 * It is to be called holdfast.exe, as the service's program is. For test_service.py. */
#include <stdio.h>

#include "platform/win/pipe_service.h"

int main(int argc, char **argv)
{
    union win_sid sid;
    struct err_info why;
    HANDLE pipe =
        argc == 3 ? CreateFileA(argv[1], GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL) : INVALID_HANDLE_VALUE;
    if (pipe == INVALID_HANDLE_VALUE || win_sid_of_account(argv[2], &sid, &why) != OK) {
        (void)fprintf(stderr, "pipe_owner: error %lu\n", GetLastError());
        return 1;
    }
    (void)puts(win_pipe_service_serves(pipe, &sid.sid) ? "yes" : "no");
    return 0;
}
