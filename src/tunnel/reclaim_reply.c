#include "tunnel/reclaim_reply.h"

#include <string.h>

enum { WORDS_MAX = 4, LINE_CAP_BYTES = 256 };

bool reclaim_word_is_good(const char *word)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-";
    size_t len = strlen(word);
    return len > 0 && len < RECLAIM_WORD_CAP_BYTES && strspn(word, letters) == len;
}

bool reclaim_number(const char *word, uint32_t max, uint32_t *out)
{
    uint64_t number = 0;
    size_t len = strlen(word);
    if (len == 0 || len > 10 || strspn(word, "0123456789") != len || (word[0] == '0' && len > 1)) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        number = number * 10 + (uint64_t)(word[i] - '0');
    }
    *out = number <= max ? (uint32_t)number : 0;
    return number <= max;
}

/* The words of a line, cut in place; those that are missing are empty. */
static void split(char *line, const char *words[WORDS_MAX])
{
    for (size_t i = 0; i < WORDS_MAX; i++) {
        line += strspn(line, " \r");
        words[i] = line;
        line += strcspn(line, " \r");
        if (*line != 0) {
            *line++ = 0;
        }
    }
}

static bool copy_word(char to[RECLAIM_WORD_CAP_BYTES], const char *word)
{
    if (!reclaim_word_is_good(word)) {
        return false;
    }
    memcpy(to, word, strlen(word) + 1);
    return true;
}

static void read_serving(struct reclaim_reply *reply, const char *const words[WORDS_MAX])
{
    uint32_t user = 0;
    if (!reclaim_number(words[1], INT32_MAX, &reply->serving.pid) || reply->serving.pid < 2 ||
        !copy_word(reply->serving.start, words[2])) {
        return;
    }
    reply->has_serving = true;
    reply->serving_is_ours = reply->has_user && reclaim_number(words[3], UINT32_MAX, &user) && user == reply->user;
}

static void read_end(struct reclaim_reply *reply, const char *const words[WORDS_MAX])
{
    uint32_t pid = 0;
    size_t len = strlen(words[2]);
    if (reply->end_count == RECLAIM_PROCESSES_MAX || !reclaim_number(words[1], INT32_MAX, &pid) || len == 0 ||
        len >= sizeof reply->ends[0].word) {
        return;
    }
    reply->ends[reply->end_count].pid = pid;
    memcpy(reply->ends[reply->end_count].word, words[2], len + 1);
    reply->end_count++;
}

static void read_port(struct reclaim_reply *reply, const char *const words[WORDS_MAX])
{
    uint32_t port = 0;
    if (reply->port_count == RECLAIM_PORTS_MAX || !reclaim_number(words[1], UINT16_MAX, &port)) {
        return;
    }
    size_t i = reply->port_count++;
    reply->ports[i].port = (uint16_t)port;
    if (strcmp(words[2], "taken") == 0) {
        reply->ports[i].state = RECLAIM_PORT_TAKEN;
    } else if (strcmp(words[2], "free") == 0) {
        reply->ports[i].state = RECLAIM_PORT_FREE;
    }
    reply->ports[i].has_user = reclaim_number(words[3], UINT32_MAX, &reply->ports[i].user);
}

/* True at the last line. */
static bool read_line(struct reclaim_reply *reply, const char *const words[WORDS_MAX])
{
    if (strcmp(words[0], "boot") == 0) {
        (void)copy_word(reply->boot, words[1]);
    } else if (strcmp(words[0], "user") == 0) {
        reply->has_user = reclaim_number(words[1], UINT32_MAX, &reply->user);
    } else if (strcmp(words[0], "serving") == 0) {
        read_serving(reply, words);
    } else if (strcmp(words[0], "end") == 0) {
        read_end(reply, words);
    } else if (strcmp(words[0], "port") == 0) {
        read_port(reply, words);
    }
    return strcmp(words[0], "done") == 0;
}

bool reclaim_reply_parse(const char *text, size_t len, struct reclaim_reply *out)
{
    bool begun = false;
    size_t at = 0;
    memset(out, 0, sizeof *out);
    while (at < len) {
        char line[LINE_CAP_BYTES];
        const char *words[WORDS_MAX];
        const char *end = memchr(text + at, '\n', len - at);
        size_t line_len = end != NULL ? (size_t)(end - text) - at : len - at;
        size_t kept = line_len < sizeof line - 1 ? line_len : sizeof line - 1;
        memcpy(line, text + at, kept);
        line[kept] = 0;
        at += line_len + 1;
        split(line, words);
        if (!begun) {
            begun = strcmp(words[0], "holdfast-reclaim") == 0 && strcmp(words[1], "1") == 0;
        } else if (read_line(out, words)) {
            return true;
        }
    }
    return false;
}
