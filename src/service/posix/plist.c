#include "service/posix/plist.h"

#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "service/posix/text.h"

static void add_string(struct text_buffer *text, const char *indent, const char *word)
{
    text_buffer_format(text, "%s<string>", indent);
    for (; *word != 0; word++) {
        switch (*word) {
        case '&': text_buffer_add(text, "&amp;"); break;
        case '<': text_buffer_add(text, "&lt;"); break;
        case '>': text_buffer_add(text, "&gt;"); break;
        default: text_buffer_add_bytes(text, word, 1);
        }
    }
    text_buffer_add(text, "</string>\n");
}

static void add_key(struct text_buffer *text, const char *key, const char *value)
{
    text_buffer_format(text, "\t<key>%s</key>\n", key);
    add_string(text, "\t", value);
}

enum err plist_text(const struct service_plan *plan, const char *program, const char *log, const char *errors,
                    bool is_persons, char **out, struct err_info *info)
{
    struct text_buffer text = {.text = NULL};
    bool is_bad = text_has_control(program) || text_has_control(log);
    *out = NULL;
    text_buffer_add(&text, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                           "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
                           "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n" PLIST_MARK "\n"
                           "<plist version=\"1.0\">\n<dict>\n");
    add_key(&text, "Label", plan->name);
    text_buffer_add(&text, "\t<key>ProgramArguments</key>\n\t<array>\n");
    add_string(&text, "\t\t", program);
    add_string(&text, "\t\t", "run");
    /* Nobody takes from StandardErrorPath what grows there, so no line for each time that a tunnel comes up. */
    add_string(&text, "\t\t", "-q");
    add_string(&text, "\t\t", "--log-level");
    add_string(&text, "\t\t", "info");
    for (size_t i = 0; i < plan->definition_count; i++) {
        is_bad = is_bad || text_has_control(plan->definitions[i]);
        add_string(&text, "\t\t", "-c");
        add_string(&text, "\t\t", plan->definitions[i]);
    }
    if (!plan->has_log_file) {
        add_string(&text, "\t\t", "-E");
        add_string(&text, "\t\t", log);
        add_string(&text, "\t\t", "--log-max-size");
        add_string(&text, "\t\t", "10MiB");
    }
    text_buffer_add(&text, "\t</array>\n");
    if (!is_persons)
        add_key(&text, "UserName", plan->account);
    text_buffer_add(&text, "\t<key>RunAtLoad</key>\n\t<true/>\n"
                           "\t<key>KeepAlive</key>\n\t<dict>\n\t\t<key>SuccessfulExit</key>\n\t\t<false/>\n\t</dict>\n"
                           "\t<key>ThrottleInterval</key>\n\t<integer>10</integer>\n"
                           "\t<key>ExitTimeOut</key>\n\t<integer>20</integer>\n");
    add_key(&text, "StandardErrorPath", errors);
    text_buffer_add(&text, "</dict>\n</plist>\n");
    char *whole = text_buffer_take(&text);
    if (is_bad) {
        free(whole);
        return err_set(info, ERR_USAGE, "a path with control characters cannot be given to launchd");
    }
    *out = whole;
    return whole != NULL ? OK : err_set(info, ERR_MEMORY, "out of memory");
}
