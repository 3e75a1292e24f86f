/* What a forwarded connection's own socket is set to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifndef _WIN32
#include <netinet/tcp.h>
#endif

#include <cmocka.h>

#include "forward/internal.h"

static int option_of(uv_tcp_t *tcp, int level, int name)
{
    uv_os_fd_t fd;
    int value = 0;
    assert_int_equal(uv_fileno((const uv_handle_t *)tcp, &fd), 0);
#ifdef _WIN32
    int len = sizeof value;
    assert_int_equal(getsockopt((SOCKET)fd, level, name, (char *)&value, &len), 0);
#else
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
#endif
    return value != 0;
}

static void only_clients_of_other_machines_are_asked_whether_they_live(void **state)
{
    static const struct {
        const char *address;
        bool is_v6, is_asked;
    } peers[] = {{"127.0.0.1", false, false}, {"127.9.8.7", false, false}, {"::1", true, false},
                 {"192.0.2.1", false, true},  {"2001:db8::1", true, true}, {"126.255.255.255", false, true}};
    uv_loop_t loop;
    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++) {
        struct sockaddr_storage peer;
        uv_tcp_t tcp;
        if (peers[i].is_v6) {
            assert_int_equal(uv_ip6_addr(peers[i].address, 1, (struct sockaddr_in6 *)&peer), 0);
        } else {
            assert_int_equal(uv_ip4_addr(peers[i].address, 1, (struct sockaddr_in *)&peer), 0);
        }
        assert_int_equal(uv_tcp_init_ex(&loop, &tcp, AF_INET), 0);
        connection_tune(&tcp, (const struct sockaddr *)&peer);
        assert_int_equal(option_of(&tcp, SOL_SOCKET, SO_KEEPALIVE), peers[i].is_asked);
        assert_int_equal(option_of(&tcp, IPPROTO_TCP, TCP_NODELAY), 1);
        uv_close((uv_handle_t *)&tcp, NULL);
        assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    }
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_clients_of_other_machines_are_asked_whether_they_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
