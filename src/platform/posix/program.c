#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/utf16.h"
#include "platform/platform.h"

#define FORGOTTEN_CAP 16 /* one more stays a zombie until we end */

/* Programs that nobody waits for any more, and that may have ended since. On the loop's thread. */
static pid_t forgotten[FORGOTTEN_CAP];

bool platform_is_service(void)
{
    return false;
}

unsigned platform_program_flags(void)
{
    return UV_PROCESS_DETACHED; /* a session of its own, so a process group too */
}

int platform_program_kill(uv_process_t *process)
{
    return kill(-uv_process_get_pid(process), SIGKILL) == 0 ? 0 : uv_process_kill(process, SIGKILL);
}

void platform_program_reap(void)
{
    for (size_t i = 0; i < FORGOTTEN_CAP; i++) {
        if (forgotten[i] != 0 && waitpid(forgotten[i], NULL, WNOHANG) != 0)
            forgotten[i] = 0;
    }
}

void platform_program_forget(const uv_process_t *process)
{
    platform_program_reap();
    for (size_t i = 0; i < FORGOTTEN_CAP; i++) {
        if (forgotten[i] == 0) {
            forgotten[i] = uv_process_get_pid(process);
            return;
        }
    }
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
