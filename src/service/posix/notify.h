/* sd_notify(3) in few lines: tells the service manager how we are. Room-internal. */
#ifndef HOLDFAST_SERVICE_POSIX_NOTIFY_H
#define HOLDFAST_SERVICE_POSIX_NOTIFY_H

/* Sends `state` ("READY=1", "STOPPING=1") as a datagram to $NOTIFY_SOCKET: a path, or an abstract name after '@'. Does
 * nothing without one; a failure is logged. Does not block. */
void notify_service_manager(const char *state);

#endif
