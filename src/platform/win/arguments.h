/* Cutting a command line into words. Room-internal. */
#ifndef HOLDFAST_PLATFORM_WIN_ARGUMENTS_H
#define HOLDFAST_PLATFORM_WIN_ARGUMENTS_H

#include "platform/win/common.h"

/* The words of a command line in UTF-8, a heap array of heap strings with NULL behind the last; NULL when out of
 * memory. */
char **win_arguments(const wchar_t *line, int *out_count);

#endif
