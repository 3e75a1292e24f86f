/* hf_echo: gives short messages back, on as many connections as there are descriptors for, and says nothing about any
 * of them: the far end of hf_rate and hf_ping. Ends at SIGTERM. */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hf_net.h"

static const char usage[] = "usage: hf_echo [--listen HOST:PORT]\n"
                            "  --listen  default 127.0.0.1:0; the port is printed as `listening PORT`\n";

enum { EVENTS = 256, MESSAGE_BYTES = 64 * 1024 };

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        hf_die("epoll_ctl: %s", strerror(errno));
}

static void accept_all(int epoll, int listener)
{
    int fd, on = 1;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(epoll, fd);
    }
}

/* One message back. Its sender waits for it, so it fits into the socket; one that does not is an error of the caller's.
 */
static void give_back(int fd)
{
    static unsigned char message[MESSAGE_BYTES];
    ssize_t got = recv(fd, message, sizeof message, 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0 || send(fd, message, (size_t)got, MSG_NOSIGNAL) != got)
        close(fd);
}

static void serve(int listener)
{
    struct epoll_event events[EVENTS];
    int epoll = epoll_create1(EPOLL_CLOEXEC), count;

    if (epoll < 0)
        hf_die("epoll_create1: %s", strerror(errno));
    watch(epoll, listener);
    for (;;) {
        count = epoll_wait(epoll, events, EVENTS, -1);
        if (count < 0 && errno != EINTR)
            hf_die("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                accept_all(epoll, listener);
            else
                give_back(events[i].data.fd);
        }
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"listen", 1, NULL, 'l'}, {"help", 0, NULL, 'h'}, {NULL, 0, NULL, 0}};
    const char *address = "127.0.0.1:0";
    uint16_t port = 0;
    int option, listener;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'l': address = optarg; break;
        default: fputs(usage, option == 'h' ? stdout : stderr); return option == 'h' ? 0 : 2;
        }
    }
    if (optind != argc)
        hf_die("%s", usage);
    listener = hf_listen(address, &port);
    printf("listening %u\n", port);
    fflush(stdout);
    serve(listener);
    return 0;
}
