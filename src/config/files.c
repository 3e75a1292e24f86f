#include "config/files.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <uv.h>

#include "config/text.h"
#include "platform/platform.h"

enum file_kind file_kind(const char *path, struct err_info *info)
{
    uv_fs_t request;
    int status = uv_fs_stat(NULL, &request, path, NULL);
    uint64_t mode = request.statbuf.st_mode;
    uv_fs_req_cleanup(&request);
    if (status == UV_ENOENT || status == UV_ENOTDIR) {
        return FILE_MISSING;
    }
    if (status != 0) {
        (void)err_set(info, ERR_IO, "%s", err_uv_text(status));
        return FILE_UNREADABLE;
    }
    return (mode & S_IFMT) == S_IFDIR ? FILE_FOLDER : FILE_PLAIN;
}

char *file_absolute(const char *path)
{
    char dir[4096];
    size_t size = sizeof dir;
    return platform_path_resolve(uv_cwd(dir, &size) == 0 ? dir : ".", path);
}

/* Reads until the end or until `max_bytes` are exceeded. */
static enum err read_all(uv_file file, size_t max_bytes, char **out, size_t *out_len, struct err_info *info)
{
    size_t cap = 16384;
    size_t len = 0;
    char *data = malloc(cap + 1);
    while (data != NULL) {
        uv_buf_t piece = uv_buf_init(data + len, (unsigned)(cap - len));
        uv_fs_t request;
        int status = uv_fs_read(NULL, &request, file, &piece, 1, -1, NULL);
        uv_fs_req_cleanup(&request);
        if (status < 0) {
            free(data);
            return err_set(info, ERR_IO, "%s", err_uv_text(status));
        }
        len += (size_t)status;
        if (len > max_bytes) {
            free(data);
            return err_set(info, ERR_IO, "the file is larger than %lu MiB", (unsigned long)(max_bytes >> 20));
        }
        if (status == 0) {
            data[len] = '\0';
            *out = data;
            *out_len = len;
            return OK;
        }
        if (len == cap) {
            char *larger = realloc(data, cap * 2 + 1);
            if (larger == NULL) {
                free(data);
            }
            data = larger;
            cap *= 2;
        }
    }
    return err_set(info, ERR_MEMORY, "out of memory");
}

enum err file_read(const char *path, size_t max_bytes, char **out, size_t *out_len, struct err_info *info)
{
    uv_fs_t request;
    int file = uv_fs_open(NULL, &request, path, UV_FS_O_RDONLY, 0, NULL);
    uv_fs_req_cleanup(&request);
    *out = NULL;
    *out_len = 0;
    if (file < 0) {
        return err_set(info, ERR_IO, "%s", err_uv_text(file));
    }
    enum err result = read_all(file, max_bytes, out, out_len, info);
    (void)uv_fs_close(NULL, &request, file, NULL);
    uv_fs_req_cleanup(&request);
    return result;
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool name_matches(const char *pattern, const char *name)
{
    return (name[0] != '.' || pattern[0] == '.') && text_match(pattern, name, false);
}

static bool ends_folder(const char *folder)
{
    size_t len = strlen(folder);
    return len > 0 && (folder[len - 1] == '/' || folder[len - 1] == '\\');
}

enum err file_list(const char *folder, const char *pattern, struct string_list *out, struct err_info *info)
{
    uv_fs_t request;
    uv_dirent_t entry;
    enum err result = OK;
    size_t first = out->count;
    int status = uv_fs_scandir(NULL, &request, folder, 0, NULL);
    if (status < 0) {
        uv_fs_req_cleanup(&request);
        return err_set(info, ERR_IO, "%s", err_uv_text(status));
    }
    while (result == OK && uv_fs_scandir_next(&request, &entry) == 0) {
        if (name_matches(pattern, entry.name)) {
            char *path = text_format("%s%s%s", folder, ends_folder(folder) ? "" : "/", entry.name);
            result = path == NULL ? ERR_MEMORY : string_list_add(out, path);
            free(path);
        }
    }
    uv_fs_req_cleanup(&request);
    if (out->count > first) {
        qsort((void *)(out->items + first), out->count - first, sizeof(char *), compare_strings);
    }
    return result == OK ? OK : err_set(info, ERR_MEMORY, "out of memory");
}

/* Takes `pattern` apart at its first part with a wildcard and goes on for each match. At most one level per '/'. */
enum err file_glob(const char *pattern, struct string_list *out, struct err_info *info)
{
    struct string_list matches = {NULL, 0};
    enum err result = OK;
    size_t wild = strcspn(pattern, "*?");
    if (pattern[wild] == '\0') {
        if (file_kind(pattern, NULL) != FILE_PLAIN) {
            return OK;
        }
        return string_list_add(out, pattern) == OK ? OK : err_set(info, ERR_MEMORY, "out of memory");
    }
    size_t start = wild;
    while (start > 0 && pattern[start - 1] != '/' && pattern[start - 1] != '\\') {
        start--;
    }
    size_t end = wild + strcspn(pattern + wild, "/\\");
    char *folder = start == 0 ? text_dup(".", 1) : text_dup(pattern, start);
    char *part = text_dup(pattern + start, end - start);
    if (folder == NULL || part == NULL) {
        result = err_set(info, ERR_MEMORY, "out of memory");
    } else if (file_kind(folder, NULL) == FILE_FOLDER) {
        /* A folder that may not be read has no matches, as with ssh. */
        result = file_list(folder, part, &matches, info) == ERR_MEMORY ? ERR_MEMORY : OK;
    }
    for (size_t i = 0; result == OK && i < matches.count; i++) {
        char *path = text_format("%s%s", matches.items[i], pattern + end);
        result = path == NULL ? err_set(info, ERR_MEMORY, "out of memory") : file_glob(path, out, info);
        free(path);
    }
    string_list_deinit(&matches);
    free(folder);
    free(part);
    return result;
}
