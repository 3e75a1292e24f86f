/* `holdfast service` and the Service Control Manager. */
#include "service/manager.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include <windows.h>

#include "platform/platform.h"
#include "platform/win/common.h"
#include "service/win/account.h"
#include "service/win/event_log.h"

#define DISPLAY_NAME L"holdfast SSH tunnels"
#define DESCRIPTION L"Keeps the SSH tunnels of its definitions up, from boot on."
enum {
    NAME_MAX = 60,
    POLL_MS = 100,
    PATIENCE_MS = 30000, /* with no progress at all */
    PRESHUTDOWN_MS = 15000,
    FORGET_FAILURES_S = 86400,
};

/* ---- names and accounts ---- */

enum err service_name_check(const char *name, struct err_info *info)
{
    size_t len = strlen(name);
    bool good = len > 0 && len <= NAME_MAX;
    for (size_t i = 0; i < len && good; i++) {
        good = isalnum((unsigned char)name[i]) || strchr("-_.", name[i]) != NULL;
    }
    return good ? OK
                : err_set(info, ERR_USAGE,
                          "'%s' cannot be a service's name: use letters, digits, '-', '_' and '.', at most %d", name,
                          NAME_MAX);
}

char *service_account(const char *name, const char *wanted)
{
    char text[NAME_MAX + 16];
    if (wanted == NULL) {
        (void)snprintf(text, sizeof text, "NT SERVICE\\%s", name);
        return _strdup(text);
    }
    if (_stricmp(wanted, "LocalSystem") == 0 || _stricmp(wanted, "SYSTEM") == 0 ||
        _stricmp(wanted, "NT AUTHORITY\\SYSTEM") == 0) {
        return _strdup("LocalSystem");
    }
    if (_stricmp(wanted, "LocalService") == 0 || _stricmp(wanted, "NetworkService") == 0) {
        (void)snprintf(text, sizeof text, "NT AUTHORITY\\%s", wanted);
        return _strdup(text);
    }
    if (strchr(wanted, '\\') == NULL && strchr(wanted, '@') == NULL) {
        size_t cap_bytes = strlen(wanted) + 3;
        char *local = malloc(cap_bytes);
        if (local != NULL) {
            (void)snprintf(local, cap_bytes, ".\\%s", wanted);
        }
        return local;
    }
    return _strdup(wanted);
}

bool service_account_needs_password(const char *account)
{
    return _stricmp(account, "LocalSystem") != 0 && _strnicmp(account, "NT SERVICE\\", 11) != 0 &&
           _strnicmp(account, "NT AUTHORITY\\", 13) != 0 && account[strlen(account) - 1] != '$';
}

/* ---- talking to the manager ---- */

/* Puts Windows' code into words: those that users meet have a mend. `what` is "install", "start" and so on. */
static enum err complain(struct err_info *info, const char *what, const char *name, DWORD code)
{
    switch (code) {
    case ERROR_ACCESS_DENIED:
        return err_set(
            info, ERR_IO,
            "service %s: only an administrator may do that; open the command prompt with 'Run as administrator'", what);
    case ERROR_SERVICE_DOES_NOT_EXIST:
        return err_set(info, ERR_USAGE, "there is no service '%s'; 'holdfast service install' makes one", name);
    case ERROR_SERVICE_EXISTS:
        return err_set(info, ERR_BUSY, "there is a service '%s' already; 'holdfast service uninstall' removes it",
                       name);
    case ERROR_SERVICE_MARKED_FOR_DELETE:
        return err_set(info, ERR_BUSY,
                       "the service '%s' is still being removed: close the Services window and the Event Viewer, then "
                       "try again",
                       name);
    case ERROR_SERVICE_ALREADY_RUNNING: return err_set(info, ERR_BUSY, "the service '%s' runs already", name);
    case ERROR_SERVICE_NOT_ACTIVE: return err_set(info, ERR_CLOSED, "the service '%s' does not run", name);
    case ERROR_SERVICE_DISABLED:
        return err_set(info, ERR_IO, "the service '%s' is disabled; 'sc config %s start= auto' enables it", name, name);
    case ERROR_SERVICE_LOGON_FAILED:
        return err_set(
            info, ERR_AUTH,
            "Windows cannot log on the account of the service '%s': its password is wrong, or it may not log on "
            "as a service; install it again with --account",
            name);
    case ERROR_INVALID_SERVICE_ACCOUNT:
        return err_set(info, ERR_USAGE, "service %s: Windows does not take that account; see --account", what);
    default:
        return err_set(info, win_err(code), "service %s: %s (Windows error %lu)", what, win_err_text(code),
                       (unsigned long)code);
    }
}

static enum err open_manager(DWORD access, const char *what, SC_HANDLE *out, struct err_info *info)
{
    *out = OpenSCManagerW(NULL, NULL, access);
    return *out != NULL ? OK : complain(info, what, "", GetLastError());
}

static enum err open_service(const char *name, DWORD access, const char *what, SC_HANDLE *out, struct err_info *info)
{
    SC_HANDLE manager = NULL;
    enum err result = open_manager(SC_MANAGER_CONNECT, what, &manager, info);
    *out = NULL;
    if (result != OK) {
        return result;
    }
    wchar_t *wide = win_wide(name);
    if (wide != NULL) {
        *out = OpenServiceW(manager, wide, access);
    }
    if (*out == NULL) {
        result = complain(info, what, name, wide == NULL ? ERROR_NOT_ENOUGH_MEMORY : GetLastError());
    }
    free(wide);
    (void)CloseServiceHandle(manager);
    return result;
}

enum err service_may_change(struct err_info *info)
{
    SC_HANDLE manager = NULL;
    enum err result = open_manager(SC_MANAGER_CONNECT | SC_MANAGER_CREATE_SERVICE, "install", &manager, info);
    if (result == OK) {
        (void)CloseServiceHandle(manager);
    }
    return result;
}

static bool ask_status(SC_HANDLE service, SERVICE_STATUS_PROCESS *out)
{
    DWORD needed = 0;
    return QueryServiceStatusEx(service, SC_STATUS_PROCESS_INFO, (BYTE *)out, sizeof *out, &needed) != 0;
}

/* Waits while the service is `pending` and moves on. */
static enum err wait_while(SC_HANDLE service, DWORD pending, const char *what, const char *name,
                           SERVICE_STATUS_PROCESS *out, struct err_info *info)
{
    ULONGLONG moved_at = GetTickCount64();
    DWORD check_point = 0;
    while (ask_status(service, out)) {
        DWORD patience = out->dwWaitHint > PATIENCE_MS ? out->dwWaitHint : PATIENCE_MS;
        if (out->dwCurrentState != pending) {
            return OK;
        }
        if (out->dwCheckPoint != check_point) {
            check_point = out->dwCheckPoint;
            moved_at = GetTickCount64();
        }
        if (GetTickCount64() - moved_at > patience) {
            return err_set(
                info, ERR_TIMEOUT,
                "the service '%s' makes no progress since %lu s; its log may say why, 'taskkill /pid %lu /f' ends it",
                name, (unsigned long)(patience / 1000), (unsigned long)out->dwProcessId);
        }
        Sleep(POLL_MS);
    }
    return complain(info, what, name, GetLastError());
}

/* ---- install ---- */

/* Appends `word` to a command line so that programs find it as one word again (the rules of CommandLineToArgvW). */
static wchar_t *append_word(wchar_t *line, const wchar_t *word)
{
    size_t old = line != NULL ? wcslen(line) : 0;
    wchar_t *longer = realloc(line, (old + 2 * wcslen(word) + 4) * sizeof *longer);
    if (longer == NULL) {
        free(line);
        return NULL;
    }
    wchar_t *at = longer + old;
    if (old > 0) {
        *at++ = L' ';
    }
    *at++ = L'"';
    for (size_t backslashes = 0; *word != 0; word++) {
        backslashes = *word == L'\\' ? backslashes + 1 : 0;
        *at++ = *word;
        for (size_t i = 0; backslashes > 0 && i < backslashes && (word[1] == 0 || word[1] == L'"'); i++) {
            *at++ = L'\\';
        }
    }
    *at++ = L'"';
    *at = 0;
    return longer;
}

static wchar_t *append_text_word(wchar_t *line, const char *word)
{
    wchar_t *wide = win_wide(word);
    if (wide == NULL || line == NULL) {
        free(wide);
        free(line);
        return NULL;
    }
    line = append_word(line, wide);
    free(wide);
    return line;
}

/* "...\holdfast.exe" "service" "run" "--name" "holdfast" "-c" "..." */
static wchar_t *command_line(const wchar_t *program, const struct service_plan *plan)
{
    wchar_t *line = append_word(NULL, program);
    line = append_text_word(line, "service");
    line = append_text_word(line, "run");
    line = append_text_word(line, "--name");
    line = append_text_word(line, plan->name);
    for (size_t i = 0; i < plan->definition_count; i++) {
        line = append_text_word(line, "-c");
        line = append_text_word(line, plan->definitions[i]);
    }
    return line;
}

static void set_extra(SC_HANDLE service, DWORD level, void *value, const char *what, void (*warn)(const char *text))
{
    char text[160];
    /* ERROR_INVALID_LEVEL: not Windows, but Wine, which has no such setting. */
    if (!ChangeServiceConfig2W(service, level, value) && GetLastError() != ERROR_INVALID_LEVEL) {
        (void)snprintf(text, sizeof text, "Windows does not take %s (error %lu); the service runs without", what,
                       (unsigned long)GetLastError());
        warn(text);
    }
}

/* What the service runs well without. */
static void set_extras(SC_HANDLE service, void (*warn)(const char *text))
{
    wchar_t words[] = DESCRIPTION;
    SERVICE_DESCRIPTIONW description = {.lpDescription = words};
    /* After the second failure of a day the manager waits longer: what ends us is then a definition or a disk, which a
     * person has to mend. */
    SC_ACTION actions[] = {{SC_ACTION_RESTART, 5000}, {SC_ACTION_RESTART, 60000}, {SC_ACTION_RESTART, 300000}};
    SERVICE_FAILURE_ACTIONSW failure = {
        .dwResetPeriod = FORGET_FAILURES_S, .cActions = sizeof actions / sizeof actions[0], .lpsaActions = actions};
    SERVICE_FAILURE_ACTIONS_FLAG flag = {.fFailureActionsOnNonCrashFailures = TRUE};
    SERVICE_PRESHUTDOWN_INFO preshutdown = {.dwPreshutdownTimeout = PRESHUTDOWN_MS};
    set_extra(service, SERVICE_CONFIG_DESCRIPTION, &description, "a description", warn);
    set_extra(service, SERVICE_CONFIG_FAILURE_ACTIONS, &failure, "restarts after a failure", warn);
    set_extra(service, SERVICE_CONFIG_FAILURE_ACTIONS_FLAG, &flag, "restarts after an end with an error", warn);
    set_extra(service, SERVICE_CONFIG_PRESHUTDOWN_INFO, &preshutdown, "time to stop at a shutdown", warn);
}

enum err service_install(const struct service_plan *plan, void (*warn)(const char *text), struct err_info *info)
{
    static const wchar_t needs[] = L"Tcpip\0";
    SC_HANDLE manager = NULL;
    SC_HANDLE service = NULL;
    enum err result = open_manager(SC_MANAGER_CONNECT | SC_MANAGER_CREATE_SERVICE, "install", &manager, info);
    wchar_t *program = win_own_path();
    wchar_t *name = win_wide(plan->name);
    wchar_t *account = win_wide(plan->account);
    wchar_t *password = plan->password != NULL ? win_wide(plan->password) : NULL;
    wchar_t *line = program != NULL ? command_line(program, plan) : NULL;
    wchar_t display[NAME_MAX + 64];
    if (result != OK) {
        goto out;
    }
    if (name == NULL || account == NULL || line == NULL) {
        result = err_set(info, ERR_MEMORY, "out of memory");
        goto out;
    }
    bool is_default = strcmp(plan->name, SERVICE_DEFAULT_NAME) == 0;
    (void)_snwprintf(display, sizeof display / sizeof display[0], is_default ? DISPLAY_NAME : DISPLAY_NAME L" (%ls)",
                     name);
    if (service_account_needs_password(plan->account)) {
        DWORD code = account_allow_logon(plan->account);
        if (code != ERROR_SUCCESS) {
            warn("the account may lack the right to log on as a service: secpol.msc, Local Policies, User Rights "
                 "Assignment");
        }
    }
    service = CreateServiceW(manager, name, display, SERVICE_ALL_ACCESS, SERVICE_WIN32_OWN_PROCESS, SERVICE_AUTO_START,
                             SERVICE_ERROR_NORMAL, line, NULL, NULL, needs, account, password);
    if (service == NULL) {
        result = complain(info, "install", plan->name, GetLastError());
        goto out;
    }
    set_extras(service, warn);
    if (event_source_add(name, program) != ERROR_SUCCESS) {
        warn("the Event Viewer will show our lines without their words: its source cannot be registered");
    }
out:
    if (service != NULL) {
        (void)CloseServiceHandle(service);
    }
    if (manager != NULL) {
        (void)CloseServiceHandle(manager);
    }
    if (password != NULL) {
        platform_wipe(password, wcslen(password) * sizeof *password);
    }
    free(password);
    free(account);
    free(name);
    free(line);
    free(program);
    return result;
}

/* ---- start, stop, uninstall ---- */

/* How the last run ended: our exit code, or Windows' error code; 0 also before the first run. */
static unsigned long end_code(const SERVICE_STATUS_PROCESS *status)
{
    if (status->dwWin32ExitCode == ERROR_SERVICE_SPECIFIC_ERROR) {
        return status->dwServiceSpecificExitCode;
    }
    return status->dwWin32ExitCode == ERROR_SERVICE_NEVER_STARTED ? 0 : status->dwWin32ExitCode;
}

enum err service_start(const char *name, struct err_info *info)
{
    SC_HANDLE service = NULL;
    SERVICE_STATUS_PROCESS status;
    memset(&status, 0, sizeof status);
    enum err result = open_service(name, SERVICE_START | SERVICE_QUERY_STATUS, "start", &service, info);
    if (result != OK) {
        return result;
    }
    if (!StartServiceW(service, 0, NULL)) {
        result = complain(info, "start", name, GetLastError());
    } else {
        result = wait_while(service, SERVICE_START_PENDING, "start", name, &status, info);
    }
    if (result == OK && status.dwCurrentState != SERVICE_RUNNING) {
        char *log = service_log_path(name);
        result = err_set(info, ERR_CLOSED, "the service '%s' ended at once with code %lu; its log says why: %s", name,
                         end_code(&status), log != NULL ? log : "");
        free(log);
    }
    (void)CloseServiceHandle(service);
    return result;
}

/* OK when it has stopped, by this or before. */
static enum err stop_open(SC_HANDLE service, const char *name, struct err_info *info)
{
    SERVICE_STATUS ignored;
    SERVICE_STATUS_PROCESS status;
    memset(&status, 0, sizeof status);
    /* One that is just starting takes no requests yet. */
    enum err result = wait_while(service, SERVICE_START_PENDING, "stop", name, &status, info);
    if (result == OK && status.dwCurrentState == SERVICE_RUNNING) {
        if (!ControlService(service, SERVICE_CONTROL_STOP, &ignored) && GetLastError() != ERROR_SERVICE_NOT_ACTIVE) {
            return complain(info, "stop", name, GetLastError());
        }
        /* The manager may still show the state before the request for a moment. */
        result = wait_while(service, SERVICE_RUNNING, "stop", name, &status, info);
    }
    if (result == OK) {
        result = wait_while(service, SERVICE_STOP_PENDING, "stop", name, &status, info);
    }
    return result;
}

enum err service_stop(const char *name, struct err_info *info)
{
    SC_HANDLE service = NULL;
    SERVICE_STATUS_PROCESS status;
    enum err result = open_service(name, SERVICE_STOP | SERVICE_QUERY_STATUS, "stop", &service, info);
    if (result != OK) {
        return result;
    }
    if (ask_status(service, &status) && status.dwCurrentState == SERVICE_STOPPED) {
        result = complain(info, "stop", name, ERROR_SERVICE_NOT_ACTIVE);
    } else {
        result = stop_open(service, name, info);
    }
    (void)CloseServiceHandle(service);
    return result;
}

/* The log and its older parts, and the folders of runs where nothing else is in them. */
static void remove_traces(const char *name)
{
    char *log = service_log_path(name);
    char *folder = service_folder();
    char path[1024];
    for (int i = 0; log != NULL && i <= 9; i++) {
        (void)snprintf(path, sizeof path, i == 0 ? "%s" : "%s.%d", log, i);
        wchar_t *wide = win_wide(path);
        if (wide != NULL) {
            (void)DeleteFileW(wide);
        }
        free(wide);
    }
    for (int i = 0; folder != NULL && i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s%s", folder, i == 0 ? "\\logs" : i == 1 ? "\\state" : "");
        wchar_t *wide = win_wide(path);
        if (wide != NULL) {
            (void)RemoveDirectoryW(wide); /* fails, as it should, when somebody keeps something there */
        }
        free(wide);
    }
    free(log);
    free(folder);
}

enum err service_uninstall(const char *name, struct err_info *info)
{
    SC_HANDLE service = NULL;
    enum err result = open_service(name, SERVICE_STOP | SERVICE_QUERY_STATUS | DELETE, "uninstall", &service, info);
    if (result != OK) {
        return result;
    }
    result = stop_open(service, name, info);
    if (result == OK && !DeleteService(service)) {
        result = complain(info, "uninstall", name, GetLastError());
    }
    (void)CloseServiceHandle(service);
    if (result == OK) {
        wchar_t *wide = win_wide(name);
        if (wide != NULL) {
            (void)event_source_remove(wide);
        }
        free(wide);
        remove_traces(name);
    }
    return result;
}

/* ---- status ---- */

static void ask_config(SC_HANDLE service, struct service_facts *out)
{
    DWORD needed = 0;
    (void)QueryServiceConfigW(service, NULL, 0, &needed);
    QUERY_SERVICE_CONFIGW *config = needed > 0 ? malloc(needed) : NULL;
    if (config != NULL && QueryServiceConfigW(service, config, needed, &needed)) {
        out->starts_at_boot = config->dwStartType == SERVICE_AUTO_START;
        out->account = config->lpServiceStartName != NULL ? win_utf8(config->lpServiceStartName) : NULL;
        out->command = config->lpBinaryPathName != NULL ? win_utf8(config->lpBinaryPathName) : NULL;
    }
    free(config);
}

enum err service_query(const char *name, struct service_facts *out, struct err_info *info)
{
    SC_HANDLE service = NULL;
    SERVICE_STATUS_PROCESS status;
    memset(out, 0, sizeof *out);
    enum err result = open_service(name, SERVICE_QUERY_STATUS | SERVICE_QUERY_CONFIG, "status", &service, info);
    if (result != OK) {
        return result;
    }
    if (!ask_status(service, &status)) {
        result = complain(info, "status", name, GetLastError());
    } else {
        out->state = status.dwCurrentState == SERVICE_RUNNING         ? SERVICE_IS_RUNNING
                     : status.dwCurrentState == SERVICE_START_PENDING ? SERVICE_IS_STARTING
                     : status.dwCurrentState == SERVICE_STOP_PENDING  ? SERVICE_IS_STOPPING
                                                                      : SERVICE_IS_STOPPED;
        out->pid = status.dwProcessId;
        out->exit_code = end_code(&status);
        ask_config(service, out);
    }
    (void)CloseServiceHandle(service);
    return result;
}

void service_facts_deinit(struct service_facts *facts)
{
    free(facts->account);
    free(facts->command);
}
