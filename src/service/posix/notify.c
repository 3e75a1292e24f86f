#include "service/posix/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS; SIGPIPE is ignored anyway */
#endif

/* 0 or an errno. */
static int send_datagram(const struct sockaddr_un *address, socklen_t address_len, const char *text)
{
    int result = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd < 0)
        return errno;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0 ||
        sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)address, address_len) < 0)
        result = errno;
    (void)close(fd);
    return result;
}

void notify_service_manager(const char *state)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    if (name == NULL || name[0] == 0)
        return;
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    size_t len = strlen(name);
    if ((name[0] != '/' && name[0] != '@') || len >= sizeof address.sun_path) {
        log_warning(NULL, "NOTIFY_SOCKET is not a path or abstract name: %s", name);
        return;
    }
    memcpy(address.sun_path, name, len);
    if (name[0] == '@')
        address.sun_path[0] = 0;
    int failed = send_datagram(&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len), state);
    if (failed != 0)
        log_warning(NULL, "%s did not reach the service manager: %s", state, strerror(failed));
}
