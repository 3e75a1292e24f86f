#include "forward/asker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/container.h"
#include "base/log.h"
#include "platform/platform.h"
#include "platform/program.h"

enum { DEFAULT_TIMEOUT_MS = 10000, NAME_BYTES = 200, LINE_BYTES = 200, NOTE_BYTES = 400 };

struct asker {
    uv_loop_t *loop;
    struct asker_options options;
    struct program *program;
    struct list waits;
    uv_timer_t wake; /* tells those who were cancelled, and those whose command could not be begun */
    struct err_info failed;
    struct answer known;
    bool is_known, closing, timer_closing;
    char noted[NOTE_BYTES];
};

/* What is asked, as messages name it: "the command 'x'", "the distribution 'Debian'". */
static const char *name_of(const struct asker *asker, char *out, size_t cap_bytes)
{
    const struct endpoint *to = asker->options.to;
    bool is_wsl = to->kind == ENDPOINT_WSL;
    (void)snprintf(out, cap_bytes, "the %s '%s'", is_wsl ? "distribution" : "command",
                   is_wsl ? to->host : to->words[0]);
    return out;
}

static uint64_t timeout_ms(const struct asker *asker)
{
    return asker->options.timeout_ms != 0 ? asker->options.timeout_ms : DEFAULT_TIMEOUT_MS;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct asker *asker = handle->data;
    const struct asker_options options = asker->options;
    free(asker);
    options.on_closed(options.arg);
}

static void check_closed(struct asker *asker)
{
    if (asker->closing && !asker->timer_closing && asker->program == NULL && list_is_empty(&asker->waits)) {
        asker->timer_closing = true;
        uv_close((uv_handle_t *)&asker->wake, on_timer_closed);
    }
}

/* Answers all who wait; new ones may come meanwhile. */
static void answer_all(struct asker *asker, const struct answer *answer, const struct err_info *why)
{
    struct list waits;
    struct list *link;
    list_init(&waits);
    list_move(&waits, &asker->waits);
    while ((link = list_pop(&waits)) != NULL) {
        struct asker_wait *wait = container_of(link, struct asker_wait, link);
        struct err_info given_up;
        if (wait->cancelled) {
            (void)err_set(&given_up, ERR_CANCELLED, "given up");
            wait->on_answer(wait->arg, NULL, &given_up);
        } else {
            wait->on_answer(wait->arg, answer, why);
        }
    }
}

/* ---- what the command said ---- */

static enum err not_started(const char *name, int status, bool is_wsl, struct err_info *why)
{
    if (is_wsl) {
        return err_set(why, ERR_RESOLVE,
                       "%s cannot be asked, since wsl.exe could not be started: %s; run 'wsl --install'", name,
                       err_uv_text(status));
    }
    if (status == UV_ENOENT) {
        return err_set(why, ERR_RESOLVE, "%s was not found; write its whole path", name);
    }
    if (status == UV_EACCES) {
        return err_set(why, ERR_RESOLVE, "%s may not be run (permission denied); make it executable", name);
    }
    return err_set(why, ERR_RESOLVE, "%s could not be started: %s", name, err_uv_text(status));
}

/* wsl.exe says its own errors on standard output. */
static const char *complaint(const struct program_result *result, bool is_wsl, char *out, size_t cap_bytes)
{
    (void)answer_line(result->errors, 1, out, cap_bytes);
    return out[0] != '\0' || !is_wsl ? out : answer_line(result->output, 0, out, cap_bytes);
}

static enum err ended_badly(const char *name, const struct program_result *result, bool is_wsl, struct err_info *why)
{
    char line[LINE_BYTES];
    const char *mend = "";
    (void)complaint(result, is_wsl, line, sizeof line);
    if (result->signal != 0) {
        return err_set(why, ERR_RESOLVE, "%s was ended by signal %d%s%s", name, result->signal,
                       line[0] == '\0' ? "" : ": ", line);
    }
    if (is_wsl && platform_is_service()) {
        mend = "; distributions belong to a user: install the service with --account of their owner";
    } else if (is_wsl) {
        mend = "; 'wsl --list' shows those there are";
    } else if (line[0] == '\0') {
        mend = " and no word on standard error; run it by hand to see why";
    }
    return err_set(why, ERR_RESOLVE, "%s %s with exit code %lld%s%s%s", name,
                   is_wsl ? "is not told by wsl.exe, which ended" : "ended", (long long)(int32_t)result->exit_status,
                   line[0] == '\0' ? "" : ": ", line, mend);
}

static enum err understand(const struct asker *asker, const struct program_result *result, struct answer *answer,
                           struct err_info *why)
{
    char name[NAME_BYTES];
    struct err_info detail;
    bool is_wsl = asker->options.to->kind == ENDPOINT_WSL;
    (void)name_of(asker, name, sizeof name);
    if (result->code == ERR_IO) {
        return not_started(name, result->uv_status, is_wsl, why);
    }
    if (result->code == ERR_TIMEOUT) {
        return err_set(why, ERR_RESOLVE,
                       "%s did not say its address within %.3g s; raise connect_timeout if it needs longer", name,
                       (double)timeout_ms(asker) / 1000.0);
    }
    if (result->code != OK) {
        return err_set(why, result->code, "given up");
    }
    if (result->exit_status != 0 || result->signal != 0) {
        return ended_badly(name, result, is_wsl, why);
    }
    enum err code = is_wsl ? answer_parse_addresses(result->output, answer, &detail)
                           : answer_parse(result->output, answer, &detail);
    if (code != OK) {
        return err_set(why, code, "%s %s", name, detail.message);
    }
    if (answer->port == 0 && (answer->port = asker->options.to->port) == 0) {
        return err_set(why, ERR_RESOLVE,
                       "%s printed '%.100s' and no port; print HOST:PORT, or write 'port:' beside 'command:'", name,
                       answer->host);
    }
    return OK;
}

static void on_program_done(void *arg, const struct program_result *result)
{
    struct asker *asker = arg;
    struct answer answer = {.port = 0};
    struct err_info why;
    asker->program = NULL;
    if (understand(asker, result, &answer, &why) != OK) {
        answer_all(asker, NULL, &why);
    } else {
        asker->known = answer;
        asker->is_known = true;
        asker_note(asker, answer.host, answer.port,
                   asker->options.to->kind == ENDPOINT_WSL ? "as wsl.exe says" : "as the command says");
        answer_all(asker, &answer, NULL);
    }
    check_closed(asker);
}

/* ---- asking ---- */

static void on_wake(uv_timer_t *timer)
{
    struct asker *asker = timer->data;
    struct list kept;
    struct list *link;
    list_init(&kept);
    if (asker->failed.code != OK) {
        const struct err_info why = asker->failed;
        asker->failed.code = OK;
        answer_all(asker, NULL, &why);
    }
    while ((link = list_pop(&asker->waits)) != NULL) {
        struct asker_wait *wait = container_of(link, struct asker_wait, link);
        struct err_info given_up;
        if (!wait->cancelled) {
            list_append(&kept, link);
            continue;
        }
        (void)err_set(&given_up, ERR_CANCELLED, "given up");
        wait->on_answer(wait->arg, NULL, &given_up);
    }
    list_move(&asker->waits, &kept);
    check_closed(asker);
}

static void wake(struct asker *asker)
{
    (void)uv_timer_start(&asker->wake, on_wake, 0, 0);
}

static void begin(struct asker *asker)
{
    const struct endpoint *to = asker->options.to;
    char *wsl = to->kind == ENDPOINT_WSL ? platform_wsl_program() : NULL;
    const char *const wsl_words[] = {wsl, "-d", to->host, "--", "hostname", "-I", NULL};
    const struct program_options options = {.words =
                                                to->kind == ENDPOINT_WSL ? wsl_words : (const char *const *)to->words,
                                            .timeout_ms = timeout_ms(asker)};
    if (options.words[0] != NULL) {
        asker->program = program_start(asker->loop, &options, on_program_done, asker);
    }
    if (asker->program == NULL) {
        (void)err_set(&asker->failed, ERR_MEMORY, "out of memory");
        wake(asker);
    }
    free(wsl);
}

struct asker *asker_new(uv_loop_t *loop, const struct asker_options *options)
{
    struct asker *asker = calloc(1, sizeof *asker);
    if (asker == NULL) {
        return NULL;
    }
    asker->loop = loop;
    asker->options = *options;
    list_init(&asker->waits);
    (void)uv_timer_init(loop, &asker->wake);
    asker->wake.data = asker;
    return asker;
}

const struct answer *asker_known(const struct asker *asker)
{
    return asker->is_known ? &asker->known : NULL;
}

void asker_start(struct asker *asker, struct asker_wait *wait)
{
    wait->cancelled = false;
    list_init(&wait->link);
    list_append(&asker->waits, &wait->link);
    if (asker->program == NULL && asker->failed.code == OK) {
        begin(asker);
    }
}

void asker_cancel(struct asker *asker, struct asker_wait *wait)
{
    wait->cancelled = true;
    wake(asker);
}

void asker_forget(struct asker *asker, const struct answer *answer)
{
    if (asker->is_known && asker->known.port == answer->port && strcmp(asker->known.host, answer->host) == 0) {
        asker->is_known = false;
    }
}

void asker_note(struct asker *asker, const char *host, uint16_t port, const char *how)
{
    char note[NOTE_BYTES];
    char to[300];
    bool six = strchr(host, ':') != NULL;
    (void)snprintf(note, sizeof note, "%s%s%s:%u, %s", six ? "[" : "", host, six ? "]" : "", (unsigned)port, how);
    if (strcmp(note, asker->noted) != 0) {
        (void)snprintf(asker->noted, sizeof asker->noted, "%s", note);
        log_info(asker->options.log_name, "%s is at %s", endpoint_text(asker->options.to, to, sizeof to), note);
    }
}

void asker_close(struct asker *asker)
{
    asker->closing = true;
    if (asker->program != NULL) {
        program_cancel(asker->program);
    }
    wake(asker);
}
