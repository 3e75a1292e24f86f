#include "tunnel/file_watch.h"

#include <string.h>

static struct file_look look_at(const char *path)
{
    struct file_look look = {false, 0, 0, {0, 0}, {0, 0}};
    uv_fs_t request;
    if (uv_fs_stat(NULL, &request, path, NULL) == 0) {
        look.exists = true;
        look.size_bytes = request.statbuf.st_size;
        look.inode = request.statbuf.st_ino;
        look.written = request.statbuf.st_mtim;
        look.changed = request.statbuf.st_ctim;
    }
    uv_fs_req_cleanup(&request);
    return look;
}

static bool same_time(uv_timespec_t a, uv_timespec_t b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same(const struct file_look *a, const struct file_look *b)
{
    return a->exists == b->exists && a->size_bytes == b->size_bytes && a->inode == b->inode &&
           same_time(a->written, b->written) && same_time(a->changed, b->changed);
}

static size_t watched(const struct file_watch *watch)
{
    return watch->files->count < FILE_WATCH_FILES ? watch->files->count : (size_t)FILE_WATCH_FILES;
}

static void on_tick(uv_timer_t *timer)
{
    struct file_watch *watch = timer->data;
    for (size_t i = 0; i < watched(watch); i++) {
        struct file_look now = look_at(watch->files->items[i]);
        if (!same(&now, &watch->looks[i])) {
            file_watch_stop(watch);
            watch->on_change(watch->arg);
            return;
        }
    }
}

void file_watch_init(struct file_watch *watch, uv_loop_t *loop, const struct string_list *files,
                     void (*on_change)(void *arg), void *arg)
{
    memset(watch, 0, sizeof *watch);
    (void)uv_timer_init(loop, &watch->timer);
    watch->timer.data = watch;
    watch->files = files;
    watch->on_change = on_change;
    watch->arg = arg;
}

void file_watch_look(struct file_watch *watch)
{
    for (size_t i = 0; i < watched(watch); i++) {
        watch->looks[i] = look_at(watch->files->items[i]);
    }
}

void file_watch_start(struct file_watch *watch)
{
    (void)uv_timer_start(&watch->timer, on_tick, 0, FILE_WATCH_POLL_MS);
}

void file_watch_stop(struct file_watch *watch)
{
    (void)uv_timer_stop(&watch->timer);
}
