/* `holdfast keygen`: makes the key of a tunnel, and prints the authorized_keys line that allows its forwards alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/common.h"
#include "session/key_make.h"
#include "tunnel/reclaim_script.h"

/* What permitlisten is to allow: the peer compares the host with what the client asks for, letter by letter. */
static void print_listen(const struct endpoint *listen)
{
    const char *host = listen->host == NULL ? "localhost" : listen->host;
    bool brackets = strchr(host, ':') != NULL;
    if (*host == '\0' || strcmp(host, "*") == 0) {
        host = NULL; /* a port alone allows every address */
    }
    (void)printf(",permitlisten=\"%s%s%s%s", brackets ? "[" : "", host == NULL ? "" : host, brackets ? "]" : "",
                 host == NULL ? "" : ":");
    if (listen->port == 0) {
        (void)printf(host == NULL ? "*:*\"" : "*\"");
    } else {
        (void)printf("%u\"", (unsigned)listen->port);
    }
}

static void print_open(const struct endpoint *to)
{
    if (to->kind == ENDPOINT_COMMAND) { /* any host, since it is not known yet */
        if (to->port == 0) {
            (void)printf(",permitopen=\"*:*\"");
        } else {
            (void)printf(",permitopen=\"*:%u\"", (unsigned)to->port);
        }
        return;
    }
    bool brackets = strchr(to->host, ':') != NULL;
    (void)printf(",permitopen=\"%s%s%s:%u\"", brackets ? "[" : "", to->host, brackets ? "]" : "", (unsigned)to->port);
}

/* The way out of a probe that loops: the peer's own listener, by the name that the probe asks for. */
static void print_open_loop(const struct forward_spec *forward)
{
    const char *host = forward_loop_host(forward);
    bool brackets = strchr(host, ':') != NULL;
    (void)printf(",permitopen=\"%s%s%s:", brackets ? "[" : "", host, brackets ? "]" : "");
    if (forward->listen.port == 0) {
        (void)printf("*\"");
    } else {
        (void)printf("%u\"", (unsigned)forward->listen.port);
    }
}

/* The one command that the key may run: what reclaim asks and does, or nothing. */
static void print_command(const struct tunnel_spec *tunnel)
{
    bool reclaims = false;
    for (size_t i = 0; i < tunnel->forward_count && !tunnel->no_reclaim; i++) {
        reclaims = reclaims || tunnel->forwards[i].type == FORWARD_REMOTE;
    }
    (void)fputs("command=\"", stdout);
    for (const char *at = reclaims ? reclaim_script_forced() : "/bin/false"; *at != '\0'; at++) {
        if (*at == '"') {
            (void)putchar('\\');
        }
        (void)putchar(*at);
    }
    (void)putchar('"');
}

static void print_options(const struct tunnel_spec *tunnel)
{
    bool listens = false;
    bool opens = false;
    (void)fputs("restrict,port-forwarding,", stdout);
    print_command(tunnel);
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        const struct forward_spec *forward = &tunnel->forwards[i];
        if (forward->type == FORWARD_REMOTE && forward->listen.kind == ENDPOINT_TCP) {
            listens = true;
            print_listen(&forward->listen);
            if (forward->probe == PROBE_LOOP) {
                opens = true;
                print_open_loop(forward);
            }
        } else if (forward->type == FORWARD_LOCAL &&
                   (forward->to.kind == ENDPOINT_TCP || forward->to.kind == ENDPOINT_COMMAND)) {
            opens = true;
            print_open(&forward->to);
        }
    }
    /* Without an entry everything is allowed, and there is no word for nothing: port 1 is nobody's. */
    if (!listens) {
        (void)printf(",permitlisten=\"0.0.0.0:1\"");
    }
    if (!opens) {
        (void)printf(",permitopen=\"0.0.0.0:1\"");
    }
}

static int make_and_print(const struct tunnel_spec *tunnel)
{
    struct err_info info;
    struct key_file key;
    char comment[300];
    const struct host_spec *host = &tunnel->host;
    int code = CLI_FAILED;
    if (host->identity_files_are_default || host->identity_files.count == 0) {
        return cli_usage(
            "%s: tunnels.%s: its host has no identity_file to make; add 'identity_file: %s.key' to the host",
            tunnel->where, tunnel->name, tunnel->name);
    }
    const char *path = host->identity_files.items[0];
    (void)snprintf(comment, sizeof comment, "holdfast-%s", tunnel->name);
    enum err result = key_file_load(&key, path, &info);
    if (result != OK && key.missing) {
        key_file_deinit(&key);
        result = key_make(path, comment, &info);
        if (result == OK) {
            (void)fprintf(stderr, "holdfast: made %s and its public half %s.pub\n", path, path);
            result = key_file_load(&key, path, &info);
        } else {
            (void)memset(&key, 0, sizeof key);
        }
    } else if (result == OK) {
        (void)fprintf(stderr, "holdfast: %s exists and stays as it is\n", path);
    }
    char *line = result == OK ? key_public_line(&key, comment) : NULL;
    if (line != NULL) {
        (void)fprintf(stderr, "holdfast: add this line to ~/.ssh/authorized_keys of %s on %s:\n", host->user,
                      host->hostnames.items[0]);
        print_options(tunnel);
        (void)printf(" %s\n", line);
        code = CLI_OK;
    } else if (result == OK) {
        (void)cli_usage("%s: its public half needs the passphrase; put the line of 'ssh-keygen -y -f' into %s.pub",
                        path, path);
    } else {
        (void)cli_usage("%s", info.message);
    }
    free(line);
    key_file_deinit(&key);
    return code;
}

/* -1: go on; `*name` is set then. */
static int take_all(int argc, char **argv, const char **paths, size_t *path_count, const char **name)
{
    static const char *const names[] = {"help"};
    struct args args = {.argc = argc, .argv = argv};
    while (args_next(&args) != ARG_END) {
        bool flag = args.kind == ARG_FLAG;
        if ((flag && args.flag == 'h') || (args.kind == ARG_LONG && strcmp(args.text, "help") == 0)) {
            (void)fputs(help_text("keygen"), stdout);
            return CLI_OK;
        }
        if (flag && args.flag == 'c') {
            const char *value = args_value(&args);
            if (value == NULL || *value == '\0') {
                return cli_usage("-c needs a file or a folder");
            }
            paths[(*path_count)++] = value;
        } else if (args.kind != ARG_OPERAND) {
            return cli_unknown(&args, "keygen", names, 1);
        } else if (*name != NULL) {
            return cli_usage("keygen takes one tunnel, and '%s' is a second", args.text);
        } else {
            *name = args.text;
        }
    }
    return *name != NULL ? -1 : cli_usage("keygen needs the name of a tunnel: holdfast keygen [-c FILE|DIR] NAME");
}

int cmd_keygen(int argc, char **argv)
{
    struct config config = {.tunnels = NULL};
    const char *name = NULL;
    size_t path_count = 0;
    int code = CLI_FAILED;
    const char **paths = calloc((size_t)argc + 1, sizeof(const char *));
    if (paths == NULL) {
        (void)cli_usage("out of memory");
        return code;
    }
    code = take_all(argc, argv, paths, &path_count, &name);
    if (code < 0 && name != NULL) {
        code = cli_load(paths, path_count, &config);
        if (code == CLI_OK) {
            const struct tunnel_spec *tunnel = cli_find_tunnel(&config, "keygen", name);
            code = tunnel == NULL ? CLI_USAGE : make_and_print(tunnel);
        }
    }
    config_deinit(&config);
    free((void *)paths);
    return code;
}
