/* Asking commands where a target is: answers, failures with their sentences, one run for many, and giving up. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "forward/asker.h"

enum { WAITS = 5 };

static struct {
    uv_loop_t loop;
    struct endpoint to;
    struct asker *asker;
    struct asker_wait waits[WAITS];
    struct outcome {
        int count;
        struct answer answer;
        struct err_info why;
    } outcomes[WAITS];
    int closed;
} net;

static void on_closed(void *arg)
{
    (void)arg;
    net.closed++;
}

static void on_answer(void *arg, const struct answer *answer, const struct err_info *why)
{
    struct outcome *outcome = arg;
    outcome->count++;
    assert_true((answer == NULL) != (why == NULL));
    if (answer != NULL) {
        outcome->answer = *answer;
        outcome->why.code = OK;
    } else {
        outcome->why = *why;
    }
}

static int setup(void **state)
{
    (void)state;
    memset(&net, 0, sizeof net);
    net.to.kind = ENDPOINT_COMMAND;
    net.to.port = 80;
    for (size_t i = 0; i < WAITS; i++) {
        net.waits[i] = (struct asker_wait){.on_answer = on_answer, .arg = &net.outcomes[i]};
    }
    return uv_loop_init(&net.loop);
}

static void begin(uint64_t timeout_ms, const char *const *words)
{
    const struct asker_options options = {
        .to = &net.to, .log_name = "test", .timeout_ms = timeout_ms, .on_closed = on_closed};
    for (size_t i = 0; words[i] != NULL; i++) {
        assert_int_equal(endpoint_add_word(&net.to, words[i]), OK);
    }
    net.asker = asker_new(&net.loop, &options);
    assert_non_null(net.asker);
}

static int teardown(void **state)
{
    (void)state;
    asker_close(net.asker);
    assert_int_equal(net.closed, 0);
    (void)uv_run(&net.loop, UV_RUN_DEFAULT);
    assert_int_equal(net.closed, 1);
    endpoint_deinit(&net.to);
    return uv_loop_close(&net.loop);
}

static const struct outcome *ask(size_t index)
{
    int before = net.outcomes[index].count;
    asker_start(net.asker, &net.waits[index]);
    assert_int_equal(net.outcomes[index].count, before);
    for (int i = 0; i < 10000 && net.outcomes[index].count == before; i++) {
        (void)uv_run(&net.loop, UV_RUN_ONCE);
    }
    assert_int_equal(net.outcomes[index].count, before + 1);
    return &net.outcomes[index];
}

static void expect_failure(const char *const *words, uint64_t timeout_ms, const char *sentence)
{
    begin(timeout_ms, words);
    const struct outcome *outcome = ask(0);
    assert_int_equal(outcome->why.code, ERR_RESOLVE);
    assert_string_equal(outcome->why.message, sentence);
    assert_null(asker_known(net.asker));
}

#define SHELL(script) ((const char *const[]){"sh", "-c", script, NULL})

static void the_address_is_taken_and_known(void **state)
{
    (void)state;
    begin(0, (const char *const[]){"echo", "192.0.2.1", NULL});
    assert_null(asker_known(net.asker));
    const struct outcome *outcome = ask(0);
    assert_int_equal(outcome->why.code, OK);
    assert_string_equal(outcome->answer.host, "192.0.2.1");
    assert_int_equal(outcome->answer.port, 80);
    assert_string_equal(asker_known(net.asker)->host, "192.0.2.1");
    struct answer other = *asker_known(net.asker);
    other.port = 81;
    asker_forget(net.asker, &other); /* not the one that is known */
    assert_non_null(asker_known(net.asker));
    other.port = 80;
    asker_forget(net.asker, &other);
    assert_null(asker_known(net.asker));
}

static void a_port_that_is_printed_counts(void **state)
{
    (void)state;
    begin(0, SHELL("echo '[::1]:4444'; echo more"));
    assert_int_equal(ask(0)->answer.port, 4444);
    assert_string_equal(net.outcomes[0].answer.host, "::1");
}

/* The words are handed over as they are. */
static void no_shell_reads_the_words(void **state)
{
    (void)state;
    begin(0, (const char *const[]){"printf", "%s-x\\n", "$HOME;a b", NULL});
    assert_non_null(strstr(ask(0)->why.message, "printed '$HOME;a b-x'"));
}

static void several_share_one_run(void **state)
{
    char script[200];
    char path[] = "/tmp/holdfast-asker-XXXXXX";
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)snprintf(script, sizeof script, "echo run >> %s; echo 192.0.2.1", path);
    begin(0, SHELL(script));
    for (size_t i = 1; i < WAITS; i++) {
        asker_start(net.asker, &net.waits[i]);
    }
    (void)ask(0);
    for (size_t i = 0; i < WAITS; i++) {
        assert_int_equal(net.outcomes[i].count, 1);
        assert_string_equal(net.outcomes[i].answer.host, "192.0.2.1");
    }
    assert_int_equal(lseek(fd, 0, SEEK_END), strlen("run\n"));
    (void)close(fd);
    (void)unlink(path);
}

static void a_command_that_is_not_there(void **state)
{
    (void)state;
    expect_failure((const char *const[]){"/nonexistent/ask", NULL}, 0,
                   "the command '/nonexistent/ask' was not found; write its whole path");
}

static void a_command_that_may_not_be_run(void **state)
{
    (void)state;
    expect_failure((const char *const[]){"/etc/passwd", NULL}, 0,
                   "the command '/etc/passwd' may not be run (permission denied); make it executable");
}

static void a_command_that_fails(void **state)
{
    (void)state;
    expect_failure(SHELL("echo 192.0.2.1; echo first >&2; echo 'no such guest' >&2; exit 3"), 0,
                   "the command 'sh' ended with exit code 3: no such guest");
}

static void a_command_that_fails_without_a_word(void **state)
{
    (void)state;
    expect_failure(SHELL("exit 1"), 0,
                   "the command 'sh' ended with exit code 1 and no word on standard error; run it by hand to see why");
}

static void a_command_that_is_killed(void **state)
{
    (void)state;
    expect_failure(SHELL("kill -9 $$"), 0, "the command 'sh' was ended by signal 9");
}

static void a_command_that_prints_nothing(void **state)
{
    (void)state;
    expect_failure(SHELL(":"), 0, "the command 'sh' printed nothing; its first line must be HOST or HOST:PORT");
}

static void a_command_that_prints_no_port(void **state)
{
    (void)state;
    net.to.port = 0;
    expect_failure(SHELL("echo guest"), 0,
                   "the command 'sh' printed 'guest' and no port; print HOST:PORT, or write 'port:' beside 'command:'");
}

static void a_command_that_hangs_is_killed_with_its_children(void **state)
{
    char pid_text[32] = "";
    char path[] = "/tmp/holdfast-asker-XXXXXX";
    char script[200];
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)snprintf(script, sizeof script, "sleep 1000 & echo $! > %s; wait", path);
    expect_failure(SHELL(script), 300,
                   "the command 'sh' did not say its address within 0.3 s; raise connect_timeout if it needs longer");
    assert_true(pread(fd, pid_text, sizeof pid_text - 1, 0) > 0);
    int pid = atoi(pid_text);
    for (int i = 0; i < 200 && kill(pid, 0) == 0; i++) {
        (void)snprintf(script, sizeof script, "/proc/%d/stat", pid);
        FILE *stat = fopen(script, "r");
        char process_state = 'Z';
        if (stat != NULL && fscanf(stat, "%*d %*s %c", &process_state) != 1) {
            process_state = 'Z';
        }
        if (stat != NULL) {
            (void)fclose(stat);
        }
        if (process_state == 'Z') {
            break; /* its new parent has not looked yet */
        }
        assert_true(i < 199);
        (void)usleep(10000);
    }
    (void)close(fd);
    (void)unlink(path);
}

static void a_child_left_behind_does_not_hold_up_the_answer(void **state)
{
    (void)state;
    begin(5000, SHELL("sleep 3 & echo 192.0.2.1"));
    uint64_t before_ms = uv_hrtime() / 1000000;
    assert_string_equal(ask(0)->answer.host, "192.0.2.1");
    assert_true(uv_hrtime() / 1000000 - before_ms < 2500);
}

/* More than is kept, on both streams; the end of the one and the beginning of the other count. */
static void floods_are_bounded(void **state)
{
    (void)state;
    expect_failure(SHELL("seq 100000; seq 100000 >&2; echo 'the last word' >&2; exit 2"), 0,
                   "the command 'sh' ended with exit code 2: the last word");
}

static void one_can_give_up_and_others_go_on(void **state)
{
    (void)state;
    begin(0, SHELL("sleep 0.1; echo 192.0.2.1"));
    asker_start(net.asker, &net.waits[1]);
    asker_start(net.asker, &net.waits[2]);
    asker_cancel(net.asker, &net.waits[1]);
    assert_int_equal(net.outcomes[1].count, 0);
    assert_string_equal(ask(0)->answer.host, "192.0.2.1");
    assert_int_equal(net.outcomes[1].count, 1);
    assert_int_equal(net.outcomes[1].why.code, ERR_CANCELLED);
    assert_int_equal(net.outcomes[2].count, 1);
    assert_int_equal(net.outcomes[2].why.code, OK);
}

static void it_can_be_closed_while_a_command_runs(void **state)
{
    (void)state;
    begin(0, SHELL("sleep 1000"));
    asker_start(net.asker, &net.waits[0]);
    (void)uv_run(&net.loop, UV_RUN_NOWAIT);
    asker_cancel(net.asker, &net.waits[0]);
}

static void a_failure_is_asked_about_again(void **state)
{
    (void)state;
    begin(0, SHELL("exit 1"));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(0)->why.code, ERR_RESOLVE);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_address_is_taken_and_known),
        TEST(a_port_that_is_printed_counts),
        TEST(no_shell_reads_the_words),
        TEST(several_share_one_run),
        TEST(a_command_that_is_not_there),
        TEST(a_command_that_may_not_be_run),
        TEST(a_command_that_fails),
        TEST(a_command_that_fails_without_a_word),
        TEST(a_command_that_is_killed),
        TEST(a_command_that_prints_nothing),
        TEST(a_command_that_prints_no_port),
        TEST(a_command_that_hangs_is_killed_with_its_children),
        TEST(a_child_left_behind_does_not_hold_up_the_answer),
        TEST(floods_are_bounded),
        TEST(one_can_give_up_and_others_go_on),
        TEST(it_can_be_closed_while_a_command_runs),
        TEST(a_failure_is_asked_about_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
