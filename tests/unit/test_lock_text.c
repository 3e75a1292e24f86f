#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "platform/lock_text.h"

static void what_is_written_is_known_again(void **state)
{
    char text[LOCK_TEXT_CAP_BYTES];
    (void)state;
    size_t len = lock_text_make(4294967295UL, text);
    assert_string_equal(text, "4294967295 holdfast\n");
    assert_int_equal(len, strlen(text));
    assert_int_equal(lock_text_look(text, len), LOCK_TEXT_OURS);
    assert_true(lock_text_holder(text) == 4294967295UL);
}

static void others_are_told_apart(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        enum lock_text kind;
        unsigned long holder;
    } rows[] = {
        {"", 0, LOCK_TEXT_BARE, 0},
        {"123\n", 4, LOCK_TEXT_BARE, 123},
        {"\0\0\0", 3, LOCK_TEXT_BARE, 0},
        {" holdfast\n", 10, LOCK_TEXT_OTHERS, 0},
        {"12 holdfast", 11, LOCK_TEXT_OTHERS, 12},
        {"12 holdfast\nmore", 16, LOCK_TEXT_OTHERS, 12},
        {"-7\n", 3, LOCK_TEXT_OTHERS, 0},
        {"\0hosts:", 7, LOCK_TEXT_OTHERS, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(lock_text_look(rows[i].text, rows[i].len), rows[i].kind);
        assert_true(lock_text_holder(rows[i].text) == rows[i].holder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_known_again),
        cmocka_unit_test(others_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
