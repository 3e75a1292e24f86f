/* Entries of the journal byte for byte, and the log at a socket that plays the journal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/posix/journal.h"

static void entries(void **state)
{
    static const char plain[] = "PRIORITY=6\nSYSLOG_IDENTIFIER=holdfast\nHOLDFAST_TUNNEL=xp-mode\nMESSAGE=up: a=b\n";
    static const char lines[] = "PRIORITY=3\nSYSLOG_IDENTIFIER=holdfast\nMESSAGE\n\3\0\0\0\0\0\0\0a\nb\n";
    char entry[256];
    (void)state;
    size_t len = journal_encode(LOG_LEVEL_INFO, "xp-mode", "up: a=b", entry, sizeof entry);
    assert_int_equal(len, sizeof plain - 1);
    assert_memory_equal(entry, plain, len);
    len = journal_encode(LOG_LEVEL_ERROR, NULL, "a\nb", entry, sizeof entry);
    assert_int_equal(len, sizeof lines - 1);
    assert_memory_equal(entry, lines, len);
    for (size_t cap = 0; cap < sizeof lines - 1; cap++)
        assert_int_equal(journal_encode(LOG_LEVEL_ERROR, NULL, "a\nb", entry, cap), 0);
    assert_int_equal(journal_encode(LOG_LEVEL_ERROR, NULL, "a\nb", entry, sizeof lines - 1), sizeof lines - 1);
}

static void which_stream(void **state)
{
    char text[64];
    struct stat status;
    int ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fstat(ends[1], &status), 0);
    (void)snprintf(text, sizeof text, "%llu:%llu", (unsigned long long)status.st_dev,
                   (unsigned long long)status.st_ino);
    assert_true(journal_is_stream(text, ends[1]));
    (void)strcat(text, "0");
    assert_false(journal_is_stream(text, ends[1]));
    assert_false(journal_is_stream("8:", ends[1]));
    assert_false(journal_is_stream("", ends[1]));
    assert_false(journal_is_stream(NULL, ends[1]));
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* Standard error goes to `path` until it is put back with the descriptor that this returns. */
static int divert_stderr(const char *path)
{
    int kept = dup(STDERR_FILENO);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    (void)fclose(file);
    return kept;
}

static void the_log_goes_there(void **state)
{
    char folder[] = "/tmp/holdfast-journal-XXXXXX";
    char said[64];
    char got[512];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
    (void)snprintf(said, sizeof said, "%s/stderr", folder);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(log_open(NULL, LOG_LEVEL_INFO, LOG_FORMAT_TEXT), 0);
    assert_true(journal_open(address.sun_path));
    log_warning("nas", "waiting: \x1b[1m%s", "refused\n");
    ssize_t len = recv(fd, got, sizeof got - 1, MSG_DONTWAIT);
    assert_true(len > 0);
    got[len] = 0;
    assert_string_equal(got, "PRIORITY=4\nSYSLOG_IDENTIFIER=holdfast\nHOLDFAST_TUNNEL=nas\n"
                             "MESSAGE=nas: waiting: \\x1b[1mrefused\\n\n");
    (void)close(fd);
    (void)unlink(address.sun_path);
    int kept = divert_stderr(said);
    log_error(NULL, "nobody listens");
    journal_close();
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    (void)close(kept);
    FILE *file = fopen(said, "rb");
    assert_non_null(file);
    len = (ssize_t)fread(got, 1, sizeof got - 1, file);
    got[len] = 0;
    (void)fclose(file);
    assert_string_equal(got, "<3>holdfast: nobody listens\n");
    (void)unlink(said);
    (void)rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries),
        cmocka_unit_test(which_stream),
        cmocka_unit_test(the_log_goes_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
