#include "platform/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#define TRY_AGAIN_MS 50

struct platform_agent {
    int fd;
};

char *platform_agent_default(void)
{
    const char *path = getenv("SSH_AUTH_SOCK");
    return path != NULL && *path != '\0' ? strdup(path) : NULL;
}

bool platform_agent_is_address(const char *text)
{
    (void)text;
    return false;
}

static int left_ms(uint64_t deadline_ns)
{
    uint64_t now = uv_hrtime();
    return now >= deadline_ns ? 0 : (int)((deadline_ns - now) / 1000000U) + 1;
}

/* Waits until the socket can be read or written. */
static enum err wait_for(int fd, short events, uint64_t deadline_ns, struct err_info *info)
{
    for (;;) {
        struct pollfd poller = {.fd = fd, .events = events};
        int wait_ms = left_ms(deadline_ns);
        int ready = wait_ms > 0 ? poll(&poller, 1, wait_ms) : 0;
        if (ready > 0)
            return OK;
        if (ready == 0)
            return err_set(info, ERR_TIMEOUT, "the agent does not answer");
        if (errno != EINTR)
            return err_set(info, ERR_IO, "poll: %s", err_uv_text(uv_translate_sys_error(errno)));
    }
}

static int open_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0)
        return -1;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* Connects until the deadline. 0 or an errno: EAGAIN where the agent's queue is full, since a connect to a local socket
 * is not waited for by the system when it may not block; it is tried again. */
static int connect_until(int fd, const struct sockaddr_un *address, uint64_t deadline_ns)
{
    for (;;) {
        if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EISCONN)
            return 0;
        int failed = errno;
        if (failed == EINPROGRESS || failed == EINTR || failed == EALREADY) {
            socklen_t size = sizeof failed;
            if (wait_for(fd, POLLOUT, deadline_ns, NULL) != OK)
                return ETIMEDOUT;
            return getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size) == 0 ? failed : errno;
        }
        int wait_ms = left_ms(deadline_ns);
        if (failed != EAGAIN || wait_ms == 0)
            return failed;
        (void)poll(NULL, 0, wait_ms < TRY_AGAIN_MS ? wait_ms : TRY_AGAIN_MS);
    }
}

enum err platform_agent_connect(const char *path, uint64_t timeout_ms, struct platform_agent **out,
                                struct err_info *info)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uint64_t deadline_ns = uv_hrtime() + timeout_ms * 1000000U;
    *out = NULL;
    if (strlen(path) >= sizeof address.sun_path)
        return err_set(info, ERR_IO, "the agent's path is too long for a socket: %.200s", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    struct platform_agent *agent = malloc(sizeof *agent);
    if (agent == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    agent->fd = open_socket();
    int failed = agent->fd < 0 ? errno : 0;
    if (failed == 0)
        failed = connect_until(agent->fd, &address, deadline_ns);
    if (failed != 0) {
        platform_agent_close(agent);
        if (failed == EAGAIN)
            return err_set(info, ERR_TIMEOUT,
                           "the agent at %.200s is busy: it takes no more connections; see what it waits for, perhaps "
                           "a confirmation or a token's touch, or start it anew",
                           path);
        return err_set(info, ERR_CONNECT, "no agent at %.200s: %s", path, err_uv_text(uv_translate_sys_error(failed)));
    }
    *out = agent;
    return OK;
}

static enum err send_all(int fd, const uint8_t *data, size_t len, uint64_t deadline_ns, struct err_info *info)
{
    while (len > 0) {
        enum err result = wait_for(fd, POLLOUT, deadline_ns, info);
        if (result != OK)
            return result;
        ssize_t sent = write(fd, data, len);
        if (sent < 0 && errno != EINTR && errno != EAGAIN)
            return err_set(info, ERR_CLOSED, "the agent closed the connection");
        if (sent > 0) {
            data += sent;
            len -= (size_t)sent;
        }
    }
    return OK;
}

static enum err receive_all(int fd, uint8_t *data, size_t len, uint64_t deadline_ns, struct err_info *info)
{
    while (len > 0) {
        enum err result = wait_for(fd, POLLIN, deadline_ns, info);
        if (result != OK)
            return result;
        ssize_t got = read(fd, data, len);
        if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN))
            return err_set(info, ERR_CLOSED, "the agent closed the connection");
        if (got > 0) {
            data += got;
            len -= (size_t)got;
        }
    }
    return OK;
}

enum err platform_agent_exchange(struct platform_agent *agent, const uint8_t *request, size_t request_len,
                                 size_t cap_bytes, uint64_t timeout_ms, uint8_t **out_answer, size_t *out_answer_len,
                                 struct err_info *info)
{
    uint64_t deadline_ns = uv_hrtime() + timeout_ms * 1000000U;
    uint8_t head[4] = {(uint8_t)(request_len >> 24), (uint8_t)(request_len >> 16), (uint8_t)(request_len >> 8),
                       (uint8_t)request_len};
    *out_answer = NULL;
    *out_answer_len = 0;
    enum err result = send_all(agent->fd, head, sizeof head, deadline_ns, info);
    if (result == OK)
        result = send_all(agent->fd, request, request_len, deadline_ns, info);
    if (result == OK)
        result = receive_all(agent->fd, head, sizeof head, deadline_ns, info);
    if (result != OK)
        return result;
    size_t len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (len == 0 || len > cap_bytes)
        return err_set(info, ERR_PROTOCOL, "the agent's answer of %zu bytes is out of bounds", len);
    uint8_t *answer = malloc(len);
    if (answer == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    result = receive_all(agent->fd, answer, len, deadline_ns, info);
    if (result != OK) {
        free(answer);
        return result;
    }
    *out_answer = answer;
    *out_answer_len = len;
    return OK;
}

void platform_agent_close(struct platform_agent *agent)
{
    if (agent == NULL)
        return;
    if (agent->fd >= 0)
        (void)close(agent->fd);
    free(agent);
}
