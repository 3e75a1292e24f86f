#include "service/posix/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "platform/platform.h"
#include "service/posix/account.h"
#include "service/posix/text.h"

/* systemd.service(5), "Command lines": in quotes, with systemd's specifiers and variables taken out of a word. The
 * program itself knows no variables. */
static void add_word(struct text_buffer *text, const char *word, bool is_program)
{
    text_buffer_add(text, "\"");
    for (; *word != 0; word++) {
        if (*word == '"' || *word == '\\')
            text_buffer_add(text, "\\");
        if (*word == '%' || (*word == '$' && !is_program))
            text_buffer_add_bytes(text, word, 1);
        text_buffer_add_bytes(text, word, 1);
    }
    text_buffer_add(text, "\"");
}

/* A path where a unit takes no quotes: all up to the end of the line is the path. */
static void add_path(struct text_buffer *text, const char *path)
{
    for (; *path != 0; path++) {
        if (*path == '%')
            text_buffer_add(text, "%");
        text_buffer_add_bytes(text, path, 1);
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

static enum err add_credentials(struct text_buffer *text, const struct service_plan *plan, struct err_info *info)
{
    enum err result = OK;
    for (size_t i = 0; i < plan->key_count && result == OK; i++) {
        char *name = platform_credential_name(plan->keys[i]);
        result = check_path(plan->keys[i], true, info);
        if (result == OK && name == NULL)
            result = err_set(info, ERR_USAGE, "%s: the path is too long to be handed to a service; give it a shorter",
                             plan->keys[i]);
        if (result == OK) {
            text_buffer_format(text, "LoadCredential=%s:", name);
            add_path(text, plan->keys[i]);
            text_buffer_add(text, "\n");
        }
        free(name);
    }
    return result;
}

/* Folders beside those that systemd makes for us. /var/log/NAME is one that it can make. By "-" one that is not there
 * yet (its disk comes later) costs what is to be written to it, and not the whole service. */
static enum err add_writable(struct text_buffer *text, const struct service_plan *plan, struct err_info *info)
{
    char logs[SERVICE_NAME_CAP_BYTES + 16];
    enum err result = OK;
    (void)snprintf(logs, sizeof logs, "/var/log/%s", plan->name);
    for (size_t i = 0; i < plan->writable_count && result == OK; i++) {
        result = check_path(plan->writable[i], true, info);
        if (strcmp(plan->writable[i], logs) == 0) {
            text_buffer_format(text, "LogsDirectory=%s\nLogsDirectoryMode=0750\n", plan->name);
        } else {
            text_buffer_add(text, "ReadWritePaths=\"-");
            add_path(text, plan->writable[i]);
            text_buffer_add(text, "\"\n");
        }
    }
    return result;
}

/* What is taken from a service of the machine. Programs of `command:` and of hooks run under the same limits, so that
 * memory that is written and then run is let alone: interpreters need it. */
static void add_limits(struct text_buffer *text, const struct service_plan *plan)
{
    const char *capability = plan->binds_low_ports ? "CAP_NET_BIND_SERVICE" : "";
    text_buffer_format(text, "AmbientCapabilities=%s\nCapabilityBoundingSet=%s\n", capability, capability);
    text_buffer_format(text, "NoNewPrivileges=yes\nUMask=0077\nProtectSystem=strict\nProtectHome=%s\nPrivateTmp=yes\n",
                       plan->uses_homes ? "read-only" : "yes");
    text_buffer_add(text, "PrivateDevices=yes\nProtectClock=yes\nProtectControlGroups=yes\nProtectHostname=yes\n"
                          "ProtectKernelLogs=yes\nProtectKernelModules=yes\nProtectKernelTunables=yes\n"
                          "ProtectProc=invisible\nRemoveIPC=yes\n");
    text_buffer_add(text, "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\nRestrictNamespaces=yes\n"
                          "RestrictRealtime=yes\nRestrictSUIDSGID=yes\nLockPersonality=yes\n");
    text_buffer_add(text,
                    "SystemCallArchitectures=native\nSystemCallFilter=@system-service\nSystemCallErrorNumber=EPERM\n");
}

static enum err add_machine_part(struct text_buffer *text, const struct service_plan *plan, struct err_info *info)
{
    if (account_is_dynamic(plan->account))
        text_buffer_add(text, "DynamicUser=yes\n");
    else
        text_buffer_format(text, "User=%s\n", plan->account);
    text_buffer_format(
        text,
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
    struct text_buffer text = {.text = NULL};
    enum err result = check_path(program, false, info);
    *out = NULL;
    text_buffer_format(
        &text, UNIT_MARK "\n[Unit]\nDescription=SSH tunnels kept by holdfast%s%s%s\nDocumentation=man:holdfast(1)\n",
        strcmp(plan->name, SERVICE_DEFAULT_NAME) == 0 ? "" : " (",
        strcmp(plan->name, SERVICE_DEFAULT_NAME) == 0 ? "" : plan->name,
        strcmp(plan->name, SERVICE_DEFAULT_NAME) == 0 ? "" : ")");
    if (!is_persons) /* not network-online.target: no network yet is a normal state */
        text_buffer_add(&text, "Wants=network.target\nAfter=network.target nss-lookup.target\n");
    text_buffer_add(&text, "StartLimitIntervalSec=0\n\n[Service]\nType=notify\nNotifyAccess=main\nExecStart=");
    add_word(&text, program, true);
    text_buffer_add(&text, " run");
    for (size_t i = 0; i < plan->definition_count && result == OK; i++) {
        result = check_path(plan->definitions[i], false, info);
        text_buffer_add(&text, " -c ");
        add_word(&text, plan->definitions[i], false);
    }
    text_buffer_add(&text, "\nExecReload=/bin/kill -HUP $MAINPID\nRestart=on-failure\nRestartSec=5\n"
                           "RestartPreventExitStatus=2\nWatchdogSec=60\nTimeoutStopSec=20\n");
    if (result == OK && !is_persons)
        result = add_machine_part(&text, plan, info);
    text_buffer_format(&text, "\n[Install]\nWantedBy=%s\n", is_persons ? "default.target" : "multi-user.target");
    char *whole = text_buffer_take(&text);
    if (result == OK && whole == NULL)
        result = err_set(info, ERR_MEMORY, "out of memory");
    if (result == OK)
        *out = whole;
    else
        free(whole);
    return result;
}
