/* Rules by way of netsh advfirewall, which Windows 7 has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/platform.h"
#include "platform/program.h"
#include "platform/win/common.h"

/* For tests alone: a program that stands for netsh.exe. */
#define TEST_PROGRAM L"HOLDFAST_TEST_NETSH"
#define NETSH_TIMEOUT_MS 60000
#define WORDS_BYTES 4096
#define SHOWN_BYTES 300

struct outcome {
    enum err code;
    int uv_status;
    int64_t exit_status;
    char said[SHOWN_BYTES]; /* the first line that is not blank */
};

static void on_done(void *arg, const struct program_result *result)
{
    struct outcome *outcome = arg;
    const char *text = result->output + strspn(result->output, " \t\r\n");
    if (*text == 0)
        text = result->errors + strspn(result->errors, " \t\r\n");
    size_t len = strcspn(text, "\r\n");
    len = len < sizeof outcome->said ? len : sizeof outcome->said - 1;
    memcpy(outcome->said, text, len);
    outcome->said[len] = 0;
    outcome->code = result->code;
    outcome->uv_status = result->uv_status;
    outcome->exit_status = result->exit_status;
}

/* netsh takes name="a b" and not "name=a b" as some programs would, so the words are as they have to arrive. */
static enum err run_netsh(const char *words, struct outcome *outcome, struct err_info *info)
{
    uv_loop_t loop;
    char *test = win_environment(TEST_PROGRAM);
    char *netsh = test != NULL ? test : win_system_program("netsh.exe");
    enum err result = OK;
    memset(outcome, 0, sizeof *outcome);
    if (netsh == NULL || uv_loop_init(&loop) != 0) {
        free(netsh);
        return err_set(info, ERR_MEMORY, "out of memory");
    }
    const char *const argv[] = {"netsh", words, NULL};
    const struct program_options options = {
        .file = netsh, .words = argv, .verbatim = true, .timeout_ms = NETSH_TIMEOUT_MS};
    if (program_start(&loop, &options, on_done, outcome) == NULL)
        result = err_set(info, ERR_MEMORY, "out of memory");
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
    if (result == OK && outcome->code != OK)
        result =
            err_set(info, ERR_IO, "%s %s", netsh,
                    outcome->code == ERR_TIMEOUT ? "did not end within a minute" : err_uv_text(outcome->uv_status));
    free(netsh);
    return result;
}

static bool is_elevated(void)
{
    HANDLE token = NULL;
    TOKEN_ELEVATION elevation = {0};
    DWORD size = sizeof elevation;
    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token))
        return false;
    BOOL known = GetTokenInformation(token, TokenElevation, &elevation, size, &size);
    (void)CloseHandle(token);
    return known && elevation.TokenIsElevated != 0;
}

static enum err needs_elevation(struct err_info *info)
{
    return err_set(info, ERR_AUTH,
                   "changing the firewall needs administrator rights; run this again in a console that was opened with "
                   "'Run as administrator'");
}

/* The path of this program as netsh is to have it: a heap string. */
static char *own_path(void)
{
    wchar_t *wide = win_own_path();
    char *path = wide != NULL ? win_utf8(wide) : NULL;
    free(wide);
    return path;
}

static enum err delete_rule(const char *rule, const char *program, struct outcome *outcome, struct err_info *info)
{
    char words[WORDS_BYTES];
    (void)snprintf(words, sizeof words, "advfirewall firewall delete rule name=\"%s\" dir=in program=\"%s\"", rule,
                   program);
    return run_netsh(words, outcome, info);
}

static enum err add_rule(const char *rule, const char *program, const uint16_t *ports, size_t port_count,
                         struct outcome *outcome, struct err_info *info)
{
    char words[WORDS_BYTES];
    char list[WORDS_BYTES / 2];
    size_t used = 0;
    for (size_t i = 0; i < port_count && used + 8 < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%u", i == 0 ? "" : ",", (unsigned)ports[i]);
    (void)snprintf(words, sizeof words,
                   "advfirewall firewall add rule name=\"%s\" dir=in action=allow protocol=TCP localport=%s "
                   "program=\"%s\"",
                   rule, list, program);
    return run_netsh(words, outcome, info);
}

static enum err netsh_failed(const struct outcome *outcome, struct err_info *info)
{
    return err_set(info, ERR_IO, "netsh ended with exit code %lld: %s", (long long)outcome->exit_status,
                   outcome->said[0] != 0 ? outcome->said : "it said nothing");
}

enum err platform_firewall_allow(const char *rule, const uint16_t *ports, size_t port_count, struct err_info *info)
{
    struct outcome outcome;
    if (!is_elevated())
        return needs_elevation(info);
    char *program = own_path();
    if (program == NULL)
        return err_set(info, ERR_IO, "this program's own path is not known");
    enum err result =
        delete_rule(rule, program, &outcome, info); /* it ends with 1 when there was none, which is fine */
    if (result == OK)
        result = add_rule(rule, program, ports, port_count, &outcome, info);
    if (result == OK && outcome.exit_status != 0)
        result = netsh_failed(&outcome, info);
    free(program);
    return result;
}

enum err platform_firewall_remove(const char *rule, struct err_info *info)
{
    struct outcome outcome;
    if (!is_elevated())
        return needs_elevation(info);
    char *program = own_path();
    if (program == NULL)
        return err_set(info, ERR_IO, "this program's own path is not known");
    enum err result = delete_rule(rule, program, &outcome, info);
    if (result == OK && outcome.exit_status != 0)
        result = netsh_failed(&outcome, info);
    free(program);
    return result;
}
