/* `holdfast service`: the tunnels from boot on, with nobody logged in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/common.h"
#include "cli/service_check.h"
#include "cli/service_needs.h"
#include "config/log_file.h"
#include "config/text.h"
#include "platform/platform.h"
#include "service/manager.h"
#include "service/service.h"

struct service_words {
    struct args args;
    const char *name;
    const char *account; /* of --account */
    const char **paths;  /* of -c, words of argv */
    size_t path_count;
    bool fix_acl;
    bool print;
    bool is_persons; /* --user */
};

/* ---- words ---- */

static int take_value(struct service_words *words, const char *flag, const char **out)
{
    *out = args_value(&words->args);
    return *out == NULL || **out == '\0' ? cli_usage("%s needs a value", flag) : -1;
}

static int take_one(struct service_words *words, bool installs)
{
    static const char *const names[] = {"name", "help", "user", "account", "fix-acl", "print"};
    struct err_info info;
    struct args *args = &words->args;
    bool is_long = args->kind == ARG_LONG;
    bool is_switch = is_long && !args_has_joined(args);
    if (cli_is_help(args)) {
        (void)fputs(help_text("service"), stdout);
        return CLI_OK;
    }
    if (is_long && strcmp(args->text, "name") == 0) {
        return take_value(words, "--name", &words->name);
    }
    if (is_switch && strcmp(args->text, "user") == 0) {
        words->is_persons = true;
        return service_use_persons(&info) == OK ? -1 : cli_usage("%s", info.message);
    }
    if (installs && is_switch && strcmp(args->text, "print") == 0) {
        words->print = true;
        return -1;
    }
    if (installs && is_long && strcmp(args->text, "account") == 0) {
        return take_value(words, "--account", &words->account);
    }
    if (installs && is_switch && strcmp(args->text, "fix-acl") == 0) {
        words->fix_acl = true;
        return -1;
    }
    if (installs && args->kind == ARG_FLAG && args->flag == 'c') {
        return take_value(words, "-c", &words->paths[words->path_count++]);
    }
    if (args->kind == ARG_OPERAND) {
        return cli_usage("service: '%s' is too much; the service's name goes after --name", args->text);
    }
    return cli_unknown(args, "service", names, installs ? 6 : 3);
}

/* Takes the words behind the action. -1: go on; otherwise an exit code. */
static int take_all(struct service_words *words, int argc, char **argv, bool installs)
{
    struct err_info info;
    words->args = (struct args){.argc = argc, .argv = argv};
    words->name = SERVICE_DEFAULT_NAME;
    words->paths = calloc((size_t)argc + 1, sizeof(const char *));
    if (words->paths == NULL) {
        (void)cli_usage("out of memory");
        return CLI_FAILED;
    }
    while (args_next(&words->args) != ARG_END) {
        int code = take_one(words, installs);
        if (code >= 0) {
            return code;
        }
    }
    if (words->is_persons && words->account != NULL) {
        return cli_usage("--user and --account exclude each other: a service of yours runs as you");
    }
    return service_name_check(words->name, &info) == OK ? -1 : cli_usage("%s", info.message);
}

static int fail(const struct err_info *info)
{
    (void)cli_usage("%s", info->message);
    return info->code == ERR_USAGE || info->code == ERR_UNSUPPORTED ? CLI_USAGE : CLI_FAILED;
}

/* ---- install ---- */

static void warn(const char *text)
{
    (void)fprintf(stderr, "holdfast: warning: %s\n", text);
}

/* Absolute, since a service starts in another folder. Heap strings in *out. */
static int make_absolute(const struct service_words *words, char ***out, size_t *out_count)
{
    char here[4096];
    size_t size = sizeof here;
    size_t count = words->path_count > 0 ? words->path_count : 1;
    char **paths = calloc(count, sizeof *paths);
    *out = paths;
    *out_count = 0;
    if (paths == NULL || (words->path_count > 0 && uv_cwd(here, &size) != 0)) {
        (void)cli_usage("the current folder is not known");
        return CLI_FAILED;
    }
    for (size_t i = 0; i < count; i++) {
        paths[i] = words->path_count > 0 ? platform_path_resolve(here, words->paths[i]) : service_folder();
        if (paths[i] == NULL) {
            (void)cli_usage("service install: no folder for definitions is known here; name one with -c");
            return CLI_FAILED;
        }
        (*out_count)++;
    }
    return CLI_OK;
}

/* From a terminal unseen, else the first line of standard input. Heap string that the caller wipes and frees. */
static char *ask_password(const char *account)
{
    struct err_info info;
    char prompt[256];
    char line[512] = "";
    char *answer = NULL;
    if (platform_has_terminal()) {
        (void)snprintf(prompt, sizeof prompt, "Password of %s: ", account);
        return platform_terminal_ask(prompt, false, &answer, &info) == OK ? answer : NULL;
    }
    if (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        answer = strdup(line);
    }
    platform_wipe(line, sizeof line);
    return answer;
}

static int register_it(struct service_plan *plan)
{
    struct err_info info;
    char *password = NULL;
    if (service_account_needs_password(plan->account)) {
        password = ask_password(plan->account);
        if (password == NULL) {
            return cli_usage("service install: %s needs its password, at a terminal or as a line of standard input",
                             plan->account);
        }
        plan->password = password;
    }
    enum err result = service_install(plan, warn, &info);
    if (password != NULL) {
        platform_wipe(password, strlen(password));
    }
    free(password);
    return result == OK ? CLI_OK : fail(&info);
}

static void say_installed(const struct service_plan *plan, const struct config *config)
{
    struct service_facts facts;
    char *log = service_log_path(plan->name);
    bool is_default = strcmp(plan->name, SERVICE_DEFAULT_NAME) == 0;
    bool runs = service_query(plan->name, &facts, NULL) == OK && facts.state == SERVICE_IS_RUNNING;
    service_facts_deinit(&facts);
    (void)printf("%s: installed; it starts %s as %s and keeps %zu tunnel%s\n", plan->name,
                 service_is_persons() ? "with you" : "at boot", plan->account, config->tunnel_count,
                 config->tunnel_count == 1 ? "" : "s");
    for (size_t i = 0; i < plan->definition_count; i++) {
        (void)printf("  definitions  %s\n", plan->definitions[i]);
    }
    (void)printf("  log          %s\n", config->log.path != NULL ? config->log.path : log != NULL ? log : "");
    if (runs) {
        (void)printf(
            "It runs as it was before; stop it first, so that it starts with this: holdfast service stop%s%s%s\n",
            service_is_persons() ? " --user" : "", is_default ? "" : " --name ", is_default ? "" : plan->name);
    }
    (void)printf("Start it now:  holdfast service start%s%s%s\n", service_is_persons() ? " --user" : "",
                 is_default ? "" : " --name ", is_default ? "" : plan->name);
    free(log);
}

static int print_it(const struct service_plan *plan)
{
    struct err_info info;
    char *text = NULL;
    if (service_text(plan, &text, &info) != OK) {
        return fail(&info);
    }
    (void)fputs(text, stdout);
    free(text);
    return CLI_OK;
}

/* Looks at what the account will need, then makes the service. */
static int install_it(const struct service_words *words, const struct config *config, struct service_plan *plan)
{
    struct err_info info;
    if (service_make_folders(plan->account, &info) != OK) {
        return fail(&info);
    }
    int code = service_check(config, plan, words->fix_acl);
    if (code != CLI_OK) {
        (void)fprintf(stderr, "holdfast: nothing was installed\n");
        return code;
    }
    code = register_it(plan);
    if (code == CLI_OK) {
        say_installed(plan, config);
    }
    return code;
}

static int do_install(const struct service_words *words)
{
    struct config config = {.tunnels = NULL};
    struct service_needs needs;
    struct err_info info;
    char **paths = NULL;
    size_t path_count = 0;
    memset(&needs, 0, sizeof needs);
    char *account = service_account(words->name, words->account);
    int code = account == NULL ? CLI_FAILED : make_absolute(words, &paths, &path_count);
    struct service_plan plan = {.name = words->name,
                                .account = account,
                                .definitions = (const char *const *)paths,
                                .definition_count = path_count};
    if (code == CLI_OK && !words->print && service_may_change(&info) != OK) {
        code = fail(&info);
    }
    if (code == CLI_OK) {
        code = cli_load((const char *const *)paths, path_count, &config);
    }
    if (code == CLI_OK && service_needs_find(&needs, &config, &plan) != OK) {
        code = CLI_FAILED;
    }
    if (code == CLI_OK) {
        code = words->print ? print_it(&plan) : install_it(words, &config, &plan);
    }
    for (size_t i = 0; i < path_count; i++) {
        free(paths[i]);
    }
    free((void *)paths);
    free(account);
    service_needs_deinit(&needs);
    config_deinit(&config);
    return code;
}

/* ---- uninstall, start, stop, status ---- */

static int do_one(const struct service_words *words, enum err (*call)(const char *name, struct err_info *info),
                  const char *done)
{
    struct err_info info;
    if (call(words->name, &info) != OK) {
        return fail(&info);
    }
    (void)printf("%s: %s\n", words->name, done);
    return CLI_OK;
}

static int do_uninstall(const struct service_words *words)
{
    return do_one(words, service_uninstall, "uninstalled; definitions and keys are where they were");
}

static int do_start(const struct service_words *words)
{
    return do_one(words, service_start, "started");
}

static int do_stop(const struct service_words *words)
{
    return do_one(words, service_stop, "stopped");
}

static int do_status(const struct service_words *words)
{
    static const char *const states[] = {"not installed", "stopped", "starting", "running", "stopping"};
    struct service_facts facts;
    struct err_info info;
    if (service_query(words->name, &facts, &info) != OK) {
        return fail(&info);
    }
    char *log = service_log_path(words->name);
    (void)printf("%s: %s", words->name, states[facts.state]);
    if (facts.pid != 0) {
        (void)printf(", process %lu", facts.pid);
    } else if (facts.state == SERVICE_IS_STOPPED && facts.exit_code != 0) {
        (void)printf(", it ended with code %lu", facts.exit_code);
    }
    (void)printf("\n  starts   %s\n  account  %s\n  command  %s\n  log      %s\n",
                 facts.starts_at_boot ? "at boot" : "by hand only", facts.account != NULL ? facts.account : "unknown",
                 facts.command != NULL ? facts.command : "unknown", log != NULL ? log : "unknown");
    int code = facts.state == SERVICE_IS_RUNNING ? CLI_OK : CLI_FAILED;
    free(log);
    service_facts_deinit(&facts);
    return code;
}

/* ---- run: what the service manager starts ---- */

static int load_into_log(const struct service_words *words, struct config *config)
{
    struct config_errors errors;
    enum err result = config_load(words->paths, words->path_count, config, &errors);
    for (size_t i = 0; i < errors.count; i++) {
        log_error(NULL, "%s", errors.lines[i]);
    }
    config_errors_deinit(&errors);
    return result == OK ? CLI_OK : result == ERR_MEMORY ? CLI_FAILED : CLI_USAGE;
}

/* From the service's own log to the one that the definitions name. */
static void log_to(const struct config_log *log)
{
    int status = log_open(log->path, LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    if (status != 0) {
        log_error(NULL, "the log goes on here, since %s cannot be written: %s", log->path, err_uv_text(status));
        return;
    }
    log_rotate_at(log->max_bytes, log->keep);
}

static int hosted(void *arg)
{
    const struct service_words *words = arg;
    struct config config = {.tunnels = NULL};
    char *state = service_state_dir();
    const struct supervisor_options options = {.up_lines = NULL, .state_dir = state, .grace_ms = 5000};
    char *path = service_log_path(words->name);
    int status = path != NULL ? log_open_or_wait(path, LOG_LEVEL_INFO, LOG_FORMAT_TEXT) : UV_ENOMEM;
    log_rotate_at(CONFIG_LOG_MAX_BYTES, CONFIG_LOG_KEEP);
    if (status != 0) {
        log_error(NULL,
                  "the log %s cannot be written: %s; until it can, only warnings are kept, by the system's event log",
                  path != NULL ? path : "", err_uv_text(status));
    }
    log_info(NULL, "the service %s begins", words->name);
    int code = load_into_log(words, &config);
    if (code == CLI_OK && config.log.path != NULL) {
        log_to(&config.log);
    }
    if (code == CLI_OK) {
        const struct service_definitions definitions = {.paths = words->paths,
                                                        .path_count = words->path_count,
                                                        .watch = config.watch_definitions,
                                                        .fingerprint = config.fingerprint,
                                                        .metrics_file = config.metrics_file};
        code = service_run(config.tunnels, config.tunnel_count, &options, &definitions);
    }
    log_info(NULL, "the service %s ends with code %d", words->name, code);
    log_close();
    config_deinit(&config);
    free(state);
    free(path);
    return code;
}

static int do_run(const struct service_words *words)
{
    struct err_info info;
    int code = CLI_FAILED;
    struct service_words own = *words;
    enum err result = service_host(own.name, hosted, &own, &code, &info);
    return result == OK ? code : fail(&info);
}

static const struct {
    const char *name;
    int (*run)(const struct service_words *words);
    bool takes_definitions;
} actions[] = {
    {"install", do_install, true}, {"uninstall", do_uninstall, false}, {"start", do_start, false},
    {"stop", do_stop, false},      {"status", do_status, false},       {"run", do_run, true},
};

int cmd_service(int argc, char **argv)
{
    const char *names[sizeof actions / sizeof actions[0]];
    size_t known = sizeof actions / sizeof actions[0] - 1; /* `run` is not for people */
    for (size_t i = 0; i < known; i++) {
        names[i] = actions[i].name;
    }
    if (argc >= 2 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) {
        (void)fputs(help_text("service"), stdout);
        return CLI_OK;
    }
    for (size_t i = 0; argc >= 2 && i <= known; i++) {
        if (strcmp(argv[1], actions[i].name) == 0) {
            struct service_words words;
            memset(&words, 0, sizeof words);
            int code = take_all(&words, argc - 1, argv + 1, actions[i].takes_definitions);
            if (code < 0) {
                code = actions[i].run(&words);
            }
            free((void *)words.paths);
            return code;
        }
    }
    if (argc < 2) {
        return cli_usage("service needs one of install, uninstall, start, stop, status");
    }
    const char *nearest = text_nearest(argv[1], names, known);
    return nearest != NULL ? cli_usage("service: '%s' is none of its actions; did you mean '%s'?", argv[1], nearest)
                           : cli_usage("service: '%s' is none of install, uninstall, start, stop, status", argv[1]);
}
