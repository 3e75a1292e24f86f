#include "platform/posix/tcp_path.h"

#include <sys/socket.h>

#ifdef __linux__
#include <linux/tcp.h>
#include <netinet/in.h>

uint32_t tcp_path_min_rtt_us(int fd)
{
    struct tcp_info info = {.tcpi_min_rtt = 0};
    socklen_t len = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return 0;
    return info.tcpi_min_rtt == UINT32_MAX ? 0 : info.tcpi_min_rtt; /* an older kernel leaves it 0 */
}
#else
uint32_t tcp_path_min_rtt_us(int fd)
{
    (void)fd;
    return 0;
}
#endif
