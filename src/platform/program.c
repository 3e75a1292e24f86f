#include "platform/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/platform.h"

enum {
    CHUNK_BYTES = 4096,
    GONE_MS = 2000,          /* so soon is gone what was killed */
    OUTPUT_MAX_BYTES = 4096, /* the first ones are kept */
    ERRORS_MAX_BYTES = 1024  /* the last ones are kept */
};

struct capture {
    struct program *program;
    uv_pipe_t pipe;
    char chunk[CHUNK_BYTES];
    char *kept;
    size_t len, cap_bytes;
    bool keeps_end, ended;
};

struct program {
    uv_process_t process;
    uv_timer_t deadline;
    struct capture output, errors;
    size_t handles; /* not yet closed */
    uint64_t drain_ms;
    bool process_open, running, exited, closing;
    program_done on_done;
    void *arg;
    struct program_result result;
};

static void program_free(struct program *program)
{
    free(program->output.kept);
    free(program->errors.kept);
    free(program);
}

/* What was kept, as text. NULL when out of memory, which is shown as nothing. */
static char *text_of(const struct capture *capture)
{
    return platform_program_text(capture->kept, capture->len);
}

static void on_closed(uv_handle_t *handle)
{
    struct program *program = handle->data;
    if (--program->handles > 0) {
        return;
    }
    char *output = text_of(&program->output);
    char *errors = text_of(&program->errors);
    program->result.output = output != NULL ? output : "";
    program->result.errors = errors != NULL ? errors : "";
    program->on_done(program->arg, &program->result);
    free(output);
    free(errors);
    program_free(program);
}

static void close_all(struct program *program)
{
    if (program->closing) {
        return;
    }
    program->closing = true;
    if (program->process_open) {
        uv_close((uv_handle_t *)&program->process, on_closed);
    }
    uv_close((uv_handle_t *)&program->deadline, on_closed);
    uv_close((uv_handle_t *)&program->output.pipe, on_closed);
    uv_close((uv_handle_t *)&program->errors.pipe, on_closed);
}

/* A program that left another one behind, which holds the pipes open, has still answered once its line is there. */
static bool has_line(const struct capture *capture)
{
    return capture->ended ||
           (memchr(capture->kept, '\n', capture->len) != NULL && memchr(capture->kept, '\0', capture->len) == NULL);
}

static void check_done(struct program *program)
{
    bool failed = program->result.exit_status != 0 || program->result.signal != 0;
    if (!program->exited) {
        return;
    }
    if (program->drain_ms != 0 && program->result.code == OK) {
        if (program->output.ended && program->errors.ended) {
            close_all(program);
        }
    } else if (program->result.code != OK || (has_line(&program->output) && (program->errors.ended || !failed))) {
        close_all(program);
    }
}

static void on_drained(uv_timer_t *timer)
{
    close_all(timer->data);
}

static void on_process_exit(uv_process_t *process, int64_t status, int number)
{
    struct program *program = process->data;
    program->exited = true;
    if (program->drain_ms != 0 && !program->closing) {
        (void)uv_timer_start(&program->deadline, on_drained, program->drain_ms, 0);
    }
    program->result.exit_status = status;
    program->result.signal = number;
    check_done(program);
}

/* What another user's rights, or the system, keep from ending is left alone. */
static void abandon(struct program *program, int uv_status)
{
    program->result.uv_status = uv_status;
    platform_program_forget(&program->process);
    close_all(program);
}

static void on_not_gone(uv_timer_t *timer)
{
    abandon(timer->data, UV_ETIMEDOUT);
}

/* Ends it for the reason given; on_process_exit follows, since a killed program is reaped like any other. */
static void give_up(struct program *program, enum err code)
{
    if (program->closing || program->result.code != OK) {
        return;
    }
    program->result.code = code;
    (void)uv_timer_stop(&program->deadline);
    if (!program->running || program->exited) {
        close_all(program);
        return;
    }
    int status = platform_program_kill(&program->process);
    if (status == UV_EPERM) {
        abandon(program, status);
    } else {
        (void)uv_timer_start(&program->deadline, on_not_gone, GONE_MS, 0);
    }
}

static void on_deadline(uv_timer_t *timer)
{
    struct program *program = timer->data;
    if (!program->running) {
        close_all(program);
    } else {
        give_up(program, ERR_TIMEOUT);
    }
}

static struct capture *capture_of(const void *handle)
{
    struct program *program = ((const uv_handle_t *)handle)->data;
    return handle == (const void *)&program->output.pipe ? &program->output : &program->errors;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct capture *capture = capture_of(handle);
    (void)suggested;
    *out = uv_buf_init(capture->chunk, sizeof capture->chunk);
}

/* What does not fit is left out at the end, or at the beginning in steps of two bytes. */
static void keep(struct capture *capture, const char *bytes, size_t len)
{
    size_t room = capture->cap_bytes - capture->len;
    size_t over = len > room ? len - room : 0;
    if (!capture->keeps_end) {
        len -= over;
    } else if (over > 0) {
        over += over % 2;
        size_t from_kept = over < capture->len ? over : capture->len;
        memmove(capture->kept, capture->kept + from_kept, capture->len - from_kept);
        capture->len -= from_kept;
        bytes += over - from_kept;
        len -= over - from_kept;
    }
    memcpy(capture->kept + capture->len, bytes, len);
    capture->len += len;
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct capture *capture = capture_of(stream);
    if (count > 0) {
        keep(capture, buf->base, (size_t)count);
    } else if (count < 0) {
        (void)uv_read_stop(stream);
        capture->ended = true;
    }
    check_done(capture->program);
}

static bool capture_init(struct program *program, uv_loop_t *loop, struct capture *capture, size_t cap_bytes)
{
    capture->program = program;
    capture->cap_bytes = cap_bytes;
    capture->kept = malloc(cap_bytes);
    (void)uv_pipe_init(loop, &capture->pipe, 0);
    capture->pipe.data = program;
    return capture->kept != NULL;
}

static void environment_free(char **environment)
{
    for (size_t i = 0; environment != NULL && environment[i] != NULL; i++) {
        free(environment[i]);
    }
    free(environment);
}

/* Whether one of `more` has this variable. */
static bool is_replaced(const char *const *more, const char *name)
{
    size_t len = strlen(name);
    for (; *more != NULL; more++) {
        if (strncmp(*more, name, len) == 0 && (*more)[len] == '=') {
            return true;
        }
    }
    return false;
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

/* This process's environment with `more`. NULL when out of memory. */
static char **environment_with(const char *const *more)
{
    uv_env_item_t *ours = NULL;
    int count = 0;
    size_t more_count = 0;
    size_t used = 0;
    if (uv_os_environ(&ours, &count) != 0) {
        return NULL;
    }
    while (more[more_count] != NULL) {
        more_count++;
    }
    char **all = calloc((size_t)count + more_count + 1, sizeof *all);
    bool complete = all != NULL;
    for (int i = 0; complete && i < count; i++) {
        if (!is_replaced(more, ours[i].name)) {
            complete = (all[used++] = variable(ours[i].name, ours[i].value)) != NULL;
        }
    }
    for (size_t i = 0; complete && i < more_count; i++) {
        complete = (all[used++] = strdup(more[i])) != NULL;
    }
    uv_os_free_environ(ours, count);
    if (!complete) {
        environment_free(all);
        return NULL;
    }
    return all;
}

static int spawn(struct program *program, uv_loop_t *loop, const struct program_options *options)
{
    uv_stdio_container_t streams[3] = {{.flags = UV_IGNORE},
                                       {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE},
                                       {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE}};
    uv_process_options_t how = {.exit_cb = on_process_exit,
                                .file = options->file != NULL ? options->file : options->words[0],
                                .stdio = streams,
                                .stdio_count = 3};
    streams[1].data.stream = (uv_stream_t *)&program->output.pipe;
    streams[2].data.stream = (uv_stream_t *)&program->errors.pipe;
    memcpy(&how.args, &options->words, sizeof how.args); /* without const: libuv does not write to them */
    how.flags = platform_program_flags() | (options->verbatim ? UV_PROCESS_WINDOWS_VERBATIM_ARGUMENTS : 0U);
    if (options->environment != NULL && (how.env = environment_with(options->environment)) == NULL) {
        return UV_ENOMEM;
    }
    int status = uv_spawn(loop, &program->process, &how);
    environment_free(how.env);
    return status;
}

struct program *program_start(uv_loop_t *loop, const struct program_options *options, program_done on_done, void *arg)
{
    struct program *program = calloc(1, sizeof *program);
    if (program == NULL) {
        return NULL;
    }
    platform_program_reap();
    program->on_done = on_done;
    program->arg = arg;
    program->drain_ms = options->drain_ms;
    (void)uv_timer_init(loop, &program->deadline);
    program->process.data = program->deadline.data = program; /* uv_spawn keeps it */
    program->handles = 3;                                     /* the timer and two pipes */
    program->errors.keeps_end = true;
    bool whole = capture_init(program, loop, &program->output, OUTPUT_MAX_BYTES);
    whole = capture_init(program, loop, &program->errors, ERRORS_MAX_BYTES) && whole;
    int status = whole ? spawn(program, loop, options) : UV_ENOMEM;
    program->running = status == 0;
    program->process_open = whole; /* uv_spawn has made the handle even where it failed */
    program->handles += whole ? 1 : 0;
    if (status == 0) {
        (void)uv_read_start((uv_stream_t *)&program->output.pipe, on_alloc, on_read);
        (void)uv_read_start((uv_stream_t *)&program->errors.pipe, on_alloc, on_read);
    } else { /* told by the next tick */
        program->result.code = ERR_IO;
        program->result.uv_status = status;
    }
    (void)uv_timer_start(&program->deadline, on_deadline, status == 0 ? options->timeout_ms : 0, 0);
    return program;
}

void program_cancel(struct program *program)
{
    if (!program->running && !program->closing) {
        program->result.code = ERR_CANCELLED; /* it is about to be told that it did not start */
        return;
    }
    give_up(program, ERR_CANCELLED);
}

void program_limit(struct program *program, uint64_t timeout_ms)
{
    bool goes_on = program->running && !program->exited && !program->closing && program->result.code == OK;
    if (goes_on && uv_timer_get_due_in(&program->deadline) > timeout_ms) {
        (void)uv_timer_start(&program->deadline, on_deadline, timeout_ms, 0);
    }
}
