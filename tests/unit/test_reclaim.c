/* Who served us at the peer: the script that asks, what it answers, and the file in which it is remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include <cmocka.h>

#include "tunnel/reclaim_record.h"
#include "tunnel/reclaim_reply.h"
#include "tunnel/reclaim_script.h"

/* ---- the script ---- */

/* It passes through any login shell and through authorized_keys. */
static void the_script_survives_every_quoting(void **state)
{
    char command[RECLAIM_COMMAND_CAP_BYTES];
    const char *forced = reclaim_script_forced();
    (void)state;
    assert_int_equal(strcspn(forced, "!\\\n\r\t"), strlen(forced));
    const char *first = strchr(forced, '\'');
    const char *last = strrchr(forced, '\'');
    assert_non_null(first);
    assert_ptr_equal(strchr(first + 1, '\''), last);
    assert_string_equal(last, "' holdfast-reclaim");
    assert_ptr_equal(reclaim_script_command("1 report 14444", command, sizeof command), command);
    assert_memory_equal(command, forced, strlen(forced));
    assert_string_equal(command + strlen(forced), " 1 report 14444");
    assert_null(reclaim_script_command("1 report 14444", command, strlen(forced)));
}

/* ---- the answer ---- */

#define BOOT "6a70f940-527f-4e73-8691-521f1ffed273"

static bool parse(const char *text, struct reclaim_reply *out)
{
    return reclaim_reply_parse(text, strlen(text), out);
}

static void a_whole_answer(void **state)
{
    struct reclaim_reply reply;
    (void)state;
    assert_true(parse("Welcome to the peer\nholdfast-reclaim\n\nholdfast-reclaim 1\r\nboot " BOOT "\r\n"
                      "user 1000\nserving 4711 1509648 1000\nend 12 gone\nend 13 other_user\nlater word\n"
                      "port 14444 taken 33\nport 80 free -\nport 81 unknown -\ndone\nboot other\n",
                      &reply));
    assert_string_equal(reply.boot, BOOT);
    assert_true(reply.has_user && reply.user == 1000);
    assert_true(reply.has_serving && reply.serving_is_ours && reply.serving.pid == 4711);
    assert_string_equal(reply.serving.start, "1509648");
    assert_int_equal(reply.end_count, 2);
    assert_true(reply.ends[1].pid == 13 && strcmp(reply.ends[1].word, "other_user") == 0);
    assert_int_equal(reply.port_count, 3);
    assert_true(reply.ports[0].port == 14444 && reply.ports[0].state == RECLAIM_PORT_TAKEN);
    assert_true(reply.ports[0].has_user && reply.ports[0].user == 33);
    assert_true(reply.ports[1].state == RECLAIM_PORT_FREE && !reply.ports[1].has_user);
    assert_int_equal(reply.ports[2].state, RECLAIM_PORT_UNKNOWN);
}

static void what_is_no_answer(void **state)
{
    static const char *const texts[] = {
        "",
        "\n\n\n",
        "done\n",
        "This account is currently not available.\n",
        "holdfast-reclaim 2\nboot a\ndone\n",
        "holdfast-reclaim 1\nboot " BOOT "\nserving 4711 1 1000\n", /* cut */
    };
    struct reclaim_reply reply;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_false(parse(texts[i], &reply));
}

/* A process that is not named beyond doubt is none. */
static void doubtful_processes_are_none(void **state)
{
    static const char *const lines[] = {
        "serving 0 1 1000",   "serving 1 1 1000",          "serving -4 1 1000",    "serving 047 1 1000",
        "serving 4711",       "serving 4711 $(reboot) 0",  "serving 4711 a;b 0",   "serving 99999999999 1 0",
        "serving 47x 1 1000", "serving 4294967297 1 1000", "serving  \x01 1 1000",
    };
    struct reclaim_reply reply;
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char text[200];
        (void)snprintf(text, sizeof text, "holdfast-reclaim 1\nuser 1000\n%s\ndone\n", lines[i]);
        assert_true(parse(text, &reply));
        assert_false(reply.has_serving);
    }
    assert_true(parse("holdfast-reclaim 1\nuser 1000\nserving 5 1 0\ndone\n", &reply));
    assert_true(reply.has_serving && !reply.serving_is_ours);
    assert_true(parse("holdfast-reclaim 1\nserving 5 1 0\ndone\n", &reply));
    assert_false(reply.serving_is_ours);
    assert_true(parse("holdfast-reclaim 1\nuser 0\nserving 5 1 -\ndone\n", &reply));
    assert_false(reply.serving_is_ours);
}

static void an_answer_without_end_is_bounded(void **state)
{
    struct reclaim_reply reply;
    size_t cap = 60000;
    char *text = calloc(1, cap);
    (void)state;
    assert_non_null(text);
    size_t len = (size_t)snprintf(text, cap, "holdfast-reclaim 1\nboot %0300d\n", 7);
    for (unsigned i = 0; i < 1000; i++)
        len += (size_t)snprintf(text + len, cap - len, "port %u taken 1\nend %u gone\n", i, i + 2);
    (void)snprintf(text + len, cap - len, "done");
    assert_true(parse(text, &reply));
    assert_string_equal(reply.boot, "");
    assert_int_equal(reply.port_count, RECLAIM_PORTS_MAX);
    assert_int_equal(reply.end_count, RECLAIM_PROCESSES_MAX);
    free(text);
}

/* ---- the record ---- */

static struct reclaim_entry entry_of(uint32_t pid, const char *start)
{
    struct reclaim_entry entry = {
        .process = {.pid = pid}, .boot = BOOT, .user = 1000, .since = "2026-11-25T04:20:58.088Z"};
    (void)snprintf(entry.process.start, sizeof entry.process.start, "%s", start);
    return entry;
}

static struct reclaim_record record_of(size_t entries)
{
    struct reclaim_record record;
    reclaim_record_init(&record, "xp mode", "me@macbook:22");
    for (size_t i = 0; i < entries; i++) {
        struct reclaim_entry entry = entry_of((uint32_t)(100 + i), "Wed-Nov-25-04:06:20-2026");
        assert_true(reclaim_record_add(&record, &entry));
    }
    return record;
}

static void the_newest_are_kept(void **state)
{
    struct reclaim_record record = record_of(RECLAIM_PROCESSES_MAX + 3);
    struct reclaim_entry again = entry_of(105, "Wed-Nov-25-04:06:20-2026");
    struct reclaim_entry other = entry_of(105, "Wed-Nov-25-04:06:21-2026");
    (void)state;
    assert_int_equal(record.entry_count, RECLAIM_PROCESSES_MAX);
    assert_int_equal(record.entries[0].process.pid, 110);
    assert_int_equal(record.entries[RECLAIM_PROCESSES_MAX - 1].process.pid, 103);
    assert_false(reclaim_record_add(&record, &again));
    assert_true(reclaim_record_add(&record, &other));
    assert_true(reclaim_record_drop(&record, &again.process));
    assert_false(reclaim_record_drop(&record, &again.process));
    assert_int_equal(record.entry_count, RECLAIM_PROCESSES_MAX - 1);
}

static void the_text_comes_back_as_it_was(void **state)
{
    char text[RECLAIM_RECORD_CAP_BYTES];
    struct reclaim_record record = record_of(RECLAIM_PROCESSES_MAX);
    struct reclaim_record back;
    (void)state;
    for (unsigned port = 1; port <= RECLAIM_PORTS_MAX + 5; port++)
        assert_true(reclaim_record_add_port(&record, (uint16_t)(port * 500)));
    assert_false(reclaim_record_add_port(&record, 500 * RECLAIM_PORTS_MAX));
    assert_false(reclaim_record_has_port(&record, 500));
    size_t len = reclaim_record_text(&record, text, sizeof text);
    assert_true(len > 0);
    reclaim_record_init(&back, "xp mode", "me@macbook:22");
    assert_true(reclaim_record_parse(&back, text, len));
    assert_memory_equal(&back, &record, sizeof back);
    assert_int_equal(reclaim_record_text(&record, text, 200), 0);
    reclaim_record_init(&record, "two\nlines", "h");
    assert_int_equal(reclaim_record_text(&record, text, sizeof text), 0);
}

#define HEAD "holdfast-record 1\ntunnel xp mode\nhost me@macbook:22\n"
#define SINCE " 2026-11-25T04:20:58.088Z\n"

static void what_is_no_record(void **state)
{
    static const char *const texts[] = {
        "",
        "\n",
        "holdfast-record 1\n",
        "holdfast-record 2\ntunnel xp mode\nhost me@macbook:22\n",
        "holdfast-record 1\ntunnel other\nhost me@macbook:22\n",
        "holdfast-record 1\ntunnel xp mode\nhost me@macbook:2222\n",
        HEAD "port 0\n",
        HEAD "port 65536\n",
        HEAD "port 80", /* cut */
        HEAD "something else\n",
        HEAD "process 1 2 " BOOT " 1000" SINCE,
        HEAD "process 4711 2 " BOOT " 1000\n",
        HEAD "process 4711 $(id) " BOOT " 1000" SINCE,
        HEAD "process 4711 2 a`b 1000" SINCE,
        HEAD "process 4711 2 " BOOT " -1" SINCE,
        HEAD "port 80\nprocess 4711 2 " BOOT " 1000 x;y\n",
    };
    struct reclaim_record record;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        reclaim_record_init(&record, "xp mode", "me@macbook:22");
        assert_false(reclaim_record_parse(&record, texts[i], strlen(texts[i])));
        assert_int_equal(record.entry_count + record.port_count, 0);
    }
    reclaim_record_init(&record, "xp mode", "me@macbook:22");
    static const char good[] = HEAD "port 80\nprocess 4711 2 " BOOT " 1000" SINCE;
    assert_true(reclaim_record_parse(&record, good, sizeof good - 1));
    assert_int_equal(record.entry_count + record.port_count, 2);
}

static void the_file_is_replaced_whole(void **state)
{
    char folder[200];
    char path[300];
    char left[320];
    size_t size = sizeof folder;
    struct err_info why;
    struct reclaim_record record = record_of(2);
    struct reclaim_record back;
    uv_fs_t request;
    (void)state;
    assert_int_equal(uv_os_tmpdir(folder, &size), 0);
    (void)snprintf(path, sizeof path, "%s/holdfast-record-%d", folder, (int)uv_os_getpid());
    (void)snprintf(left, sizeof left, "%s.new", path);
    reclaim_record_init(&back, "xp mode", "me@macbook:22");
    assert_int_equal(reclaim_record_load(&back, path, &why), OK); /* there is none yet */
    assert_int_equal(back.entry_count, 0);
    FILE *file = fopen(left, "wb"); /* of a process that was killed while it wrote */
    assert_non_null(file);
    (void)fclose(file);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(reclaim_record_save(&record, path, &why), OK);
        assert_int_equal(uv_fs_access(NULL, &request, left, 0, NULL), UV_ENOENT);
        uv_fs_req_cleanup(&request);
    }
#ifndef _WIN32
    assert_int_equal(uv_fs_stat(NULL, &request, path, NULL), 0);
    assert_int_equal(request.statbuf.st_mode & 0777, 0600);
    uv_fs_req_cleanup(&request);
#endif
    assert_int_equal(reclaim_record_load(&back, path, &why), OK);
    assert_memory_equal(&back, &record, sizeof back);
    reclaim_record_init(&back, "xp mode", "me@elsewhere:22");
    assert_int_equal(reclaim_record_load(&back, path, &why), ERR_DEFINITION);
    assert_int_equal(back.entry_count, 0);
    assert_int_equal(reclaim_record_save(&record, "/nowhere/at/all", &why), ERR_IO);
    (void)remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_script_survives_every_quoting),
        cmocka_unit_test(a_whole_answer),
        cmocka_unit_test(what_is_no_answer),
        cmocka_unit_test(doubtful_processes_are_none),
        cmocka_unit_test(an_answer_without_end_is_bounded),
        cmocka_unit_test(the_newest_are_kept),
        cmocka_unit_test(the_text_comes_back_as_it_was),
        cmocka_unit_test(what_is_no_record),
        cmocka_unit_test(the_file_is_replaced_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
