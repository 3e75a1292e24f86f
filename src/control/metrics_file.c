#include "control/metrics_file.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "control/prometheus.h"
#include "control/status_json.h"
#include "platform/platform.h"

#define INTERVAL_MS 15000
#define SOON_MS 100    /* several changes at once are written once */
#define FILE_MODE 0644 /* whatever the umask says: node_exporter is another user, and nothing in it is secret */
#define FIRST_WORDS "# HELP holdfast_"

struct metrics_file {
    uv_timer_t timer;
    uv_work_t work;
    struct supervisor *supervisor;
    struct supervisor_watcher watcher;
    uint64_t interval_ms;
    char *path, *temporary, *lock_path;
    bool is_working; /* the worker has what stands below */
    bool is_dirty;   /* something changed meanwhile */
    bool is_stopping, is_closed;
    bool has_warned;
    /* The worker's while it works. */
    struct platform_lock *lock;
    bool has_written; /* `path`, once at least */
    char *text;
    struct err_info result;
};

/* --- in a worker thread --- */

static enum err io_error(struct err_info *info, const char *path, const char *what, int status)
{
    return err_set(info, ERR_IO, "%s %s: %s", path, what, err_uv_text(status));
}

/* OK when there is no such file, or one that holdfast wrote. */
static enum err check_ours(const char *path, struct err_info *info)
{
    char bytes[sizeof FIRST_WORDS] = {0};
    uv_buf_t buf = uv_buf_init(bytes, sizeof bytes - 1);
    uv_fs_t request;
    int file = uv_fs_open(NULL, &request, path, UV_FS_O_RDONLY | UV_FS_O_NONBLOCK, 0, NULL);
    uv_fs_req_cleanup(&request);
    if (file == UV_ENOENT)
        return OK;
    if (file < 0)
        return io_error(info, path, "cannot be looked at", file);
    int len = uv_fs_read(NULL, &request, file, &buf, 1, 0, NULL);
    uv_fs_req_cleanup(&request);
    (void)uv_fs_close(NULL, &request, file, NULL);
    uv_fs_req_cleanup(&request);
    if (len == 0 || (len > 0 && memcmp(bytes, FIRST_WORDS, (size_t)len) == 0))
        return OK;
    return err_set(info, ERR_IO, "%s is there and was not written by holdfast; remove it, or name another file", path);
}

static void remove_file(const char *path)
{
    uv_fs_t request;
    (void)uv_fs_unlink(NULL, &request, path, NULL);
    uv_fs_req_cleanup(&request);
}

static enum err write_bytes(uv_file file, const char *path, char *text, struct err_info *info)
{
    size_t len = strlen(text);
    while (len > 0) {
        uv_buf_t buf = uv_buf_init(text, (unsigned)len);
        uv_fs_t request;
        int written = uv_fs_write(NULL, &request, file, &buf, 1, -1, NULL);
        uv_fs_req_cleanup(&request);
        if (written <= 0)
            return io_error(info, path, "cannot be written", written);
        text += written;
        len -= (size_t)written;
    }
    return OK;
}

static enum err write_temporary(const struct metrics_file *file, struct err_info *info)
{
    uv_fs_t request;
    remove_file(file->temporary); /* of a process that was killed; what is put there instead of it is not followed */
    int out =
        uv_fs_open(NULL, &request, file->temporary, UV_FS_O_WRONLY | UV_FS_O_CREAT | UV_FS_O_EXCL, FILE_MODE, NULL);
    uv_fs_req_cleanup(&request);
    if (out < 0)
        return io_error(info, file->temporary, "cannot be made", out);
    (void)uv_fs_fchmod(NULL, &request, out, FILE_MODE, NULL);
    uv_fs_req_cleanup(&request);
    enum err result = write_bytes(out, file->temporary, file->text, info);
    int status = uv_fs_close(NULL, &request, out, NULL);
    uv_fs_req_cleanup(&request);
    if (result == OK && status != 0)
        result = io_error(info, file->temporary, "cannot be written", status);
    if (result != OK)
        remove_file(file->temporary);
    return result;
}

static enum err write_file(struct metrics_file *file, struct err_info *info)
{
    uv_fs_t request;
    enum err result = OK;
    if (file->lock == NULL) {
        struct err_info why;
        result = platform_lock_take(file->lock_path, &file->lock, &why);
        if (result == ERR_BUSY)
            return err_set(info, result, "%s is %s; name another file in one of the two", file->path, why.message);
        if (result != OK)
            return err_set(info, result, "%s", why.message);
    }
    result = check_ours(file->path, info);
    if (result == OK)
        result = write_temporary(file, info);
    if (result != OK)
        return result;
    int status = uv_fs_rename(NULL, &request, file->temporary, file->path, NULL);
    uv_fs_req_cleanup(&request);
    file->has_written = file->has_written || status == 0;
    if (status == 0)
        return OK;
    remove_file(file->temporary);
    return io_error(info, file->path, "cannot be replaced", status);
}

static void on_work(uv_work_t *work)
{
    struct metrics_file *file = work->data;
    file->result.code = OK;
    file->result.code = write_file(file, &file->result);
}

/* --- on the loop --- */

static void free_if_over(struct metrics_file *file)
{
    if (!file->is_closed || file->is_working)
        return;
    /* Another program may have put a file of its own there, before us or since. */
    if (file->has_written && check_ours(file->path, NULL) == OK)
        remove_file(file->path);
    platform_lock_release(file->lock);
    free(file->text);
    free(file->path);
    free(file->temporary);
    free(file->lock_path);
    free(file);
}

static void report(struct metrics_file *file)
{
    if (file->result.code != OK && !file->has_warned)
        log_warning(NULL, "metrics_file: %s; trying again", file->result.message);
    else if (file->result.code == OK && file->has_warned)
        log_info(NULL, "metrics_file: %s is written again", file->path);
    file->has_warned = file->result.code != OK;
}

static void on_timer(uv_timer_t *timer);

static void wait_for(struct metrics_file *file, uint64_t ms)
{
    (void)uv_timer_start(&file->timer, on_timer, ms, 0);
}

static void on_written(uv_work_t *work, int status)
{
    struct metrics_file *file = work->data;
    (void)status; /* it is never cancelled */
    file->is_working = false;
    if (file->is_stopping) {
        free_if_over(file);
        return;
    }
    report(file);
    wait_for(file, file->is_dirty ? SOON_MS : file->interval_ms);
    file->is_dirty = false;
}

/* The text of this moment; NULL when out of memory. */
static char *text_now(const struct supervisor *supervisor)
{
    struct status status;
    char *text = NULL;
    if (status_take(supervisor, &status) != OK)
        return NULL;
    json_t *json = status_to_json(&status, NULL, 0);
    if (json != NULL)
        text = prometheus_text(json);
    json_decref(json);
    status_deinit(&status);
    return text;
}

static void on_timer(uv_timer_t *timer)
{
    struct metrics_file *file = timer->data;
    free(file->text);
    file->text = text_now(file->supervisor);
    if (file->text != NULL && uv_queue_work(timer->loop, &file->work, on_work, on_written) == 0)
        file->is_working = true;
    else
        wait_for(file, file->interval_ms);
}

static void on_change(void *arg)
{
    struct metrics_file *file = arg;
    if (file->is_stopping)
        return;
    if (file->is_working)
        file->is_dirty = true;
    else if (uv_timer_get_due_in(&file->timer) > SOON_MS)
        wait_for(file, SOON_MS);
}

static char *with_suffix(const char *path, const char *suffix)
{
    size_t cap_bytes = strlen(path) + strlen(suffix) + 1;
    char *text = malloc(cap_bytes);
    if (text != NULL)
        (void)snprintf(text, cap_bytes, "%s%s", path, suffix);
    return text;
}

enum err metrics_file_start(uv_loop_t *loop, struct supervisor *supervisor, const char *path, uint64_t interval_ms,
                            struct metrics_file **out, struct err_info *info)
{
    *out = NULL;
    struct metrics_file *file = calloc(1, sizeof *file);
    if (file == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    file->is_closed = true; /* while the timer is not open */
    file->supervisor = supervisor;
    file->interval_ms = interval_ms != 0 ? interval_ms : INTERVAL_MS;
    file->path = strdup(path);
    file->temporary = with_suffix(path, ".tmp");
    file->lock_path = with_suffix(path, ".lock");
    int status = file->path == NULL || file->temporary == NULL || file->lock_path == NULL
                     ? UV_ENOMEM
                     : uv_timer_init(loop, &file->timer);
    if (status != 0) {
        free_if_over(file);
        return err_set(info, err_from_uv(status), "metrics_file: %s", err_uv_text(status));
    }
    file->is_closed = false;
    file->timer.data = file;
    file->work.data = file;
    uv_unref((uv_handle_t *)&file->timer);
    wait_for(file, 0);
    file->watcher.on_change = on_change;
    file->watcher.arg = file;
    supervisor_watch(supervisor, &file->watcher);
    *out = file;
    return OK;
}

static void on_closed(uv_handle_t *handle)
{
    struct metrics_file *file = handle->data;
    file->is_closed = true;
    free_if_over(file);
}

void metrics_file_stop(struct metrics_file *file)
{
    if (file == NULL)
        return;
    file->is_stopping = true;
    supervisor_unwatch(file->supervisor, &file->watcher);
    uv_close((uv_handle_t *)&file->timer, on_closed);
}
