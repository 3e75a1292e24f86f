#include <stdlib.h>
#include <string.h>

#include "config/settings.h"
#include "config/text.h"
#include "platform/platform.h"

static enum err add_in_dir(struct string_list *list, const char *dir, const char *name)
{
    char *path = text_format("%s/%s", dir, name);
    enum err result = path == NULL ? ERR_MEMORY : string_list_add(list, path);
    free(path);
    return result;
}

/* The files that ssh looks at by itself. A machine without a home directory has only the system's. */
static enum err add_default_files(struct settings *settings, const char *ssh_dir)
{
    static const char *const keys[] = {"id_ed25519", "id_ecdsa", "id_rsa"};
    static const char *const known[] = {"known_hosts", "known_hosts2"};
    bool keys_given = settings_has(settings, setting_find(DIALECT_SSH, "IdentityFile"));
    bool known_given = settings_has(settings, setting_find(DIALECT_SSH, "UserKnownHostsFile"));
    enum err result = OK;
    for (size_t i = 0; result == OK && !keys_given && ssh_dir != NULL && i < sizeof keys / sizeof keys[0]; i++) {
        result = add_in_dir(&settings->host.identity_files, ssh_dir, keys[i]);
        settings->host.identity_files_are_default = true;
    }
    for (size_t i = 0; result == OK && !known_given && ssh_dir != NULL && i < sizeof known / sizeof known[0]; i++) {
        result = add_in_dir(&settings->host.known_hosts_files, ssh_dir, known[i]);
    }
    return result;
}

static enum err add_global_known_hosts(struct settings *settings, bool wanted)
{
    struct string_list *known = &settings->host.known_hosts_files;
    enum err result = OK;
    if (settings_has(settings, setting_find(DIALECT_SSH, "GlobalKnownHostsFile"))) {
        for (size_t i = 0; result == OK && i < settings->global_known_hosts_files.count; i++) {
            if (!text_equal_nocase(settings->global_known_hosts_files.items[i], "none")) {
                result = string_list_add(known, settings->global_known_hosts_files.items[i]);
            }
        }
    } else if (wanted) {
        char *dir = platform_system_ssh_dir();
        result = dir != NULL ? add_in_dir(known, dir, "ssh_known_hosts") : OK;
        free(dir);
    }
    return result;
}

enum err settings_complete(struct settings *settings, enum dialect dialect, const char *name, struct err_info *info)
{
    struct host_spec *host = &settings->host;
    bool known_given = settings_has(settings, setting_find(DIALECT_SSH, "UserKnownHostsFile"));
    char *ssh_dir = platform_ssh_dir();
    enum err result = OK;
    if (host->user == NULL && (host->user = platform_user_name()) == NULL) {
        result = err_set(info, ERR_DEFINITION, "the login name is not known here; say it with user: or -l");
        goto out;
    }
    free(host->name);
    host->name = strdup(name);
    result = host->name == NULL ? ERR_MEMORY : OK;
    if (result == OK && host->hostnames.count == 0) {
        result = string_list_add(&host->hostnames, name);
    }
    if (result == OK) {
        result = add_default_files(settings, ssh_dir);
    }
    if (result == OK) {
        result = add_global_known_hosts(settings, dialect == DIALECT_SSH || !known_given);
    }
    if (result != OK) {
        (void)err_set(info, result, "out of memory");
    }
out:
    free(ssh_dir);
    return result;
}
