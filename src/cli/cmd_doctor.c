/* `holdfast doctor`: walks every hop of the tunnels, says which is broken and what mends it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/common.h"
#include "cli/doctor.h"
#include "platform/platform.h"

struct wanted {
    struct args args;
    struct log_flags log;
    const char **paths; /* words of argv */
    size_t path_count;
    const char **names;
    size_t name_count;
    bool json;
};

/* -1: go on; otherwise an exit code. */
static int take_one(struct wanted *wanted)
{
    static const char *const names[] = {"json", "help", "log-level", "log-format", "log-file"};
    struct args *args = &wanted->args;
    bool is_long = args->kind == ARG_LONG;
    int taken = log_flags_take(&wanted->log, args);
    if (taken != 0) {
        return taken < 0 ? CLI_USAGE : -1;
    }
    if (args->kind == ARG_OPERAND) {
        wanted->names[wanted->name_count++] = args->text;
        return -1;
    }
    if ((args->kind == ARG_FLAG && args->flag == 'h') || (is_long && strcmp(args->text, "help") == 0)) {
        (void)fputs(help_text("doctor"), stdout);
        return CLI_OK;
    }
    if (is_long && strcmp(args->text, "json") == 0) {
        wanted->json = true;
        return args_has_joined(args) ? cli_usage("--json takes no value") : -1;
    }
    if (args->kind == ARG_FLAG && args->flag == 'c') {
        const char *value = args_value(args);
        if (value == NULL || *value == '\0') {
            return cli_usage("-c needs a file or a folder");
        }
        wanted->paths[wanted->path_count++] = value;
        return -1;
    }
    return cli_unknown(args, "doctor", names, sizeof names / sizeof names[0]);
}

static int take_all(struct wanted *wanted)
{
    while (args_next(&wanted->args) != ARG_END) {
        int code = take_one(wanted);
        if (code >= 0) {
            return code;
        }
    }
    return -1;
}

/* -1 when the definitions have all the tunnels that were named. */
static int check_names(const struct wanted *wanted, const struct config *config)
{
    for (size_t i = 0; i < wanted->name_count; i++) {
        if (cli_find_tunnel(config, "doctor", wanted->names[i]) == NULL) {
            return CLI_USAGE;
        }
    }
    return -1;
}

static bool is_wanted(const struct wanted *wanted, const char *name)
{
    bool found = wanted->name_count == 0;
    for (size_t i = 0; i < wanted->name_count && !found; i++) {
        found = strcmp(wanted->names[i], name) == 0;
    }
    return found;
}

/* The definitions are wrong: each error is a hop that failed. */
static int report_errors(const struct wanted *wanted, const struct config_errors *errors)
{
    struct doctor_report report;
    doctor_report_init(&report, NULL, NULL);
    for (size_t i = 0; i < errors->count; i++) {
        doctor_report_add(&report, DOCTOR_FAIL, "definition", "correct it there; nothing starts before all are correct",
                          "%s", errors->lines[i]);
    }
    if (wanted->json) {
        (void)doctor_report_print_json(&report, 1, stdout);
    } else {
        doctor_report_print(&report, stdout);
    }
    doctor_report_deinit(&report);
    return CLI_USAGE;
}

static int walk(const struct wanted *wanted, const struct config *config)
{
    struct doctor_report *reports = calloc(config->tunnel_count + 1, sizeof *reports);
    size_t count = 0;
    int code = reports != NULL ? CLI_OK : CLI_FAILED;
    bool may_ask = !wanted->json && platform_has_terminal();
    for (size_t i = 0; reports != NULL && i < config->tunnel_count; i++) {
        const struct tunnel_spec *tunnel = &config->tunnels[i];
        char peer[300];
        if (!is_wanted(wanted, tunnel->name)) {
            continue;
        }
        struct doctor_report *report = &reports[count++];
        (void)snprintf(peer, sizeof peer, "%.100s@%.180s", tunnel->host.user, tunnel->host.hostnames.items[0]);
        doctor_report_init(report, tunnel->name, peer);
        if (!doctor_walk(tunnel, may_ask, report) || doctor_report_failure(report) != NULL) {
            code = CLI_FAILED;
        }
        if (!wanted->json) {
            doctor_report_print(report, stdout);
            (void)fflush(stdout);
        }
    }
    if (wanted->json && reports != NULL && !doctor_report_print_json(reports, count, stdout)) {
        (void)cli_usage("out of memory, or standard output cannot be written");
        code = CLI_FAILED;
    }
    for (size_t i = 0; i < count; i++) {
        doctor_report_deinit(&reports[i]);
    }
    free(reports);
    return code;
}

static int run(const struct wanted *wanted)
{
    struct config config = {.tunnels = NULL};
    struct config_errors errors = {NULL, 0};
    enum err result = config_load(wanted->paths, wanted->path_count, &config, &errors);
    int code = result == ERR_MEMORY ? CLI_FAILED : result != OK ? report_errors(wanted, &errors) : -1;
    if (code < 0) {
        code = check_names(wanted, &config);
    }
    if (code < 0) {
        code = log_flags_open(&wanted->log, LOG_LEVEL_ERROR);
        if (code == CLI_OK) {
            code = walk(wanted, &config);
            log_close();
        }
    }
    config_errors_deinit(&errors);
    config_deinit(&config);
    return code;
}

int cmd_doctor(int argc, char **argv)
{
    struct wanted wanted;
    memset(&wanted, 0, sizeof wanted);
    wanted.args = (struct args){.argc = argc, .argv = argv};
    wanted.paths = calloc((size_t)argc + 1, sizeof *wanted.paths);
    wanted.names = calloc((size_t)argc + 1, sizeof *wanted.names);
    int code = CLI_FAILED;
    if (wanted.paths == NULL || wanted.names == NULL) {
        (void)cli_usage("out of memory");
    } else {
        code = take_all(&wanted);
        if (code < 0) {
            code = run(&wanted);
        }
    }
    free((void *)wanted.paths);
    free((void *)wanted.names);
    return code;
}
