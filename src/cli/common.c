#include "cli/common.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "cli/cli.h"
#include "config/log_file.h"
#include "config/text.h"

int cli_usage(const char *format, ...)
{
    char line[1024];
    char shown[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    (void)fprintf(stderr, "holdfast: %s\n", text_shown(line, shown, sizeof shown));
    return CLI_USAGE;
}

/* --- the log --- */

static int take_word(struct args *args, const char *name, const char **out)
{
    *out = args_value(args);
    if (*out == NULL || **out == '\0') {
        (void)cli_usage("%s needs a value", name);
        return -1;
    }
    return 1;
}

static int take_max_size(struct log_flags *flags, struct args *args)
{
    struct err_info info = {.code = OK};
    const char *value = NULL;
    int taken = take_word(args, "--log-max-size", &value);
    if (taken > 0 && log_size_parse(value, &flags->max_bytes, &info) != OK) {
        (void)cli_usage("--log-max-size: %s", info.message);
        return -1;
    }
    return taken;
}

static int take_long(struct log_flags *flags, struct args *args)
{
    enum log_level level = LOG_LEVEL_ERROR;
    enum log_format format = LOG_FORMAT_TEXT;
    int taken = 0;
    if (strcmp(args->text, "log-level") == 0) {
        taken = take_word(args, "--log-level", &flags->level);
        if (taken > 0 && log_level_parse(flags->level, &level) != 0) {
            (void)cli_usage("--log-level: '%s' is not error, warning, info, debug or trace", flags->level);
            return -1;
        }
    } else if (strcmp(args->text, "log-format") == 0) {
        taken = take_word(args, "--log-format", &flags->format);
        if (taken > 0 && log_format_parse(flags->format, &format) != 0) {
            (void)cli_usage("--log-format: '%s' is not text or json", flags->format);
            return -1;
        }
    } else if (strcmp(args->text, "log-file") == 0) {
        taken = take_word(args, "--log-file", &flags->file);
    } else if (strcmp(args->text, "log-max-size") == 0) {
        taken = take_max_size(flags, args);
    }
    return taken;
}

int log_flags_take(struct log_flags *flags, struct args *args)
{
    if (args->kind == ARG_LONG) {
        return take_long(flags, args);
    }
    if (args->kind != ARG_FLAG) {
        return 0;
    }
    switch (args->flag) {
    case 'v': flags->verbose++; return 1;
    case 'q': flags->quiet = true; return 1;
    case 'E': return take_word(args, "-E", &flags->file);
    default: return 0;
    }
}

/* `normal` is the level without flags; `open` is log_open or its like, whose result is returned. */
static int open_log(const struct log_flags *flags, enum log_level normal,
                    int (*open)(const char *path, enum log_level level, enum log_format format))
{
    enum log_level level = normal;
    enum log_format format = LOG_FORMAT_TEXT;
    if (flags->quiet) {
        level = LOG_LEVEL_ERROR;
    } else if (flags->verbose > 0) {
        level = flags->verbose == 1 ? LOG_LEVEL_INFO : flags->verbose == 2 ? LOG_LEVEL_DEBUG : LOG_LEVEL_TRACE;
    }
    if (flags->level != NULL) {
        (void)log_level_parse(flags->level, &level);
    }
    if (flags->format != NULL) {
        (void)log_format_parse(flags->format, &format);
    }
    int status = open(flags->file, level, format);
    log_rotate_at(flags->max_bytes, flags->keep != 0 ? flags->keep : CONFIG_LOG_KEEP);
    return status;
}

int log_flags_open(const struct log_flags *flags, enum log_level normal)
{
    int status = open_log(flags, normal, log_open);
    if (status == 0) {
        return CLI_OK;
    }
    (void)cli_usage("log file %s: %s", flags->file, err_uv_text(status));
    return CLI_FAILED;
}

int log_flags_open_or_wait(const struct log_flags *flags, enum log_level normal)
{
    int status = open_log(flags, normal, log_open_or_wait);
    if (status == UV_ENOMEM) {
        (void)cli_usage("out of memory");
        return CLI_FAILED;
    }
    if (status != 0) {
        log_error(NULL, "the log file %s cannot be written: %s; until it can, the log goes to standard error",
                  flags->file, err_uv_text(status));
    }
    return CLI_OK;
}

/* --- flags of run and check --- */

int cli_unknown(const struct args *args, const char *command, const char *const *long_names, size_t long_count)
{
    const char *of = command == NULL ? "" : command;
    const char *blank = command == NULL ? "" : " ";
    if (args->kind == ARG_FLAG) {
        return cli_usage("unknown flag -%c; see 'holdfast help%s%s'", args->flag, blank, of);
    }
    const char *nearest = text_nearest(args->text, long_names, long_count);
    if (nearest != NULL && args_has_joined(args) && strcmp(args->text, nearest) == 0) {
        return cli_usage("--%s takes no value", args->text);
    }
    if (nearest != NULL) {
        return cli_usage("unknown flag --%s; did you mean --%s?", args->text, nearest);
    }
    return cli_usage("unknown flag --%s; see 'holdfast help%s%s'", args->text, blank, of);
}

bool cli_is_help(const struct args *args)
{
    return (args->kind == ARG_FLAG && args->flag == 'h') || (args->kind == ARG_LONG && strcmp(args->text, "help") == 0);
}

static int take_one(struct args *args, const char *command, struct log_flags *log, const char **path)
{
    static const char *const names[] = {"help", "log-level", "log-format", "log-file", "log-max-size"};
    if (cli_is_help(args)) {
        (void)fputs(help_text(command), stdout);
        return CLI_OK;
    }
    if (args->kind == ARG_OPERAND) {
        return cli_usage("%s: '%s' is too much; name definitions with -c", command, args->text);
    }
    if (args->kind == ARG_FLAG && args->flag == 'c') {
        *path = args_value(args);
        return *path == NULL || **path == '\0' ? cli_usage("-c needs a file or a folder") : -1;
    }
    int taken = log == NULL ? 0 : log_flags_take(log, args);
    if (taken != 0) {
        return taken < 0 ? CLI_USAGE : -1;
    }
    return cli_unknown(args, command, names, log == NULL ? 1 : sizeof names / sizeof names[0]);
}

int cli_take_definitions(int argc, char **argv, struct log_flags *log, const char ***paths, size_t *path_count)
{
    struct args args = {.argc = argc, .argv = argv};
    *path_count = 0;
    *paths = calloc((size_t)argc + 1, sizeof(const char *));
    if (*paths == NULL) {
        (void)cli_usage("out of memory");
        return CLI_FAILED;
    }
    while (args_next(&args) != ARG_END) {
        const char *path = NULL;
        int code = take_one(&args, argv[0], log, &path);
        if (code >= 0) {
            return code;
        }
        if (path != NULL) {
            (*paths)[(*path_count)++] = path;
        }
    }
    return -1;
}

int cli_load(const char *const *paths, size_t path_count, struct config *config)
{
    struct config_errors errors;
    enum err result = config_load(paths, path_count, config, &errors);
    for (size_t i = 0; i < errors.count; i++) {
        (void)fprintf(stderr, "%s\n", errors.lines[i]);
    }
    config_errors_deinit(&errors);
    return result == OK ? CLI_OK : result == ERR_MEMORY ? CLI_FAILED : CLI_USAGE;
}

static void complain_of_name(const struct config *config, const char *command, const char *name)
{
    const char **names = calloc(config->tunnel_count + 1, sizeof(const char *));
    for (size_t i = 0; names != NULL && i < config->tunnel_count; i++) {
        names[i] = config->tunnels[i].name;
    }
    const char *nearest = names != NULL ? text_nearest(name, names, config->tunnel_count) : NULL;
    if (nearest != NULL) {
        (void)cli_usage("%s: the definitions have no tunnel '%s'; did you mean '%s'?", command, name, nearest);
    } else {
        (void)cli_usage("%s: the definitions have no tunnel '%s'; 'holdfast check' lists those they have", command,
                        name);
    }
    free((void *)names);
}

const struct tunnel_spec *cli_find_tunnel(const struct config *config, const char *command, const char *name)
{
    for (size_t i = 0; i < config->tunnel_count; i++) {
        if (strcmp(config->tunnels[i].name, name) == 0) {
            return &config->tunnels[i];
        }
    }
    complain_of_name(config, command, name);
    return NULL;
}
