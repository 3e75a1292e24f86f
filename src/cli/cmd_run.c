#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/common.h"
#include "service/service.h"

int cmd_run(int argc, char **argv)
{
    struct config config = {.tunnels = NULL};
    struct log_flags log;
    const char **paths = NULL;
    size_t path_count = 0;
    memset(&log, 0, sizeof log);
    int code = cli_take_definitions(argc, argv, &log, &paths, &path_count);
    if (code >= 0) {
        goto out;
    }
    code = cli_load(paths, path_count, &config);
    if (code == CLI_OK && log.file == NULL && config.log.path != NULL) {
        log.file = config.log.path;
        log.max_bytes = log.max_bytes != 0 ? log.max_bytes : config.log.max_bytes;
        log.keep = log.keep != 0 ? log.keep : config.log.keep;
    }
    bool is_systems = code == CLI_OK && service_log_begin();
    if (code == CLI_OK) {
        code = log_flags_open_or_wait(&log, LOG_LEVEL_INFO);
    }
    if (code == CLI_OK) {
        bool is_json = log.format != NULL && strcmp(log.format, "json") == 0; /* then all of stderr is for a program */
        const struct supervisor_options options = {
            .up_lines = log.quiet || is_json || is_systems ? NULL : stderr, .state_dir = NULL, .grace_ms = 5000};
        const struct service_definitions definitions = {.paths = paths,
                                                        .path_count = path_count,
                                                        .watch = config.watch_definitions,
                                                        .fingerprint = config.fingerprint,
                                                        .metrics_file = config.metrics_file};
        code = service_run(config.tunnels, config.tunnel_count, &options, &definitions);
        log_close();
    }
    service_log_end();
out:
    config_deinit(&config);
    free((void *)paths);
    return code;
}
