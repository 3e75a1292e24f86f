/* Changes of the network from the kernel: a routing socket (macOS and the BSDs) or rtnetlink (Linux, netlink(7)). What
 * the messages say is not looked at: that there is one is enough. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#else
#include <net/route.h>
#endif

#include "platform/wake_internal.h"

struct network_watch {
    uv_poll_t poll;
    int fd;
    void (*on_change)(void *arg);
    void *arg;
};

static int open_socket(void)
{
#ifdef __linux__
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    struct sockaddr_nl address;
    memset(&address, 0, sizeof address);
    address.nl_family = AF_NETLINK;
    address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE;
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
#else
    int fd = socket(PF_ROUTE, SOCK_RAW, 0);
    if (fd >= 0) {
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
        (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    }
    return fd;
#endif
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct network_watch *watch = poll->data;
    char bytes[8192];
    ssize_t got = 0;
    bool any = false;
    (void)events;
    /* A queue that has overflowed (ENOBUFS) is a change too: something was lost. */
    while (status == 0 && (got = recv(watch->fd, bytes, sizeof bytes, 0)) != 0) {
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            break;
        }
        any = true;
        if (got < 0 && errno != ENOBUFS && errno != EINTR) {
            (void)uv_poll_stop(poll);
            break;
        }
    }
    if (any) {
        watch->on_change(watch->arg);
    }
}

struct network_watch *network_watch_start(uv_loop_t *loop, void (*on_change)(void *arg), void *arg)
{
    struct network_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL) {
        return NULL;
    }
    watch->fd = open_socket();
    watch->on_change = on_change;
    watch->arg = arg;
    watch->poll.data = watch;
    if (watch->fd < 0 || uv_poll_init(loop, &watch->poll, watch->fd) != 0) {
        if (watch->fd >= 0) {
            (void)close(watch->fd);
        }
        free(watch);
        return NULL;
    }
    (void)uv_poll_start(&watch->poll, UV_READABLE, on_readable);
    uv_unref((uv_handle_t *)&watch->poll);
    return watch;
}

static void on_closed(uv_handle_t *handle)
{
    struct network_watch *watch = handle->data;
    (void)close(watch->fd);
    free(watch);
}

void network_watch_stop(struct network_watch *watch)
{
    if (watch != NULL) {
        uv_close((uv_handle_t *)&watch->poll, on_closed);
    }
}
