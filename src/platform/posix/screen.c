#include "platform/screen.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/text_buffer.h"

/* Another screen, no cursor, no wrapping at the edge; and back, with colours as they were. */
#define TAKE "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[0m\x1b[2J"
#define GIVE_BACK "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
#define LAST_WORDS_MS 500

static const int end_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static const int other_signals[] = {SIGWINCH, SIGTSTP, SIGCONT};
static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
#define COUNT(array) (sizeof(array) / sizeof(array)[0])
enum { SIGNALS = COUNT(end_signals) + COUNT(other_signals) };

struct screen {
    struct screen_events events;
    uv_poll_t input;
    uv_signal_t signals[SIGNALS];
    unsigned open_handles;
    bool has_input;
    struct screen_keys keys;
    struct screen_frame shown;  /* what the terminal has */
    struct text_buffer pending; /* what it has not taken yet */
    bool is_colourful;          /* how it was drawn */
};

/* What the handler of a crash and that of exit() need. One screen at a time. */
static struct {
    volatile sig_atomic_t is_taken;
    int fd;
    struct termios before;
} terminal = {.fd = -1};

static void write_now(const char *bytes, size_t len, int wait_ms)
{
    while (len > 0) {
        ssize_t written = write(terminal.fd, bytes, len);
        struct pollfd writable = {.fd = terminal.fd, .events = POLLOUT};
        if (written > 0) {
            bytes += written;
            len -= (size_t)written;
        } else if (errno != EINTR && (errno != EAGAIN || poll(&writable, 1, wait_ms) <= 0)) {
            return;
        }
    }
}

/* Only functions that a signal handler may call. */
static void give_back(void)
{
    if (!terminal.is_taken)
        return;
    terminal.is_taken = 0;
    write_now(GIVE_BACK, sizeof GIVE_BACK - 1, LAST_WORDS_MS);
    (void)tcsetattr(terminal.fd, TCSANOW, &terminal.before);
}

static void on_crash(int number)
{
    give_back();
    (void)raise(number); /* the handler is gone: SA_RESETHAND */
}

static void take(void)
{
    struct termios raw = terminal.before;
    raw.c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | INPCK | ISTRIP | IXON);
    raw.c_lflag &= ~(tcflag_t)(ECHO | ICANON | IEXTEN | ISIG);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    terminal.is_taken = 1;
    (void)tcsetattr(terminal.fd, TCSANOW, &raw);
    write_now(TAKE, sizeof TAKE - 1, LAST_WORDS_MS);
}

static void forget_shown(struct screen *screen)
{
    screen_frame_deinit(&screen->shown);
}

static void tell_key(struct screen *screen, enum screen_key key)
{
    if (key != SCREEN_KEY_NONE && terminal.is_taken)
        screen->events.on_key(screen->events.arg, key);
}

static void on_input(uv_poll_t *poll, int status, int events)
{
    struct screen *screen = poll->data;
    unsigned char bytes[64];
    ssize_t len = status == 0 && (events & UV_READABLE) != 0 ? read(terminal.fd, bytes, sizeof bytes) : 0;
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len <= 0) { /* the terminal is gone */
        (void)uv_poll_stop(poll);
        tell_key(screen, SCREEN_KEY_QUIT);
        return;
    }
    for (ssize_t i = 0; i < len; i++)
        tell_key(screen, screen_keys_take(&screen->keys, bytes[i]));
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct screen *screen = handle->data;
    if (number == SIGWINCH) {
        screen->events.on_resize(screen->events.arg);
    } else if (number == SIGTSTP) {
        give_back();
        (void)raise(SIGSTOP); /* here we stand until SIGCONT, which comes to this function then */
    } else if (number == SIGCONT) {
        take(); /* whatever stopped us: the shell and others have had the terminal since */
        free(text_buffer_take(&screen->pending));
        forget_shown(screen);
        screen->events.on_resize(screen->events.arg);
    } else {
        tell_key(screen, SCREEN_KEY_QUIT);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct screen *screen = handle->data;
    if (--screen->open_handles == 0)
        free(screen);
}

static int listen_to(struct screen *screen, uv_loop_t *loop)
{
    int status = 0;
    for (size_t i = 0; i < SIGNALS && status == 0; i++) {
        uv_signal_t *handle = &screen->signals[i];
        status = uv_signal_init(loop, handle);
        if (status == 0) {
            screen->open_handles++;
            handle->data = screen;
            status = uv_signal_start(handle, on_signal,
                                     i < COUNT(end_signals) ? end_signals[i] : other_signals[i - COUNT(end_signals)]);
        }
    }
    if (status == 0)
        status = uv_poll_init(loop, &screen->input, terminal.fd);
    if (status == 0) {
        screen->open_handles++;
        screen->has_input = true;
        screen->input.data = screen;
        status = uv_poll_start(&screen->input, UV_READABLE, on_input);
    }
    return status;
}

/* The terminal by a descriptor of our own, so that what we set on it reaches no other program. */
static int open_terminal(void)
{
    const char *name = ttyname(STDOUT_FILENO);
    int fd = name != NULL ? open(name, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC) : -1;
    return fd >= 0 ? fd : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
}

static void catch_crashes(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_crash;
    action.sa_flags = (int)SA_RESETHAND;
    (void)sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < COUNT(crash_signals); i++)
        (void)sigaction(crash_signals[i], &action, NULL);
}

bool screen_is_there(void)
{
    const char *kind = getenv("TERM");
    return isatty(STDOUT_FILENO) != 0 && kind != NULL && kind[0] != 0 && strcmp(kind, "dumb") != 0;
}

enum err screen_open(uv_loop_t *loop, const struct screen_events *events, struct screen **out, struct err_info *info)
{
    static bool is_registered;
    *out = NULL;
    if (!screen_is_there() || terminal.fd >= 0)
        return err_set(info, ERR_UNSUPPORTED, "standard output is no terminal");
    struct screen *screen = calloc(1, sizeof *screen);
    if (screen == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    screen->events = *events;
    terminal.fd = open_terminal();
    int status = terminal.fd < 0 || tcgetattr(terminal.fd, &terminal.before) != 0 ? uv_translate_sys_error(errno)
                                                                                  : listen_to(screen, loop);
    if (status != 0) {
        screen_close(screen);
        return err_set(info, ERR_IO, "the terminal cannot be used: %s", err_uv_text(status));
    }
    if (!is_registered) {
        is_registered = true;
        (void)atexit(give_back);
        catch_crashes();
    }
    take();
    *out = screen;
    return OK;
}

void screen_size(const struct screen *screen, unsigned *out_width, unsigned *out_height)
{
    struct winsize size = {.ws_row = 0};
    (void)screen;
    (void)ioctl(terminal.fd, TIOCGWINSZ, &size);
    *out_width = size.ws_col != 0 ? size.ws_col : 80;
    *out_height = size.ws_row != 0 ? size.ws_row : 24;
}

static bool is_same_look(const struct screen_cell *a, const struct screen_cell *b)
{
    return a->colour == b->colour && a->bold == b->bold && a->reverse == b->reverse;
}

static void add_look(struct text_buffer *out, const struct screen_cell *cell, bool colours)
{
    static const char *const codes[] = {[SCREEN_PLAIN] = "",     [SCREEN_RED] = ";31",  [SCREEN_GREEN] = ";32",
                                        [SCREEN_YELLOW] = ";33", [SCREEN_CYAN] = ";36", [SCREEN_FAINT] = ";2"};
    text_buffer_format(out, "\x1b[0%s%s%sm", cell->bold ? ";1" : "", cell->reverse ? ";7" : "",
                       colours && cell->colour < COUNT(codes) ? codes[cell->colour] : "");
}

static void add_character(struct text_buffer *out, uint32_t code_point)
{
    char bytes[4];
    size_t len = 1;
    if (code_point < 0x80) {
        bytes[0] = (char)(code_point != 0 ? code_point : ' ');
    } else if (code_point < 0x800) {
        bytes[0] = (char)(0xc0 | code_point >> 6);
        bytes[1] = (char)(0x80 | (code_point & 0x3f));
        len = 2;
    } else {
        bytes[0] = (char)(0xe0 | (code_point >> 12 & 0xf));
        bytes[1] = (char)(0x80 | (code_point >> 6 & 0x3f));
        bytes[2] = (char)(0x80 | (code_point & 0x3f));
        len = 3;
    }
    text_buffer_add_bytes(out, bytes, len);
}

static void add_row(struct text_buffer *out, const struct screen_frame *frame, const struct screen_frame *before,
                    unsigned row, bool colours)
{
    const struct screen_cell *cells = &frame->cells[(size_t)row * frame->width];
    const struct screen_cell *old = before->cells != NULL ? &before->cells[(size_t)row * frame->width] : NULL;
    bool is_next = false; /* the cursor stands at this cell, and looks like the one before */
    for (unsigned i = 0; i < frame->width; i++) {
        if (old != NULL && cells[i].code_point == old[i].code_point && is_same_look(&cells[i], &old[i])) {
            is_next = false;
            continue;
        }
        if (!is_next)
            text_buffer_format(out, "\x1b[%u;%uH", row + 1, i + 1);
        if (!is_next || !is_same_look(&cells[i], &cells[i - 1]))
            add_look(out, &cells[i], colours);
        add_character(out, cells[i].code_point);
        is_next = true;
    }
}

/* False while the terminal does not take what we have: it is stopped, or slow. */
static bool flush(struct screen *screen)
{
    struct text_buffer *pending = &screen->pending;
    size_t done = 0;
    while (done < pending->len) {
        ssize_t written = write(terminal.fd, pending->text + done, pending->len - done);
        if (written > 0)
            done += (size_t)written;
        else if (written == 0 || errno != EINTR)
            break;
    }
    if (done > 0) {
        memmove(pending->text, pending->text + done, pending->len - done);
        pending->len -= done;
    }
    return pending->len == 0;
}

void screen_draw(struct screen *screen, const struct screen_frame *frame, bool colours)
{
    struct screen_frame copy;
    if (!terminal.is_taken || !flush(screen))
        return;
    if (frame->width != screen->shown.width || frame->height != screen->shown.height ||
        colours != screen->is_colourful) {
        forget_shown(screen);
        text_buffer_add(&screen->pending, "\x1b[0m\x1b[2J");
    }
    for (unsigned row = 0; row < frame->height; row++)
        add_row(&screen->pending, frame, &screen->shown, row, colours);
    screen->is_colourful = colours;
    if (screen_frame_init(&copy, frame->width, frame->height) && frame->cells != NULL)
        memcpy(copy.cells, frame->cells, sizeof *frame->cells * frame->width * frame->height);
    forget_shown(screen);
    screen->shown = copy;
    (void)flush(screen);
}

void screen_close(struct screen *screen)
{
    if (screen == NULL)
        return;
    if (terminal.is_taken)
        write_now(screen->pending.text, screen->pending.len, LAST_WORDS_MS);
    give_back();
    forget_shown(screen);
    free(text_buffer_take(&screen->pending));
    unsigned signal_count = screen->open_handles - (screen->has_input ? 1 : 0);
    if (screen->open_handles == 0)
        free(screen);
    else if (screen->has_input)
        uv_close((uv_handle_t *)&screen->input, on_closed);
    for (unsigned i = 0; i < signal_count; i++)
        uv_close((uv_handle_t *)&screen->signals[i], on_closed);
    if (terminal.fd >= 0)
        (void)close(terminal.fd);
    terminal.fd = -1;
}
