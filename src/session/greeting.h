/* What follows from the name that the peer's software has in its greeting (RFC 4253 section 4.2). Pure. */
#ifndef HOLDFAST_SESSION_GREETING_H
#define HOLDFAST_SESSION_GREETING_H

#include <stdbool.h>

/* Whether it is Win32 OpenSSH ("SSH-2.0-OpenSSH_for_Windows_9.5"): there two sessions may listen on one port, and all
 * connections go to the one that was first. The comment after the name tells nothing. */
bool greeting_shares_ports(const char *greeting);

#endif
