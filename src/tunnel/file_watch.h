/* Notices that one of a few files is no longer what it was when it was last looked at. Room-internal.
 *
 * uv_fs_poll will not do: it takes its first look some time after it was started, so a change made between the moment
 * that a decision was drawn from the file and that first look is never told. Here the caller says when the look is
 * taken, which is before it reads the file. Loop thread only. */
#ifndef HOLDFAST_TUNNEL_FILE_WATCH_H
#define HOLDFAST_TUNNEL_FILE_WATCH_H

#include <stdbool.h>
#include <uv.h>

#include "session/spec.h"

/* The files that are looked at; more are not. ssh has two of each kind. */
enum { FILE_WATCH_FILES = 8, FILE_WATCH_POLL_MS = 1000 };

struct file_look {
    bool exists;
    uint64_t size_bytes, inode;
    uv_timespec_t written, changed;
};

struct file_watch {
    uv_timer_t timer;
    const struct string_list *files;
    struct file_look looks[FILE_WATCH_FILES];
    void (*on_change)(void *arg); /* once; the watch has ended then */
    void *arg;
};

/* `files` is borrowed and must live as long as the watch. */
void file_watch_init(struct file_watch *watch, uv_loop_t *loop, const struct string_list *files,
                     void (*on_change)(void *arg), void *arg);

/* Remembers what the files are like now. A few stat calls, in this thread. */
void file_watch_look(struct file_watch *watch);

/* Tells on_change, never inside this call, when the files differ from the last look, be it already now. */
void file_watch_start(struct file_watch *watch);
void file_watch_stop(struct file_watch *watch);

#endif
