/* The metrics file of a process, as its definitions have it now. On the loop's thread. Room-internal. */
#ifndef HOLDFAST_SERVICE_SERVICE_METRICS_H
#define HOLDFAST_SERVICE_SERVICE_METRICS_H

#include "control/metrics_file.h"

/* All zero but for loop and supervisor before the first call. */
struct service_metrics {
    uv_loop_t *loop;
    struct supervisor *supervisor;
    char *path;
    struct metrics_file *file;
};

/* From now on `path` (copied) is written, and the one before is removed. NULL: none. A failure is logged. */
void service_metrics_set(struct service_metrics *metrics, const char *path);
/* Removes the file. The loop has to run until it has nothing left to do. */
void service_metrics_close(struct service_metrics *metrics);

#endif
