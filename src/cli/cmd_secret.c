/* `holdfast secret`: passphrases of keys, kept by the system for those who may read them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/common.h"
#include "config/text.h"
#include "platform/platform.h"
#include "platform/secret.h"

#define SECRET_CAP_BYTES 1024
#define SERVICE_DEFAULT "holdfast"

struct request {
    const char *action;
    const char *name;
    const char *service; /* NULL: for a person */
    const char *account; /* NULL: the service's own */
};

static enum platform_secret_place place_of(const struct request *request)
{
    return request->service != NULL ? PLATFORM_SECRET_OF_SERVICE : PLATFORM_SECRET_OF_PERSON;
}

static void wipe_text(char **text)
{
    if (*text != NULL) {
        platform_wipe(*text, strlen(*text));
    }
    free(*text);
    *text = NULL;
}

/* Asks twice, since nobody sees what is typed. */
static enum err ask(const char *name, char **out, struct err_info *info)
{
    char prompt[128];
    char *again = NULL;
    (void)snprintf(prompt, sizeof prompt, "Passphrase to keep as '%.64s': ", name);
    enum err result = platform_terminal_ask(prompt, false, out, info);
    if (result == OK) {
        result = platform_terminal_ask("The same again: ", false, &again, info);
    }
    if (result == OK && strcmp(*out, again) != 0) {
        result = err_set(info, ERR_USAGE, "the two passphrases differ; nothing was stored");
    }
    wipe_text(&again);
    return result;
}

/* The first line of standard input, without its end. */
static enum err read_line(char **out, struct err_info *info)
{
    static const char mark[] = "\xef\xbb\xbf"; /* some programs of Windows begin UTF-8 with it */
    char *line = calloc(SECRET_CAP_BYTES + 2, 1);
    size_t len = 0;
    int byte = 0;
    enum err result = OK;
    if (line == NULL) {
        return err_set(info, ERR_MEMORY, "out of memory");
    }
    (void)setvbuf(stdin, NULL, _IONBF, 0); /* no copy stays in a buffer that nobody wipes */
    while (len <= SECRET_CAP_BYTES && (byte = getchar()) != EOF && byte != '\n') {
        line[len++] = (char)byte;
    }
    if (len > SECRET_CAP_BYTES) {
        result = err_set(info, ERR_USAGE, "the line on standard input is longer than %d bytes", SECRET_CAP_BYTES);
    } else if (memchr(line, '\0', len) != NULL) {
        result = err_set(info, ERR_USAGE, "standard input is not text in UTF-8 (a zero byte is in it)");
    }
    line[len] = '\0';
    if (len > 0 && line[len - 1] == '\r') {
        line[len - 1] = '\0';
    }
    if (strncmp(line, mark, sizeof mark - 1) == 0) {
        memmove(line, line + sizeof mark - 1, strlen(line) - (sizeof mark - 1) + 1);
    }
    *out = line;
    return result;
}

static int set(const struct request *request)
{
    struct err_info info = {.code = OK};
    char account[300];
    char *text = NULL;
    enum err result = platform_secret_name_check(request->name, &info);
    (void)snprintf(account, sizeof account, "%s%s", request->account != NULL ? "" : "NT SERVICE\\",
                   request->account != NULL   ? request->account
                   : request->service != NULL ? request->service
                                              : "");
    if (result == OK) {
        result = uv_guess_handle(0) == UV_TTY ? ask(request->name, &text, &info) : read_line(&text, &info);
    }
    if (result == OK && (text == NULL || text[0] == '\0')) {
        result = err_set(&info, ERR_USAGE, "no passphrase was given; nothing was stored");
    }
    bool before = result == OK && platform_secret_exists(place_of(request), request->name);
    if (result == OK) {
        result = platform_secret_set(place_of(request), request->service != NULL ? account : NULL, request->name, text,
                                     &info);
    }
    wipe_text(&text);
    if (result != OK) {
        (void)cli_usage("secret set: %s", info.message);
        return result == ERR_USAGE ? CLI_USAGE : CLI_FAILED;
    }
    (void)fprintf(stderr, "holdfast: the secret '%s' is %s for %s\n", request->name, before ? "replaced" : "stored",
                  request->service != NULL ? account : "you");
    return CLI_OK;
}

static void print_name(void *arg, const char *name)
{
    size_t *count = arg;
    (*count)++;
    (void)printf("%s\n", name);
}

static int list(const struct request *request)
{
    struct err_info info;
    size_t count = 0;
    if (platform_secret_list(place_of(request), print_name, &count, &info) != OK) {
        (void)cli_usage("secret list: %s", info.message);
        return CLI_FAILED;
    }
    if (count == 0) {
        (void)fprintf(stderr, "holdfast: no secrets are stored for %s\n",
                      request->service != NULL ? "services" : "you");
    }
    return CLI_OK;
}

static int remove_one(const struct request *request)
{
    struct err_info info;
    enum err result = platform_secret_remove(place_of(request), request->name, &info);
    if (result != OK) {
        (void)cli_usage("secret remove: %s", info.message);
        return result == ERR_USAGE ? CLI_USAGE : CLI_FAILED;
    }
    (void)fprintf(stderr, "holdfast: the secret '%s' is removed\n", request->name);
    return CLI_OK;
}

static const struct {
    const char *action;
    bool needs_name;
    int (*run)(const struct request *request);
} actions[] = {{"set", true, set}, {"list", false, list}, {"remove", true, remove_one}};
#define ACTIONS (sizeof actions / sizeof actions[0])

/* -1: go on. */
static int take_long(struct args *args, struct request *request)
{
    static const char *const names[] = {"help", "service", "account"};
    if (strcmp(args->text, "help") == 0) {
        (void)fputs(help_text("secret"), stdout);
        return CLI_OK;
    }
    if (strcmp(args->text, "service") == 0) {
        request->service = args_has_joined(args) ? args_value(args) : SERVICE_DEFAULT;
        return *request->service != '\0' ? -1 : cli_usage("--service= needs the name of a service");
    }
    if (strcmp(args->text, "account") == 0) {
        request->account = args_value(args);
        return request->account != NULL && *request->account != '\0' ? -1 : cli_usage("--account needs a value");
    }
    return cli_unknown(args, "secret", names, sizeof names / sizeof names[0]);
}

/* -1: go on; `request` is as the words say. */
static int take_all(int argc, char **argv, struct request *request)
{
    struct args args = {.argc = argc, .argv = argv};
    while (args_next(&args) != ARG_END) {
        if (args.kind == ARG_FLAG && args.flag == 'h') {
            (void)fputs(help_text("secret"), stdout);
            return CLI_OK;
        }
        if (args.kind == ARG_LONG) {
            int code = take_long(&args, request);
            if (code >= 0) {
                return code;
            }
        } else if (args.kind != ARG_OPERAND) {
            return cli_unknown(&args, "secret", NULL, 0);
        } else if (request->action == NULL) {
            request->action = args.text;
        } else if (request->name == NULL) {
            request->name = args.text;
        } else {
            /* the word may be a secret, so it is not shown */
            return cli_usage("secret: there is a word too many behind '%s'; a passphrase is read from the terminal or "
                             "standard input, never from the command line",
                             request->action);
        }
    }
    return -1;
}

int cmd_secret(int argc, char **argv)
{
    struct request request = {NULL, NULL, NULL, NULL};
    int code = take_all(argc, argv, &request);
    if (code >= 0) {
        return code;
    }
    if (!platform_has_secrets()) {
        return cli_usage(
            "secret: not in this version on this system; load the key into ssh-agent, or use a key without "
            "a passphrase and with least rights (holdfast keygen)");
    }
    if (request.action == NULL) {
        return cli_usage("secret needs set, list or remove; see 'holdfast help secret'");
    }
    for (size_t i = 0; i < ACTIONS; i++) {
        if (strcmp(request.action, actions[i].action) != 0) {
            continue;
        }
        if (actions[i].needs_name != (request.name != NULL)) {
            return cli_usage("secret %s %s", request.action,
                             actions[i].needs_name ? "needs a name" : "takes no name; it lists all");
        }
        if (request.account != NULL && request.service == NULL) {
            return cli_usage("secret: --account is whose a service's secret is; add --service");
        }
        return actions[i].run(&request);
    }
    const char *names[ACTIONS];
    for (size_t i = 0; i < ACTIONS; i++) {
        names[i] = actions[i].action;
    }
    const char *nearest = text_nearest(request.action, names, ACTIONS);
    return nearest != NULL ? cli_usage("secret: there is no '%s'; did you mean '%s'?", request.action, nearest)
                           : cli_usage("secret: there is no '%s'; it takes set, list or remove", request.action);
}
