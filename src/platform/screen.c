#include "platform/screen.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

bool screen_frame_init(struct screen_frame *frame, unsigned width, unsigned height)
{
    *frame = (struct screen_frame){.cells = NULL};
    if (width == 0 || height == 0)
        return true;
    frame->cells = calloc((size_t)width * height, sizeof *frame->cells);
    if (frame->cells == NULL)
        return false;
    frame->width = width;
    frame->height = height;
    return true;
}

void screen_frame_deinit(struct screen_frame *frame)
{
    free(frame->cells);
    *frame = (struct screen_frame){.cells = NULL};
}

/* Characters that every terminal shows in one column, and that leave their neighbours where they are: Latin, Greek and
 * Cyrillic with their punctuation, without combining marks, soft hyphens and what turns the direction of writing. */
static bool is_one_column(uint32_t code_point)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {{0x20, 0x7e},     {0xa0, 0xac},     {0xae, 0x2ff},    {0x370, 0x377},
                  {0x37a, 0x37f},   {0x384, 0x482},   {0x48a, 0x52f},   {0x1e00, 0x1eff},
                  {0x2010, 0x2027}, {0x2030, 0x205e}, {0x20a0, 0x20bf}, {0x2190, 0x2193}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if (code_point >= ranges[i].first && code_point <= ranges[i].last)
            return true;
    }
    return false;
}

/* The character at *text as it is shown; moves *text behind it. */
static uint32_t take_character(const unsigned char **text)
{
    uint32_t code_point = 0;
    size_t len = utf8_sequence(*text, &code_point);
    *text += len != 0 ? len : 1;
    return len != 0 && is_one_column(code_point) ? code_point : '?';
}

unsigned screen_text_columns(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    unsigned columns = 0;
    while (*at != 0) {
        (void)take_character(&at);
        columns++;
    }
    return columns;
}

unsigned screen_text(struct screen_frame *frame, unsigned row, unsigned column, unsigned cap_columns, const char *text,
                     struct screen_style style)
{
    const unsigned char *at = (const unsigned char *)text;
    unsigned filled = 0;
    if (row >= frame->height || column >= frame->width)
        return 0;
    unsigned room = frame->width - column;
    room = room < cap_columns ? room : cap_columns;
    struct screen_cell *cells = &frame->cells[(size_t)row * frame->width + column];
    while (*at != 0 && filled < room) {
        uint32_t code_point = take_character(&at);
        if (filled + 1 == room && *at != 0)
            code_point = '~';
        cells[filled] = (struct screen_cell){
            .code_point = code_point, .colour = (uint8_t)style.colour, .bold = style.bold, .reverse = style.reverse};
        filled++;
    }
    return filled;
}

/* --- keys --- */

static const struct {
    const char *sequence;
    enum screen_key key;
} sequences[] = {
    {"\x1b[A", SCREEN_KEY_UP},    {"\x1bOA", SCREEN_KEY_UP},       {"\x1b[B", SCREEN_KEY_DOWN},
    {"\x1bOB", SCREEN_KEY_DOWN},  {"\x1b[5~", SCREEN_KEY_PAGE_UP}, {"\x1b[6~", SCREEN_KEY_PAGE_DOWN},
    {"\x1b[H", SCREEN_KEY_HOME},  {"\x1bOH", SCREEN_KEY_HOME},     {"\x1b[1~", SCREEN_KEY_HOME},
    {"\x1b[7~", SCREEN_KEY_HOME}, {"\x1b[F", SCREEN_KEY_END},      {"\x1bOF", SCREEN_KEY_END},
    {"\x1b[4~", SCREEN_KEY_END},  {"\x1b[8~", SCREEN_KEY_END},
};

static enum screen_key key_of_byte(unsigned char byte)
{
    switch (byte) {
    case 'q':
    case 'Q':
    case 3: return SCREEN_KEY_QUIT; /* Ctrl-C */
    case 'k': return SCREEN_KEY_UP;
    case 'j': return SCREEN_KEY_DOWN;
    case ' ':
    case 6: return SCREEN_KEY_PAGE_DOWN; /* Ctrl-F, as in a pager */
    case 'b':
    case 2: return SCREEN_KEY_PAGE_UP;
    case 'g': return SCREEN_KEY_HOME;
    case 'G': return SCREEN_KEY_END;
    default: return SCREEN_KEY_NONE;
    }
}

static enum screen_key key_of_sequence(const struct screen_keys *state)
{
    for (size_t i = 0; i < sizeof sequences / sizeof sequences[0]; i++) {
        if (strlen(sequences[i].sequence) == state->len &&
            memcmp(sequences[i].sequence, state->sequence, state->len) == 0)
            return sequences[i].key;
    }
    return SCREEN_KEY_NONE;
}

enum screen_key screen_keys_take(struct screen_keys *state, unsigned char byte)
{
    if (byte == 0x1b) {
        state->len = 0; /* whatever was begun is given up */
        state->sequence[state->len++] = byte;
        return SCREEN_KEY_NONE;
    }
    if (state->len == 0 || byte < ' ' || (state->len == 1 && byte != '[' && byte != 'O')) {
        state->len = 0; /* Escape alone, or a sequence that breaks off, and a key after it */
        return key_of_byte(byte);
    }
    if (state->len < sizeof state->sequence)
        state->sequence[state->len++] = byte;
    if (state->len == 2 || byte < '@' || byte > '~')
        return SCREEN_KEY_NONE; /* ECMA-48 section 5.4: more to come */
    enum screen_key key = key_of_sequence(state);
    state->len = 0;
    return key;
}
