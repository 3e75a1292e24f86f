/* Runs another program, never through a shell, and takes what it prints. On the loop's thread. */
#ifndef HOLDFAST_PLATFORM_PROGRAM_H
#define HOLDFAST_PLATFORM_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"

struct program;

struct program_options {
    /* The program and its arguments, ended by NULL. A program without a separator in its name is looked for in PATH.
     * Copied by the system; they need not outlive program_start. */
    const char *const *words;
    const char *file; /* the program's path where words[0] is only what it is called; NULL: words[0] */
    bool verbatim;    /* Windows: the words are joined by blanks as they are, without quotes of ours */
    const char *const
        *environment;  /* "NAME=value" beside or instead of ours, ended by NULL; NULL: ours alone. Copied */
    uint64_t drain_ms; /* 0: it is over once it has ended and a line came. Else: once all it printed was read, or after
                        * so long where another program that it left behind holds its pipes open */
    uint64_t timeout_ms; /* after which it is killed, with those that it started where the system can; not 0 */
};

struct program_result {
    enum err code;       /* OK: it ran to its end; ERR_IO: it did not start; ERR_TIMEOUT, ERR_CANCELLED: killed */
    int uv_status;       /* why it did not start, or could not be killed and goes on; 0: it did, or is gone */
    int64_t exit_status; /* what it ended with */
    int signal;          /* what ended it, or 0 */
    const char *output;  /* the beginning of its standard output (4 KiB), as UTF-8 */
    const char *errors;  /* the end of its standard error (1 KiB), as UTF-8 */
};

/* Exactly once, never inside program_start. The strings live during the call; the program frees itself. */
typedef void (*program_done)(void *arg, const struct program_result *result);

/* Starts it with nothing as its standard input. NULL: out of memory; all else is told by `on_done`. */
struct program *program_start(uv_loop_t *loop, const struct program_options *options, program_done on_done, void *arg);
/* Kills it; on_done comes with ERR_CANCELLED once it is gone, or 2 s later when it does not go. */
void program_cancel(struct program *program);
/* From now on it has so long at most, as if that had been its timeout_ms. */
void program_limit(struct program *program, uint64_t timeout_ms);

#endif
