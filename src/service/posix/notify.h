/* sd_notify(3) in few lines: tells the service manager how we are. All of it does nothing without $NOTIFY_SOCKET, and
 * does not block; a failure is logged. On the loop's thread. Room-internal. */
#ifndef HOLDFAST_SERVICE_POSIX_NOTIFY_H
#define HOLDFAST_SERVICE_POSIX_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* Sends `state` ("READY=1", "STOPPING=1") as a datagram to $NOTIFY_SOCKET: a path, or an abstract name after '@'. */
void notify_service_manager(const char *state);

/* A reload begins (RELOADING=1 with the time of the monotonic clock, as Type=notify-reload wants it). When it is over,
 * well or not, notify_ready tells so. */
void notify_reloading(void);
/* READY=1: the tunnels have been started, or a reload is over. */
void notify_ready(void);
void notify_stopping(void);
/* One sentence for `systemctl status`; what has been told already is not told again. Control characters become '?'. */
void notify_status(const char *sentence);

/* How often the manager wants to hear of us: $WATCHDOG_USEC, unless $WATCHDOG_PID names another process. 0: never. */
uint64_t notify_watchdog_ms(void);

/* Tells the manager that the loop turns, at half of that. Embedded; zero before the first start. */
struct notify_watchdog {
    uv_timer_t timer;
    bool is_open;
};

/* 0, also where nobody wants to hear, or a libuv status. The handle does not keep the loop running. */
int notify_watchdog_start(struct notify_watchdog *watchdog, uv_loop_t *loop);
/* Closes the handle: the struct lives until the loop has run once more. */
void notify_watchdog_stop(struct notify_watchdog *watchdog);

#endif
