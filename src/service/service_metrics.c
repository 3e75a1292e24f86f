#include "service/service_metrics.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

void service_metrics_set(struct service_metrics *metrics, const char *path)
{
    struct err_info why;
    if (path != NULL && metrics->path != NULL && strcmp(path, metrics->path) == 0)
        return;
    service_metrics_close(metrics);
    if (path == NULL)
        return;
    metrics->path = strdup(path);
    if (metrics->path == NULL)
        log_error(NULL, "metrics_file: out of memory");
    else if (metrics_file_start(metrics->loop, metrics->supervisor, path, 0, &metrics->file, &why) != OK)
        log_error(NULL, "%s", why.message);
}

void service_metrics_close(struct service_metrics *metrics)
{
    metrics_file_stop(metrics->file);
    free(metrics->path);
    metrics->file = NULL;
    metrics->path = NULL;
}
