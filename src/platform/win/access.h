/* Accounts by their SIDs, and access lists. Room-internal. */
#ifndef HOLDFAST_PLATFORM_WIN_ACCESS_H
#define HOLDFAST_PLATFORM_WIN_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "platform/win/common.h"

#define WIN_STRANGERS_CAP 4

union win_sid {
    SID sid;
    BYTE bytes[SECURITY_MAX_SID_SIZE];
};

/* False when the system does not tell. */
bool win_sid_known(WELL_KNOWN_SID_TYPE type, union win_sid *out);
bool win_sid_of_us(union win_sid *out);
bool win_sid_of_process(DWORD process_id, union win_sid *out);
/* The SID of an account as the service manager takes it: DOMAIN\name, .\name, name, LocalSystem, `NT SERVICE\name`
 * (which need not exist yet), or a SID in letters. ERR_USAGE when there is none of that name. */
enum err win_sid_of_account(const char *account, union win_sid *out, struct err_info *info);

/* "S-1-5-..." and "DOMAIN\name" (else as the former), heap strings. */
char *win_sid_text(PSID sid);
char *win_sid_name(PSID sid);
/* True for SYSTEM and Administrators, who can take every file anyway. */
bool win_sid_is_keeper(PSID sid);
/* True for the SID of one service: nobody logs on with it, and only an administrator can install what has it. */
bool win_sid_is_one_service(PSID sid);

/* An access list in the making, for a handful of entries. */
struct win_acl {
    DWORD words[256];
};
bool win_acl_begin(struct win_acl *acl);
bool win_acl_allow(struct win_acl *acl, PSID sid, DWORD mask, DWORD flags);
/* May be given to the system; lives as long as `acl`. */
PACL win_acl_list(struct win_acl *acl);

/* Who may read or change a file beside those who are admitted. */
struct win_strangers {
    struct {
        union win_sid sid;
        bool inherited;
    } items[WIN_STRANGERS_CAP];
    size_t count;
    size_t left_out; /* found, and not among the items */
};
/* Keepers, services and owners by reference (CREATOR OWNER, OWNER RIGHTS) are admitted always. Denials change nothing.
 */
void win_acl_strangers(PACL acl, const PSID *admitted, size_t admitted_count, struct win_strangers *out);
/* Does the list let the account read, or write to a file or make one in a folder? Its memberships are those that every
 * account of its kind has. */
bool win_acl_lets_read(PACL acl, PSID account);
bool win_acl_lets_write(PACL acl, PSID account);
/* What the system thinks of one right of an account whose groups we do not know. */
bool win_system_lets(PACL acl, PSID account, ACCESS_MASK right);

#endif
