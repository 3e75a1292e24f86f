#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "platform/screen.h"

static enum screen_key last_key(const char *bytes)
{
    struct screen_keys keys = {.len = 0};
    enum screen_key key = SCREEN_KEY_NONE;
    for (size_t i = 0; i < strlen(bytes); i++)
        key = screen_keys_take(&keys, (unsigned char)bytes[i]);
    return key;
}

static void keys_come_as_sequences(void **state)
{
    static const struct {
        const char *bytes;
        enum screen_key key;
    } cases[] = {
        {"q", SCREEN_KEY_QUIT},          {"\x03", SCREEN_KEY_QUIT},
        {"\x1b[A", SCREEN_KEY_UP},       {"\x1bOB", SCREEN_KEY_DOWN},
        {"\x1b[5~", SCREEN_KEY_PAGE_UP}, {"\x1b[6~", SCREEN_KEY_PAGE_DOWN},
        {"\x1b[H", SCREEN_KEY_HOME},     {"\x1b[4~", SCREEN_KEY_END},
        {"\x1b[1;5A", SCREEN_KEY_NONE},  {"\x1b[1;5Aq", SCREEN_KEY_QUIT},
        {"\x1bq", SCREEN_KEY_QUIT},      {"\x1b\x1b[B", SCREEN_KEY_DOWN},
        {"x", SCREEN_KEY_NONE},          {"\x1b[1\x03", SCREEN_KEY_QUIT},
        {"[A", SCREEN_KEY_NONE},         {"\x1b[11111111111111111111~j", SCREEN_KEY_DOWN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(last_key(cases[i].bytes), cases[i].key);
}

static uint32_t cell(const struct screen_frame *frame, unsigned row, unsigned column)
{
    return frame->cells[(size_t)row * frame->width + column].code_point;
}

static void text_stays_in_its_place(void **state)
{
    struct screen_frame frame;
    const struct screen_style style = {.colour = SCREEN_RED, .reverse = true};
    (void)state;
    assert_true(screen_frame_init(&frame, 6, 2));
    assert_int_equal(screen_text(&frame, 0, 1, 3, "abcdef", style), 3);
    assert_int_equal(cell(&frame, 0, 0), 0);
    assert_int_equal(cell(&frame, 0, 2), 'b');
    assert_int_equal(cell(&frame, 0, 3), '~');
    assert_int_equal(cell(&frame, 0, 4), 0);
    assert_int_equal(frame.cells[1].colour, SCREEN_RED);
    assert_true(frame.cells[1].reverse);
    assert_int_equal(screen_text(&frame, 0, 4, 100, "abc", style), 2);
    assert_int_equal(cell(&frame, 1, 0), 0);
    assert_int_equal(screen_text(&frame, 2, 0, 6, "abc", style), 0);
    assert_int_equal(screen_text(&frame, 0, 6, 6, "abc", style), 0);
    assert_int_equal(screen_text(&frame, 1, 0, 3, "abc", style), 3);
    assert_int_equal(cell(&frame, 1, 2), 'c');
    screen_frame_deinit(&frame);
}

/* Escape, C1's CSI, a bad byte, a wide character, a combining one, one of no width, and plain ones. */
static void only_what_takes_one_column_is_shown(void **state)
{
    static const char text[] = "\x1b\xc2\x9b\xff\xe6\xbc\xa2\xcc\x81\xe2\x80\x8b\xc3\xa9\xd0\x96";
    static const uint32_t shown[] = {'?', '?', '?', '?', '?', '?', 0xe9, 0x416};
    struct screen_frame frame;
    (void)state;
    assert_true(screen_frame_init(&frame, 20, 1));
    assert_int_equal(screen_text(&frame, 0, 0, 20, text, (struct screen_style){.bold = true}), 8);
    assert_int_equal(screen_text_columns(text), 8);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(cell(&frame, 0, i), shown[i]);
    screen_frame_deinit(&frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_come_as_sequences),
        cmocka_unit_test(text_stays_in_its_place),
        cmocka_unit_test(only_what_takes_one_column_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
