#include "session/auth.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "platform/platform.h"
#include "session/auth_internal.h"

static _Thread_local struct auth *current_auth;

struct auth *auth_current(void)
{
    return current_auth;
}

void auth_set_stage(struct auth *auth, enum auth_stage stage)
{
    static const char *const names[] = {
        [AUTH_STAGE_LIST] = "list",     [AUTH_STAGE_PREPARE] = "prepare",   [AUTH_STAGE_NEXT] = "next",
        [AUTH_STAGE_UNLOCK] = "unlock", [AUTH_STAGE_PROBE] = "probe",       [AUTH_STAGE_SIGN] = "sign",
        [AUTH_STAGE_KBDINT] = "kbdint", [AUTH_STAGE_PASSWORD] = "password", [AUTH_STAGE_OVER] = "over",
    };
    log_trace(auth->log_name, "authentication: %s -> %s", names[auth->stage], names[stage]);
    if (stage == AUTH_STAGE_PROBE || stage == AUTH_STAGE_SIGN) {
        auth->probe_accepted = false;
        auth->sha1_only = false;
        auth->sign_error.code = OK;
    }
    auth->stage = stage;
}

void auth_note(struct auth *auth, const char *format, ...)
{
    char note[sizeof auth->tried];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(note, sizeof note, format, args);
    va_end(args);
    size_t len = strlen(auth->tried);
    size_t left = sizeof auth->tried - len;
    int wanted = snprintf(auth->tried + len, left, "%s%s", len > 0 ? "; " : "", note);
    if (wanted >= 0 && (size_t)wanted >= left)
        memcpy(auth->tried + sizeof auth->tried - 4, "...", 4);
}

const char *auth_peer_text(const struct auth *auth, char *out, size_t cap_bytes)
{
    const char *host = auth->spec->name != NULL          ? auth->spec->name
                       : auth->spec->hostnames.count > 0 ? auth->spec->hostnames.items[0]
                                                         : "the peer";
    (void)snprintf(out, cap_bytes, "%s@%s", auth->spec->user, host);
    return out;
}

char *auth_ask(struct auth *auth, const char *prompt, bool echo)
{
    char *answer = NULL;
    struct err_info info;
    if (atomic_load(&auth->cancelled))
        return NULL;
    if (platform_terminal_ask(prompt, echo, &answer, &info) != OK) {
        log_debug(auth->log_name, "no answer at the terminal: %s", info.message);
        answer = NULL;
    }
    if (atomic_load(&auth->cancelled))
        auth_password_wipe(&answer);
    return answer;
}

static void finish(struct auth *auth, enum err result)
{
    auth->result = result;
    auth_set_stage(auth, AUTH_STAGE_OVER);
}

void auth_succeed(struct auth *auth, const char *how)
{
    char peer[256];
    log_info(auth->log_name, "authenticated as %s by %s", auth_peer_text(auth, peer, sizeof peer), how);
    finish(auth, OK);
}

/* The session broke under us; the peer may have said why. */
static void finish_broken(struct auth *auth)
{
    char *message = NULL;
    char peer[256];
    int code = libssh2_session_last_error(auth->ssh, &message, NULL, 0);
    (void)auth_peer_text(auth, peer, sizeof peer);
    if (strstr(auth->disconnect, "oo many authentication failures") != NULL)
        finish(auth, err_set(&auth->why, ERR_AUTH,
                             "%.100s was refused: the peer ended it after too many tries (%s); name the one key with "
                             "identity_file and set identities_only: yes",
                             peer, auth->tried));
    else if (auth->disconnect[0] != '\0')
        finish(auth, err_set(&auth->why, ERR_CLOSED, "the peer ended the session during authentication: %s",
                             auth->disconnect));
    else if (code == LIBSSH2_ERROR_SOCKET_DISCONNECT || code == LIBSSH2_ERROR_SOCKET_RECV ||
             code == LIBSSH2_ERROR_SOCKET_SEND || libssh2_userauth_failure(auth->ssh, NULL, NULL) > 0 ||
             code == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED || code == LIBSSH2_ERROR_AUTHENTICATION_FAILED)
        finish(auth, err_set(&auth->why, ERR_CLOSED, "the peer closed the connection during authentication"));
    else
        finish(auth, err_set(&auth->why, ERR_PROTOCOL, "authentication broke down: %s",
                             message != NULL ? message : "no reason known"));
}

/* Reads what the peer's last FAILURE says. True when there is a new one. */
static bool read_failure(struct auth *auth, bool *out_partial)
{
    const char *methods = NULL;
    int partial = 0;
    unsigned count = libssh2_userauth_failure(auth->ssh, &methods, &partial);
    *out_partial = partial != 0;
    if (count == auth->failures_seen || methods == NULL)
        return false;
    auth->failures_seen = count;
    (void)snprintf(auth->methods, sizeof auth->methods, "%s", methods);
    for (char *at = auth->methods; *at != '\0'; at++) {
        if (*at <= 0x20 || *at >= 0x7f)
            *at = '?';
    }
    return true;
}

/* Did a call fail before it sent anything that the peer would have answered? */
static bool is_local(const struct auth *auth, int status)
{
    char *message = NULL;
    switch (status) {
    case LIBSSH2_ERROR_FILE:
    case LIBSSH2_ERROR_KEYFILE_AUTH_FAILED:
    case LIBSSH2_ERROR_DECRYPT:
    case LIBSSH2_ERROR_METHOD_NONE:
    case LIBSSH2_ERROR_METHOD_NOT_SUPPORTED:
    case LIBSSH2_ERROR_ALGO_UNSUPPORTED:
    case LIBSSH2_ERROR_PROTO: return true;
    case LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED: /* signing failed, or the connection: only the text tells */
        (void)libssh2_session_last_error(auth->ssh, &message, NULL, 0);
        return message != NULL && strstr(message, "Callback") != NULL;
    default: return false;
    }
}

bool auth_settle_failure(struct auth *auth, int status, const char *what)
{
    bool partial = false;
    if (!read_failure(auth, &partial)) {
        bool local = is_local(auth, status);
        if (!local || auth->disconnect[0] != '\0')
            finish_broken(auth);
        return false;
    }
    if (partial && auth->partial_count < AUTH_PARTIAL_CAP) {
        auth->partial_count++;
        log_info(auth->log_name, "%s: accepted, and the peer wants more: %s", what, auth->methods);
        auth_keys_reset(auth);
    } else {
        log_info(auth->log_name, "%s: refused", what);
        auth_note(auth, "%s (refused)", what);
    }
    auth_set_stage(auth, AUTH_STAGE_NEXT);
    return true;
}

/* Is `method` in the comma list of what the peer offers? */
static bool offered(const struct auth *auth, const char *method)
{
    size_t method_len = strlen(method);
    for (const char *at = auth->methods; *at != '\0';) {
        size_t len = strcspn(at, ",");
        if (len == method_len && memcmp(at, method, len) == 0)
            return true;
        at += len;
        if (*at == ',')
            at++;
    }
    return false;
}

/* Everything was tried. */
static void finish_refused(struct auth *auth)
{
    char peer[128];
    const char *mend = "";
    char advice[400] = "";
    (void)auth_peer_text(auth, peer, sizeof peer);
    const char *at = strrchr(peer, '@');
    const char *host = at != NULL ? at + 1 : peer;
    if (auth->needs_passphrase[0] != '\0' && auth->secret_error[0] != '\0') {
        finish(auth,
               err_set(&auth->why, ERR_AUTH, "%s was refused: the peer would take %s, but it has a passphrase, and %s",
                       peer, auth->needs_passphrase, auth->secret_error));
        return;
    }
    if (auth->needs_passphrase[0] != '\0') {
        finish(auth,
               err_set(&auth->why, ERR_AUTH,
                       "%s was refused: the peer would take %s, but it has a passphrase and nobody can be asked here; "
                       "load it into ssh-agent, or use a key without passphrase and with least rights "
                       "(keys/README.md)",
                       peer, auth->needs_passphrase));
        return;
    }
    for (size_t i = 0; i < auth->candidate_count && advice[0] == '\0'; i++) {
        const struct key_file *file = auth->candidates[i].file;
        if (file != NULL)
            (void)snprintf(advice, sizeof advice,
                           "; add the public key %.150s.pub to ~/.ssh/authorized_keys of %s on %s", file->path,
                           auth->spec->user, host);
    }
    if (!offered(auth, "publickey"))
        mend = "; allow public keys there (PubkeyAuthentication), or use the one-line form at a terminal";
    else if (advice[0] != '\0')
        mend = advice;
    else if (auth->candidate_count == 0)
        mend = "; make a key with ssh-keygen -t ed25519 and name it with identity_file";
    else
        mend = "; add the public half of one of them to ~/.ssh/authorized_keys there";
    finish(auth, err_set(&auth->why, ERR_AUTH, "%s was refused: %s; the peer offers %s%s", peer,
                         auth->tried[0] != '\0' ? auth->tried : "there was no key to offer",
                         auth->methods[0] != '\0' ? auth->methods : "nothing", mend));
}

static void stage_next(struct auth *auth)
{
    bool passwords = auth->may_ask && auth->spec->password_authentication && !auth->no_passwords;
    if (!auth->prepared && offered(auth, "publickey")) {
        auth_set_stage(auth, AUTH_STAGE_PREPARE);
    } else if (offered(auth, "publickey") && auth_keys_next(auth)) {
        return;
    } else if (passwords && offered(auth, "keyboard-interactive") && !auth->kbdint_skip &&
               auth->kbdint_tries < AUTH_PASSWORD_TRIES) {
        auth->kbdint_tries++;
        auth->kbdint_rounds = 0;
        auth_set_stage(auth, AUTH_STAGE_KBDINT);
    } else if (passwords && offered(auth, "password") && auth->password_tries < AUTH_PASSWORD_TRIES) {
        auth->password_tries++;
        auth_set_stage(auth, AUTH_STAGE_PASSWORD);
    } else {
        finish_refused(auth);
    }
}

static enum auth_step stage_list(struct auth *auth)
{
    char *banner = NULL;
    bool partial = false;
    const char *methods = libssh2_userauth_list(auth->ssh, auth->spec->user, (unsigned)strlen(auth->spec->user));
    if (methods == NULL && libssh2_session_last_errno(auth->ssh) == LIBSSH2_ERROR_EAGAIN)
        return AUTH_WAIT_FOR_INPUT;
    if (libssh2_userauth_banner(auth->ssh, &banner) == 0 && banner != NULL)
        log_debug(auth->log_name, "the peer's banner: %.1000s", banner);
    if (methods == NULL && libssh2_userauth_authenticated(auth->ssh)) {
        auth_succeed(auth, "nothing (the peer asks for no proof)");
    } else if (methods == NULL || !read_failure(auth, &partial)) {
        finish_broken(auth);
    } else {
        log_debug(auth->log_name, "the peer offers %s", auth->methods);
        auth_set_stage(auth, AUTH_STAGE_NEXT);
    }
    return AUTH_GO_ON;
}

static enum auth_step run_stage(struct auth *auth)
{
    switch (auth->stage) {
    case AUTH_STAGE_LIST: return stage_list(auth);
    case AUTH_STAGE_PREPARE:
        auth->prepared = true;
        auth_keys_prepare(auth);
        auth_set_stage(auth, AUTH_STAGE_NEXT);
        return AUTH_GO_ON;
    case AUTH_STAGE_NEXT: stage_next(auth); return AUTH_GO_ON;
    case AUTH_STAGE_UNLOCK: return auth_sign_unlock(auth);
    case AUTH_STAGE_PROBE: return auth_sign_probe(auth);
    case AUTH_STAGE_SIGN: return auth_sign_file(auth);
    case AUTH_STAGE_KBDINT: return auth_password_kbdint(auth);
    case AUTH_STAGE_PASSWORD: return auth_password_try(auth);
    case AUTH_STAGE_OVER:
    default: return AUTH_WAIT_FOR_INPUT;
    }
}

static void work_on_worker(uv_work_t *work)
{
    struct auth *auth = work->data;
    current_auth = auth;
    while (!atomic_load(&auth->cancelled) && auth->stage != AUTH_STAGE_OVER) {
        if (run_stage(auth) == AUTH_WAIT_FOR_INPUT)
            break;
    }
    current_auth = NULL;
}

/* The peer's disconnect message, on the worker. */
static void on_disconnect(LIBSSH2_SESSION *ssh, int reason, const char *message, int message_len, const char *language,
                          int language_len, void **abstract)
{
    struct auth *auth = current_auth;
    if (auth == NULL)
        return;
    int cap = (int)sizeof auth->disconnect - 1;
    (void)snprintf(auth->disconnect, sizeof auth->disconnect, "%.*s", message_len < cap ? message_len : cap,
                   message != NULL ? message : "");
    if (auth->disconnect[0] == '\0')
        (void)snprintf(auth->disconnect, sizeof auth->disconnect, "reason %d", reason);
    if (auth->old_disconnect_cb != NULL) {
        LIBSSH2_DISCONNECT_FUNC((*old)) = (LIBSSH2_DISCONNECT_FUNC((*)))auth->old_disconnect_cb;
        old(ssh, reason, message, message_len, language, language_len, abstract);
    }
}

static void after_work(uv_work_t *work, int status)
{
    struct auth *auth = work->data;
    (void)status; /* a cancelled job has auth->cancelled set */
    bool over = auth->stage == AUTH_STAGE_OVER || atomic_load(&auth->cancelled);
    auth->finished = over;
    auth->lent = false;
    if (over) {
        (void)libssh2_session_callback_set2(auth->ssh, LIBSSH2_CALLBACK_DISCONNECT, auth->old_disconnect_cb);
        if (atomic_load(&auth->cancelled))
            auth->result = err_set(&auth->why, ERR_CANCELLED, "stopped during authentication");
    }
    auth->hooks.give_back(auth->hooks.arg);
    if (over)
        auth->hooks.done(auth->hooks.arg, auth->result, auth->result != OK ? &auth->why : NULL);
}

/* Lends the session to a worker and lets it go on. */
static void lend(struct auth *auth)
{
    auth->lent = true;
    auth->hooks.lend(auth->hooks.arg);
    (void)uv_queue_work(auth->loop, &auth->work, work_on_worker, after_work); /* fails for a NULL callback only */
}

struct auth *auth_new(uv_loop_t *loop, LIBSSH2_SESSION *ssh, const struct host_spec *spec, bool interactive,
                      const char *log_name, const struct auth_hooks *hooks)
{
    struct auth *auth = calloc(1, sizeof *auth);
    if (auth == NULL)
        return NULL;
    auth->loop = loop;
    auth->work.data = auth;
    auth->ssh = ssh;
    auth->spec = spec;
    auth->hooks = *hooks;
    auth->may_ask = interactive && !spec->batch_mode && platform_has_terminal();
    auth->log_name = log_name != NULL ? strdup(log_name) : NULL;
    if (log_name != NULL && auth->log_name == NULL) {
        free(auth);
        return NULL;
    }
    return auth;
}

void auth_forbid_passwords(struct auth *auth)
{
    auth->no_passwords = true;
}

void auth_start(struct auth *auth)
{
    auth->started = true;
    auth->old_disconnect_cb =
        libssh2_session_callback_set2(auth->ssh, LIBSSH2_CALLBACK_DISCONNECT, (libssh2_cb_generic *)on_disconnect);
    (void)libssh2_session_method_pref(auth->ssh, LIBSSH2_METHOD_SIGN_ALGO, "rsa-sha2-512,rsa-sha2-256");
    lend(auth);
}

void auth_input(struct auth *auth)
{
    if (auth->started && !auth->lent && !auth->finished)
        lend(auth);
}

void auth_cancel(struct auth *auth)
{
    if (!auth->started || auth->finished)
        return;
    atomic_store(&auth->cancelled, true);
    if (auth->lent)
        (void)uv_cancel((uv_req_t *)&auth->work);
    else
        lend(auth); /* completes from the loop, not from here */
}

const char *auth_get_methods(const struct auth *auth)
{
    return auth->methods;
}

const char *auth_get_tried(const struct auth *auth)
{
    return auth->tried;
}

void auth_free(struct auth *auth)
{
    if (auth == NULL)
        return;
    auth_keys_deinit(auth);
    free(auth->log_name);
    free(auth);
}
