#include "config/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

char *text_dup(const char *text, size_t len)
{
    char *copy = malloc(len + 1);
    if (copy != NULL) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    return copy;
}

char *text_format(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *out = len < 0 ? NULL : malloc((size_t)len + 1);
    if (out != NULL) {
        va_start(args, format);
        (void)vsnprintf(out, (size_t)len + 1, format, args);
        va_end(args);
    }
    return out;
}

char text_lower(char letter)
{
    return letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
}

bool text_equal_nocase(const char *a, const char *b)
{
    while (*a != '\0' && text_lower(*a) == text_lower(*b)) {
        a++;
        b++;
    }
    return text_lower(*a) == text_lower(*b);
}

/* One star is remembered at a time: a later one makes the choice for an earlier one irrelevant, so this is quadratic at
 * worst and never deep. */
static bool match_bytes(const char *pattern, size_t pattern_len, const char *text, bool nocase)
{
    size_t p = 0;
    size_t star = SIZE_MAX;
    const char *resume = NULL;
    while (*text != '\0') {
        if (p < pattern_len && pattern[p] == '*') {
            star = p++;
            resume = text;
        } else if (p < pattern_len && (pattern[p] == '?' || pattern[p] == *text ||
                                       (nocase && text_lower(pattern[p]) == text_lower(*text)))) {
            p++;
            text++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern_len && pattern[p] == '*') {
        p++;
    }
    return p == pattern_len;
}

bool text_match(const char *pattern, const char *text, bool nocase)
{
    return match_bytes(pattern, strlen(pattern), text, nocase);
}

bool text_match_list(const char *patterns, const char *separators, const char *text)
{
    bool matched = false;
    while (*patterns != '\0') {
        size_t len = separators == NULL ? strlen(patterns) : strcspn(patterns, separators);
        bool negated = patterns[0] == '!';
        if (len > 0 && match_bytes(patterns + negated, len - negated, text, true)) {
            if (negated) {
                return false;
            }
            matched = true;
        }
        patterns += len;
        patterns += *patterns != '\0';
    }
    return matched;
}

#define NEAREST_MAX 32

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* How many letters must be put in, taken out, changed or swapped with their neighbour to make `b` of `a`. Both are
 * shorter than NEAREST_MAX. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][NEAREST_MAX + 1];
    size_t *before = rows[0];
    size_t *above = rows[1];
    size_t *row = rows[2];
    size_t width = strlen(b);
    for (size_t j = 0; j <= width; j++) {
        above[j] = j;
        before[j] = j;
    }
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        row[0] = i;
        for (size_t j = 1; j <= width; j++) {
            size_t differs = text_lower(a[i - 1]) == text_lower(b[j - 1]) ? 0 : 1;
            row[j] = smallest(above[j] + 1, row[j - 1] + 1, above[j - 1] + differs);
            bool swapped = i > 1 && j > 1 && text_lower(a[i - 1]) == text_lower(b[j - 2]) &&
                           text_lower(a[i - 2]) == text_lower(b[j - 1]);
            if (swapped && before[j - 2] + 1 < row[j]) {
                row[j] = before[j - 2] + 1;
            }
        }
        size_t *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[width];
}

const char *text_nearest(const char *word, const char *const *known, size_t count)
{
    const char *best = NULL;
    size_t len = strlen(word);
    size_t best_distance = len / 3 + 1;
    if (len < 2 || len >= NEAREST_MAX) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        if (strlen(known[i]) < NEAREST_MAX) {
            size_t d = distance(word, known[i]);
            if (d < best_distance || (d == best_distance && best == NULL)) {
                best = known[i];
                best_distance = d;
            }
        }
    }
    return best;
}

const char *text_shown(const char *text, char *out, size_t cap_bytes)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t len = 0;
    while (*at != '\0') {
        uint32_t code_point = 0;
        size_t taken = utf8_sequence(at, &code_point);
        bool shown = taken != 0 && !utf8_is_control(code_point);
        size_t more = shown ? taken : 1;
        if (len + more >= cap_bytes) {
            break;
        }
        memcpy(out + len, shown ? (const char *)at : "?", more);
        len += more;
        at += taken != 0 ? taken : 1;
    }
    out[len] = '\0';
    return out;
}
