/* Files whose access list is there from their first moment on. Room-internal. */
#ifndef HOLDFAST_PLATFORM_WIN_PRIVATE_FILE_H
#define HOLDFAST_PLATFORM_WIN_PRIVATE_FILE_H

#include "platform/win/access.h"

/* SYSTEM and Administrators do all; `owner` (may be NULL) too, and owns it; `reader` (may be NULL) reads. Not
 * inherited. */
struct win_private {
    SECURITY_ATTRIBUTES attributes; /* to be given to the system; lives as long as this struct */
    SECURITY_DESCRIPTOR descriptor;
    struct win_acl acl;
    union win_sid system;
    union win_sid administrators;
};
/* `flags`: 0, or how what lies in a folder inherits the list. False: GetLastError tells. */
bool win_private_init(struct win_private *made, PSID owner, PSID reader, DWORD flags);

/* A new file with all of `data`, or none. ERROR_SUCCESS or a Windows code; `out_made` tells whether it was made at all.
 */
DWORD win_private_file_new(const wchar_t *path, struct win_private *access, const void *data, size_t len,
                           bool *out_made);

#endif
