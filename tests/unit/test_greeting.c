/* Which peers may grant one port to two sessions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "session/greeting.h"

static void win32_openssh(void **state)
{
    (void)state;
    assert_true(greeting_shares_ports("SSH-2.0-OpenSSH_for_Windows_9.5"));
    assert_true(greeting_shares_ports("SSH-2.0-OpenSSH_for_Windows_7.7 with a comment"));
    assert_true(greeting_shares_ports("SSH-2.0-OpenSSH_for_Windows"));
    assert_true(greeting_shares_ports("SSH-1.99-OpenSSH_for_Windows_9.5"));
}

static void nobody_else(void **state)
{
    static const char *const others[] = {
        "",
        "SSH-2.0-",
        "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10",
        "SSH-2.0-OpenSSH_9.2p1 OpenSSH_for_Windows_9.5", /* a VersionAddendum */
        "SSH-2.0-OpenSSH_for_WindowsLike_1.0",
        "SSH-2.0-openssh_for_windows_9.5",
        "SSH-1.5-OpenSSH_for_Windows_9.5",
        "OpenSSH_for_Windows_9.5",
    };
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_false(greeting_shares_ports(others[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(win32_openssh),
        cmocka_unit_test(nobody_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
