#include "base/log_ring.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/container.h"
#include "base/duration.h"
#include "base/list.h"

/* What an entry takes besides its text, about. */
enum { ENTRY_BYTES = 64 };

struct entry {
    struct list link;
    uint64_t number;
    uint64_t unix_ms;
    enum log_level level;
    size_t bytes;
    size_t tunnel_len; /* with its zero byte; 0: there is none */
    char text[];       /* tunnel, message */
};

struct log_ring {
    uv_mutex_t lock;
    struct list entries; /* the oldest first */
    size_t bytes, cap_bytes;
    uint64_t next_number;
    void (*on_line)(void *arg);
    void *arg;
};

static struct entry *oldest(const struct log_ring *ring)
{
    const struct list *head = &ring->entries;
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not see that list_remove() took what was freed out of here */
    return list_is_empty(head) ? NULL : container_of(head->next, struct entry, link);
}

/* False when there is none. */
static bool drop_oldest(struct log_ring *ring)
{
    struct entry *entry = oldest(ring);
    if (entry == NULL)
        return false;
    ring->bytes -= entry->bytes;
    list_remove(&entry->link);
    free(entry);
    return true;
}

static void add(void *arg, enum log_level level, const char *tunnel, const char *message)
{
    struct log_ring *ring = arg;
    size_t tunnel_len = tunnel != NULL ? strlen(tunnel) + 1 : 0;
    size_t message_len = strlen(message) + 1;
    struct entry *entry = malloc(sizeof *entry + tunnel_len + message_len);
    uv_mutex_lock(&ring->lock);
    uint64_t number = ring->next_number++; /* one that there is no memory for is missed like one that went by */
    if (entry != NULL) {
        *entry = (struct entry){.number = number,
                                .unix_ms = time_unix_ms(),
                                .level = level,
                                .bytes = ENTRY_BYTES + tunnel_len + message_len,
                                .tunnel_len = tunnel_len};
        if (tunnel != NULL)
            memcpy(entry->text, tunnel, tunnel_len);
        memcpy(entry->text + tunnel_len, message, message_len);
        bool is_room = false; /* a line over the limit is there alone */
        while (!is_room)
            is_room = ring->bytes + entry->bytes <= ring->cap_bytes || !drop_oldest(ring);
        list_append(&ring->entries, &entry->link);
        ring->bytes += entry->bytes;
    }
    uv_mutex_unlock(&ring->lock);
    if (ring->on_line != NULL)
        ring->on_line(ring->arg);
}

struct log_ring *log_ring_new(size_t cap_bytes, void (*on_line)(void *arg), void *arg)
{
    struct log_ring *ring = calloc(1, sizeof *ring);
    if (ring == NULL || uv_mutex_init(&ring->lock) != 0) {
        free(ring);
        return NULL;
    }
    list_init(&ring->entries);
    ring->cap_bytes = cap_bytes;
    ring->on_line = on_line;
    ring->arg = arg;
    log_set_tap(add, ring);
    return ring;
}

void log_ring_free(struct log_ring *ring)
{
    if (ring == NULL)
        return;
    log_set_tap(NULL, NULL); /* no thread is in add() after this */
    bool is_left = true;
    while (is_left)
        is_left = drop_oldest(ring);
    uv_mutex_destroy(&ring->lock);
    free(ring);
}

/* The oldest entry from `number` on. Readers are mostly near the end, so it is sought from there. */
static const struct entry *find(const struct log_ring *ring, uint64_t number)
{
    const struct entry *found = NULL;
    for (const struct list *link = ring->entries.prev; link != &ring->entries; link = link->prev) {
        const struct entry *entry = container_of(link, const struct entry, link);
        if (entry->number < number)
            break;
        found = entry;
    }
    return found;
}

uint64_t log_ring_first(struct log_ring *ring)
{
    uv_mutex_lock(&ring->lock);
    uint64_t number = oldest(ring) != NULL ? oldest(ring)->number : ring->next_number;
    uv_mutex_unlock(&ring->lock);
    return number;
}

uint64_t log_ring_end(struct log_ring *ring)
{
    uv_mutex_lock(&ring->lock);
    uint64_t number = ring->next_number;
    uv_mutex_unlock(&ring->lock);
    return number;
}

bool log_ring_read(struct log_ring *ring, uint64_t *number, struct log_ring_line *out)
{
    bool is_read = false;
    uv_mutex_lock(&ring->lock);
    const struct entry *entry = find(ring, *number);
    if (entry != NULL) {
        *out = (struct log_ring_line){.unix_ms = entry->unix_ms,
                                      .level = entry->level,
                                      .missed = entry->number - *number,
                                      .tunnel = entry->tunnel_len != 0 ? strdup(entry->text) : NULL,
                                      .message = strdup(entry->text + entry->tunnel_len)};
        is_read = out->message != NULL && (entry->tunnel_len == 0 || out->tunnel != NULL);
        if (is_read)
            *number = entry->number + 1;
        else
            log_ring_line_deinit(out);
    }
    uv_mutex_unlock(&ring->lock);
    return is_read;
}

void log_ring_line_deinit(struct log_ring_line *line)
{
    free(line->tunnel);
    free(line->message);
    memset(line, 0, sizeof *line);
}
