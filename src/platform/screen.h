/* A terminal taken over as a whole, for a picture that is drawn again and again: another screen than that of the lines
 * before, no cursor, keys as they are pressed. posix/: termios and the sequences of ECMA-48 that every terminal of
 * today has. win/: the console's own functions, which Windows 7 has, with a screen buffer of ours. On the loop's
 * thread. */
#ifndef HOLDFAST_PLATFORM_SCREEN_H
#define HOLDFAST_PLATFORM_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"

enum screen_colour {
    SCREEN_PLAIN = 0, /* the terminal's own */
    SCREEN_RED,
    SCREEN_GREEN,
    SCREEN_YELLOW,
    SCREEN_CYAN,
    SCREEN_FAINT
};

/* One place of the picture. Its character takes one column: see screen_text. */
struct screen_cell {
    uint32_t code_point; /* 0 is a blank */
    uint8_t colour;      /* enum screen_colour */
    bool bold, reverse;
};

/* A picture: `width` x `height` cells, row by row. */
struct screen_frame {
    struct screen_cell *cells;
    unsigned width, height;
};

/* A blank picture; false when out of memory. 0 x 0 is an empty one without memory. */
bool screen_frame_init(struct screen_frame *frame, unsigned width, unsigned height);
void screen_frame_deinit(struct screen_frame *frame);

/* How a text looks. */
struct screen_style {
    enum screen_colour colour;
    bool bold, reverse;
};
/* Puts UTF-8 text at a place, at most `cap_columns` of it and not over the edge; one that is longer ends in '~'. What
 * no terminal may be sent (control characters, bytes that are not UTF-8) and what does not take exactly one column is
 * shown as '?'. Returns how many columns were filled. A place outside the picture takes nothing. */
unsigned screen_text(struct screen_frame *frame, unsigned row, unsigned column, unsigned cap_columns, const char *text,
                     struct screen_style style);
/* How many columns such a text takes. */
unsigned screen_text_columns(const char *text);

enum screen_key {
    SCREEN_KEY_NONE = 0,
    SCREEN_KEY_QUIT, /* q, Ctrl-C, and the signals that end a program */
    SCREEN_KEY_UP,
    SCREEN_KEY_DOWN,
    SCREEN_KEY_PAGE_UP,
    SCREEN_KEY_PAGE_DOWN,
    SCREEN_KEY_HOME,
    SCREEN_KEY_END
};

/* Takes the bytes of a terminal one by one; `state` begins as zero. What is no key of ours gives SCREEN_KEY_NONE. Pure.
 */
struct screen_keys {
    unsigned char sequence[16];
    size_t len;
};
enum screen_key screen_keys_take(struct screen_keys *state, unsigned char byte);

struct screen;
struct screen_events {
    void (*on_key)(void *arg, enum screen_key key);
    /* The terminal's size may have changed, or others have written over what it showed. */
    void (*on_resize)(void *arg);
    void *arg;
};

/* Takes the terminal that standard output leads to. ERR_UNSUPPORTED where that is none. Whatever ends the process by
 * exit() or a signal that asks it to end, the terminal is as before. */
enum err screen_open(uv_loop_t *loop, const struct screen_events *events, struct screen **out, struct err_info *info);
/* Columns and rows as they are now, at least 1 x 1. */
void screen_size(const struct screen *screen, unsigned *out_width, unsigned *out_height);
/* Shows the picture: only what differs from the one before is sent. With `colours` false the terminal's own colour is
 * used for all. */
void screen_draw(struct screen *screen, const struct screen_frame *frame, bool colours);
/* Gives the terminal back at once; its handles close as the loop goes on, and then it is freed. NULL is fine. */
void screen_close(struct screen *screen);
/* Whether standard output is a terminal that screen_open can take. */
bool screen_is_there(void);

#endif
