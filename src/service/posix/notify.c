#include "service/posix/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "config/text.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS; SIGPIPE is ignored anyway */
#endif

#define STATUS_CAP_BYTES 512

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

void notify_reloading(void)
{
    char state[96];
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        memset(&now, 0, sizeof now);
    uint64_t us = (uint64_t)now.tv_sec * 1000000U + (uint64_t)now.tv_nsec / 1000U;
    (void)snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, us);
    notify_service_manager(state);
}

void notify_ready(void)
{
    notify_service_manager("READY=1");
}

void notify_stopping(void)
{
    notify_service_manager("STOPPING=1");
}

void notify_status(const char *sentence)
{
    static char last[STATUS_CAP_BYTES];
    char state[STATUS_CAP_BYTES] = "STATUS=";
    size_t len = strlen(state);
    (void)text_shown(sentence, state + len, sizeof state - len); /* systemd passes over what is not UTF-8 */
    if (strcmp(state, last) == 0)
        return;
    (void)snprintf(last, sizeof last, "%s", state);
    notify_service_manager(state);
}

uint64_t notify_watchdog_ms(void)
{
    const char *interval = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    char *end = NULL;
    if (interval == NULL || (pid != NULL && strtoll(pid, NULL, 10) != (long long)getpid()))
        return 0;
    errno = 0;
    unsigned long long us = strtoull(interval, &end, 10);
    if (errno != 0 || end == interval || *end != 0 || us == 0 || us == UINT64_MAX)
        return 0;
    return us < 1000 ? 1 : us / 1000;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
    notify_service_manager("WATCHDOG=1");
}

int notify_watchdog_start(struct notify_watchdog *watchdog, uv_loop_t *loop)
{
    uint64_t interval_ms = notify_watchdog_ms();
    uint64_t half_ms = interval_ms > 1 ? interval_ms / 2 : 1;
    const char *socket_name = getenv("NOTIFY_SOCKET");
    if (interval_ms == 0 || socket_name == NULL || socket_name[0] == 0)
        return 0;
    int status = uv_timer_init(loop, &watchdog->timer);
    if (status != 0)
        return status;
    watchdog->is_open = true;
    uv_unref((uv_handle_t *)&watchdog->timer);
    return uv_timer_start(&watchdog->timer, on_tick, half_ms, half_ms);
}

void notify_watchdog_stop(struct notify_watchdog *watchdog)
{
    if (watchdog->is_open)
        uv_close((uv_handle_t *)&watchdog->timer, NULL);
    watchdog->is_open = false;
}
