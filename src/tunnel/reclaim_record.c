#include "tunnel/reclaim_record.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "platform/platform.h"

enum { WORDS_MAX = 6, LINE_CAP_BYTES = 600 };

static const char head[] = "holdfast-record 1";

void reclaim_record_init(struct reclaim_record *record, const char *tunnel, const char *host)
{
    memset(record, 0, sizeof *record);
    (void)snprintf(record->tunnel, sizeof record->tunnel, "%s", tunnel);
    (void)snprintf(record->host, sizeof record->host, "%s", host);
}

bool reclaim_process_equal(const struct reclaim_process *a, const struct reclaim_process *b)
{
    return a->pid == b->pid && strcmp(a->start, b->start) == 0;
}

bool reclaim_record_add(struct reclaim_record *record, const struct reclaim_entry *entry)
{
    for (size_t i = 0; i < record->entry_count; i++) {
        if (reclaim_process_equal(&record->entries[i].process, &entry->process) &&
            strcmp(record->entries[i].boot, entry->boot) == 0) {
            return false;
        }
    }
    size_t kept = record->entry_count < RECLAIM_PROCESSES_MAX ? record->entry_count : RECLAIM_PROCESSES_MAX - 1;
    memmove(&record->entries[1], &record->entries[0], kept * sizeof record->entries[0]);
    record->entries[0] = *entry;
    record->entry_count = kept + 1;
    return true;
}

bool reclaim_record_drop(struct reclaim_record *record, const struct reclaim_process *process)
{
    for (size_t i = 0; i < record->entry_count; i++) {
        if (reclaim_process_equal(&record->entries[i].process, process)) {
            record->entry_count--;
            memmove(&record->entries[i], &record->entries[i + 1],
                    (record->entry_count - i) * sizeof record->entries[0]);
            return true;
        }
    }
    return false;
}

bool reclaim_record_has_port(const struct reclaim_record *record, uint16_t port)
{
    for (size_t i = 0; i < record->port_count; i++) {
        if (record->ports[i] == port) {
            return true;
        }
    }
    return false;
}

bool reclaim_record_add_port(struct reclaim_record *record, uint16_t port)
{
    if (reclaim_record_has_port(record, port)) {
        return false;
    }
    if (record->port_count == RECLAIM_PORTS_MAX) { /* the first one is the least likely to be wanted still */
        record->port_count--;
        memmove(&record->ports[0], &record->ports[1], record->port_count * sizeof record->ports[0]);
    }
    record->ports[record->port_count++] = port;
    return true;
}

/* ---- the text ---- */

struct text {
    char *out;
    size_t len, cap_bytes;
    bool full;
};

PRINTF_LIKE(2, 3) static void add_line(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text->out + text->len, text->cap_bytes - text->len, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= text->cap_bytes - text->len) {
        text->full = true;
    } else {
        text->len += (size_t)len;
    }
}

size_t reclaim_record_text(const struct reclaim_record *record, char *out, size_t cap_bytes)
{
    struct text text = {.out = out, .cap_bytes = cap_bytes};
    if (strchr(record->tunnel, '\n') != NULL || strchr(record->host, '\n') != NULL) {
        return 0;
    }
    add_line(&text, "%s\ntunnel %s\nhost %s\n", head, record->tunnel, record->host);
    for (size_t i = 0; i < record->port_count && !text.full; i++) {
        add_line(&text, "port %u\n", (unsigned)record->ports[i]);
    }
    for (size_t i = 0; i < record->entry_count && !text.full; i++) {
        const struct reclaim_entry *entry = &record->entries[i];
        add_line(&text, "process %" PRIu32 " %s %s %" PRIu32 " %s\n", entry->process.pid, entry->process.start,
                 entry->boot, entry->user, entry->since);
    }
    return text.full ? 0 : text.len;
}

static void split(char *line, const char *words[WORDS_MAX])
{
    for (size_t i = 0; i < WORDS_MAX; i++) {
        words[i] = line;
        line += strcspn(line, " ");
        if (*line != 0) {
            *line++ = 0;
        }
    }
}

static bool read_process(struct reclaim_record *record, const char *const words[WORDS_MAX])
{
    struct reclaim_entry *entry = &record->entries[record->entry_count];
    if (record->entry_count == RECLAIM_PROCESSES_MAX || !reclaim_number(words[1], INT32_MAX, &entry->process.pid) ||
        entry->process.pid < 2 || !reclaim_word_is_good(words[2]) || !reclaim_word_is_good(words[3]) ||
        !reclaim_number(words[4], UINT32_MAX, &entry->user) || !reclaim_word_is_good(words[5]) ||
        strlen(words[5]) >= sizeof entry->since) {
        return false;
    }
    (void)snprintf(entry->process.start, sizeof entry->process.start, "%s", words[2]);
    (void)snprintf(entry->boot, sizeof entry->boot, "%s", words[3]);
    (void)snprintf(entry->since, sizeof entry->since, "%s", words[5]);
    record->entry_count++;
    return true;
}

/* `index` counts the lines, the first three of which are fixed. */
static bool read_line(struct reclaim_record *record, char *line, size_t index)
{
    const char *words[WORDS_MAX];
    uint32_t port = 0;
    switch (index) {
    case 0: return strcmp(line, head) == 0;
    case 1: return strncmp(line, "tunnel ", 7) == 0 && strcmp(line + 7, record->tunnel) == 0;
    case 2: return strncmp(line, "host ", 5) == 0 && strcmp(line + 5, record->host) == 0;
    default: break;
    }
    split(line, words);
    if (strcmp(words[0], "process") == 0) {
        return read_process(record, words);
    }
    if (strcmp(words[0], "port") != 0 || !reclaim_number(words[1], UINT16_MAX, &port) || port == 0) {
        return false;
    }
    (void)reclaim_record_add_port(record, (uint16_t)port);
    return true;
}

bool reclaim_record_parse(struct reclaim_record *record, const char *text, size_t len)
{
    size_t at = 0;
    size_t index = 0;
    bool good = true;
    for (; at < len && good; index++) {
        char line[LINE_CAP_BYTES];
        const char *end = memchr(text + at, '\n', len - at);
        size_t line_len = end != NULL ? (size_t)(end - text) - at : 0;
        good = end != NULL && line_len < sizeof line && memchr(text + at, 0, line_len) == NULL;
        if (good) {
            memcpy(line, text + at, line_len);
            line[line_len] = 0;
            at += line_len + 1;
            good = read_line(record, line, index);
        }
    }
    if (good && index >= 3) {
        return true;
    }
    record->entry_count = record->port_count = 0;
    return false;
}

/* ---- the file ---- */

enum err reclaim_record_load(struct reclaim_record *record, const char *path, struct err_info *info)
{
    uv_fs_t request;
    enum err result = OK;
    char *text = malloc(RECLAIM_RECORD_CAP_BYTES);
    if (text == NULL) {
        return err_set(info, ERR_MEMORY, "out of memory");
    }
    int file = uv_fs_open(NULL, &request, path, UV_FS_O_RDONLY, 0, NULL);
    uv_fs_req_cleanup(&request);
    if (file < 0) {
        free(text);
        return file == UV_ENOENT ? OK : err_set(info, ERR_IO, "cannot read %s: %s", path, err_uv_text(file));
    }
    uv_buf_t buf = uv_buf_init(text, RECLAIM_RECORD_CAP_BYTES);
    int len = uv_fs_read(NULL, &request, file, &buf, 1, 0, NULL);
    uv_fs_req_cleanup(&request);
    (void)uv_fs_close(NULL, &request, file, NULL);
    uv_fs_req_cleanup(&request);
    if (len < 0) {
        result = err_set(info, ERR_IO, "cannot read %s: %s", path, err_uv_text(len));
    } else if (!reclaim_record_parse(record, text, (size_t)len)) {
        result = err_set(info, ERR_DEFINITION, "%s is no record of this tunnel and host; a new one is begun", path);
    }
    free(text);
    return result;
}

enum err reclaim_record_save(const struct reclaim_record *record, const char *path, struct err_info *info)
{
    uv_fs_t request;
    enum err result = OK;
    size_t path_cap = strlen(path) + sizeof ".new";
    char *text = malloc(RECLAIM_RECORD_CAP_BYTES);
    char *made = malloc(path_cap);
    size_t len = text != NULL ? reclaim_record_text(record, text, RECLAIM_RECORD_CAP_BYTES) : 0;
    if (made == NULL || text == NULL) {
        result = err_set(info, ERR_MEMORY, "out of memory");
        goto out;
    }
    if (len == 0) {
        result = err_set(info, ERR_INTERNAL, "the record of the tunnel does not fit into its file");
        goto out;
    }
    (void)snprintf(made, path_cap, "%s.new", path);
    (void)uv_fs_unlink(NULL, &request, made, NULL); /* of a process that ended in between */
    uv_fs_req_cleanup(&request);
    result = platform_private_file_new(made, text, len, info);
    if (result != OK) {
        goto out;
    }
    int status = uv_fs_rename(NULL, &request, made, path, NULL);
    uv_fs_req_cleanup(&request);
    if (status != 0) {
        result = err_set(info, ERR_IO, "cannot replace %s: %s", path, err_uv_text(status));
    }
out:
    free(made);
    free(text);
    return result;
}
