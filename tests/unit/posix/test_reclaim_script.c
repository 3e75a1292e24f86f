/* The script that runs at the peer, here among processes that are only called sshd: which of them serves it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tunnel/reclaim_reply.h"
#include "tunnel/reclaim_script.h"

static char folder[] = "/tmp/holdfast-test-XXXXXX";

static int set_up(void **state)
{
    char command[RECLAIM_COMMAND_CAP_BYTES];
    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(system("cp /bin/sh sshd && cp /bin/sh otherd"), 0); /* NOLINT(cert-env33-c): of its own */
    assert_non_null(reclaim_script_command("1 report -", command, sizeof command));
    FILE *file = fopen("ask", "w");
    assert_non_null(file);
    assert_true(fputs(command, file) >= 0);
    assert_int_equal(fclose(file), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(system("rm sshd otherd ask"), 0); /* NOLINT(cert-env33-c): of its own */
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(rmdir(folder), 0);
    return 0;
}

/* What is answered to one who asks so. */
static void ask(const char *command, struct reclaim_reply *reply)
{
    char output[4096];
    FILE *pipe = popen(command, "r"); /* NOLINT(cert-env33-c): likewise */
    assert_non_null(pipe);
    size_t len = fread(output, 1, sizeof output, pipe);
    assert_int_equal(pclose(pipe), 0);
    assert_true(reclaim_reply_parse(output, len, reply));
}

static void the_sshd_that_began_it(void **state)
{
    struct reclaim_reply reply;
    (void)state;
    ask("./sshd -c '/bin/sh ./ask; :'", &reply);
    assert_true(reply.has_serving && reply.serving_is_ours);
}

/* Another server, which somebody began by hand over an sshd: that sshd serves him, and is none of ours. */
static void an_sshd_further_up(void **state)
{
    struct reclaim_reply reply;
    (void)state;
    ask("./sshd -c './otherd -c \"/bin/sh ./ask; :\"; :'", &reply);
    assert_false(reply.has_serving);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sshd_that_began_it),
        cmocka_unit_test(an_sshd_further_up),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
