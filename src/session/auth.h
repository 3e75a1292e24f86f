/* Authentication of one session (RFC 4252): agent keys, identity files, and what a terminal can be asked for.
 * Room-internal. Key decryption, agent traffic and prompts run on a worker thread: while `lend` is in force the worker
 * alone owns the LIBSSH2_SESSION and its two buffers, and the loop touches neither. */
#ifndef HOLDFAST_SESSION_AUTH_H
#define HOLDFAST_SESSION_AUTH_H

#include <libssh2.h>
#include <stdbool.h>
#include <uv.h>

#include "base/err.h"
#include "session/spec.h"

struct auth;

struct auth_hooks {
    void (*lend)(void *arg);      /* a worker begins to use the session */
    void (*give_back)(void *arg); /* it is the loop's again: send what it wrote, offer what came */
    /* Exactly once after auth_start, on the loop: OK, ERR_AUTH (the message names what was tried and what the peer
     * offers), ERR_CLOSED/ERR_PROTOCOL for a session that broke, ERR_CANCELLED. Never called while lent. */
    void (*done)(void *arg, enum err result, const struct err_info *why);
    void *arg;
};

/* `spec` must outlive it; `log_name` for the log. The session is non-blocking, uses libssh2's default allocator, and
 * nobody else calls libssh2 on it until `done`; `auth` takes its disconnect callback over for that time (and calls the
 * one that was set). NULL: out of memory. */
struct auth *auth_new(uv_loop_t *loop, LIBSSH2_SESSION *ssh, const struct host_spec *spec, bool interactive,
                      const char *log_name, const struct auth_hooks *hooks);
/* The host key was taken although another one is pinned: send this peer no password. Before auth_start. */
void auth_forbid_passwords(struct auth *auth);
void auth_start(struct auth *auth);
/* More input has come, or the session was given back with input waiting: go on. Ignored while lent. */
void auth_input(struct auth *auth);
/* Completes with ERR_CANCELLED, as soon as a running worker has returned, and never inside the call. A worker that
 * waits at a terminal prompt returns when the prompt is answered or ended: the session must be kept until `done`. */
void auth_cancel(struct auth *auth);
/* What the peer offers as ways to be let in, as a comma list, and what was tried so far and did not do; "" when that is
 * not known, or nothing. Owned by `auth`; not while lent. */
const char *auth_get_methods(const struct auth *auth);
const char *auth_get_tried(const struct auth *auth);
/* After `done` (may be called inside it). */
void auth_free(struct auth *auth);

#endif
