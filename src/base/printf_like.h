/* PRINTF_LIKE(format, first): lets the compiler check calls as those of printf. MinGW has two printfs, Microsoft's and
 * C99's; its headers say which one we link with. */
#ifndef HOLDFAST_BASE_PRINTF_LIKE_H
#define HOLDFAST_BASE_PRINTF_LIKE_H

#include <stdio.h>

#ifdef __MINGW_PRINTF_FORMAT
#define PRINTF_LIKE(format_index, first_index) __attribute__((format(__MINGW_PRINTF_FORMAT, format_index, first_index)))
#else
#define PRINTF_LIKE(format_index, first_index) __attribute__((format(printf, format_index, first_index)))
#endif

#endif
