/* The log: one line per event on standard error (or the file of -E): time, level, tunnel, what, why. Never a secret.
 * text: `2026-11-22T21:00:00.123Z info  xp-mode: up: 2 forwards via me@macbook`
 * json: {"time":"...","level":"info","tunnel":"xp-mode","message":"..."}
 * Any thread may log; lines never interleave. */
#ifndef HOLDFAST_BASE_LOG_H
#define HOLDFAST_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/printf_like.h"

enum log_level { LOG_LEVEL_ERROR = 0, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG, LOG_LEVEL_TRACE };
enum log_format { LOG_FORMAT_TEXT = 0, LOG_FORMAT_JSON };

/* Sets where and what: `path` NULL is standard error. Returns 0, or a negative libuv status when the file does not
 * open. */
int log_open(const char *path, enum log_level level, enum log_format format);
/* As log_open, but a file that does not open now is kept in mind: each line tries to open it, and goes to standard
 * error while that fails. Returns what came of the first try; after UV_ENOMEM the log is as it was. */
int log_open_or_wait(const char *path, enum log_level level, enum log_format format);
void log_close(void);
/* Opens the file of log_open again, under its name, for log rotation (SIGHUP). When that fails the old file is kept and
 * told about it. Does nothing for standard error. */
void log_reopen(void);
/* From now on a file of log_open that has reached `cap_bytes` becomes PATH.1 before the next line, PATH.1 becomes
 * PATH.2 and so on up to PATH.`keep`, the oldest of which goes. 0: never, as it is at first. Not for standard error.
 * When renaming fails the file goes on growing until it works again. */
void log_rotate_at(uint64_t cap_bytes, unsigned keep);
/* Each line of `level` and worse is told to `sink` too, in the thread that logs and before the call returns; it must
 * not log itself. NULL: nobody. */
typedef void log_sink(void *arg, enum log_level level, const char *tunnel, const char *message);
void log_set_sink(log_sink *sink, void *arg, enum log_level level);
/* Each line that is logged is told to `tap` as well, under the same terms; for base/log_ring.c. */
void log_set_tap(log_sink *tap, void *arg);
/* Takes the lines that would go to standard error as text, with control characters escaped, in the thread that logs; it
 * must not log itself. When it returns false the line goes to standard error, after "<N>" of sd-daemon(3) in place of
 * time and level. NULL: standard error. A file of log_open that is open and the format json come first. */
typedef bool log_writer(void *arg, enum log_level level, const char *tunnel, const char *message);
void log_set_writer(log_writer *writer, void *arg);
/* The syslog priority of a level: 3 for an error, 4, 6, and 7 for all that is finer. */
int log_level_priority(enum log_level level);
enum log_level log_get_level(void);
/* "error", "warning", ... Static text. */
const char *log_level_name(enum log_level level);
/* Parses "error", "warning", "info", "debug", "trace"; returns 0 or -1. */
int log_level_parse(const char *word, enum log_level *out);
int log_format_parse(const char *word, enum log_format *out);

/* Logs one line. `tunnel` may be NULL (then the program speaks: "holdfast:" in text, null in JSON). Control characters
 * and bytes that are not UTF-8 are escaped; a message over 4 KiB is cut and ends in "...". */
void log_line(enum log_level level, const char *tunnel, const char *format, ...) PRINTF_LIKE(3, 4);

#define log_error(tunnel, ...) log_line(LOG_LEVEL_ERROR, (tunnel), __VA_ARGS__)
#define log_warning(tunnel, ...) log_line(LOG_LEVEL_WARNING, (tunnel), __VA_ARGS__)
#define log_info(tunnel, ...) log_line(LOG_LEVEL_INFO, (tunnel), __VA_ARGS__)
#define log_debug(tunnel, ...) log_line(LOG_LEVEL_DEBUG, (tunnel), __VA_ARGS__)
#define log_trace(tunnel, ...) log_line(LOG_LEVEL_TRACE, (tunnel), __VA_ARGS__)

#endif
