#include "config/yaml_tree.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "config/text.h"

struct reader {
    yaml_parser_t parser;
    const char *text; /* the input, for looking at the byte at a mark */
    size_t len;
    struct yaml_node *open[YAML_TREE_MAX_DEPTH]; /* the collections that are not yet ended, outermost first */
    size_t depth;
    struct yaml_node *root;
    bool finished; /* the first document has ended */
    struct yaml_problem *problem;
};

const char *yaml_tree_library_version(void)
{
    return yaml_get_version_string();
}

bool yaml_node_is_null(const struct yaml_node *node)
{
    return node->kind == YAML_TREE_SCALAR && node->plain &&
           (node->text[0] == '\0' || strcmp(node->text, "~") == 0 || text_equal_nocase(node->text, "null"));
}

/* Depth is bounded by YAML_TREE_MAX_DEPTH. */
void yaml_tree_free(struct yaml_node *node)
{
    if (node == NULL) {
        return;
    }
    for (size_t i = 0; i < node->child_count; i++) {
        yaml_tree_free(node->children[i]);
    }
    free(node->children);
    free(node->text);
    free(node);
}

static unsigned from_zero(size_t position)
{
    return position >= UINT_MAX ? UINT_MAX : (unsigned)position + 1;
}

static enum err fail_at(struct reader *reader, yaml_mark_t mark, const char *sentence)
{
    reader->problem->line = from_zero(mark.line);
    reader->problem->column = from_zero(mark.column);
    return err_set(&reader->problem->info, ERR_DEFINITION, "%s", sentence);
}

static enum err fail_memory(struct reader *reader)
{
    return err_set(&reader->problem->info, ERR_MEMORY, "out of memory");
}

/* The length of the UTF-8 sequence at `at`, or 0 when there is none (RFC 3629). */
static size_t utf8_length(const unsigned char *at, size_t left)
{
    static const struct {
        unsigned char first_min, first_max, second_min, second_max;
        size_t len;
    } forms[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    if (at[0] < 0x80) {
        return 1;
    }
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (at[0] >= forms[i].first_min && at[0] <= forms[i].first_max) {
            if (left < forms[i].len || at[1] < forms[i].second_min || at[1] > forms[i].second_max) {
                return 0;
            }
            for (size_t j = 2; j < forms[i].len; j++) {
                if ((at[j] & 0xc0U) != 0x80U) {
                    return 0;
                }
            }
            return forms[i].len;
        }
    }
    return 0;
}

/* Text that libyaml would call unreadable without saying on which line. */
static enum err check_bytes(struct reader *reader)
{
    const unsigned char *text = (const unsigned char *)reader->text;
    yaml_mark_t mark = {.index = 0, .line = 0, .column = 0};
    for (size_t i = 0; i < reader->len;) {
        size_t len = utf8_length(text + i, reader->len - i);
        if (len == 0) {
            return fail_at(reader, mark, "this is not UTF-8; save the file as UTF-8");
        }
        if (text[i] == '\0') {
            return fail_at(reader, mark, "a NUL byte; definitions are text in UTF-8");
        }
        bool control = (text[i] < 0x20 && strchr("\t\n\r", text[i]) == NULL) || text[i] == 0x7f ||
                       (len == 2 && text[i] == 0xc2 && text[i + 1] < 0xa0 && text[i + 1] != 0x85);
        if (control) {
            return fail_at(reader, mark, "a control character; definitions are text in UTF-8");
        }
        mark.column++;
        if (text[i] == '\n' || (text[i] == '\r' && !(i + 1 < reader->len && text[i + 1] == '\n'))) {
            mark.line++;
            mark.column = 0;
        }
        i += len;
    }
    return OK;
}

/* libyaml's own complaint, with a mend where the cause is known. */
static enum err fail_syntax(struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    const char *problem = parser->problem == NULL ? "not YAML" : parser->problem;
    yaml_mark_t mark = parser->problem_mark;
    if (parser->error == YAML_MEMORY_ERROR) {
        return fail_memory(reader);
    }
    (void)fail_at(reader, mark, problem);
    /* The mark counts characters, so a tab is looked for by line. */
    const char *line = reader->text;
    for (size_t i = 0; i < mark.line && line != NULL; i++) {
        line = memchr(line, '\n', reader->len - (size_t)(line - reader->text));
        line = line == NULL ? NULL : line + 1;
    }
    if (line != NULL) {
        size_t left = reader->len - (size_t)(line - reader->text);
        size_t indent = 0;
        while (indent < left && line[indent] == ' ') {
            indent++;
        }
        if (indent < left && line[indent] == '\t') {
            reader->problem->column = from_zero(indent);
            return err_set(&reader->problem->info, ERR_DEFINITION, "a tab in the indentation; YAML takes spaces only");
        }
    }
    if (parser->context != NULL) {
        return err_set(&reader->problem->info, ERR_DEFINITION, "not YAML: %s (%s, line %u)", problem, parser->context,
                       from_zero(parser->context_mark.line));
    }
    return err_set(&reader->problem->info, ERR_DEFINITION, "not YAML: %s", problem);
}

/* The place in the tree where the next node goes, holding NULL. NULL when out of memory. */
static struct yaml_node **next_place(struct reader *reader)
{
    if (reader->depth == 0) {
        return &reader->root;
    }
    struct yaml_node *parent = reader->open[reader->depth - 1];
    /* Room grows at the powers of two. */
    if ((parent->child_count & (parent->child_count - 1)) == 0) {
        size_t room = parent->child_count == 0 ? 1 : parent->child_count * 2;
        struct yaml_node **children = realloc((void *)parent->children, room * sizeof(struct yaml_node *));
        if (children == NULL) {
            return NULL;
        }
        parent->children = children;
    }
    parent->children[parent->child_count] = NULL;
    return &parent->children[parent->child_count++];
}

/* What fails here leaves the tree incomplete; it is freed as a whole. */
static enum err add_node(struct reader *reader, const yaml_event_t *event, enum yaml_kind kind)
{
    const struct yaml_node *parent = reader->depth == 0 ? NULL : reader->open[reader->depth - 1];
    bool is_key = parent != NULL && parent->kind == YAML_TREE_MAP && parent->child_count % 2 == 0;
    if (is_key && kind != YAML_TREE_SCALAR) {
        return fail_at(reader, event->start_mark, "a key is a plain word");
    }
    if (kind != YAML_TREE_SCALAR && reader->depth == YAML_TREE_MAX_DEPTH) {
        return fail_at(reader, event->start_mark, "nested too deeply");
    }
    struct yaml_node **place = next_place(reader);
    struct yaml_node *node = place == NULL ? NULL : calloc(1, sizeof *node);
    if (node == NULL) {
        return fail_memory(reader);
    }
    *place = node;
    node->kind = kind;
    node->line = from_zero(event->start_mark.line);
    node->column = from_zero(event->start_mark.column);
    if (kind != YAML_TREE_SCALAR) {
        reader->open[reader->depth++] = node;
        return OK;
    }
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->text = text_dup((const char *)event->data.scalar.value, event->data.scalar.length);
    if (node->text == NULL) {
        return fail_memory(reader);
    }
    if (strlen(node->text) != event->data.scalar.length) {
        return fail_at(reader, event->start_mark, "a NUL byte; definitions are text in UTF-8");
    }
    return OK;
}

#define NO_ANCHORS "anchors and aliases (& and *) are not read; quote a value that begins with one"
#define NO_TAGS "tags (!) are not read; quote a value that begins with one"

static enum err take_scalar(struct reader *reader, const yaml_event_t *event)
{
    if (event->data.scalar.anchor != NULL) {
        return fail_at(reader, event->start_mark, NO_ANCHORS);
    }
    if (event->data.scalar.tag != NULL) {
        return fail_at(reader, event->start_mark, NO_TAGS);
    }
    return add_node(reader, event, YAML_TREE_SCALAR);
}

static enum err take_start(struct reader *reader, const yaml_event_t *event)
{
    bool map = event->type == YAML_MAPPING_START_EVENT;
    const yaml_char_t *anchor = map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    const yaml_char_t *tag = map ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    if (anchor != NULL) {
        return fail_at(reader, event->start_mark, NO_ANCHORS);
    }
    if (tag != NULL) {
        return fail_at(reader, event->start_mark, NO_TAGS);
    }
    return add_node(reader, event, map ? YAML_TREE_MAP : YAML_TREE_LIST);
}

static enum err take_event(struct reader *reader, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (reader->finished) {
            return fail_at(reader, event->start_mark, "a second document begins here; a file holds one");
        }
        return OK;
    case YAML_DOCUMENT_END_EVENT: reader->finished = true; return OK;
    case YAML_ALIAS_EVENT: return fail_at(reader, event->start_mark, NO_ANCHORS);
    case YAML_SCALAR_EVENT: return take_scalar(reader, event);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT: return take_start(reader, event);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: reader->depth--; return OK;
    default: return OK;
    }
}

enum err yaml_tree_parse(const char *text, size_t len, struct yaml_node **out, struct yaml_problem *problem)
{
    struct reader reader = {.text = text, .len = len, .problem = problem};
    bool done = false;
    enum err result;
    *out = NULL;
    problem->line = 1;
    problem->column = 1;
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        reader.text += 3;
        reader.len -= 3;
    }
    if (len > YAML_TREE_MAX_BYTES) {
        return err_set(&problem->info, ERR_DEFINITION, "the file is larger than 1 MiB");
    }
    result = check_bytes(&reader);
    if (result != OK) {
        return result;
    }
    if (yaml_parser_initialize(&reader.parser) == 0) {
        return fail_memory(&reader);
    }
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const unsigned char *)reader.text, reader.len);
    while (result == OK && !done) {
        yaml_event_t event;
        if (yaml_parser_parse(&reader.parser, &event) == 0) {
            result = fail_syntax(&reader);
            break;
        }
        result = take_event(&reader, &event);
        done = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&reader.parser);
    if (result != OK) {
        yaml_tree_free(reader.root);
        return result;
    }
    *out = reader.root;
    return OK;
}
