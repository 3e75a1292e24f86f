/* What the system knows of a connection's path. Without libuv, whose header brings the C library's part of TCP_INFO,
 * and that excludes the whole of it. */
#ifndef HOLDFAST_PLATFORM_POSIX_TCP_PATH_H
#define HOLDFAST_PLATFORM_POSIX_TCP_PATH_H

#include <stdint.h>

/* The least round trip time of late, in microseconds; 0 where the system does not say. */
uint32_t tcp_path_min_rtt_us(int fd);

#endif
