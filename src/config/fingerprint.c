/* What definitions look like from outside, as one number. */
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "config/config.h"
#include "config/files.h"
#include "platform/platform.h"

/* FNV-1a: only has to differ where something has changed. */
static uint64_t add_bytes(uint64_t value, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < len; i++) {
        value = (value ^ at[i]) * 0x100000001b3U;
    }
    return value;
}

static uint64_t add_number(uint64_t value, uint64_t number)
{
    return add_bytes(value, &number, sizeof number);
}

static uint64_t add_file(uint64_t value, const char *path)
{
    uv_fs_t request;
    int status = uv_fs_stat(NULL, &request, path, NULL);
    const uv_stat_t *stat = &request.statbuf;
    value = add_bytes(value, path, strlen(path) + 1);
    value = add_number(value, (uint64_t)(int64_t)status);
    if (status == 0) {
        value = add_number(value, stat->st_size);
        value = add_number(value, stat->st_dev);
        value = add_number(value, stat->st_ino);
        value = add_number(value, (uint64_t)stat->st_mtim.tv_sec);
        value = add_number(value, (uint64_t)stat->st_mtim.tv_nsec);
        value = add_number(value, (uint64_t)stat->st_ctim.tv_sec);
        value = add_number(value, (uint64_t)stat->st_ctim.tv_nsec);
    }
    uv_fs_req_cleanup(&request);
    return value;
}

/* Of a folder its files alone, since others come and go beside them. */
static uint64_t add_path(uint64_t value, const char *path)
{
    struct err_info ignored;
    struct string_list files = {NULL, 0};
    if (file_kind(path, &ignored) != FILE_FOLDER) {
        return add_file(value, path);
    }
    (void)file_list(path, "*.yaml", &files, &ignored);
    for (size_t i = 0; i < files.count; i++) {
        value = add_file(value, files.items[i]);
    }
    string_list_deinit(&files);
    return add_number(value, files.count);
}

uint64_t config_fingerprint(const char *const *paths, size_t path_count)
{
    uint64_t value = 0xcbf29ce484222325U;
    if (path_count == 0) {
        char *place = platform_default_definitions();
        if (place != NULL) {
            value = add_path(value, place);
        }
        free(place);
    }
    for (size_t i = 0; i < path_count; i++) {
        value = add_path(value, paths[i]);
    }
    return value;
}
