#include "cli/service_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/common.h"
#include "config/files.h"
#include "platform/platform.h"
#include "session/host_key.h"
#include "session/key_file.h"
#include "session/known_hosts_file.h"

struct check {
    const char *account;
    bool fix;
    int code; /* of the first problem */
};

static void problem(struct check *check, int code, const char *tunnel, const char *text)
{
    (void)fprintf(stderr, "holdfast: %s: %s\n", tunnel, text);
    if (check->code == CLI_OK) {
        check->code = code;
    }
}

/* True for a file below the ~/.ssh of whoever asks, which is not the service's. */
static bool is_at_home(const char *path)
{
    char *home = platform_ssh_dir();
    bool inside = home != NULL && platform_path_is_below(home, path);
    free(home);
    return inside;
}

static void check_key(struct check *check, const struct tunnel_spec *tunnel, const char *path)
{
    struct key_file key;
    struct err_info info = {.code = OK};
    char text[768];
    memset(&key, 0, sizeof key);
    if (platform_key_file_check_for(path, check->account, check->fix, &info) != OK) {
        problem(check, CLI_AUTH, tunnel->name, info.message);
        return;
    }
    if (key_file_load(&key, path, &info) != OK) {
        (void)snprintf(text, sizeof text, "%s%s", info.message, key.missing ? "; 'holdfast keygen' makes it" : "");
        problem(check, CLI_AUTH, tunnel->name, text);
    } else if (key.encrypted) {
        (void)snprintf(
            text, sizeof text,
            "%s needs a passphrase, and a service has nobody to ask: make a key for it with 'holdfast keygen %s'", path,
            tunnel->name);
        problem(check, CLI_AUTH, tunnel->name, text);
    }
    key_file_deinit(&key);
}

static void check_keys(struct check *check, const struct tunnel_spec *tunnel)
{
    const struct host_spec *host = &tunnel->host;
    if (host->identity_files_are_default && service_is_persons()) {
        return; /* the person's own keys and agent are the service's too */
    }
    if (host->identity_files_are_default || host->identity_files.count == 0) {
        problem(check, CLI_AUTH, tunnel->name,
                "no identity_file: a service has neither the agent nor the ~/.ssh of a person; give the host an "
                "identity_file, and make it with 'holdfast keygen'");
        return;
    }
    for (size_t i = 0; i < host->identity_files.count; i++) {
        check_key(check, tunnel, host->identity_files.items[i]);
    }
}

/* A file that is not there is somebody else's complaint. */
static void check_access(struct check *check, const char *what, const char *path, enum service_access access)
{
    struct err_info info = {.code = OK};
    if (path != NULL && file_kind(path, &info) != FILE_MISSING &&
        service_access_check(check->account, path, access, &info) != OK) {
        problem(check, CLI_USAGE, what, info.message);
    }
}

static void check_definitions(struct check *check, const struct service_plan *plan)
{
    for (size_t i = 0; i < plan->definition_count; i++) {
        struct string_list files = {NULL, 0};
        check_access(check, "definitions", plan->definitions[i], SERVICE_READS);
        if (file_kind(plan->definitions[i], NULL) == FILE_FOLDER &&
            file_list(plan->definitions[i], "*.yaml", &files, NULL) == OK) {
            for (size_t j = 0; j < files.count; j++) {
                check_access(check, "definitions", files.items[j], SERVICE_READS);
            }
        }
        string_list_deinit(&files);
    }
}

/* Says why the service writes to the folder of known_hosts, where it cannot; what to do is said with all such folders.
 */
static void check_pinning(struct check *check, const struct tunnel_spec *tunnel, const char *file)
{
    char text[1200];
    for (size_t i = 0; i < tunnel->host.hostnames.count; i++) {
        if (host_key_is_pinned(&tunnel->host, tunnel->host.hostnames.items[i], tunnel->host.port)) {
            return;
        }
    }
    char *folder = file != NULL && strcmp(file, "none") != 0 ? platform_path_folder(file) : NULL;
    if (folder != NULL && file_kind(folder, NULL) != FILE_MISSING &&
        service_access_check(check->account, folder, SERVICE_WRITES, NULL) != OK) {
        (void)snprintf(text, sizeof text,
                       "strict_host_key_checking: accept_new pins the first key in %s, which the service has to be "
                       "able to write: name another known_hosts_file, or pin the key now with 'holdfast trust "
                       "--service %s'",
                       file, tunnel->host.name);
        problem(check, CLI_HOST_KEY, tunnel->name, text);
    }
    free(folder);
}

static void check_host_key(struct check *check, const struct tunnel_spec *tunnel)
{
    const struct host_spec *host = &tunnel->host;
    char text[1200];
    const char *file = host->known_hosts_files.count > 0 ? host->known_hosts_files.items[0] : NULL;
    if (file != NULL && is_at_home(file) && !service_is_persons()) {
        problem(
            check, CLI_HOST_KEY, tunnel->name,
            "no known_hosts_file: the service's account has another ~/.ssh; give the host a known_hosts_file, and fill "
            "it with 'holdfast trust --service HOST'");
        return;
    }
    if (host->strict_host_key_checking == HOST_KEY_ACCEPT_NEW) {
        check_pinning(check, tunnel, file);
        return;
    }
    if (host->strict_host_key_checking == HOST_KEY_NO) {
        return;
    }
    check_access(check, tunnel->name, file, SERVICE_READS);
    for (size_t i = 0; i < host->hostnames.count; i++) {
        if (host_key_is_pinned(host, host->hostnames.items[i], host->port)) {
            return;
        }
    }
    (void)snprintf(text, sizeof text,
                   "the host key of %s is not pinned: run  holdfast trust --known-hosts \"%s\" -p %u %s@%s",
                   host->hostnames.items[0], file != NULL ? file : "known_hosts", (unsigned)host->port, host->user,
                   host->hostnames.items[0]);
    problem(check, CLI_HOST_KEY, tunnel->name, text);
}

int service_check(const struct config *config, const struct service_plan *plan, bool fix)
{
    struct check check = {.account = plan->account, .fix = fix, .code = CLI_OK};
    check_definitions(&check, plan);
    for (size_t i = 0; i < config->tunnel_count; i++) {
        check_keys(&check, &config->tunnels[i]);
        check_host_key(&check, &config->tunnels[i]);
    }
    for (size_t i = 0; i < plan->writable_count; i++) {
        check_access(&check, "definitions", plan->writable[i], SERVICE_WRITES);
    }
    return check.code;
}
