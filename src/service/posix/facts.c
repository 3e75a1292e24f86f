/* What service managers print of a service. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/posix/account.h"
#include "service/posix/keepers.h"

/* The rest of the first line that begins with `head` after blanks, as a heap string; NULL without one. */
static char *value_of(const char *text, const char *head)
{
    size_t head_len = strlen(head);
    while (*text != 0) {
        text += strspn(text, " \t");
        size_t len = strcspn(text, "\n");
        if (len >= head_len && strncmp(text, head, head_len) == 0)
            return strndup(text + head_len, len - head_len);
        text += len;
        text += *text == '\n' ? 1 : 0;
    }
    return NULL;
}

static bool value_is(const char *text, const char *head, const char *word)
{
    char *value = value_of(text, head);
    bool is_it = value != NULL && strcmp(value, word) == 0;
    free(value);
    return is_it;
}

static unsigned long number_of(const char *text, const char *head)
{
    char *value = value_of(text, head);
    unsigned long number = value != NULL ? strtoul(value, NULL, 10) : 0;
    free(value);
    return number;
}

/* "{ path=/usr/bin/holdfast ; argv[]=/usr/bin/holdfast run -c /etc/holdfast ; ignore_errors=no ; ..." */
static char *command_of(const char *text)
{
    char *value = value_of(text, "ExecStart=");
    char *words = value != NULL ? strstr(value, "argv[]=") : NULL;
    char *command = NULL;
    if (words != NULL) {
        words += strlen("argv[]=");
        const char *end = strstr(words, " ; ignore_errors=");
        command = end != NULL ? strndup(words, (size_t)(end - words)) : strdup(words);
    }
    free(value);
    return command;
}

void systemd_read_facts(const char *text, struct service_facts *out)
{
    memset(out, 0, sizeof *out);
    if (!value_is(text, "LoadState=", "loaded"))
        return;
    out->state = value_is(text, "ActiveState=", "active") || value_is(text, "ActiveState=", "reloading")
                     ? SERVICE_IS_RUNNING
                 : value_is(text, "ActiveState=", "activating")   ? SERVICE_IS_STARTING
                 : value_is(text, "ActiveState=", "deactivating") ? SERVICE_IS_STOPPING
                                                                  : SERVICE_IS_STOPPED;
    out->pid = number_of(text, "MainPID=");
    out->exit_code = number_of(text, "ExecMainStatus=");
    out->starts_at_boot = value_is(text, "UnitFileState=", "enabled");
    out->account = value_is(text, "DynamicUser=", "yes") ? strdup(ACCOUNT_DYNAMIC) : value_of(text, "User=");
    if (out->account != NULL && out->account[0] == 0) {
        free(out->account);
        out->account = NULL;
    }
    out->command = command_of(text);
}

void launchd_read_facts(const char *text, struct service_facts *out)
{
    memset(out, 0, sizeof *out);
    char *state = value_of(text, "state = ");
    out->pid = number_of(text, "pid = ");
    out->state = state == NULL                   ? SERVICE_IS_ABSENT
                 : strcmp(state, "running") == 0 ? SERVICE_IS_RUNNING
                                                 : SERVICE_IS_STOPPED;
    free(state);
    out->exit_code = number_of(text, "last exit code = ");
    out->account = value_of(text, "username = ");
    out->command = value_of(text, "program = ");
}
