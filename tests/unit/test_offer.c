/* What a session really offers: its KEXINIT (RFC 4253, section 7.1), read by a server that greets and then listens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "platform/platform.h"
#include "session/algorithms.h"
#include "session/host_key.h"
#include "session/session.h"
#include "session/wire.h"

enum { COOKIE_BYTES = 16, LISTS = 10 };
enum list { KEX, HOST_KEYS, CIPHERS_OUT, CIPHERS_IN, MACS_OUT, MACS_IN };

static struct {
    uv_loop_t loop;
    uv_tcp_t listener, accepted;
    struct host_spec spec;
    struct session *session;
    char heard[8192];
    size_t heard_bytes;
    char lists[LISTS][1024];
    enum err code;
    char message[600];
} net;

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(net.heard + net.heard_bytes, (unsigned)(sizeof net.heard - net.heard_bytes));
}

/* Takes the lists out of the packet behind the greeting, as soon as all of it is there. */
static bool read_offer(void)
{
    const char *packet = memchr(net.heard, '\n', net.heard_bytes);
    struct wire_reader reader;
    if (packet == NULL || net.heard_bytes - (size_t)(++packet - net.heard) < 6) {
        return false;
    }
    wire_reader_init(&reader, packet, net.heard_bytes - (size_t)(packet - net.heard));
    uint32_t len = wire_read_u32(&reader);
    if (net.heard_bytes - (size_t)(packet - net.heard) < len + 4) {
        return false;
    }
    (void)wire_read_u8(&reader); /* padding */
    assert_int_equal(wire_read_u8(&reader), 20);
    for (int i = 0; i < COOKIE_BYTES; i++) {
        (void)wire_read_u8(&reader);
    }
    for (int i = 0; i < LISTS; i++) {
        struct wire_slice list = wire_read_string(&reader);
        assert_true(list.len < sizeof net.lists[i]);
        (void)snprintf(net.lists[i], sizeof net.lists[i], "%.*s", (int)list.len, (const char *)list.data);
    }
    return true;
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    (void)buf;
    net.heard_bytes += nread > 0 ? (size_t)nread : 0;
    if (nread < 0 || read_offer()) {
        uv_close((uv_handle_t *)stream, NULL);
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    static char greeting[] = "SSH-2.0-test\r\n";
    uv_buf_t buf = uv_buf_init(greeting, sizeof greeting - 1);
    assert_int_equal(status, 0);
    assert_int_equal(uv_tcp_init(&net.loop, &net.accepted), 0);
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&net.accepted), 0);
    (void)uv_try_write((uv_stream_t *)&net.accepted, &buf, 1);
    (void)uv_read_start((uv_stream_t *)&net.accepted, on_alloc, on_read);
}

static int setup(void **state)
{
    struct sockaddr_in address;
    int len = sizeof address;
    (void)state;
    memset(&net, 0, sizeof net);
    (void)log_open(NULL, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    (void)uv_ip4_addr("127.0.0.1", 0, &address);
    if (uv_loop_init(&net.loop) != 0 || uv_tcp_init(&net.loop, &net.listener) != 0 ||
        uv_tcp_bind(&net.listener, (struct sockaddr *)&address, 0) != 0 ||
        uv_listen((uv_stream_t *)&net.listener, 1, on_connection) != 0 ||
        uv_tcp_getsockname(&net.listener, (struct sockaddr *)&address, &len) != 0) {
        return -1;
    }
    uv_unref((uv_handle_t *)&net.listener);
    host_spec_init(&net.spec);
    net.spec.port = ntohs(address.sin_port);
    net.spec.user = strdup("me");
    net.spec.batch_mode = true;
    return string_list_add(&net.spec.hostnames, "127.0.0.1") == OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    uv_close((uv_handle_t *)&net.listener, NULL);
    (void)uv_run(&net.loop, UV_RUN_DEFAULT);
    host_spec_deinit(&net.spec);
    return uv_loop_close(&net.loop);
}

static void on_phase(void *arg, enum session_phase phase)
{
    (void)arg;
    (void)phase;
}

static void on_closed(void *arg, const struct err_info *why)
{
    (void)arg;
    net.code = why->code;
    (void)snprintf(net.message, sizeof net.message, "%s", why->message);
    session_free(net.session);
}

static void run(void)
{
    const struct session_events events = {.on_phase = on_phase, .on_closed = on_closed};
    net.session = session_new(&net.loop, &net.spec, false, "test", &events);
    assert_non_null(net.session);
    session_start(net.session);
    (void)uv_run(&net.loop, UV_RUN_DEFAULT);
}

static bool offers(enum list list, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = strstr(net.lists[list], name); at != NULL; at = strstr(at + 1, name)) {
        if ((at == net.lists[list] || at[-1] == ',') && (at[len] == ',' || at[len] == '\0')) {
            return true;
        }
    }
    return false;
}

static void the_defaults_are_safe(void **state)
{
    static const char *const weak[] = {"sha1", "cbc", "md5", "arcfour", "none", "3des", "group1-", "dss", "ripemd"};
    (void)state;
    run();
    assert_string_equal(net.lists[CIPHERS_OUT], algorithms_default_ciphers(platform_has_aes()));
    assert_string_equal(net.lists[CIPHERS_IN], net.lists[CIPHERS_OUT]);
    assert_string_equal(net.lists[MACS_OUT], algorithms_default_macs);
    assert_string_equal(net.lists[MACS_IN], algorithms_default_macs);
    assert_string_equal(net.lists[HOST_KEYS], host_key_all_algorithms);
    for (int i = KEX; i <= MACS_IN; i++) {
        for (size_t j = 0; j < sizeof weak / sizeof weak[0]; j++) {
            assert_null(strstr(net.lists[i], weak[j]));
        }
    }
    assert_false(offers(HOST_KEYS, "ssh-rsa")); /* that is RSA with SHA-1 */
    assert_true(offers(KEX, "kex-strict-c-v00@openssh.com"));
    assert_true(offers(KEX, "curve25519-sha256"));
}

static void strict_key_exchange_stays_with_a_list_of_ones_own(void **state)
{
    (void)state;
    net.spec.kex_algorithms = strdup("curve25519-sha256");
    run();
    assert_true(offers(KEX, "kex-strict-c-v00@openssh.com"));
    assert_true(offers(KEX, "curve25519-sha256"));
    assert_false(offers(KEX, "ecdh-sha2-nistp256"));
}

static void what_is_asked_for_is_offered(void **state)
{
    (void)state;
    net.spec.ciphers = strdup("aes256-cbc,no-such-cipher");
    net.spec.macs = strdup("^hmac-sha2-512");
    run();
    assert_string_equal(net.lists[CIPHERS_OUT], "aes256-cbc");
    assert_int_equal(strncmp(net.lists[MACS_IN], "hmac-sha2-512,", 14), 0);
}

static void a_list_of_names_that_we_do_not_have_is_an_error_that_says_so(void **state)
{
    static const struct {
        const char *names, *says, *defaults;
    } cases[] = {
        {"sntrup761x25519-sha512@openssh.com", "leaves no key exchange", algorithms_default_kex},
        {"ssh-dss", "leaves no host key algorithm", host_key_all_algorithms},
        {"no-such-cipher", "leaves no cipher", "chacha20-poly1305@openssh.com"},
        {"umac-64@openssh.com,umac-128@openssh.com", "leaves no MAC", algorithms_default_macs},
    };
    char **places[] = {&net.spec.kex_algorithms, &net.spec.host_key_algorithms, &net.spec.ciphers, &net.spec.macs};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        *places[i] = strdup(cases[i].names);
        run();
        assert_int_equal(net.code, ERR_DEFINITION);
        assert_non_null(strstr(net.message, cases[i].names));
        assert_non_null(strstr(net.message, cases[i].says));
        assert_non_null(strstr(net.message, cases[i].defaults));
        free(*places[i]);
        *places[i] = NULL;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_defaults_are_safe, setup, teardown),
        cmocka_unit_test_setup_teardown(strict_key_exchange_stays_with_a_list_of_ones_own, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_asked_for_is_offered, setup, teardown),
        cmocka_unit_test_setup_teardown(a_list_of_names_that_we_do_not_have_is_an_error_that_says_so, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
