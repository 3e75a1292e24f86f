/* `holdfast trust`: shows the keys that a peer has, and pins them once a person has compared them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/common.h"
#include "config/files.h"
#include "config/ssh_config.h"
#include "platform/platform.h"
#include "service/manager.h"
#include "session/host_key.h"
#include "session/key_scan.h"
#include "session/known_hosts_file.h"

struct trust {
    struct args args;
    struct log_flags log;
    struct ssh_options options;
    const char *config_file; /* of -F */
    const char *known_hosts; /* of --known-hosts */
    bool yes;
    bool replace;
    bool for_service;        /* --service */
    const char *definitions; /* of -c; NULL: the service's folder */
    bool has_host;
    struct tunnel_spec tunnel;
    char *name;       /* in known_hosts */
    char *plain_name; /* without the port, NULL when that is the same */
};

/* What the files say of a peer's keys. */
struct verdict {
    struct known_hosts_result found[KEY_SCAN_CAP];
    size_t pinned;
    bool changed;
    bool revoked;
};

/* -1: go on; otherwise an exit code. */
static int take_option(struct trust *trust, const char *flag, const char *word)
{
    struct err_info info;
    const char *value = args_value(&trust->args);
    if (value == NULL || *value == '\0')
        return cli_usage("%s needs a value", flag);
    enum err result = word != NULL ? ssh_options_set(&trust->options, word, value, &info)
                                   : ssh_options_set_line(&trust->options, value, &info);
    return result == OK ? -1 : cli_usage("%s: %s", flag, info.message);
}

static int take_flag(struct trust *trust)
{
    switch (trust->args.flag) {
    case 'p': return take_option(trust, "-p", "Port");
    case 'l': return take_option(trust, "-l", "User");
    case 'b': return take_option(trust, "-b", "BindAddress");
    case 'o': return take_option(trust, "-o", NULL);
    case '4': return ssh_options_set(&trust->options, "AddressFamily", "inet", NULL) == OK ? -1 : CLI_USAGE;
    case '6': return ssh_options_set(&trust->options, "AddressFamily", "inet6", NULL) == OK ? -1 : CLI_USAGE;
    case 'F':
        trust->config_file = args_value(&trust->args);
        return trust->config_file == NULL ? cli_usage("-F needs a file") : -1;
    case 'c':
        trust->definitions = args_value(&trust->args);
        return trust->definitions == NULL ? cli_usage("-c needs a file or a folder") : -1;
    case 'h': (void)fputs(help_text("trust"), stdout); return CLI_OK;
    default: return cli_unknown(&trust->args, "trust", NULL, 0);
    }
}

static int take_long(struct trust *trust)
{
    static const char *const names[] = {"yes",       "replace",    "help",     "service",     "known-hosts",
                                        "log-level", "log-format", "log-file", "log-max-size"};
    const char *name = trust->args.text;
    for (size_t i = 0; i < 4; i++) {
        if (strcmp(name, names[i]) == 0 && args_has_joined(&trust->args))
            return cli_usage("--%s takes no value", name);
    }
    if (strcmp(name, "known-hosts") == 0) {
        trust->known_hosts = args_value(&trust->args);
        return trust->known_hosts == NULL ? cli_usage("--known-hosts needs a file") : -1;
    }
    if (strcmp(name, "help") == 0) {
        (void)fputs(help_text("trust"), stdout);
        return CLI_OK;
    }
    if (strcmp(name, "yes") == 0)
        trust->yes = true;
    else if (strcmp(name, "replace") == 0)
        trust->replace = true;
    else if (strcmp(name, "service") == 0)
        trust->for_service = true;
    else
        return cli_unknown(&trust->args, "trust", names, sizeof names / sizeof names[0]);
    return -1;
}

static int take_operand(struct trust *trust)
{
    struct err_info info;
    if (trust->has_host)
        return cli_usage("trust takes one host, and '%s' is a second", trust->args.text);
    trust->has_host = true;
    if (ssh_options_set_destination(&trust->options, trust->args.text, &info) != OK)
        return cli_usage("%s", info.message);
    return -1;
}

static int take_all(struct trust *trust)
{
    while (args_next(&trust->args) != ARG_END) {
        int code = log_flags_take(&trust->log, &trust->args);
        if (code != 0)
            code = code < 0 ? CLI_USAGE : -1;
        else if (trust->args.kind == ARG_FLAG)
            code = take_flag(trust);
        else if (trust->args.kind == ARG_LONG)
            code = take_long(trust);
        else
            code = take_operand(trust);
        if (code >= 0)
            return code;
    }
    if (trust->definitions != NULL && !trust->for_service)
        return cli_usage("trust takes -c with --service alone");
    return trust->has_host ? -1 : cli_usage("trust needs a host: holdfast trust [user@]host[:port]");
}

static void pin_in(struct trust *trust, const char *file)
{
    struct string_list *files = &trust->tunnel.host.known_hosts_files;
    string_list_deinit(files);
    (void)string_list_add(files, file);
}

/* True for the host of this tunnel, by its name in the definitions or by one of its addresses. */
static bool is_host_of(const struct tunnel_spec *tunnel, const char *typed)
{
    bool is_it = strcmp(tunnel->host.name, typed) == 0;
    for (size_t i = 0; i < tunnel->host.hostnames.count && !is_it; i++)
        is_it = strcmp(tunnel->host.hostnames.items[i], typed) == 0;
    return is_it;
}

/* What the service's definitions say of the host takes the place of what a person's files say; flags come first. */
static int take_definition(struct trust *trust, const struct config *config)
{
    struct host_spec *host = &trust->tunnel.host;
    for (size_t i = 0; i < config->tunnel_count; i++) {
        const struct host_spec *found = &config->tunnels[i].host;
        if (!is_host_of(&config->tunnels[i], trust->options.host))
            continue;
        uint16_t port = host->port != 22 ? host->port : found->port;
        host_spec_deinit(host);
        if (host_spec_copy(host, found) != OK)
            return cli_usage("out of memory");
        host->port = port;
        break;
    }
    return -1;
}

static bool has_definitions(const char *folder)
{
    struct string_list files = {NULL, 0};
    bool has =
        file_kind(folder, NULL) == FILE_FOLDER && file_list(folder, "*.yaml", &files, NULL) == OK && files.count > 0;
    string_list_deinit(&files);
    return has;
}

/* Where the service looks for host keys. */
static int prepare_for_service(struct trust *trust)
{
    struct config config = {.tunnels = NULL};
    struct host_spec *host = &trust->tunnel.host;
    char *folder = service_folder();
    char *home = platform_ssh_dir();
    char *usual = folder != NULL ? platform_path_resolve(folder, "known_hosts") : NULL;
    const char *place = trust->definitions != NULL ? trust->definitions : folder;
    int code = usual == NULL ? CLI_FAILED : -1;
    if (code < 0 && (trust->definitions != NULL || has_definitions(folder)))
        code = cli_load(&place, 1, &config) == CLI_OK ? take_definition(trust, &config) : CLI_USAGE;
    const char *named = host->known_hosts_files.count > 0 ? host->known_hosts_files.items[0] : "";
    if (code < 0 && (named[0] == '\0' || (home != NULL && platform_path_is_below(home, named)))) {
        (void)fprintf(stderr, "holdfast: no known_hosts_file in a definition of this host; let it have: %s\n", usual);
        pin_in(trust, usual);
    }
    config_deinit(&config);
    free(usual);
    free(home);
    free(folder);
    return code;
}

/* The spec from flags and ssh_config, and the names to look up. */
static int prepare(struct trust *trust)
{
    struct err_info info = {.code = OK};
    struct host_spec *host = &trust->tunnel.host;
    const char *file = trust->config_file != NULL || !trust->for_service ? trust->config_file : "none";
    enum err result = ssh_config_read_default(&trust->options, file, &info);
    if (result == OK)
        result = ssh_options_complete(&trust->options, &trust->tunnel, &info);
    if (result != OK)
        return cli_usage("%s", info.message);
    int code = trust->for_service ? prepare_for_service(trust) : -1;
    if (code >= 0)
        return code;
    if (trust->known_hosts != NULL)
        pin_in(trust, trust->known_hosts);
    if (host->known_hosts_files.count == 0 || strcmp(host->known_hosts_files.items[0], "none") == 0)
        return cli_usage("there is no known_hosts file to pin in; name one with --known-hosts FILE");
    trust->name = known_hosts_lookup_name(host->hostnames.items[0], host->port, host->host_key_alias);
    if (host->port != 22 && host->host_key_alias == NULL)
        trust->plain_name = known_hosts_lookup_name(host->hostnames.items[0], 22, NULL);
    if (trust->name == NULL)
        return cli_usage("out of memory");
    code = log_flags_open(&trust->log, LOG_LEVEL_WARNING);
    return code == CLI_OK ? -1 : code;
}

static void judge(const struct trust *trust, const struct key_scan *scan, struct verdict *out)
{
    bool other_type = false;
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < scan->count; i++) {
        struct known_hosts_result *found = &out->found[i];
        known_hosts_search_files(&trust->tunnel.host.known_hosts_files, trust->name, trust->plain_name,
                                 scan->keys[i].blob, scan->keys[i].len, NULL, found);
        out->pinned += found->status == KNOWN_HOSTS_MATCH ? 1 : 0;
        out->changed = out->changed || found->status == KNOWN_HOSTS_MISMATCH;
        out->revoked = out->revoked || found->status == KNOWN_HOSTS_IS_REVOKED;
        other_type = other_type || found->status == KNOWN_HOSTS_OTHER_TYPE;
    }
    /* keys of other types are only more keys of the same peer if one of its keys is the pinned one */
    out->changed = out->changed || (other_type && out->pinned == 0);
}

static void show(const struct trust *trust, const struct key_scan *scan, const struct verdict *verdict)
{
    char text[160];
    (void)printf("%s has %zu host key%s:\n", trust->name, scan->count, scan->count == 1 ? "" : "s");
    for (size_t i = 0; i < scan->count; i++) {
        const struct known_hosts_result *found = &verdict->found[i];
        (void)printf("  %s", host_key_text(scan->keys[i].blob, scan->keys[i].len, text, sizeof text));
        switch (found->status) {
        case KNOWN_HOSTS_MATCH: (void)printf("  (pinned at %s:%u)\n", found->file, found->line_number); break;
        case KNOWN_HOSTS_IS_REVOKED: (void)printf("  (REVOKED at %s:%u)\n", found->file, found->line_number); break;
        case KNOWN_HOSTS_MISMATCH:
            (void)printf("  (CHANGED: %s:%u has %s)\n", found->file, found->line_number, found->old_key);
            break;
        case KNOWN_HOSTS_OTHER_TYPE:
            (void)printf("  (new; %s:%u has %s)\n", found->file, found->line_number, found->old_key);
            break;
        case KNOWN_HOSTS_UNKNOWN:
        default: (void)printf("  (new)\n"); break;
        }
    }
    (void)fflush(stdout);
}

/* -1: a person agreed; otherwise an exit code. */
static int agree(const struct trust *trust, const struct verdict *verdict)
{
    char prompt[700];
    char *answer = NULL;
    const char *file = trust->tunnel.host.known_hosts_files.items[0];
    if (trust->yes && (!verdict->changed || trust->replace))
        return -1;
    if (!platform_has_terminal() || trust->yes) {
        (void)fprintf(
            stderr, "holdfast: nothing was pinned: %s\n",
            verdict->changed
                ? "the key has changed; compare the fingerprints, then run it at a terminal, or with --yes --replace"
                : "there is no terminal to ask at; compare the fingerprints, then run it with --yes");
        return CLI_HOST_KEY;
    }
    (void)snprintf(
        prompt, sizeof prompt,
        "%sCompare with the peer's own: ssh-keygen -lf on its /etc/ssh/ssh_host_*_key.pub.\n%s %.300s (yes/no)? ",
        verdict->changed ? "THE HOST KEY HAS CHANGED: somebody may be in between.\n" : "",
        verdict->changed ? "Replace the pinned keys in" : "Pin them in", file);
    bool yes = platform_terminal_ask(prompt, true, &answer, NULL) == OK && strcmp(answer, "yes") == 0;
    free(answer);
    if (!yes)
        (void)fprintf(stderr, "holdfast: nothing was pinned\n");
    return yes ? -1 : CLI_HOST_KEY;
}

static int pin(const struct trust *trust, const struct key_scan *scan, const struct verdict *verdict)
{
    struct err_info info;
    struct known_hosts_new_key keys[KEY_SCAN_CAP];
    size_t count = 0;
    enum err result = OK;
    const struct host_spec *host = &trust->tunnel.host;
    const char *file = host->known_hosts_files.items[0];
    for (size_t i = 0; i < scan->count; i++) {
        if (verdict->changed || verdict->found[i].status != KNOWN_HOSTS_MATCH)
            keys[count++] = (struct known_hosts_new_key){scan->keys[i].blob, scan->keys[i].len};
    }
    if (!verdict->changed) {
        result = known_hosts_append(file, trust->name, host->hash_known_hosts, keys, count, &info);
    } else { /* the old ones go first, wherever they are */
        for (size_t i = host->known_hosts_files.count; result == OK && i-- > 0;)
            result = known_hosts_replace(host->known_hosts_files.items[i], trust->name, host->hash_known_hosts, keys,
                                         i == 0 ? count : 0, &info);
    }
    if (result != OK) {
        (void)fprintf(stderr, "holdfast: nothing was pinned: %s\n", info.message);
        return CLI_FAILED;
    }
    if (trust->for_service) { /* whose account is another; what is in there is no secret */
        uv_fs_t request;
        (void)uv_fs_chmod(NULL, &request, file, 0644, NULL);
        uv_fs_req_cleanup(&request);
    }
    (void)printf("pinned %zu key%s of %s in %s\n", count, count == 1 ? "" : "s", trust->name, file);
    return CLI_OK;
}

static int run(const struct trust *trust)
{
    struct key_scan scan;
    struct verdict verdict;
    struct err_info info = {.code = OK};
    int code = CLI_FAILED;
    if (key_scan_run(&trust->tunnel.host, &scan, &info) != OK) {
        (void)fprintf(stderr, "holdfast: %s: %s\n", trust->name, info.message);
        goto out;
    }
    judge(trust, &scan, &verdict);
    show(trust, &scan, &verdict);
    if (verdict.revoked) {
        (void)fprintf(stderr, "holdfast: nothing was pinned: a key of this host is marked as revoked\n");
        code = CLI_HOST_KEY;
    } else if (verdict.pinned == scan.count) {
        (void)printf("already pinned\n");
        code = CLI_OK;
    } else {
        code = agree(trust, &verdict);
        if (code < 0)
            code = pin(trust, &scan, &verdict);
    }
out:
    key_scan_deinit(&scan);
    return code;
}

int cmd_trust(int argc, char **argv)
{
    struct trust trust;
    memset(&trust, 0, sizeof trust);
    trust.args = (struct args){.argc = argc, .argv = argv};
    ssh_options_init(&trust.options);
    int code = take_all(&trust);
    if (code < 0)
        code = prepare(&trust);
    if (code < 0) {
        code = run(&trust);
        log_close();
    }
    free(trust.name);
    free(trust.plain_name);
    tunnel_spec_deinit(&trust.tunnel);
    ssh_options_deinit(&trust.options);
    return code;
}
