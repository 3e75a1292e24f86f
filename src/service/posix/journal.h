/* The journal's native protocol, without libsystemd: one datagram per line of the log, with a field per thing that is
 * worth searching for. Room-internal. */
#ifndef HOLDFAST_SERVICE_POSIX_JOURNAL_H
#define HOLDFAST_SERVICE_POSIX_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/log.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* Writes one entry with the fields MESSAGE, PRIORITY, SYSLOG_IDENTIFIER and, unless `tunnel` is NULL, HOLDFAST_TUNNEL
 * (https://systemd.io/JOURNAL_NATIVE_PROTOCOL: NAME=value, or a name, a length and bytes where there are newlines).
 * Returns its length, 0 when it does not fit into `cap_bytes`. Pure. */
size_t journal_encode(enum log_level level, const char *tunnel, const char *message, char *out, size_t cap_bytes);

/* Whether standard error is the stream that $JOURNAL_STREAM ("device:inode") names: somebody who pointed it elsewhere
 * wants the log there. `stream` is that variable's value, and may be NULL. */
bool journal_is_stream(const char *stream, int fd);

/* From now on the log's lines go to the journal at the socket `path` instead of to standard error; those that do not
 * reach it go to standard error with a priority in front. True when it could be set up. */
bool journal_open(const char *path);
void journal_close(void);

#endif
