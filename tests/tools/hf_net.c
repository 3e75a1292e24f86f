#include "hf_net.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void hf_die(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
    exit(2);
}

/* HOST:PORT or [HOST]:PORT, numeric. */
static socklen_t parse_address(const char *text, struct sockaddr_storage *out)
{
    char host[128];
    const char *colon = strrchr(text, ':');
    size_t len = colon == NULL ? 0 : (size_t)(colon - text);
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    socklen_t size;

    if (colon == NULL || len >= sizeof host)
        hf_die("%s is not HOST:PORT", text);
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    memcpy(host, text, len);
    host[len] = '\0';
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        hf_die("%s is not a numeric HOST:PORT", host);
    size = found->ai_addrlen;
    memcpy(out, found->ai_addr, size);
    freeaddrinfo(found);
    return size;
}

void hf_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        hf_die("fcntl: %s", strerror(errno));
}

int hf_listen(const char *address, uint16_t *port)
{
    struct sockaddr_storage at = {0};
    socklen_t size = parse_address(address, &at);
    int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0)
        hf_die("socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, size) < 0 || listen(fd, 1024) < 0)
        hf_die("%s: %s", address, strerror(errno));
    size = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &size) < 0)
        hf_die("getsockname: %s", strerror(errno));
    *port = ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                           : ((struct sockaddr_in *)&at)->sin_port);
    hf_nonblocking(fd);
    return fd;
}

int hf_connect(const char *address)
{
    struct sockaddr_storage at = {0};
    socklen_t size = parse_address(address, &at);
    int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        hf_die("socket: %s", strerror(errno));
    hf_nonblocking(fd);
    if (connect(fd, (struct sockaddr *)&at, size) < 0 && errno != EINPROGRESS)
        hf_die("%s: %s", address, strerror(errno));
    return fd;
}

uint64_t hf_number(const char *text)
{
    char *rest = NULL;
    unsigned long long value;

    errno = 0;
    value = strtoull(text, &rest, 10);
    if (errno != 0 || rest == text || *rest != '\0' || text[0] == '-')
        hf_die("%s is not a number", text);
    return value;
}

uint64_t hf_size(const char *text)
{
    static const char units[] = "KMG";
    char digits[32];
    size_t len = strlen(text);
    const char *unit = len > 0 ? strchr(units, text[len - 1]) : NULL;

    if (unit == NULL || *unit == '\0')
        return hf_number(text);
    if (len >= sizeof digits)
        hf_die("%s is not a size", text);
    memcpy(digits, text, len - 1);
    digits[len - 1] = '\0';
    return hf_number(digits) << (10 * (unit - units + 1));
}

uint64_t hf_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
