#include "service/posix/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/platform.h"
#include "service/posix/account.h"
#include "service/posix/text.h"

/* systemd.service(5), "Command lines": in quotes, with systemd's specifiers and variables taken out of a word. The
 * program itself knows no variables. */
static void add_word(struct text *text, const char *word, bool is_program)
{
    text_add_char(text, '"');
    for (; *word != 0; word++) {
        if (*word == '"' || *word == '\\')
            text_add_char(text, '\\');
        if (*word == '%' || (*word == '$' && !is_program))
            text_add_char(text, *word);
        text_add_char(text, *word);
    }
    text_add_char(text, '"');
}

/* A path where a unit takes no quotes: all up to the end of the line is the path. */
static void add_path(struct text *text, const char *path)
{
    for (; *path != 0; path++) {
        if (*path == '%')
            text_add_char(text, '%');
        text_add_char(text, *path);
    }
}

static enum err check_path(const char *path, bool is_bare, struct err_info *info)
{
    size_t len = strlen(path);
    bool is_good = !text_has_control(path) && len > 0;
    if (is_good && is_bare)
        is_good = path[len - 1] != ' ' && path[len - 1] != '\\' && strchr(path, '"') == NULL;
    return is_good ? OK : err_set(info, ERR_USAGE, "%s: a systemd unit cannot name such a path; give it another", path);
}

static enum err add_credentials(struct text *text, const struct service_plan *plan, struct err_info *info)
{
    enum err result = OK;
    for (size_t i = 0; i < plan->key_count && result == OK; i++) {
        char *name = platform_credential_name(plan->keys[i]);
        result = check_path(plan->keys[i], true, info);
        if (result == OK && name == NULL)
            result = err_set(info, ERR_USAGE, "%s: the path is too long to be handed to a service; give it a shorter",
                             plan->keys[i]);
        if (result == OK) {
            text_add(text, "LoadCredential=%s:", name);
            add_path(text, plan->keys[i]);
            text_add_char(text, '\n');
        }
        free(name);
    }
    return result;
}

/* Folders beside those that systemd makes for us. /var/log/NAME is one that it can make. */
static enum err add_writable(struct text *text, const struct service_plan *plan, struct err_info *info)
{
    char logs[SERVICE_NAME_CAP_BYTES + 16];
    enum err result = OK;
    (void)snprintf(logs, sizeof logs, "/var/log/%s", plan->name);
    for (size_t i = 0; i < plan->writable_count && result == OK; i++) {
        result = check_path(plan->writable[i], true, info);
        if (strcmp(plan->writable[i], logs) == 0) {
            text_add(text, "LogsDirectory=%s\nLogsDirectoryMode=0750\n", plan->name);
        } else {
            text_add(text, "ReadWritePaths=\"");
            add_path(text, plan->writable[i]);
            text_add(text, "\"\n");
        }
    }
    return result;
}

/* What is taken from a service of the machine. Programs of `command:` and of hooks run under the same limits, so that
 * memory that is written and then run is let alone: interpreters need it. */
static void add_limits(struct text *text, const struct service_plan *plan)
{
    const char *capability = plan->binds_low_ports ? "CAP_NET_BIND_SERVICE" : "";
    text_add(text, "AmbientCapabilities=%s\nCapabilityBoundingSet=%s\n", capability, capability);
    text_add(text, "NoNewPrivileges=yes\nUMask=0077\nProtectSystem=strict\nProtectHome=%s\nPrivateTmp=yes\n",
             plan->uses_homes ? "read-only" : "yes");
    text_add(text, "PrivateDevices=yes\nProtectClock=yes\nProtectControlGroups=yes\nProtectHostname=yes\n"
                   "ProtectKernelLogs=yes\nProtectKernelModules=yes\nProtectKernelTunables=yes\n"
                   "ProtectProc=invisible\nRemoveIPC=yes\n");
    text_add(text, "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\nRestrictNamespaces=yes\n"
                   "RestrictRealtime=yes\nRestrictSUIDSGID=yes\nLockPersonality=yes\n");
    text_add(text, "SystemCallArchitectures=native\nSystemCallFilter=@system-service\nSystemCallErrorNumber=EPERM\n");
}

static enum err add_machine_part(struct text *text, const struct service_plan *plan, struct err_info *info)
{
    if (account_is_dynamic(plan->account))
        text_add(text, "DynamicUser=yes\n");
    else
        text_add(text, "User=%s\n", plan->account);
    text_add(text,
             "StateDirectory=%s\nStateDirectoryMode=0700\nRuntimeDirectory=%s\nConfigurationDirectory=holdfast\n"
             "LimitNOFILE=524288\n",
             plan->name, plan->name);
    enum err result = add_credentials(text, plan, info);
    if (result == OK)
        result = add_writable(text, plan, info);
    add_limits(text, plan);
    return result;
}

enum err unit_text(const struct service_plan *plan, const char *program, bool is_persons, char **out,
                   struct err_info *info)
{
    struct text text = {.bytes = NULL};
    enum err result = check_path(program, false, info);
    *out = NULL;
    text_add(&text,
             UNIT_MARK "\n[Unit]\nDescription=SSH tunnels kept by holdfast%s%s%s\nDocumentation=man:holdfast(1)\n",
             strcmp(plan->name, SERVICE_DEFAULT_NAME) == 0 ? "" : " (",
             strcmp(plan->name, SERVICE_DEFAULT_NAME) == 0 ? "" : plan->name,
             strcmp(plan->name, SERVICE_DEFAULT_NAME) == 0 ? "" : ")");
    if (!is_persons) /* not network-online.target: no network yet is a normal state */
        text_add(&text, "Wants=network.target\nAfter=network.target nss-lookup.target\n");
    text_add(&text, "StartLimitIntervalSec=0\n\n[Service]\nType=notify\nNotifyAccess=main\nExecStart=");
    add_word(&text, program, true);
    text_add(&text, " run");
    for (size_t i = 0; i < plan->definition_count && result == OK; i++) {
        result = check_path(plan->definitions[i], false, info);
        text_add(&text, " -c ");
        add_word(&text, plan->definitions[i], false);
    }
    text_add(&text, "\nExecReload=/bin/kill -HUP $MAINPID\nRestart=on-failure\nRestartSec=5\n"
                    "RestartPreventExitStatus=2\nWatchdogSec=60\nTimeoutStopSec=20\n");
    if (result == OK && !is_persons)
        result = add_machine_part(&text, plan, info);
    text_add(&text, "\n[Install]\nWantedBy=%s\n", is_persons ? "default.target" : "multi-user.target");
    if (result == OK && text.failed)
        result = err_set(info, ERR_MEMORY, "out of memory");
    if (result == OK)
        *out = text.bytes;
    else
        free(text.bytes);
    return result;
}
