#include "session/greeting.h"

#include <string.h>

/* The name of the software, behind the version of the protocol; NULL: it is no greeting of SSH 2. */
static const char *software_of(const char *greeting)
{
    static const char *const versions[] = {"SSH-2.0-", "SSH-1.99-"};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        if (strncmp(greeting, versions[i], strlen(versions[i])) == 0) {
            return greeting + strlen(versions[i]);
        }
    }
    return NULL;
}

bool greeting_shares_ports(const char *greeting)
{
    static const char win32[] = "OpenSSH_for_Windows";
    const char *software = software_of(greeting);
    if (software == NULL || strncmp(software, win32, sizeof win32 - 1) != 0) {
        return false;
    }
    char next = software[sizeof win32 - 1];
    return next == '_' || next == ' ' || next == '\0'; /* its version follows, or nothing */
}
