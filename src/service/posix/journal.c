#include "service/posix/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "service/service.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS, which has no journal */
#endif

/* The longest line of the log, escaped, and what is around it. */
#define ENTRY_CAP_BYTES 32768

static struct {
    int fd;
    struct sockaddr_un address;
    char entry[ENTRY_CAP_BYTES]; /* the log calls us one line at a time */
} journal = {.fd = -1};

struct entry {
    char *bytes;
    size_t len, cap_bytes;
    bool is_full;
};

static void put(struct entry *entry, const void *bytes, size_t len)
{
    if (len > entry->cap_bytes - entry->len) {
        entry->is_full = true;
        return;
    }
    memcpy(entry->bytes + entry->len, bytes, len);
    entry->len += len;
}

static void put_field(struct entry *entry, const char *name, const char *value)
{
    size_t len = strlen(value);
    put(entry, name, strlen(name));
    if (strchr(value, '\n') == NULL) {
        put(entry, "=", 1);
    } else {
        unsigned char size[8]; /* little-endian */
        for (size_t i = 0; i < sizeof size; i++)
            size[i] = (unsigned char)((uint64_t)len >> (8 * i));
        put(entry, "\n", 1);
        put(entry, size, sizeof size);
    }
    put(entry, value, len);
    put(entry, "\n", 1);
}

size_t journal_encode(enum log_level level, const char *tunnel, const char *message, char *out, size_t cap_bytes)
{
    struct entry entry = {.bytes = out, .cap_bytes = cap_bytes};
    char priority[4];
    (void)snprintf(priority, sizeof priority, "%d", log_level_priority(level));
    put_field(&entry, "PRIORITY", priority);
    put_field(&entry, "SYSLOG_IDENTIFIER", "holdfast");
    if (tunnel != NULL)
        put_field(&entry, "HOLDFAST_TUNNEL", tunnel);
    put_field(&entry, "MESSAGE", message);
    return entry.is_full ? 0 : entry.len;
}

bool journal_is_stream(const char *stream, int fd)
{
    struct stat status;
    char ours[64];
    if (stream == NULL || fstat(fd, &status) != 0)
        return false;
    (void)snprintf(ours, sizeof ours, "%" PRIu64 ":%" PRIu64, (uint64_t)status.st_dev, (uint64_t)status.st_ino);
    return strcmp(stream, ours) == 0;
}

/* log_writer: the tunnel goes into the text as well, since most people read no fields. */
static bool write_entry(void *arg, enum log_level level, const char *tunnel, const char *message)
{
    char text[ENTRY_CAP_BYTES / 2 + 512];
    (void)arg;
    int text_len =
        snprintf(text, sizeof text, "%s%s%s", tunnel != NULL ? tunnel : "", tunnel != NULL ? ": " : "", message);
    size_t len = text_len < 0 || (size_t)text_len >= sizeof text
                     ? 0
                     : journal_encode(level, tunnel, text, journal.entry, sizeof journal.entry);
    return len > 0 && sendto(journal.fd, journal.entry, len, MSG_NOSIGNAL, (const struct sockaddr *)&journal.address,
                             sizeof journal.address) == (ssize_t)len;
}

bool journal_open(const char *path)
{
    if (strlen(path) >= sizeof journal.address.sun_path)
        return false;
    journal_close();
    journal.fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (journal.fd < 0)
        return false;
    if (fcntl(journal.fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(journal.fd, F_SETFL, O_NONBLOCK) != 0) {
        journal_close();
        return false;
    }
    memset(&journal.address, 0, sizeof journal.address);
    journal.address.sun_family = AF_UNIX;
    memcpy(journal.address.sun_path, path, strlen(path));
    log_set_writer(write_entry, NULL);
    return true;
}

void journal_close(void)
{
    log_set_writer(NULL, NULL);
    if (journal.fd >= 0)
        (void)close(journal.fd);
    journal.fd = -1;
}

bool service_log_begin(void)
{
    return journal_is_stream(getenv("JOURNAL_STREAM"), STDERR_FILENO) && journal_open(JOURNAL_SOCKET);
}

void service_log_end(void)
{
    journal_close();
}
