#include "session/known_hosts_file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/log.h"
#include "platform/platform.h"

#define FILE_CAP_BYTES (64U << 20)

static ssize_t fs_result(uv_fs_t *request, int status)
{
    ssize_t result = status < 0 ? status : request->result;
    uv_fs_req_cleanup(request);
    return result;
}

static int fs_open(const char *path, int flags)
{
    uv_fs_t request;
    int status = uv_fs_open(NULL, &request, path, flags, 0600, NULL);
    return (int)fs_result(&request, status);
}

static void fs_close(uv_file file)
{
    uv_fs_t request;
    int status = uv_fs_close(NULL, &request, file, NULL);
    (void)fs_result(&request, status);
}

static ssize_t fs_read(uv_file file, char *data, size_t len, int64_t offset)
{
    uv_fs_t request;
    uv_buf_t buf = uv_buf_init(data, (unsigned)len);
    int status = uv_fs_read(NULL, &request, file, &buf, 1, offset, NULL);
    return fs_result(&request, status);
}

/* All of it, in one call where the system takes it in one. */
static ssize_t fs_write(uv_file file, const char *data, size_t len)
{
    size_t done = 0;
    while (done < len) {
        uv_fs_t request;
        uv_buf_t buf = uv_buf_init((char *)data + done, (unsigned)(len - done));
        int status = uv_fs_write(NULL, &request, file, &buf, 1, -1, NULL);
        ssize_t written = fs_result(&request, status);
        if (written <= 0)
            return written < 0 ? written : UV_EIO;
        done += (size_t)written;
    }
    return 0;
}

enum err known_hosts_read(const char *path, char **out_text, size_t *out_len, struct err_info *info)
{
    enum err result = OK;
    char *text = malloc(1);
    size_t len = 0;
    size_t cap_bytes = 1;
    *out_text = NULL;
    *out_len = 0;
    uv_file file = fs_open(path, UV_FS_O_RDONLY);
    if (text == NULL) {
        result = err_set(info, ERR_MEMORY, "out of memory");
        goto out;
    }
    if (file < 0) {
        if (file != UV_ENOENT && file != UV_ENOTDIR)
            result = err_set(info, ERR_IO, "%s cannot be read: %s", path, err_uv_text(file));
        goto out;
    }
    for (;;) {
        if (cap_bytes - len < 4096) {
            char *grown = cap_bytes < FILE_CAP_BYTES ? realloc(text, cap_bytes * 2 + 65536) : NULL;
            if (grown == NULL) {
                result = err_set(info, ERR_IO, "%s is too large", path);
                goto out;
            }
            text = grown;
            cap_bytes = cap_bytes * 2 + 65536;
        }
        ssize_t got = fs_read(file, text + len, cap_bytes - len - 1, -1);
        if (got < 0) {
            result = err_set(info, ERR_IO, "%s cannot be read: %s", path, err_uv_text((int)got));
            goto out;
        }
        if (got == 0)
            break;
        len += (size_t)got;
    }
out:
    if (file >= 0)
        fs_close(file);
    if (result != OK || text == NULL) {
        free(text);
        return result;
    }
    text[len] = '\0';
    *out_text = text;
    *out_len = len;
    return OK;
}

static void log_garbage(const char *text, size_t len, const char *path, const char *log_name)
{
    struct known_hosts_cursor cursor = {text, len, 0, 0};
    const char *line = NULL;
    size_t line_len = 0;
    uint8_t key[KNOWN_HOSTS_KEY_CAP_BYTES];
    if (log_get_level() < LOG_LEVEL_DEBUG)
        return;
    while (known_hosts_next(&cursor, &line, &line_len)) {
        struct known_hosts_entry entry;
        enum known_hosts_line kind = known_hosts_parse(line, line_len, &entry);
        if (kind == KNOWN_HOSTS_GARBAGE || (kind == KNOWN_HOSTS_ENTRY && known_hosts_key(&entry, key) == 0))
            log_debug(log_name, "%s:%u: not a known_hosts entry, skipped", path, cursor.line_number);
    }
}

void known_hosts_search_files(const struct string_list *files, const char *name, const char *plain_name,
                              const uint8_t *key, size_t key_len, const char *log_name, struct known_hosts_result *out)
{
    struct known_hosts_result plain;
    memset(out, 0, sizeof *out);
    memset(&plain, 0, sizeof plain);
    for (size_t i = 0; i < files->count; i++) {
        char *text = NULL;
        size_t len = 0;
        struct err_info info;
        if (strcmp(files->items[i], "none") == 0)
            continue;
        if (known_hosts_read(files->items[i], &text, &len, &info) != OK) {
            log_warning(log_name, "%s", info.message);
            continue;
        }
        log_garbage(text, len, files->items[i], log_name);
        known_hosts_search(text, len, files->items[i], name, key, key_len, out);
        if (plain_name != NULL)
            known_hosts_search(text, len, files->items[i], plain_name, key, key_len, &plain);
        free(text);
    }
    bool match_without_port = out->status == KNOWN_HOSTS_UNKNOWN && plain.status == KNOWN_HOSTS_MATCH;
    if (match_without_port || plain.status == KNOWN_HOSTS_IS_REVOKED)
        *out = plain;
}

static void make_folder(const char *path)
{
    char *folder = platform_path_folder(path);
    if (folder == NULL)
        return;
    uv_fs_t request;
    int status = uv_fs_mkdir(NULL, &request, folder, 0700, NULL);
    (void)fs_result(&request, status); /* already there, or the open that follows says what is wrong */
    free(folder);
}

/* The lines of `keys` in one heap string, a newline in front if asked. */
static char *format_all(const char *name, bool hashed, const struct known_hosts_new_key *keys, size_t key_count,
                        bool newline_first)
{
    char *all = strdup(newline_first ? "\n" : "");
    for (size_t i = 0; all != NULL && i < key_count; i++) {
        char *line = known_hosts_format(name, hashed, keys[i].data, keys[i].len);
        char *grown = line != NULL ? realloc(all, strlen(all) + strlen(line) + 1) : NULL;
        if (grown == NULL) {
            free(line);
            free(all);
            return NULL;
        }
        all = grown;
        memcpy(all + strlen(all), line, strlen(line) + 1);
        free(line);
    }
    return all;
}

static bool ends_without_newline(uv_file file)
{
    uv_fs_t request;
    int status = uv_fs_fstat(NULL, &request, file, NULL);
    uint64_t size = status == 0 ? request.statbuf.st_size : 0;
    uv_fs_req_cleanup(&request);
    char last = '\n';
    if (size > 0 && size <= INT64_MAX)
        (void)fs_read(file, &last, 1, (int64_t)size - 1);
    return last != '\n';
}

enum err known_hosts_append(const char *path, const char *name, bool hashed, const struct known_hosts_new_key *keys,
                            size_t key_count, struct err_info *info)
{
    enum err result = OK;
    make_folder(path);
    uv_file file = fs_open(path, UV_FS_O_RDWR | UV_FS_O_APPEND | UV_FS_O_CREAT);
    if (file < 0)
        return err_set(info, ERR_IO, "%s cannot be written: %s", path, err_uv_text(file));
    char *lines = format_all(name, hashed, keys, key_count, ends_without_newline(file));
    if (lines == NULL) {
        result = err_set(info, ERR_MEMORY, "out of memory");
    } else {
        ssize_t status = fs_write(file, lines, strlen(lines));
        if (status < 0)
            result = err_set(info, ERR_IO, "%s cannot be written: %s", path, err_uv_text((int)status));
    }
    fs_close(file);
    free(lines);
    return result;
}

/* Writes `first` and `second` to a new file beside `path`, with the mode of `path`, and puts it in its place. */
static enum err write_in_place(const char *path, const char *first, size_t first_len, const char *second,
                               struct err_info *info)
{
    uv_fs_t request;
    enum err result = OK;
    char *target = NULL;
    char *fresh = NULL;
    int mode = 0600;
    uv_file file = -1;
    int status = uv_fs_realpath(NULL, &request, path, NULL); /* a link stays a link */
    target = strdup(status == 0 ? (const char *)request.ptr : path);
    uv_fs_req_cleanup(&request);
    if (target == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    status = uv_fs_stat(NULL, &request, target, NULL);
    if (status == 0)
        mode = (int)(request.statbuf.st_mode & 0777);
    uv_fs_req_cleanup(&request);
    size_t cap_bytes = strlen(target) + 32;
    fresh = malloc(cap_bytes);
    if (fresh == NULL) {
        result = err_set(info, ERR_MEMORY, "out of memory");
        goto out;
    }
    (void)snprintf(fresh, cap_bytes, "%s.new.%lu", target, (unsigned long)uv_os_getpid());
    file = fs_open(fresh, UV_FS_O_WRONLY | UV_FS_O_CREAT | UV_FS_O_EXCL);
    ssize_t failed = file < 0 ? file : fs_write(file, first, first_len);
    if (failed == 0)
        failed = fs_write(file, second, strlen(second));
    if (failed == 0)
        failed = fs_result(&request, uv_fs_fchmod(NULL, &request, file, mode, NULL));
    if (failed == 0)
        failed = fs_result(&request, uv_fs_fsync(NULL, &request, file, NULL));
    if (file >= 0)
        fs_close(file);
    if (failed == 0)
        failed = fs_result(&request, uv_fs_rename(NULL, &request, fresh, target, NULL));
    if (failed < 0) {
        result = err_set(info, ERR_IO, "%s cannot be written: %s", path, err_uv_text((int)failed));
        if (file >= 0)
            (void)fs_result(&request, uv_fs_unlink(NULL, &request, fresh, NULL));
    }
out:
    free(fresh);
    free(target);
    return result;
}

enum err known_hosts_replace(const char *path, const char *name, bool hashed, const struct known_hosts_new_key *keys,
                             size_t key_count, struct err_info *info)
{
    char *text = NULL;
    char *kept = NULL;
    char *lines = NULL;
    size_t len = 0;
    size_t kept_len = 0;
    unsigned removed = 0;
    unsigned line_number = 0;
    enum err result = known_hosts_read(path, &text, &len, info);
    if (result != OK)
        return result;
    result = known_hosts_without(text, len, name, &kept, &kept_len, &removed, &line_number);
    if (result == ERR_UNSUPPORTED) {
        (void)err_set(info, result, "%s:%u applies to %s by a pattern: change that line yourself", path, line_number,
                      name);
        goto out;
    }
    if (result == OK && removed == 0) {
        result = key_count > 0 ? known_hosts_append(path, name, hashed, keys, key_count, info) : OK;
        goto out;
    }
    if (result == OK)
        lines = format_all(name, hashed, keys, key_count, kept_len > 0 && kept[kept_len - 1] != '\n');
    if (result != OK || lines == NULL) {
        result = err_set(info, ERR_MEMORY, "out of memory");
        goto out;
    }
    result = write_in_place(path, kept, kept_len, lines, info);
out:
    free(text);
    free(kept);
    free(lines);
    return result;
}
