/* What a service manager's file may have in it. Room-internal. */
#ifndef HOLDFAST_SERVICE_POSIX_TEXT_H
#define HOLDFAST_SERVICE_POSIX_TEXT_H

#include <stdbool.h>

/* True for a word that has control characters in it, which no such file can hold. */
bool text_has_control(const char *word);

#endif
