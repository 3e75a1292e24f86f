/* A screen buffer of our own beside that of the console: when it is closed, by whatever end, Windows shows the other
 * one again. No control sequences, which Windows 7 does not know. */
#include "platform/screen.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "platform/win/common.h"

static const int end_signals[] = {SIGINT, SIGBREAK, SIGHUP};
#define SIGNALS (sizeof end_signals / sizeof end_signals[0])
#define ALL_COLOURS (FOREGROUND_RED | FOREGROUND_GREEN | FOREGROUND_BLUE)
#define LOOK_AT_SIZE_MS 250

struct screen {
    struct screen_events events;
    HANDLE before; /* what standard output leads to */
    HANDLE buffer;
    HANDLE keyboard;
    DWORD keyboard_mode;
    uv_tty_t input;
    uv_signal_t signals[SIGNALS];
    uv_timer_t size_timer;
    uv_handle_t *handles[SIGNALS + 2]; /* those that were opened */
    unsigned handle_count, open_handles;
    bool is_closing;
    char bytes[64];
    struct screen_keys keys;
    WORD plain; /* the console's own look */
    unsigned width, height;
    struct screen_frame shown;
    bool is_colourful;
};

static HANDLE console_out(void)
{
    DWORD mode = 0;
    HANDLE out = GetStdHandle(STD_OUTPUT_HANDLE);
    return out != NULL && out != INVALID_HANDLE_VALUE && GetConsoleMode(out, &mode) ? out : NULL;
}

bool screen_is_there(void)
{
    return console_out() != NULL;
}

static void tell_key(struct screen *screen, enum screen_key key)
{
    if (key != SCREEN_KEY_NONE && !screen->is_closing)
        screen->events.on_key(screen->events.arg, key);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct screen *screen = handle->data;
    (void)suggested;
    *out = uv_buf_init(screen->bytes, sizeof screen->bytes);
}

/* libuv gives the keys of a console as the sequences of a terminal. */
static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    struct screen *screen = stream->data;
    if (len < 0)
        tell_key(screen, SCREEN_KEY_QUIT);
    for (ssize_t i = 0; i < len; i++)
        tell_key(screen, screen_keys_take(&screen->keys, (unsigned char)buf->base[i]));
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    tell_key(handle->data, SCREEN_KEY_QUIT);
}

static void look_at_size(struct screen *screen)
{
    CONSOLE_SCREEN_BUFFER_INFO info;
    if (!GetConsoleScreenBufferInfo(screen->buffer, &info))
        return;
    int width = info.srWindow.Right - info.srWindow.Left + 1;
    int height = info.srWindow.Bottom - info.srWindow.Top + 1;
    screen->width = width > 0 ? (unsigned)width : 80;
    screen->height = height > 0 ? (unsigned)height : 24;
}

static void on_size_timer(uv_timer_t *timer)
{
    struct screen *screen = timer->data;
    unsigned width = screen->width;
    unsigned height = screen->height;
    look_at_size(screen);
    if (!screen->is_closing && (width != screen->width || height != screen->height))
        screen->events.on_resize(screen->events.arg);
}

static void keep_handle(struct screen *screen, uv_handle_t *handle)
{
    handle->data = screen;
    screen->handles[screen->handle_count++] = handle;
    screen->open_handles++;
}

static int listen_to(struct screen *screen, uv_loop_t *loop)
{
    int status = uv_timer_init(loop, &screen->size_timer);
    if (status != 0)
        return status;
    keep_handle(screen, (uv_handle_t *)&screen->size_timer);
    status = uv_timer_start(&screen->size_timer, on_size_timer, LOOK_AT_SIZE_MS, LOOK_AT_SIZE_MS);
    for (size_t i = 0; i < SIGNALS && status == 0; i++) {
        status = uv_signal_init(loop, &screen->signals[i]);
        if (status == 0) {
            keep_handle(screen, (uv_handle_t *)&screen->signals[i]);
            status = uv_signal_start(&screen->signals[i], on_signal, end_signals[i]);
        }
    }
    screen->keyboard = GetStdHandle(STD_INPUT_HANDLE);
    if (status != 0 || !GetConsoleMode(screen->keyboard, &screen->keyboard_mode)) {
        screen->keyboard = NULL; /* no keys, then: Ctrl-C ends it */
        return status;
    }
    status = uv_tty_init(loop, &screen->input, 0, 1);
    if (status != 0)
        return status;
    keep_handle(screen, (uv_handle_t *)&screen->input);
    status = uv_tty_set_mode(&screen->input, UV_TTY_MODE_RAW);
    return status == 0 ? uv_read_start((uv_stream_t *)&screen->input, on_alloc, on_read) : status;
}

static enum err open_buffer(struct screen *screen)
{
    CONSOLE_SCREEN_BUFFER_INFO info;
    CONSOLE_CURSOR_INFO cursor = {.dwSize = 25, .bVisible = FALSE};
    screen->before = console_out();
    screen->buffer = CreateConsoleScreenBuffer(GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL,
                                               CONSOLE_TEXTMODE_BUFFER, NULL);
    if (screen->buffer == INVALID_HANDLE_VALUE || !GetConsoleScreenBufferInfo(screen->before, &info) ||
        !SetConsoleActiveScreenBuffer(screen->buffer))
        return ERR_IO;
    screen->plain = info.wAttributes;
    (void)SetConsoleCursorInfo(screen->buffer, &cursor);
    look_at_size(screen);
    return OK;
}

enum err screen_open(uv_loop_t *loop, const struct screen_events *events, struct screen **out, struct err_info *info)
{
    *out = NULL;
    if (!screen_is_there())
        return err_set(info, ERR_UNSUPPORTED, "standard output is no console");
    struct screen *screen = calloc(1, sizeof *screen);
    if (screen == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    screen->events = *events;
    screen->buffer = INVALID_HANDLE_VALUE;
    enum err result = open_buffer(screen);
    if (result != OK)
        (void)err_set(info, result, "the console gives no second screen (error %lu)", GetLastError());
    int status = result == OK ? listen_to(screen, loop) : 0;
    if (status != 0)
        result = err_set(info, ERR_IO, "the console cannot be used: %s", err_uv_text(status));
    if (result != OK) {
        screen_close(screen);
        return result;
    }
    *out = screen;
    return OK;
}

void screen_size(const struct screen *screen, unsigned *out_width, unsigned *out_height)
{
    *out_width = screen->width;
    *out_height = screen->height;
}

static WORD attributes_of(const struct screen *screen, const struct screen_cell *cell, bool colours)
{
    static const WORD codes[] = {[SCREEN_PLAIN] = 0,
                                 [SCREEN_RED] = FOREGROUND_RED | FOREGROUND_INTENSITY,
                                 [SCREEN_GREEN] = FOREGROUND_GREEN | FOREGROUND_INTENSITY,
                                 [SCREEN_YELLOW] = FOREGROUND_RED | FOREGROUND_GREEN | FOREGROUND_INTENSITY,
                                 [SCREEN_CYAN] = FOREGROUND_GREEN | FOREGROUND_BLUE | FOREGROUND_INTENSITY,
                                 [SCREEN_FAINT] = FOREGROUND_INTENSITY};
    WORD look = screen->plain;
    if (colours && cell->colour != SCREEN_PLAIN && cell->colour < sizeof codes / sizeof codes[0])
        look = (WORD)((look & ~(ALL_COLOURS | FOREGROUND_INTENSITY)) | codes[cell->colour]);
    if (cell->bold)
        look = (WORD)(look | FOREGROUND_INTENSITY);
    if (cell->reverse)
        look = (WORD)((look & 0xff00) | (look & 0x0f) << 4 | (look & 0xf0) >> 4);
    return look;
}

static void draw_row(const struct screen *screen, const struct screen_frame *frame, unsigned row, bool colours,
                     CHAR_INFO *line)
{
    CONSOLE_SCREEN_BUFFER_INFO info;
    const struct screen_cell *cells = &frame->cells[(size_t)row * frame->width];
    if (!GetConsoleScreenBufferInfo(screen->buffer, &info))
        return;
    for (unsigned i = 0; i < frame->width; i++) {
        line[i].Char.UnicodeChar = (WCHAR)(cells[i].code_point != 0 ? cells[i].code_point : L' ');
        line[i].Attributes = attributes_of(screen, &cells[i], colours);
    }
    SHORT top = (SHORT)(info.srWindow.Top + (SHORT)row);
    SMALL_RECT place = {.Left = info.srWindow.Left,
                        .Top = top,
                        .Right = (SHORT)(info.srWindow.Left + (SHORT)frame->width - 1),
                        .Bottom = top};
    (void)WriteConsoleOutputW(screen->buffer, line, (COORD){.X = (SHORT)frame->width, .Y = 1}, (COORD){.X = 0, .Y = 0},
                              &place);
}

void screen_draw(struct screen *screen, const struct screen_frame *frame, bool colours)
{
    struct screen_frame copy;
    CHAR_INFO *line = calloc((size_t)frame->width + 1, sizeof *line);
    if (line == NULL)
        return;
    bool is_new =
        frame->width != screen->shown.width || frame->height != screen->shown.height || colours != screen->is_colourful;
    for (unsigned row = 0; row < frame->height; row++) {
        size_t at = (size_t)row * frame->width;
        if (is_new || memcmp(&frame->cells[at], &screen->shown.cells[at], frame->width * sizeof *frame->cells) != 0)
            draw_row(screen, frame, row, colours, line);
    }
    free(line);
    screen->is_colourful = colours;
    if (screen_frame_init(&copy, frame->width, frame->height) && frame->cells != NULL)
        memcpy(copy.cells, frame->cells, sizeof *frame->cells * frame->width * frame->height);
    screen_frame_deinit(&screen->shown);
    screen->shown = copy;
}

static void on_closed(uv_handle_t *handle)
{
    struct screen *screen = handle->data;
    if (--screen->open_handles == 0)
        free(screen);
}

void screen_close(struct screen *screen)
{
    if (screen == NULL)
        return;
    screen->is_closing = true;
    if (screen->keyboard != NULL) {
        (void)uv_tty_reset_mode();
        (void)SetConsoleMode(screen->keyboard, screen->keyboard_mode);
    }
    if (screen->buffer != INVALID_HANDLE_VALUE) {
        (void)SetConsoleActiveScreenBuffer(screen->before);
        (void)CloseHandle(screen->buffer);
        screen->buffer = INVALID_HANDLE_VALUE;
    }
    screen_frame_deinit(&screen->shown);
    unsigned count = screen->handle_count;
    for (unsigned i = 0; i < count; i++)
        uv_close(screen->handles[i], on_closed);
    if (count == 0)
        free(screen);
}
