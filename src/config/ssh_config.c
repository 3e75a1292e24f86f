#include "config/ssh_config.h"

#include <stdlib.h>
#include <string.h>

#include "config/files.h"
#include "config/text.h"
#include "platform/platform.h"

#define SHOWN_BYTES 80
#define FILE_MAX_BYTES ((size_t)1024 * 1024)
#define INCLUDE_MAX_DEPTH 16

struct reader {
    struct ssh_options *options;
    const char *name;
    const char *dir;
    unsigned line;
    unsigned depth;
    bool active;  /* the lines apply to our host */
    bool allowed; /* false inside an Include of a block that does not apply: nothing in it can */
    bool *placed; /* the message names file and line already; shared with included files */
};

/* --- lines --- */

static bool is_blank(char letter)
{
    return letter == ' ' || letter == '\t' || letter == '\f' || letter == '\r' || letter == '\n';
}

/* One value, quoted or not, with \" \' \\ and "\ " escaped; moves *at behind it. */
static enum err read_value(const char **at, char **out, struct err_info *info)
{
    const char *p = *at;
    char quote = '\0';
    size_t used = 0;
    char *value = malloc(strlen(p) + 1);
    if (value == NULL) {
        return err_set(info, ERR_MEMORY, "out of memory");
    }
    for (; *p != '\0' && (quote != '\0' || !is_blank(*p)); p++) {
        if (*p == '\\' && (p[1] == '"' || p[1] == '\'' || p[1] == '\\' || (quote == '\0' && p[1] == ' '))) {
            value[used++] = *++p;
        } else if (quote == '\0' && (*p == '"' || *p == '\'')) {
            quote = *p;
        } else if (quote != '\0' && *p == quote) {
            quote = '\0';
        } else {
            value[used++] = *p;
        }
    }
    value[used] = '\0';
    if (quote != '\0') {
        free(value);
        return err_set(info, ERR_USAGE, "a quotation mark is not closed");
    }
    *at = p;
    *out = value;
    return OK;
}

enum err ssh_line_split(const char *line, char **word, struct string_list *values, struct err_info *info)
{
    const char *at = line;
    *word = NULL;
    memset(values, 0, sizeof *values);
    while (is_blank(*at)) {
        at++;
    }
    if (*at == '\0' || *at == '#') {
        return OK;
    }
    size_t len = strcspn(at, " \t\f\r\n=\"");
    if (len == 0) {
        return err_set(info, ERR_USAGE, "a word of ssh_config is missing");
    }
    *word = text_dup(at, len);
    if (*word == NULL) {
        return err_set(info, ERR_MEMORY, "out of memory");
    }
    at += len;
    while (is_blank(*at)) {
        at++;
    }
    if (*at == '=') {
        at++;
    }
    for (;;) {
        char *value = NULL;
        while (is_blank(*at)) {
            at++;
        }
        if (*at == '\0' || *at == '#') {
            return OK;
        }
        enum err result = read_value(&at, &value, info);
        if (result == OK && string_list_add(values, value) != OK) {
            result = err_set(info, ERR_MEMORY, "out of memory");
        }
        free(value);
        if (result != OK) {
            free(*word);
            *word = NULL;
            string_list_deinit(values);
            return result;
        }
    }
}

/* --- blocks --- */

static enum err warn(struct reader *reader, const char *what, struct err_info *info)
{
    char shown[SHOWN_BYTES];
    char *text = text_format("%s:%u: Match %s: not in this version; the block is skipped", reader->name, reader->line,
                             text_shown(what, shown, sizeof shown));
    enum err result = text == NULL ? ERR_MEMORY : string_list_add(&reader->options->warnings, text);
    free(text);
    return result == OK ? OK : err_set(info, ERR_MEMORY, "out of memory");
}

static bool host_block_applies(const struct string_list *patterns, const char *host)
{
    bool matched = false;
    for (size_t i = 0; i < patterns->count; i++) {
        const char *pattern = patterns->items[i];
        if (pattern[0] == '!') {
            if (text_match(pattern + 1, host, true)) {
                return false;
            }
        } else {
            matched = matched || text_match(pattern, host, true);
        }
    }
    return matched;
}

/* The name or address we would connect to as things stand. NULL when out of memory. */
static char *current_host(const struct ssh_options *options)
{
    const struct string_list *names = &options->settings.host.hostnames;
    char *name = NULL;
    if (names->count == 0) {
        return strdup(options->host);
    }
    /* %h in a HostName is what was typed. */
    const struct ssh_options typed = {.host = options->host};
    if (ssh_expand(&typed, names->items[0], false, &name, NULL) != OK) {
        return strdup(options->host);
    }
    return name;
}

/* What a criterion of Match compares with; *known false for one we do not have. NULL when out of memory. */
static char *match_subject(const struct ssh_options *options, const char *criterion, bool *known)
{
    *known = true;
    if (text_equal_nocase(criterion, "host")) {
        return current_host(options);
    }
    if (text_equal_nocase(criterion, "originalhost")) {
        return strdup(options->host);
    }
    if (text_equal_nocase(criterion, "user")) {
        return options->settings.host.user != NULL ? strdup(options->settings.host.user) : platform_user_name();
    }
    if (text_equal_nocase(criterion, "localuser")) {
        return platform_user_name();
    }
    *known = false;
    return NULL;
}

/* Each criterion is a word and its patterns ("host a,b" or "host=a,b"), with ! before the word to turn it round. */
static enum err read_match(struct reader *reader, const struct string_list *values, struct err_info *info)
{
    bool matches = true;
    size_t i = 0;
    if (values->count == 1 && text_equal_nocase(values->items[0], "all")) {
        reader->active = reader->allowed;
        return OK;
    }
    while (i < values->count) {
        char word[64];
        bool known = false;
        const char *criterion = values->items[i++];
        bool negated = criterion[0] == '!';
        const char *equals = strchr(criterion, '=');
        size_t len = equals == NULL ? strlen(criterion) : (size_t)(equals - criterion);
        len = len < sizeof word ? len : sizeof word - 1;
        memcpy(word, criterion, len);
        word[len] = '\0';
        char *subject = match_subject(reader->options, word + negated, &known);
        if (!known) {
            reader->active = false;
            return warn(reader, word, info);
        }
        const char *patterns = equals != NULL ? equals + 1 : i < values->count ? values->items[i++] : NULL;
        if (patterns == NULL) {
            free(subject);
            return err_set(info, ERR_USAGE, "Match %s: a pattern is missing", word + negated);
        }
        matches = matches && subject != NULL && text_match_list(patterns, ",", subject) != negated;
        free(subject);
    }
    reader->active = reader->allowed && matches;
    return OK;
}

static enum err parse_text(struct reader *reader, const char *text, size_t len, struct err_info *info);

static enum err include_file(const struct reader *parent, const char *path, struct err_info *info)
{
    char *text = NULL;
    size_t len = 0;
    struct reader reader = *parent;
    reader.name = path;
    reader.line = 0;
    reader.depth = parent->depth + 1;
    reader.allowed = parent->active;
    if (file_read(path, FILE_MAX_BYTES, &text, &len, info) != OK) {
        return info->code == ERR_MEMORY ? ERR_MEMORY : OK; /* as ssh: what cannot be read is passed over */
    }
    enum err result = parse_text(&reader, text, len, info);
    free(text);
    return result;
}

static enum err read_include(struct reader *reader, const struct string_list *values, struct err_info *info)
{
    enum err result = OK;
    if (reader->depth >= INCLUDE_MAX_DEPTH) {
        return err_set(info, ERR_USAGE, "Include: more than %d levels deep", INCLUDE_MAX_DEPTH);
    }
    if (values->count == 0) {
        return err_set(info, ERR_USAGE, "Include: a value is missing");
    }
    for (size_t i = 0; result == OK && reader->dir != NULL && i < values->count; i++) {
        struct string_list files = {NULL, 0};
        char *pattern = platform_path_resolve(reader->dir, values->items[i]);
        result = pattern == NULL ? err_set(info, ERR_MEMORY, "out of memory") : file_glob(pattern, &files, info);
        for (size_t j = 0; result == OK && j < files.count; j++) {
            result = include_file(reader, files.items[j], info);
        }
        string_list_deinit(&files);
        free(pattern);
    }
    return result;
}

static enum err take_line(struct reader *reader, const char *word, const struct string_list *values,
                          struct err_info *info)
{
    if (text_equal_nocase(word, "Host")) {
        if (values->count == 0) {
            return err_set(info, ERR_USAGE, "Host: a pattern is missing");
        }
        reader->active = reader->allowed && host_block_applies(values, reader->options->host);
        return OK;
    }
    if (text_equal_nocase(word, "Match")) {
        if (values->count == 0) {
            return err_set(info, ERR_USAGE, "Match: a criterion is missing");
        }
        return read_match(reader, values, info);
    }
    if (text_equal_nocase(word, "Include")) {
        return read_include(reader, values, info);
    }
    if (!reader->active && ssh_word_is_known(word) && !text_equal_nocase(word, "IgnoreUnknown")) {
        return OK;
    }
    return ssh_options_set_from_file(reader->options, word, values, info);
}

static enum err parse_text(struct reader *reader, const char *text, size_t len, struct err_info *info)
{
    enum err result = OK;
    size_t at = 0;
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        at = 3;
    }
    while (result == OK && at < len) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line_len = end == NULL ? len - at : (size_t)(end - (text + at));
        struct string_list values = {NULL, 0};
        char *word = NULL;
        char *line = text_dup(text + at, line_len);
        at += line_len + 1;
        reader->line++;
        if (line == NULL) {
            return err_set(info, ERR_MEMORY, "out of memory");
        }
        if (strlen(line) != line_len) {
            result = err_set(info, ERR_USAGE, "a NUL byte");
        } else {
            result = ssh_line_split(line, &word, &values, info);
        }
        if (result == OK && word != NULL) {
            result = take_line(reader, word, &values, info);
        }
        if (result != OK && result != ERR_MEMORY && !*reader->placed) {
            struct err_info inner = *info;
            *reader->placed = true;
            (void)err_set(info, result, "%s:%u: %.350s", reader->name, reader->line, inner.message);
        }
        free(line);
        free(word);
        string_list_deinit(&values);
    }
    return result;
}

enum err ssh_config_parse(struct ssh_options *options, const char *text, size_t len, const char *name, const char *dir,
                          struct err_info *info)
{
    struct err_info own;
    bool placed = false;
    struct reader reader = {
        .options = options, .name = name, .dir = dir, .active = true, .allowed = true, .placed = &placed};
    return parse_text(&reader, text, len, info == NULL ? &own : info);
}

enum err ssh_config_read(struct ssh_options *options, const char *path, const char *dir, bool must_exist,
                         struct err_info *info)
{
    char *text = NULL;
    size_t len = 0;
    enum err result = file_read(path, FILE_MAX_BYTES, &text, &len, info);
    if (result != OK) {
        if (result == ERR_MEMORY || !must_exist) {
            return result == ERR_MEMORY ? result : OK;
        }
        struct err_info inner = *info;
        return err_set(info, ERR_USAGE, "-F %.200s: %.200s", path, inner.message);
    }
    result = ssh_config_parse(options, text, len, path, dir, info);
    free(text);
    return result;
}

/* `dir`/`name`, if there is one. `dir` may be NULL. */
static enum err read_in_dir(struct ssh_options *options, const char *dir, const char *name, struct err_info *info)
{
    char *path = dir != NULL ? text_format("%s/%s", dir, name) : NULL;
    enum err result = OK;
    if (path != NULL) {
        result = ssh_config_read(options, path, dir, false, info);
    } else if (dir != NULL) {
        result = err_set(info, ERR_MEMORY, "out of memory");
    }
    free(path);
    return result;
}

enum err ssh_config_read_default(struct ssh_options *options, const char *file, struct err_info *info)
{
    struct err_info own;
    char *ssh_dir = platform_ssh_dir();
    char *system_dir = platform_system_ssh_dir();
    enum err result = OK;
    info = info == NULL ? &own : info;
    if (file != NULL) {
        if (!text_equal_nocase(file, "none")) {
            result = ssh_config_read(options, file, ssh_dir, true, info);
        }
        goto out;
    }
    result = read_in_dir(options, ssh_dir, "config", info);
    if (result == OK) {
        result = read_in_dir(options, system_dir, "ssh_config", info);
    }
out:
    free(system_dir);
    free(ssh_dir);
    return result;
}
