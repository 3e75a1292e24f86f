#include "tunnel/hooks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/log.h"
#include "platform/program.h"

enum { LAST_LIMIT_MS = 5000, DRAIN_MS = 200, ENVIRONMENT_COUNT = 6, LINE_BYTES = 500 };

/* One run of a program: everything it needs, since the spec may change before its turn. */
struct job {
    enum hook which;
    char **words;                             /* ended by NULL */
    char *environment[ENVIRONMENT_COUNT + 1]; /* likewise */
    char *log_name;
    uint64_t timeout_ms;
    bool is_last; /* the tunnel ends, and does not wait for longer */
};

struct hooks {
    uv_loop_t *loop;
    void (*on_idle)(void *arg);
    void *arg;
    struct program *program;
    struct job *running, *waiting;
};

static const char *name_of(enum hook which)
{
    return which == HOOK_UP ? "on_up" : "on_down";
}

static void job_free(struct job *job)
{
    if (job == NULL) {
        return;
    }
    for (size_t i = 0; job->words != NULL && job->words[i] != NULL; i++) {
        free(job->words[i]);
    }
    for (size_t i = 0; i < ENVIRONMENT_COUNT; i++) {
        free(job->environment[i]);
    }
    free(job->words);
    free(job->log_name);
    free(job);
}

static char *variable(const char *name, const char *value)
{
    size_t size = strlen(name) + strlen(value) + 2;
    char *text = malloc(size);
    if (text != NULL) {
        (void)snprintf(text, size, "%s=%s", name, value);
    }
    return text;
}

static struct job *job_new(const struct tunnel_spec *spec, enum hook which, const struct string_list *words,
                           const struct hook_facts *facts)
{
    const char *const values[ENVIRONMENT_COUNT][2] = {
        {"HOLDFAST_HOOK", name_of(which)}, {"HOLDFAST_TUNNEL", spec->name},    {"HOLDFAST_HOST", spec->host.name},
        {"HOLDFAST_STATE", facts->state},  {"HOLDFAST_REASON", facts->reason}, {"HOLDFAST_FORWARDS", facts->forwards},
    };
    struct job *job = calloc(1, sizeof *job);
    if (job == NULL) {
        return NULL;
    }
    job->which = which;
    job->timeout_ms = spec->hook_timeout_ms;
    if (facts->is_last && job->timeout_ms > LAST_LIMIT_MS) {
        job->timeout_ms = LAST_LIMIT_MS;
        job->is_last = true;
    }
    job->log_name = strdup(spec->name);
    job->words = calloc(words->count + 1, sizeof *job->words);
    bool complete = job->log_name != NULL && job->words != NULL;
    for (size_t i = 0; complete && i < words->count; i++) {
        job->words[i] = strdup(words->items[i]);
        complete = job->words[i] != NULL;
    }
    for (size_t i = 0; complete && i < ENVIRONMENT_COUNT; i++) {
        job->environment[i] = variable(values[i][0], values[i][1] != NULL ? values[i][1] : "");
        complete = job->environment[i] != NULL;
    }
    if (!complete) {
        job_free(job);
        return NULL;
    }
    return job;
}

/* ---- what it said and how it ended ---- */

static void log_lines(const struct job *job, const char *text)
{
    while (*text != '\0') {
        char line[LINE_BYTES];
        size_t len = strcspn(text, "\r\n");
        size_t shown = len < sizeof line - 1 ? len : sizeof line - 1;
        memcpy(line, text, shown);
        line[shown] = '\0';
        if (len > 0) {
            log_info(job->log_name, "%s: %s", name_of(job->which), line);
        }
        text += len;
        text += strspn(text, "\r\n");
    }
}

/* One that could not be killed: it goes on without us. */
static void log_left(const struct job *job, const struct program_result *result)
{
    const char *name = name_of(job->which);
    const char *why = result->uv_status == UV_ETIMEDOUT ? "it is still there" : err_uv_text(result->uv_status);
    char text[32];
    if (result->code == ERR_TIMEOUT && !job->is_last) {
        log_warning(job->log_name, "%s: '%s' had not ended after %s (hook_timeout) and cannot be killed: %s", name,
                    job->words[0], duration_text(job->timeout_ms, text, sizeof text), why);
    } else {
        log_warning(job->log_name, "%s: '%s' cannot be killed, and the tunnel ends without it: %s", name, job->words[0],
                    why);
    }
}

static void log_end(const struct job *job, const struct program_result *result)
{
    const char *name = name_of(job->which);
    char text[32];
    if (result->code == ERR_IO) {
        log_warning(job->log_name, "%s: '%s' could not be started: %s", name, job->words[0],
                    err_uv_text(result->uv_status));
    } else if (result->code != OK && result->uv_status != 0) {
        log_left(job, result);
    } else if (result->code == ERR_TIMEOUT && !job->is_last) {
        log_warning(job->log_name, "%s: '%s' was killed, since it had not ended after %s (hook_timeout)", name,
                    job->words[0], duration_text(job->timeout_ms, text, sizeof text));
    } else if (result->code != OK) {
        log_warning(job->log_name, "%s: '%s' was killed, since the tunnel ends", name, job->words[0]);
    } else if (result->signal != 0) {
        log_warning(job->log_name, "%s: '%s' was ended by signal %d", name, job->words[0], result->signal);
    } else if (result->exit_status != 0) {
        log_warning(job->log_name, "%s: '%s' ended with exit code %lld", name, job->words[0],
                    (long long)(int32_t)result->exit_status);
    } else {
        log_debug(job->log_name, "%s: '%s' has ended", name, job->words[0]);
    }
}

/* ---- running ---- */

static void on_done(void *arg, const struct program_result *result);

/* What cannot be begun for want of memory is left out, and said. */
static void begin(struct hooks *hooks)
{
    struct job *job = hooks->waiting;
    const struct program_options options = {.words = (const char *const *)job->words,
                                            .environment = (const char *const *)job->environment,
                                            .timeout_ms = job->timeout_ms,
                                            .drain_ms = DRAIN_MS};
    hooks->waiting = NULL;
    hooks->program = program_start(hooks->loop, &options, on_done, hooks);
    if (hooks->program == NULL) {
        log_error(job->log_name, "%s: out of memory; it is not run", name_of(job->which));
        job_free(job);
        return;
    }
    hooks->running = job;
}

static void on_done(void *arg, const struct program_result *result)
{
    struct hooks *hooks = arg;
    struct job *job = hooks->running;
    hooks->program = NULL;
    hooks->running = NULL;
    log_lines(job, result->output);
    log_lines(job, result->errors);
    log_end(job, result);
    job_free(job);
    if (hooks->waiting != NULL) {
        begin(hooks);
    }
    if (hooks->running == NULL) {
        hooks->on_idle(hooks->arg); /* may free */
    }
}

struct hooks *hooks_new(uv_loop_t *loop, void (*on_idle)(void *arg), void *arg)
{
    struct hooks *hooks = calloc(1, sizeof *hooks);
    if (hooks != NULL) {
        hooks->loop = loop;
        hooks->on_idle = on_idle;
        hooks->arg = arg;
    }
    return hooks;
}

void hooks_run(struct hooks *hooks, const struct tunnel_spec *spec, enum hook which, const struct hook_facts *facts)
{
    const struct string_list *words = which == HOOK_UP ? &spec->on_up : &spec->on_down;
    job_free(hooks->waiting);
    hooks->waiting = NULL;
    if (facts->is_last) {
        hooks_end(hooks);
    }
    if (words->count == 0) {
        return;
    }
    hooks->waiting = job_new(spec, which, words, facts);
    if (hooks->waiting == NULL) {
        log_error(spec->name, "%s: out of memory; it is not run", name_of(which));
    } else if (hooks->running == NULL) {
        begin(hooks);
    }
}

void hooks_end(struct hooks *hooks)
{
    job_free(hooks->waiting);
    hooks->waiting = NULL;
    if (hooks->running == NULL) {
        return;
    }
    hooks->running->is_last = true;
    if (hooks->running->which == HOOK_UP) {
        program_cancel(hooks->program); /* the end does not wait for what has passed */
    } else {
        program_limit(hooks->program, LAST_LIMIT_MS);
    }
}

void hooks_kill(struct hooks *hooks)
{
    job_free(hooks->waiting);
    hooks->waiting = NULL;
    if (hooks->running != NULL) {
        program_cancel(hooks->program);
    }
}

bool hooks_are_idle(const struct hooks *hooks)
{
    return hooks == NULL || (hooks->running == NULL && hooks->waiting == NULL);
}

void hooks_free(struct hooks *hooks)
{
    free(hooks);
}
