/* Questions on /dev/tty. While one is asked, Ctrl-C is read as a character, so that echo can be put back before the
 * signal is raised; signals that come from elsewhere put it back in a handler, unless somebody handles them already. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <termios.h>
#include <unistd.h>

#include "platform/platform.h"

#define ANSWER_CAP_BYTES 1024
#define CANCEL_POLL_MS 100
#define INTERRUPT_WAIT_MS 1000
#define INTERRUPT_POLL_MS 10
#define CTRL_C 3

static pthread_mutex_t one_question = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool cancelled;

/* What the signal handler needs; `armed` is set last and cleared first. */
static struct {
    volatile sig_atomic_t armed;
    int fd;
    struct termios before;
} saved;

static const int deadly_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
#define DEADLY_SIGNALS (sizeof deadly_signals / sizeof deadly_signals[0])

static void restore_and_die(int number)
{
    if (saved.armed)
        (void)tcsetattr(saved.fd, TCSANOW, &saved.before);
    (void)signal(number, SIG_DFL); // NOLINT(cert-sig30-c,bugprone-signal-handler): both are async-signal-safe
    (void)raise(number);           // NOLINT(cert-sig30-c,bugprone-signal-handler)
}

/* Handles those signals that would kill us with echo off; what the process handles or ignores is left as it is. */
static void guard_signals(struct sigaction before[DEADLY_SIGNALS])
{
    struct sigaction guard;
    memset(&guard, 0, sizeof guard);
    guard.sa_handler = restore_and_die;
    for (size_t i = 0; i < DEADLY_SIGNALS; i++) {
        (void)sigaction(deadly_signals[i], NULL, &before[i]);
        if ((before[i].sa_flags & SA_SIGINFO) == 0 && before[i].sa_handler == SIG_DFL)
            (void)sigaction(deadly_signals[i], &guard, NULL);
    }
}

static void unguard_signals(const struct sigaction before[DEADLY_SIGNALS])
{
    for (size_t i = 0; i < DEADLY_SIGNALS; i++) {
        struct sigaction now;
        (void)sigaction(deadly_signals[i], NULL, &now);
        if ((now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == restore_and_die)
            (void)sigaction(deadly_signals[i], &before[i], NULL);
    }
}

/* True once there is something to read, false when cancelled. */
static bool wait_readable(int fd)
{
    while (!atomic_load(&cancelled)) {
#ifdef __APPLE__
        /* poll does not take terminals there */
        struct timeval wait = {.tv_usec = CANCEL_POLL_MS * 1000};
        fd_set set;
        if (fd >= FD_SETSIZE)
            return true;
        FD_ZERO(&set);
        FD_SET(fd, &set);
        int ready = select(fd + 1, &set, NULL, NULL, &wait);
#else
        struct pollfd one = {.fd = fd, .events = POLLIN};
        int ready = poll(&one, 1, CANCEL_POLL_MS);
#endif
        if (ready > 0 || (ready < 0 && errno != EINTR))
            return true;
    }
    return false;
}

/* Reads one line without its end into `line`. ERR_CANCELLED at end of input, Ctrl-C (`out_interrupted`) or cancel. */
static enum err read_line(int fd, char *line, size_t cap_bytes, bool *out_interrupted)
{
    size_t len = 0;
    for (;;) {
        char byte = 0;
        if (!wait_readable(fd))
            return ERR_CANCELLED;
        ssize_t got = read(fd, &byte, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return ERR_CANCELLED;
        if (byte == CTRL_C) {
            *out_interrupted = true;
            return ERR_CANCELLED;
        }
        if (byte == '\n')
            break;
        if (len < cap_bytes - 1)
            line[len++] = byte;
    }
    line[len] = 0;
    return OK;
}

static void write_text(int fd, const char *text)
{
    ssize_t ignored = write(fd, text, strlen(text));
    (void)ignored;
}

/* Asks on the terminal `fd`; ours alone while it lasts. */
static enum err ask(int fd, const char *prompt, bool echo, char *line, bool *out_interrupted)
{
    struct sigaction before[DEADLY_SIGNALS];
    struct termios quiet;
    bool is_terminal = tcgetattr(fd, &saved.before) == 0;
    if (is_terminal) {
        saved.fd = fd;
        guard_signals(before);
        saved.armed = 1;
        quiet = saved.before;
        if (!echo)
            quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
        quiet.c_lflag &= ~(tcflag_t)ISIG;
        quiet.c_lflag |= ICANON;
        quiet.c_cc[VEOL] = CTRL_C;
        (void)tcsetattr(fd, TCSAFLUSH, &quiet);
    }
    write_text(fd, prompt);
    enum err result = read_line(fd, line, ANSWER_CAP_BYTES, out_interrupted);
    if (!echo || result != OK)
        write_text(fd, "\n");
    if (is_terminal) {
        (void)tcsetattr(fd, TCSAFLUSH, &saved.before);
        saved.armed = 0;
        unguard_signals(before);
    }
    return result;
}

/* What Ctrl-C stands for. A process that handles it is to learn of it before it learns that there was no answer, so
 * that it stops as asked instead of failing for want of one. */
static void raise_interrupt(void)
{
    (void)kill(getpid(), SIGINT);
    for (int waited_ms = 0; waited_ms < INTERRUPT_WAIT_MS && !atomic_load(&cancelled); waited_ms += INTERRUPT_POLL_MS)
        (void)poll(NULL, 0, INTERRUPT_POLL_MS);
}

enum err platform_terminal_ask(const char *prompt, bool echo, char **out_answer, struct err_info *info)
{
    char line[ANSWER_CAP_BYTES] = "";
    bool interrupted = false;
    *out_answer = NULL;
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return err_set(info, ERR_UNSUPPORTED, "there is no terminal to ask at");
    (void)pthread_mutex_lock(&one_question);
    enum err result = ERR_CANCELLED;
    if (!atomic_load(&cancelled))
        result = ask(fd, prompt, echo, line, &interrupted);
    (void)pthread_mutex_unlock(&one_question);
    (void)close(fd);
    if (result == OK) {
        *out_answer = strdup(line);
        if (*out_answer == NULL)
            result = err_set(info, ERR_MEMORY, "out of memory");
    } else {
        (void)err_set(info, result, "no answer was given");
    }
    platform_wipe(line, sizeof line);
    if (interrupted)
        raise_interrupt();
    return result;
}

bool platform_has_terminal(void)
{
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return false;
    (void)close(fd);
    return true;
}

void platform_terminal_cancel(void)
{
    atomic_store(&cancelled, true);
}
