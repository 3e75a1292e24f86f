/* `metrics_file:`: the status in Prometheus' text format, for the textfile collector of node_exporter. Written every 15
 * s and soon after each change of state, as PATH.tmp which is then renamed; removed at the end. On the loop's thread;
 * the writing itself is done off it. */
#ifndef HOLDFAST_CONTROL_METRICS_FILE_H
#define HOLDFAST_CONTROL_METRICS_FILE_H

#include <uv.h>

#include "base/err.h"
#include "supervisor/supervisor.h"

struct metrics_file;

/* Begins to write `path` (absolute, copied) with how `supervisor` is, whose on_change it takes. What cannot be written
 * is warned of once and tried again each time: a folder that is not there or does not let us in, a file that another
 * process writes (PATH.lock is held meanwhile) or that is none of ours. Its handles do not keep the loop running.
 * `interval_ms` 0: the usual 15 s. ERR_MEMORY, ERR_IO. */
enum err metrics_file_start(uv_loop_t *loop, struct supervisor *supervisor, const char *path, uint64_t interval_ms,
                            struct metrics_file **out, struct err_info *info);
/* Writes no more and removes the file; before the supervisor is freed. The loop has to run until it has nothing left to
 * do for the memory to go. NULL is fine. */
void metrics_file_stop(struct metrics_file *file);

#endif
