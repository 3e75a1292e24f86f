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

void platform_tcp_quick_ack(const uv_tcp_t *tcp)
{
    (void)tcp; /* Windows has no such option for one connection */
}

int64_t platform_tcp_unacknowledged(const uv_tcp_t *tcp)
{
    (void)tcp; /* Windows tells what is in flight, not what waits for that, and only since Windows 10 */
    return -1;
}

int platform_tcp_bind(uv_tcp_t *tcp, const struct sockaddr *address, unsigned flags)
{
    BOOL exclusive = TRUE;
    SOCKET made = WSASocketW(address->sa_family, SOCK_STREAM, IPPROTO_TCP, NULL, 0, WSA_FLAG_OVERLAPPED);
    if (made == INVALID_SOCKET)
        return uv_translate_sys_error(WSAGetLastError());
    (void)SetHandleInformation((HANDLE)made, HANDLE_FLAG_INHERIT, 0);
    if (setsockopt(made, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, (const char *)&exclusive, sizeof exclusive) != 0) {
        int status = uv_translate_sys_error(WSAGetLastError());
        (void)closesocket(made);
        return status;
    }
    int status = uv_tcp_open(tcp, made);
    if (status != 0) {
        (void)closesocket(made);
        return status;
    }
    return uv_tcp_bind(tcp, address, flags);
}
