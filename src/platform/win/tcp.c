#include "platform/win/common.h"

#include <ws2tcpip.h>

#include "platform/platform.h"

#ifndef TCP_MAXRT
#define TCP_MAXRT 5 /* seconds of retransmission, since Windows Vista */
#endif

void platform_tcp_user_timeout(const uv_tcp_t *tcp, unsigned timeout_ms)
{
    uv_os_fd_t handle = INVALID_HANDLE_VALUE;
    DWORD seconds = timeout_ms / 1000 + (timeout_ms % 1000 != 0);
    if (uv_fileno((const uv_handle_t *)tcp, &handle) == 0)
        (void)setsockopt((SOCKET)handle, IPPROTO_TCP, TCP_MAXRT, (const char *)&seconds, sizeof seconds);
}

void platform_tcp_notsent_lowat(const uv_tcp_t *tcp, unsigned bytes)
{
    (void)tcp; /* Windows has no such option; it sizes its send buffer by the path itself */
    (void)bytes;
}

bool platform_tcp_receive_lowat(const uv_tcp_t *tcp, unsigned bytes)
{
    (void)tcp; /* Windows has no such option */
    (void)bytes;
    return false;
}
