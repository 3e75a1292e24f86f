#include "service/win/account.h"

#include <string.h>

#include <ntsecapi.h>

#include "platform/win/access.h"

DWORD account_allow_logon(const char *account)
{
    LSA_OBJECT_ATTRIBUTES attributes;
    LSA_HANDLE policy = NULL;
    struct err_info info;
    union win_sid sid;
    wchar_t right[] = L"SeServiceLogonRight";
    LSA_UNICODE_STRING rights = {
        .Buffer = right, .Length = sizeof right - sizeof right[0], .MaximumLength = sizeof right};
    DWORD code = ERROR_NONE_MAPPED;
    memset(&attributes, 0, sizeof attributes);
    if (win_sid_of_account(account, &sid, &info) == OK) {
        code = LsaNtStatusToWinError(
            LsaOpenPolicy(NULL, &attributes, POLICY_CREATE_ACCOUNT | POLICY_LOOKUP_NAMES, &policy));
        if (code == ERROR_SUCCESS) {
            code = LsaNtStatusToWinError(LsaAddAccountRights(policy, &sid.sid, &rights, 1));
            (void)LsaClose(policy);
        }
    }
    return code;
}
