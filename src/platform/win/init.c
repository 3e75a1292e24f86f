#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>

#include "platform/platform.h"
#include "platform/win/common.h"

static UINT code_page_before;

static void restore_code_page(void)
{
    (void)SetConsoleOutputCP(code_page_before);
}

/* The code page belongs to the console, which outlives us. */
static void use_utf8(void)
{
    code_page_before = GetConsoleOutputCP();
    if (code_page_before != 0 && code_page_before != CP_UTF8 && SetConsoleOutputCP(CP_UTF8))
        (void)atexit(restore_code_page);
}

void platform_init(void)
{
    use_utf8();
    /* One kind of line end, whether a line comes from stdio or from the log. */
    (void)_setmode(_fileno(stdout), _O_BINARY);
    (void)_setmode(_fileno(stderr), _O_BINARY);
    /* No dialogue from a program that nobody watches. */
    (void)SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOOPENFILEERRORBOX);
}

bool platform_has_local_sockets(void)
{
    return false;
}

unsigned long platform_descriptor_limit(void)
{
    return 0; /* handles are bounded by memory alone */
}

void platform_wipe(void *data, size_t len)
{
    if (len > 0)
        SecureZeroMemory(data, len);
}
