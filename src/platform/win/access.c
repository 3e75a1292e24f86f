#include "platform/win/access.h"

#include <aclapi.h>
#include <bcrypt.h>
#include <sddl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_CAP 260
#define SHA1_BYTES 20
#define SERVICE_PREFIX "NT SERVICE\\"

/* All of these let somebody read a file or make it another; to look at its attributes does not. */
#define TELLING_RIGHTS                                                                                                 \
    (FILE_READ_DATA | FILE_WRITE_DATA | FILE_APPEND_DATA | DELETE | WRITE_DAC | WRITE_OWNER | GENERIC_READ |           \
     GENERIC_WRITE | GENERIC_ALL | MAXIMUM_ALLOWED)
#define READING_RIGHTS (FILE_READ_DATA | GENERIC_READ | GENERIC_ALL)
#define WRITING_RIGHTS                                                                                                 \
    (FILE_WRITE_DATA | GENERIC_WRITE | GENERIC_ALL) /* of a folder: FILE_ADD_FILE, which is the same */

/* --- accounts --- */

bool win_sid_known(WELL_KNOWN_SID_TYPE type, union win_sid *out)
{
    DWORD size = sizeof *out;
    return CreateWellKnownSid(type, NULL, &out->sid, &size) != 0;
}

/* The user of an access token. */
static bool sid_of_token(HANDLE token, union win_sid *out)
{
    union {
        TOKEN_USER user;
        BYTE bytes[sizeof(TOKEN_USER) + SECURITY_MAX_SID_SIZE];
    } holder;
    DWORD size = 0;
    return GetTokenInformation(token, TokenUser, &holder, sizeof holder, &size) &&
           CopySid(sizeof *out, &out->sid, holder.user.User.Sid);
}

static bool sid_of_process(HANDLE process, union win_sid *out)
{
    HANDLE token = NULL;
    if (!OpenProcessToken(process, TOKEN_QUERY, &token)) {
        return false;
    }
    bool found = sid_of_token(token, out);
    (void)CloseHandle(token);
    return found;
}

bool win_sid_of_us(union win_sid *out)
{
    return sid_of_process(GetCurrentProcess(), out);
}

bool win_sid_of_process(DWORD process_id, union win_sid *out)
{
    HANDLE process = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, process_id);
    if (process == NULL) {
        return false;
    }
    bool found = sid_of_process(process, out);
    (void)CloseHandle(process);
    return found;
}

static bool sha1(const void *data, size_t len, BYTE out[SHA1_BYTES])
{
    BCRYPT_ALG_HANDLE algorithm = NULL;
    BCRYPT_HASH_HANDLE hash = NULL;
    bool good = BCryptOpenAlgorithmProvider(&algorithm, BCRYPT_SHA1_ALGORITHM, NULL, 0) >= 0 &&
                BCryptCreateHash(algorithm, &hash, NULL, 0, NULL, 0, 0) >= 0 &&
                BCryptHashData(hash, (PUCHAR)(uintptr_t)data, (ULONG)len, 0) >= 0 &&
                BCryptFinishHash(hash, out, SHA1_BYTES, 0) >= 0;
    if (hash != NULL) {
        (void)BCryptDestroyHash(hash);
    }
    if (algorithm != NULL) {
        (void)BCryptCloseAlgorithmProvider(algorithm, 0);
    }
    return good;
}

/* The SID of a service follows from its name alone: S-1-5-80 and the SHA-1 of the name in capitals, as five numbers. */
static bool sid_of_service(const char *name, union win_sid *out)
{
    static SID_IDENTIFIER_AUTHORITY nt = {SECURITY_NT_AUTHORITY};
    BYTE digest[SHA1_BYTES];
    wchar_t *wide = win_wide(name);
    bool good = wide != NULL && wide[0] != 0;
    if (good) {
        size_t len = wcslen(wide);
        (void)CharUpperBuffW(wide, (DWORD)len);
        good = sha1(wide, len * sizeof *wide, digest) && InitializeSid(&out->sid, &nt, 6);
    }
    if (good) {
        *GetSidSubAuthority(&out->sid, 0) = SECURITY_SERVICE_ID_BASE_RID;
        for (DWORD i = 0; i < 5; i++) {
            memcpy(GetSidSubAuthority(&out->sid, i + 1), digest + 4 * i, sizeof(DWORD));
        }
    }
    free(wide);
    return good;
}

static bool sid_by_lookup(const char *account, union win_sid *out)
{
    wchar_t name[NAME_CAP * 2];
    wchar_t domain[NAME_CAP];
    DWORD size = sizeof *out;
    DWORD domain_len = NAME_CAP;
    SID_NAME_USE use;
    bool local = strncmp(account, ".\\", 2) == 0;
    DWORD len = 0;
    wchar_t *wide = win_wide(local ? account + 2 : account);
    bool found = false;
    if (wide != NULL && wcslen(wide) < NAME_CAP) {
        if (local) {
            len = NAME_CAP - 1;
            len = GetComputerNameW(name, &len) ? len : 0;
            name[len++] = L'\\';
        }
        memcpy(name + len, wide, (wcslen(wide) + 1) * sizeof *wide);
        found = LookupAccountNameW(NULL, name, &out->sid, &size, domain, &domain_len, &use) != 0;
    }
    free(wide);
    return found;
}

static bool sid_by_letters(const char *text, union win_sid *out)
{
    PSID sid = NULL;
    if (!ConvertStringSidToSidA(text, &sid)) {
        return false;
    }
    bool good = CopySid(sizeof *out, &out->sid, sid) != 0;
    (void)LocalFree(sid);
    return good;
}

enum err win_sid_of_account(const char *account, union win_sid *out, struct err_info *info)
{
    static const struct {
        const char *name;
        WELL_KNOWN_SID_TYPE type;
    } known[] = {
        {"LocalSystem", WinLocalSystemSid},
        {".\\LocalSystem", WinLocalSystemSid},
        {"NT AUTHORITY\\SYSTEM", WinLocalSystemSid},
        {"LocalService", WinLocalServiceSid},
        {"NT AUTHORITY\\LocalService", WinLocalServiceSid},
        {"NetworkService", WinNetworkServiceSid},
        {"NT AUTHORITY\\NetworkService", WinNetworkServiceSid},
    };
    bool found = false;
    for (size_t i = 0; i < sizeof known / sizeof known[0] && !found; i++) {
        found = _stricmp(account, known[i].name) == 0 && win_sid_known(known[i].type, out);
    }
    if (!found && _strnicmp(account, SERVICE_PREFIX, strlen(SERVICE_PREFIX)) == 0) {
        found = sid_of_service(account + strlen(SERVICE_PREFIX), out);
    } else if (!found && _strnicmp(account, "S-1-", 4) == 0) {
        found = sid_by_letters(account, out);
    } else if (!found) {
        found = sid_by_lookup(account, out);
    }
    return found ? OK : err_set(info, ERR_USAGE, "there is no account '%.100s' on this machine", account);
}

char *win_sid_text(PSID sid)
{
    LPSTR text = NULL;
    if (!ConvertSidToStringSidA(sid, &text)) {
        return NULL;
    }
    char *copy = _strdup(text);
    (void)LocalFree(text);
    return copy;
}

char *win_sid_name(PSID sid)
{
    wchar_t name[NAME_CAP];
    wchar_t domain[NAME_CAP];
    wchar_t whole[2 * NAME_CAP + 2];
    DWORD name_len = NAME_CAP;
    DWORD domain_len = NAME_CAP;
    SID_NAME_USE use;
    if (!LookupAccountSidW(NULL, sid, name, &name_len, domain, &domain_len, &use) || name[0] == 0) {
        return win_sid_text(sid);
    }
    (void)_snwprintf(whole, 2 * NAME_CAP + 1, L"%ls%ls%ls", domain, domain[0] != 0 ? L"\\" : L"", name);
    whole[2 * NAME_CAP + 1] = 0;
    return win_utf8(whole);
}

static bool is_any_of(PSID sid, const WELL_KNOWN_SID_TYPE *types, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (IsWellKnownSid(sid, types[i])) {
            return true;
        }
    }
    return false;
}

bool win_sid_is_keeper(PSID sid)
{
    static const WELL_KNOWN_SID_TYPE types[] = {WinLocalSystemSid, WinBuiltinAdministratorsSid};
    return is_any_of(sid, types, sizeof types / sizeof types[0]);
}

bool win_sid_is_one_service(PSID sid)
{
    static const SID_IDENTIFIER_AUTHORITY nt = {SECURITY_NT_AUTHORITY};
    return memcmp(GetSidIdentifierAuthority(sid), &nt, sizeof nt) == 0 && *GetSidSubAuthorityCount(sid) == 6 &&
           *GetSidSubAuthority(sid, 0) == SECURITY_SERVICE_ID_BASE_RID;
}

/* --- lists --- */

PACL win_acl_list(struct win_acl *acl)
{
    return (PACL)acl->words;
}

bool win_acl_begin(struct win_acl *acl)
{
    return InitializeAcl(win_acl_list(acl), sizeof acl->words, ACL_REVISION) != 0;
}

bool win_acl_allow(struct win_acl *acl, PSID sid, DWORD mask, DWORD flags)
{
    return AddAccessAllowedAceEx(win_acl_list(acl), ACL_REVISION, flags, mask, sid) != 0;
}

/* The entry when it speaks of the file itself, else NULL. Allowing and denying ones look the same, with a condition
 * behind them or without. */
static ACCESS_ALLOWED_ACE *entry_at(PACL acl, DWORD index)
{
    ACCESS_ALLOWED_ACE *ace = NULL;
    if (!GetAce(acl, index, (LPVOID *)&ace) || (ace->Header.AceFlags & INHERIT_ONLY_ACE) != 0) {
        return NULL;
    }
    switch (ace->Header.AceType) {
    case ACCESS_ALLOWED_ACE_TYPE:
    case ACCESS_ALLOWED_CALLBACK_ACE_TYPE:
    case ACCESS_DENIED_ACE_TYPE:
    case ACCESS_DENIED_CALLBACK_ACE_TYPE: return ace;
    default: return NULL;
    }
}

static bool allows(const ACCESS_ALLOWED_ACE *ace)
{
    return ace->Header.AceType == ACCESS_ALLOWED_ACE_TYPE || ace->Header.AceType == ACCESS_ALLOWED_CALLBACK_ACE_TYPE;
}

static bool is_admitted(PSID sid, const PSID *admitted, size_t admitted_count)
{
    static const WELL_KNOWN_SID_TYPE owners[] = {WinCreatorOwnerSid, WinCreatorOwnerRightsSid};
    for (size_t i = 0; i < admitted_count; i++) {
        if (EqualSid(sid, admitted[i])) {
            return true;
        }
    }
    return win_sid_is_keeper(sid) || win_sid_is_one_service(sid) ||
           is_any_of(sid, owners, sizeof owners / sizeof owners[0]);
}

static void add_stranger(struct win_strangers *out, PSID sid, bool inherited)
{
    for (size_t i = 0; i < out->count; i++) {
        if (EqualSid(&out->items[i].sid.sid, sid)) {
            out->items[i].inherited = out->items[i].inherited && inherited;
            return;
        }
    }
    if (out->count < WIN_STRANGERS_CAP && CopySid(sizeof out->items[0].sid, &out->items[out->count].sid.sid, sid)) {
        out->items[out->count++].inherited = inherited;
    } else {
        out->left_out++;
    }
}

void win_acl_strangers(PACL acl, const PSID *admitted, size_t admitted_count, struct win_strangers *out)
{
    memset(out, 0, sizeof *out);
    for (DWORD i = 0; i < acl->AceCount; i++) {
        ACCESS_ALLOWED_ACE *ace = entry_at(acl, i);
        if (ace != NULL && allows(ace) && (ace->Mask & TELLING_RIGHTS) != 0 &&
            !is_admitted(&ace->SidStart, admitted, admitted_count)) {
            add_stranger(out, &ace->SidStart, (ace->Header.AceFlags & INHERITED_ACE) != 0);
        }
    }
}

/* Is the account certainly in the group? */
static bool is_member(PSID account, PSID group)
{
    static const WELL_KNOWN_SID_TYPE of_all[] = {WinWorldSid, WinAuthenticatedUserSid};
    static const WELL_KNOWN_SID_TYPE of_services[] = {WinServiceSid, WinBuiltinUsersSid};
    static const SID_IDENTIFIER_AUTHORITY nt = {SECURITY_NT_AUTHORITY};
    if (EqualSid(account, group) || is_any_of(group, of_all, sizeof of_all / sizeof of_all[0])) {
        return true;
    }
    if (IsWellKnownSid(account, WinLocalSystemSid)) {
        return IsWellKnownSid(group, WinBuiltinAdministratorsSid);
    }
    bool all_services =
        memcmp(GetSidIdentifierAuthority(group), &nt, sizeof nt) == 0 && *GetSidSubAuthorityCount(group) == 2 &&
        *GetSidSubAuthority(group, 0) == SECURITY_SERVICE_ID_BASE_RID && *GetSidSubAuthority(group, 1) == 0;
    return win_sid_is_one_service(account) &&
           (all_services || is_any_of(group, of_services, sizeof of_services / sizeof of_services[0]));
}

static bool lets(PACL acl, PSID account, ACCESS_MASK rights)
{
    for (DWORD i = 0; i < acl->AceCount; i++) { /* the first that speaks of it decides */
        ACCESS_ALLOWED_ACE *ace = entry_at(acl, i);
        if (ace != NULL && (ace->Mask & rights) != 0 && is_member(account, &ace->SidStart)) {
            return allows(ace);
        }
    }
    return false;
}

bool win_acl_lets_read(PACL acl, PSID account)
{
    return lets(acl, account, READING_RIGHTS);
}

bool win_acl_lets_write(PACL acl, PSID account)
{
    return lets(acl, account, WRITING_RIGHTS);
}

bool win_system_lets(PACL acl, PSID account, ACCESS_MASK right)
{
    TRUSTEE_W trustee;
    ACCESS_MASK rights = 0;
    BuildTrusteeWithSidW(&trustee, account);
    return GetEffectiveRightsFromAclW(acl, &trustee, &rights) == ERROR_SUCCESS && (rights & right) != 0;
}
