#include "platform/lock_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK " holdfast\n" /* after the number of the process */
#define DIGITS "0123456789"

size_t lock_text_make(unsigned long pid, char out[LOCK_TEXT_CAP_BYTES])
{
    int len = snprintf(out, LOCK_TEXT_CAP_BYTES, "%lu" MARK, pid);
    return len > 0 ? (size_t)len : 0;
}

enum lock_text lock_text_look(const char *text, size_t len)
{
    const char *word = text + strspn(text, DIGITS);
    if (word != text && strcmp(word, MARK) == 0)
        return LOCK_TEXT_OURS;
    for (size_t i = 0; i < len; i++) {
        if (text[i] != 0 && strchr(DIGITS "\n", text[i]) == NULL)
            return LOCK_TEXT_OTHERS;
    }
    return LOCK_TEXT_BARE;
}

unsigned long lock_text_holder(const char *text)
{
    return strspn(text, DIGITS) > 0 ? strtoul(text, NULL, 10) : 0;
}
