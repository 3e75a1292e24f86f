/* Which tokens a -R forward knows: that of the loop that runs, always, and those that may come late, for a while. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "forward/tokens.h"

enum { NOW_MS = 1000000 };

static struct tokens tokens;

static int setup(void **state)
{
    (void)state;
    memset(&tokens, 0, sizeof tokens);
    return 0;
}

static const char *bytes_of(int number)
{
    static char bytes[TOKEN_BYTES];
    memset(bytes, 'a' + number, sizeof bytes);
    return bytes;
}

static struct token *add(int number, uint64_t now_ms)
{
    struct token *token = tokens_add(&tokens, bytes_of(number), now_ms);
    assert_non_null(token);
    return token;
}

/* A loop that was sent at once, and given up. */
static struct token *add_late(int number, uint64_t now_ms)
{
    struct token *token = add(number, now_ms);
    token_sent(token, now_ms);
    token_give_up(token, now_ms);
    return token;
}

static bool is_known(int number, uint64_t now_ms)
{
    return tokens_find(&tokens, bytes_of(number), TOKEN_BYTES, now_ms) != NULL;
}

static void none_at_first(void **state)
{
    static const char zeros[TOKEN_BYTES];
    (void)state;
    assert_false(tokens_are_awaited(&tokens, 0));
    assert_false(tokens_are_awaited(&tokens, NOW_MS));
    assert_null(tokens_find(&tokens, zeros, TOKEN_BYTES, 0));
    assert_null(tokens_find(&tokens, zeros, 1, NOW_MS));
}

static void the_one_that_runs_never_expires(void **state)
{
    (void)state;
    struct token *token = add(0, NOW_MS);
    assert_false(is_known(0, NOW_MS)); /* it has not left */
    assert_true(tokens_are_awaited(&tokens, NOW_MS));
    token_sent(token, NOW_MS + 1);
    assert_true(is_known(0, NOW_MS + 1));
    assert_true(is_known(0, NOW_MS + 100 * (uint64_t)TOKEN_LIFE_MS));
    assert_true(tokens_are_awaited(&tokens, NOW_MS + 100 * (uint64_t)TOKEN_LIFE_MS));
}

static void a_late_one_is_known_for_its_time(void **state)
{
    (void)state;
    struct token *token = add(0, NOW_MS);
    token_sent(token, NOW_MS + 10);
    token_give_up(token, NOW_MS + 5000);
    assert_true(is_known(0, NOW_MS + 5000));
    assert_true(is_known(0, NOW_MS + 5000 + TOKEN_LIFE_MS - 1));
    assert_true(tokens_are_awaited(&tokens, NOW_MS + 5000 + TOKEN_LIFE_MS - 1));
    assert_false(is_known(0, NOW_MS + 5000 + TOKEN_LIFE_MS));
    assert_false(tokens_are_awaited(&tokens, NOW_MS + 5000 + TOKEN_LIFE_MS));
}

static void one_that_never_left_is_forgotten(void **state)
{
    (void)state;
    struct token *token = add(0, NOW_MS);
    token_give_up(token, NOW_MS + 1);
    assert_false(is_known(0, NOW_MS + 1));
    assert_false(tokens_are_awaited(&tokens, NOW_MS + 1));
}

static void one_that_came_back_comes_no_second_time(void **state)
{
    (void)state;
    struct token *token = add(0, NOW_MS);
    token_sent(token, NOW_MS);
    token_forget(token);
    token_give_up(token, NOW_MS); /* the end of its loop, which follows */
    assert_false(is_known(0, NOW_MS));
    assert_false(tokens_are_awaited(&tokens, NOW_MS));
}

static void each_is_found_by_its_beginning(void **state)
{
    (void)state;
    struct token *first = add_late(0, NOW_MS);
    struct token *second = add(1, NOW_MS);
    token_sent(second, NOW_MS);
    for (size_t len = 1; len <= TOKEN_BYTES; len++) {
        assert_ptr_equal(tokens_find(&tokens, bytes_of(0), len, NOW_MS), first);
        assert_ptr_equal(tokens_find(&tokens, bytes_of(1), len, NOW_MS), second);
        assert_null(tokens_find(&tokens, bytes_of(2), len, NOW_MS));
    }
    assert_null(tokens_find(&tokens, "aaaaaaaaaaaaaaab", TOKEN_BYTES, NOW_MS));
}

static void the_oldest_late_one_makes_room(void **state)
{
    (void)state;
    struct token *running = add(0, NOW_MS);
    token_sent(running, NOW_MS);
    for (int i = 1; i < TOKENS_MAX; i++) {
        (void)add_late(i, NOW_MS + (uint64_t)i);
    }
    for (int i = 0; i < TOKENS_MAX; i++) {
        assert_true(is_known(i, NOW_MS + 100));
    }
    (void)add_late(TOKENS_MAX, NOW_MS + 100);
    assert_false(is_known(1, NOW_MS + 100));
    (void)add_late(TOKENS_MAX + 1, NOW_MS + 100);
    assert_false(is_known(2, NOW_MS + 100));
    assert_true(is_known(0, NOW_MS + 100)); /* the one that runs never does */
    for (int i = 3; i <= TOKENS_MAX + 1; i++) {
        assert_true(is_known(i, NOW_MS + 100));
    }
}

static void one_that_has_expired_makes_room_first(void **state)
{
    (void)state;
    const uint64_t later_ms = NOW_MS + TOKEN_LIFE_MS;
    struct token *made[TOKENS_MAX];
    for (int i = 0; i < TOKENS_MAX; i++) {
        made[i] = add(i, NOW_MS);
        token_sent(made[i], NOW_MS);
    }
    for (int i = 0; i < TOKENS_MAX; i++) {
        token_give_up(made[i], i == 5 ? NOW_MS : NOW_MS + 1000);
    }
    (void)add_late(TOKENS_MAX, later_ms + 100);
    for (int i = 0; i <= TOKENS_MAX; i++) {
        assert_int_equal(is_known(i, later_ms + 100), i != 5);
    }
}

static void no_room_beside_those_that_run(void **state)
{
    (void)state;
    for (int i = 0; i < TOKENS_MAX; i++) {
        (void)add(i, NOW_MS);
    }
    assert_null(tokens_add(&tokens, bytes_of(TOKENS_MAX), NOW_MS));
}

static void the_way_of_each_counts(void **state)
{
    (void)state;
    struct token *slow = add(0, NOW_MS);
    assert_false(tokens_are_on_their_way(&tokens, NOW_MS)); /* it has not left */
    token_sent(slow, NOW_MS + 700);
    assert_true(token_is_on_its_way(slow, NOW_MS + 700));
    token_give_up(slow, NOW_MS + 1000);
    struct token *quick = add(1, NOW_MS + 1000);
    token_sent(quick, NOW_MS + 1001);
    assert_true(token_is_on_its_way(slow, NOW_MS + 2099));
    assert_false(token_is_on_its_way(quick, NOW_MS + 2099));
    assert_true(tokens_are_on_their_way(&tokens, NOW_MS + 2099));
    assert_false(tokens_are_on_their_way(&tokens, NOW_MS + 2100));
}

static void all_are_forgotten_with_the_session(void **state)
{
    (void)state;
    (void)add_late(0, NOW_MS);
    (void)add_late(1, NOW_MS);
    tokens_forget(&tokens);
    assert_false(is_known(0, NOW_MS));
    assert_false(is_known(1, NOW_MS));
    assert_false(tokens_are_awaited(&tokens, NOW_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(none_at_first, setup),
        cmocka_unit_test_setup(the_one_that_runs_never_expires, setup),
        cmocka_unit_test_setup(a_late_one_is_known_for_its_time, setup),
        cmocka_unit_test_setup(one_that_never_left_is_forgotten, setup),
        cmocka_unit_test_setup(one_that_came_back_comes_no_second_time, setup),
        cmocka_unit_test_setup(each_is_found_by_its_beginning, setup),
        cmocka_unit_test_setup(the_oldest_late_one_makes_room, setup),
        cmocka_unit_test_setup(one_that_has_expired_makes_room_first, setup),
        cmocka_unit_test_setup(no_room_beside_those_that_run, setup),
        cmocka_unit_test_setup(the_way_of_each_counts, setup),
        cmocka_unit_test_setup(all_are_forgotten_with_the_session, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
