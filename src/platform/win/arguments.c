/* The command line in UTF-8. What main() is given is in a code page that lacks most of the world's letters. */
#include "platform/win/arguments.h"

#include <stdlib.h>
#include <string.h>

#include "platform/platform.h"

/* The program's name: to the next quotation mark or blank, and no backslash means anything in it. */
static const wchar_t *take_program(const wchar_t *at, wchar_t *word)
{
    bool quoted = *at == L'"';
    for (at += quoted ? 1 : 0; *at != 0 && (quoted ? *at != L'"' : *at != L' ' && *at != L'\t'); at++)
        *word++ = *at;
    *word = 0;
    return quoted && *at != 0 ? at + 1 : at;
}

/* One word as the C runtime cuts them: blanks part words, "" groups, and backslashes stand for themselves unless a
 * quotation mark follows them. */
static const wchar_t *take_word(const wchar_t *at, wchar_t *word)
{
    bool quoted = false;
    while (*at != 0 && (quoted || (*at != L' ' && *at != L'\t'))) {
        size_t slashes = wcsspn(at, L"\\");
        bool mark = at[slashes] == L'"';
        for (size_t i = 0; i < (mark ? slashes / 2 : slashes); i++)
            *word++ = L'\\';
        at += slashes;
        if (mark && slashes % 2 == 1) {
            *word++ = *at++;
        } else if (mark && quoted && at[1] == L'"') {
            *word++ = *at;
            at += 2;
        } else if (mark) {
            quoted = !quoted;
            at++;
        } else if (slashes == 0) {
            *word++ = *at++;
        }
    }
    *word = 0;
    return at;
}

char **win_arguments(const wchar_t *line, int *out_count)
{
    size_t len = wcslen(line);
    wchar_t *word = malloc((len + 1) * sizeof *word);
    char **words = calloc(len / 2 + 3, sizeof *words);
    int count = 0;
    bool good = word != NULL && words != NULL;
    const wchar_t *at = line;
    while (good && (count == 0 || *at != 0)) {
        at = count == 0 ? take_program(at, word) : take_word(at, word);
        words[count] = win_utf8(word);
        good = words[count++] != NULL;
        at += wcsspn(at, L" \t");
    }
    free(word);
    if (!good) {
        for (int i = 0; i < count; i++)
            free(words[i]);
        free((void *)words);
        return NULL;
    }
    *out_count = count;
    return words;
}

char **platform_arguments(int argc, char **argv)
{
    int count = 0;
    char **words = win_arguments(GetCommandLineW(), &count);
    return words != NULL && count == argc ? words : argv;
}
