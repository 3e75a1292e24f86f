#include "base/log.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/duration.h"
#include "base/utf8.h"

#define MESSAGE_CAP_BYTES 4096
#define NAME_CAP_BYTES 256
/* The longest escape is six bytes for one ("\u001b"), and time, level and JSON's words take the rest. */
#define LINE_CAP_BYTES ((MESSAGE_CAP_BYTES + NAME_CAP_BYTES) * 6 + 256)
#define STDERR_FD 2

/* One line in the making; appending stops at the end of `bytes`. */
struct line {
    char bytes[LINE_CAP_BYTES];
    size_t len;
};

static struct {
    uv_once_t once;
    uv_mutex_t lock; /* guards all below but `level` */
    atomic_int level;
    enum log_format format;
    uv_file file;
    char *path;                     /* NULL: standard error */
    uint64_t size_bytes, cap_bytes; /* of the file; cap 0: it may grow for ever */
    unsigned keep;
    log_sink *sink;
    void *sink_arg;
    enum log_level sink_level;
    log_sink *tap;
    void *tap_arg;
    log_writer *writer;
    void *writer_arg;
    struct line line;
} logger = {.once = UV_ONCE_INIT, .level = LOG_LEVEL_INFO, .format = LOG_FORMAT_TEXT, .file = STDERR_FD};

static const char *const level_words[] = {
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug", [LOG_LEVEL_TRACE] = "trace",
};
static const char *const format_words[] = {[LOG_FORMAT_TEXT] = "text", [LOG_FORMAT_JSON] = "json"};

static void make_lock(void)
{
    if (uv_mutex_init(&logger.lock) != 0)
        abort(); /* without a lock there is no way left even to say so */
}

static void lock(void)
{
    uv_once(&logger.once, make_lock);
    uv_mutex_lock(&logger.lock);
}

static void unlock(void)
{
    uv_mutex_unlock(&logger.lock);
}

/* An open file descriptor, or a negative libuv status. */
static int open_file(const char *path)
{
    uv_fs_t request;
    int result = uv_fs_open(NULL, &request, path, UV_FS_O_WRONLY | UV_FS_O_CREAT | UV_FS_O_APPEND, 0600, NULL);
    uv_fs_req_cleanup(&request);
    return result;
}

static void close_file(uv_file file)
{
    uv_fs_t request;
    if (file == STDERR_FD)
        return;
    (void)uv_fs_close(NULL, &request, file, NULL);
    uv_fs_req_cleanup(&request);
}

/* Gives up on an error: there is no place left to report it to. */
static void write_all(uv_file file, char *bytes, size_t len)
{
    while (len > 0) {
        uv_buf_t buf = uv_buf_init(bytes, (unsigned)len);
        uv_fs_t request;
        int written = uv_fs_write(NULL, &request, file, &buf, 1, -1, NULL);
        uv_fs_req_cleanup(&request);
        if (written <= 0)
            return;
        bytes += written;
        len -= (size_t)written;
    }
}

static void append(struct line *line, const char *bytes, size_t len)
{
    size_t room = sizeof line->bytes - line->len;
    if (len > room)
        len = room;
    memcpy(line->bytes + line->len, bytes, len);
    line->len += len;
}

static void append_text(struct line *line, const char *text)
{
    append(line, text, strlen(text));
}

static void append_escaped_text(struct line *line, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at != 0) {
        char escape[8];
        uint32_t code_point = 0;
        size_t len = utf8_sequence(at, &code_point);
        if (len != 0 && !utf8_is_control(code_point)) {
            append(line, (const char *)at, len);
            at += len;
            continue;
        }
        if (*at == '\n' || *at == '\r' || *at == '\t')
            (void)snprintf(escape, sizeof escape, "\\%c", *at == '\n' ? 'n' : *at == '\r' ? 'r' : 't');
        else if (len == 2)
            (void)snprintf(escape, sizeof escape, "\\u%04x", (unsigned)code_point & 0xffffU);
        else
            (void)snprintf(escape, sizeof escape, "\\x%02x", (unsigned)*at);
        append_text(line, escape);
        at += len != 0 ? len : 1;
    }
}

/* RFC 8259 section 7; a byte that is not UTF-8 becomes U+FFFD. */
static void append_json_string(struct line *line, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    append_text(line, "\"");
    while (*at != 0) {
        char escape[8];
        uint32_t code_point = 0;
        size_t len = utf8_sequence(at, &code_point);
        if (len == 0) {
            append_text(line, "\\ufffd");
        } else if (*at == '"' || *at == '\\') {
            (void)snprintf(escape, sizeof escape, "\\%c", *at);
            append_text(line, escape);
        } else if (*at == '\n' || *at == '\r' || *at == '\t') {
            (void)snprintf(escape, sizeof escape, "\\%c", *at == '\n' ? 'n' : *at == '\r' ? 'r' : 't');
            append_text(line, escape);
        } else if (utf8_is_control(code_point)) {
            (void)snprintf(escape, sizeof escape, "\\u%04x", (unsigned)code_point & 0xffffU);
            append_text(line, escape);
        } else {
            append(line, (const char *)at, len);
        }
        at += len != 0 ? len : 1;
    }
    append_text(line, "\"");
}

/* Formats into `out`; a message that does not fit ends in "..." after its last whole character. */
PRINTF_LIKE(3, 0) static void format_message(char *out, size_t cap_bytes, const char *format, va_list args)
{
    int len = vsnprintf(out, cap_bytes, format, args);
    if (len < 0) {
        (void)snprintf(out, cap_bytes, "a message that cannot be formatted: %s", format);
        return;
    }
    if ((size_t)len < cap_bytes)
        return;
    size_t end = cap_bytes - sizeof "...";
    while (end > 0 && ((unsigned char)out[end] & 0xc0) == 0x80)
        end--;
    memcpy(out + end, "...", sizeof "...");
}

/* How much is in the file already. */
static uint64_t size_of(uv_file file)
{
    uv_fs_t request;
    uint64_t size = uv_fs_fstat(NULL, &request, file, NULL) == 0 ? request.statbuf.st_size : 0;
    uv_fs_req_cleanup(&request);
    return size;
}

/* PATH.`number`, or PATH for 0, as a heap string. */
static char *numbered(const char *path, unsigned number)
{
    size_t cap_bytes = strlen(path) + 16;
    char *name = malloc(cap_bytes);
    if (name != NULL)
        (void)snprintf(name, cap_bytes, number == 0 ? "%s" : "%s.%u", path, number);
    return name;
}

/* The full file steps aside for a new one; the lock is held. It is closed meanwhile, since a file that is open cannot
 * be renamed on every system. */
static void rotate(void)
{
    uv_fs_t request;
    close_file(logger.file);
    for (unsigned number = logger.keep; number > 0; number--) {
        char *older = numbered(logger.path, number);
        char *newer = numbered(logger.path, number - 1);
        if (older != NULL && newer != NULL) {
            (void)uv_fs_rename(NULL, &request, newer, older, NULL);
            uv_fs_req_cleanup(&request);
        }
        free(older);
        free(newer);
    }
    int file = open_file(logger.path);
    logger.file = file >= 0 ? file : STDERR_FD;
    logger.size_bytes = file >= 0 ? size_of(file) : 0;
    if (logger.size_bytes >= logger.cap_bytes)
        logger.size_bytes = 0; /* it could not be renamed: that is tried again after as much more */
}

/* A file that could not be opened, at first or after it was rotated, is tried again with each line; the lock is held.
 */
static void open_again(void)
{
    int file = logger.path != NULL && logger.file == STDERR_FD ? open_file(logger.path) : -1;
    if (file >= 0) {
        logger.file = file;
        logger.size_bytes = size_of(file);
    }
}

/* Hands the line to the writer in place of standard error; the lock is held. */
static bool hand_over(enum log_level level, const char *tunnel, const char *message)
{
    struct line *line = &logger.line;
    line->len = 0;
    append_escaped_text(line, message);
    append(line, "", 1);
    line->bytes[sizeof line->bytes - 1] = 0;
    return logger.writer(logger.writer_arg, level, tunnel, line->bytes);
}

/* Makes the line in `logger.line`; the lock is held. */
static void make_line(enum log_level level, const char *tunnel, const char *message)
{
    struct line *line = &logger.line;
    char now[32];
    char name[NAME_CAP_BYTES];
    (void)time_text_now(now, sizeof now);
    (void)snprintf(name, sizeof name, "%s", tunnel != NULL ? tunnel : "holdfast");
    line->len = 0;
    if (logger.format == LOG_FORMAT_JSON) {
        append_text(line, "{\"time\":\"");
        append_text(line, now);
        append_text(line, "\",\"level\":\"");
        append_text(line, level_words[level]);
        append_text(line, "\",\"tunnel\":");
        if (tunnel != NULL)
            append_json_string(line, name);
        else
            append_text(line, "null");
        append_text(line, ",\"message\":");
        append_json_string(line, message);
        append_text(line, "}\n");
    } else {
        char head[64];
        if (logger.writer != NULL && logger.file == STDERR_FD)
            (void)snprintf(head, sizeof head, "<%d>", log_level_priority(level));
        else
            (void)snprintf(head, sizeof head, "%s %-5s ", now, level_words[level]);
        append_text(line, head);
        append_escaped_text(line, name);
        append_text(line, ": ");
        append_escaped_text(line, message);
        append_text(line, "\n");
    }
}

/* Makes and writes the line; the lock is held. */
static void write_line(enum log_level level, const char *tunnel, const char *message)
{
    struct line *line = &logger.line;
    open_again();
    bool is_taken = logger.writer != NULL && logger.file == STDERR_FD && logger.format == LOG_FORMAT_TEXT &&
                    hand_over(level, tunnel, message);
    if (!is_taken) {
        make_line(level, tunnel, message);
        if (logger.path != NULL && logger.cap_bytes != 0 && logger.size_bytes + line->len > logger.cap_bytes)
            rotate();
        write_all(logger.file, line->bytes, line->len);
        logger.size_bytes += line->len;
    }
    if (logger.sink != NULL && level <= logger.sink_level)
        logger.sink(logger.sink_arg, level, tunnel, message);
    if (logger.tap != NULL)
        logger.tap(logger.tap_arg, level, tunnel, message);
}

void log_rotate_at(uint64_t cap_bytes, unsigned keep)
{
    lock();
    logger.cap_bytes = cap_bytes;
    logger.keep = keep;
    unlock();
}

void log_set_sink(log_sink *sink, void *arg, enum log_level level)
{
    lock();
    logger.sink = sink;
    logger.sink_arg = arg;
    logger.sink_level = level;
    unlock();
}

void log_set_writer(log_writer *writer, void *arg)
{
    lock();
    logger.writer = writer;
    logger.writer_arg = arg;
    unlock();
}

int log_level_priority(enum log_level level)
{
    return level == LOG_LEVEL_ERROR ? 3 : level == LOG_LEVEL_WARNING ? 4 : level == LOG_LEVEL_INFO ? 6 : 7;
}

static int open_log(const char *path, bool waits, enum log_level level, enum log_format format)
{
    char *copy = path != NULL ? strdup(path) : NULL;
    if (path != NULL && copy == NULL)
        return UV_ENOMEM;
    int file = path != NULL ? open_file(path) : STDERR_FD;
    if (file < 0 && !waits) {
        free(copy);
        return file;
    }
    lock();
    close_file(logger.file);
    free(logger.path);
    logger.path = copy;
    logger.file = file >= 0 ? file : STDERR_FD;
    logger.size_bytes = path != NULL && file >= 0 ? size_of(file) : 0;
    logger.format = format;
    unlock();
    atomic_store(&logger.level, (int)level);
    return file >= 0 ? 0 : file;
}

int log_open(const char *path, enum log_level level, enum log_format format)
{
    return open_log(path, false, level, format);
}

int log_open_or_wait(const char *path, enum log_level level, enum log_format format)
{
    return open_log(path, true, level, format);
}

void log_close(void)
{
    lock();
    close_file(logger.file);
    free(logger.path);
    logger.path = NULL;
    logger.file = STDERR_FD;
    unlock();
}

void log_reopen(void)
{
    lock();
    if (logger.path != NULL) {
        int file = open_file(logger.path);
        if (file >= 0) {
            close_file(logger.file);
            logger.file = file;
            logger.size_bytes = size_of(file);
        } else {
            char message[MESSAGE_CAP_BYTES];
            (void)snprintf(message, sizeof message, "log file %s does not open again, keeping the old one: %s",
                           logger.path, uv_strerror(file));
            write_line(LOG_LEVEL_ERROR, NULL, message);
        }
    }
    unlock();
}

void log_set_tap(log_sink *tap, void *arg)
{
    lock();
    logger.tap = tap;
    logger.tap_arg = arg;
    unlock();
}

const char *log_level_name(enum log_level level)
{
    return level_words[level];
}

enum log_level log_get_level(void)
{
    return (enum log_level)atomic_load(&logger.level);
}

int log_level_parse(const char *word, enum log_level *out)
{
    for (size_t i = 0; i < sizeof level_words / sizeof level_words[0]; i++) {
        if (strcmp(word, level_words[i]) == 0) {
            *out = (enum log_level)i;
            return 0;
        }
    }
    return -1;
}

int log_format_parse(const char *word, enum log_format *out)
{
    for (size_t i = 0; i < sizeof format_words / sizeof format_words[0]; i++) {
        if (strcmp(word, format_words[i]) == 0) {
            *out = (enum log_format)i;
            return 0;
        }
    }
    return -1;
}

void log_line(enum log_level level, const char *tunnel, const char *format, ...)
{
    char message[MESSAGE_CAP_BYTES];
    va_list args;
    if (level > log_get_level())
        return;
    va_start(args, format);
    format_message(message, sizeof message, format, args);
    va_end(args);
    lock();
    write_line(level, tunnel, message);
    unlock();
}
