/* One command at the peer: no terminal, no input, its output bounded in size and time (RFC 4254 section 6.5). Loop
 * thread only. */
#ifndef HOLDFAST_SESSION_EXEC_H
#define HOLDFAST_SESSION_EXEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "session/session.h"

struct session_exec;

struct exec_result {
    /* OK: the command ran to its end. ERR_REFUSED: the peer runs no command for us. ERR_TIMEOUT: it did not end in
     * time. ERR_CANCELLED, ERR_CLOSED (the session ended), ERR_MEMORY. */
    enum err code;
    const struct err_info *why; /* NULL with OK */
    const char *output;         /* its standard output, ended by a NUL that is not counted; valid in the callback */
    size_t output_len;
    bool cut;            /* there was more than `cap_bytes`, and the rest is lost */
    int64_t exit_status; /* -1: a signal ended it, or it is unknown */
};

typedef void session_exec_cb(void *arg, const struct exec_result *result);

/* Runs `command` by the login shell of the user at the peer, with an empty standard input; standard error is dropped.
 * Up to `cap_bytes` of its output are kept. `on_done` comes exactly once, never from inside this call, at the latest
 * when the session ends, and before that session's on_closed. NULL: out of memory; then nothing comes. */
struct session_exec *session_exec_start(struct session *session, const char *command, size_t cap_bytes,
                                        uint64_t deadline_ms, session_exec_cb *on_done, void *arg);
/* Gives up: `on_done` comes with ERR_CANCELLED, later. What already runs at the peer may go on. */
void session_exec_cancel(struct session_exec *exec);

#endif
