/* The last lines of the log, for those who ask for them later (`logs`): bounded, the oldest go first, and who reads too
 * slowly learns how many went by. Any thread may log and read. */
#ifndef HOLDFAST_BASE_LOG_RING_H
#define HOLDFAST_BASE_LOG_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

struct log_ring;

/* One line, read from the ring. */
struct log_ring_line {
    uint64_t unix_ms;
    enum log_level level;
    char *tunnel;    /* NULL: the program's own */
    char *message;   /* as it was logged, with whatever bytes a peer put in */
    uint64_t missed; /* so many lines before it were gone already */
};

/* Made and listening to the log from now on, with at most `cap_bytes` of lines. `on_line` is told of each new one, in
 * the thread that logs; it must not log, and may be NULL. One at a time in a process. NULL: out of memory. */
struct log_ring *log_ring_new(size_t cap_bytes, void (*on_line)(void *arg), void *arg);
/* Listens no more. `ring` may be NULL. */
void log_ring_free(struct log_ring *ring);
/* The numbers of the oldest line there is, and of the one that comes next. */
uint64_t log_ring_first(struct log_ring *ring);
uint64_t log_ring_end(struct log_ring *ring);
/* The first line whose number is `*number` or more, and moves `*number` behind it; numbers begin at 0. False: there is
 * none yet, or no memory for it. */
bool log_ring_read(struct log_ring *ring, uint64_t *number, struct log_ring_line *out);
void log_ring_line_deinit(struct log_ring_line *line);

#endif
