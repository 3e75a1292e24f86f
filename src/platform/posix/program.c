#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf16.h"
#include "platform/platform.h"

bool platform_is_service(void)
{
    return false;
}

unsigned platform_program_flags(void)
{
    return UV_PROCESS_DETACHED; /* a session of its own, so a process group too */
}

void platform_program_kill(uv_process_t *process)
{
    if (kill(-uv_process_get_pid(process), SIGKILL) != 0)
        (void)uv_process_kill(process, SIGKILL);
}

char *platform_program_text(const char *bytes, size_t len)
{
    if (utf16_is_likely(bytes, len))
        return utf16_to_utf8(bytes, len);
    char *text = malloc(len + 1);
    if (text != NULL) {
        memcpy(text, bytes, len);
        text[len] = 0;
    }
    return text;
}
