#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#ifdef __linux__
#include <linux/sockios.h>
#include <sys/ioctl.h>
#endif

#include "platform/platform.h"

/* Best effort: a system that refuses an option works without it. */
static void set_tcp_option(const uv_tcp_t *tcp, int option, unsigned value)
{
    uv_os_fd_t fd = -1;
    if (uv_fileno((const uv_handle_t *)tcp, &fd) != 0)
        return;
    int number = value > INT_MAX ? INT_MAX : (int)value;
    (void)setsockopt(fd, IPPROTO_TCP, option, &number, sizeof number);
}

void platform_tcp_user_timeout(const uv_tcp_t *tcp, unsigned timeout_ms)
{
#if defined(TCP_USER_TIMEOUT)
    set_tcp_option(tcp, TCP_USER_TIMEOUT, timeout_ms);
#elif defined(TCP_RXT_CONNDROPTIME)
    set_tcp_option(tcp, TCP_RXT_CONNDROPTIME, timeout_ms / 1000 + (timeout_ms % 1000 != 0));
#else
    (void)tcp;
    (void)timeout_ms;
#endif
}

void platform_tcp_notsent_lowat(const uv_tcp_t *tcp, unsigned bytes)
{
#ifdef TCP_NOTSENT_LOWAT
    set_tcp_option(tcp, TCP_NOTSENT_LOWAT, bytes);
#else
    (void)tcp;
    (void)bytes;
#endif
}

void platform_tcp_quick_ack(const uv_tcp_t *tcp)
{
#ifdef TCP_QUICKACK
    set_tcp_option(tcp, TCP_QUICKACK, 1);
#else
    (void)tcp;
#endif
}

int64_t platform_tcp_unacknowledged(const uv_tcp_t *tcp)
{
    uv_os_fd_t fd = -1;
    int bytes = -1;
    if (uv_fileno((const uv_handle_t *)tcp, &fd) != 0)
        return -1;
#if defined(__linux__)
    return ioctl(fd, SIOCOUTQ, &bytes) == 0 ? bytes : -1;
#elif defined(SO_NWRITE)
    socklen_t len = sizeof bytes;
    return getsockopt(fd, SOL_SOCKET, SO_NWRITE, &bytes, &len) == 0 ? bytes : -1;
#else
    return bytes;
#endif
}

int platform_tcp_bind(uv_tcp_t *tcp, const struct sockaddr *address, unsigned flags)
{
    return uv_tcp_bind(tcp, address, flags); /* a port in use is nobody else's here */
}
