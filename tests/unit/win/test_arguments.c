/* Command lines of Windows, cut as the C runtime's documentation has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platform/win/arguments.h"

static void words_are_cut(void **state)
{
    static const struct {
        const wchar_t *line;
        const char *words[5];
    } rows[] = {
        {L"holdfast", {"holdfast"}},
        {L"holdfast ", {"holdfast"}},
        {L"", {""}},
        {L"\"C:\\Program Files\\h.exe\" run -c \"D:\\a b\"", {"C:\\Program Files\\h.exe", "run", "-c", "D:\\a b"}},
        {L"C:\\h.exe\ta  b", {"C:\\h.exe", "a", "b"}},
        {L"h \"abc\" d e", {"h", "abc", "d", "e"}},
        {L"h a\\\\b d\"e f\"g i", {"h", "a\\\\b", "de fg", "i"}},
        {L"h a\\\\\\\"b c", {"h", "a\\\"b", "c"}},
        {L"h a\\\\\\\\\"b c\" d", {"h", "a\\\\b c", "d"}},
        {L"h \"a\"\"b\" c", {"h", "a\"b", "c"}},
        {L"h \"\" x", {"h", "", "x"}},
        {L"h D:\\ x", {"h", "D:\\", "x"}},
        {L"h \"open", {"h", "open"}},
        {L"h -c \u9375\\\u8a2d\u5b9a.yaml", {"h", "-c", "\xe9\x8d\xb5\\\xe8\xa8\xad\xe5\xae\x9a.yaml"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int count = 0;
        char **words = win_arguments(rows[i].line, &count);
        assert_non_null(words);
        for (int at = 0; at < count; at++) {
            assert_non_null(rows[i].words[at]);
            assert_string_equal(words[at], rows[i].words[at]);
            free(words[at]);
        }
        assert_null(rows[i].words[count]);
        assert_null(words[count]);
        free((void *)words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
