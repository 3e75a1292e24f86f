/* What the files of authentication share: auth.c (life and stages), auth_keys.c (which keys), auth_sign.c (public key
 * requests), auth_password.c (keyboard-interactive and passwords). All of it runs on a worker while the session is
 * lent. */
#ifndef HOLDFAST_SESSION_AUTH_INTERNAL_H
#define HOLDFAST_SESSION_AUTH_INTERNAL_H

#include <stdatomic.h>

#include "session/auth.h"
#include "session/auth_agent.h"
#include "session/key_file.h"

#define AUTH_PASSPHRASE_TRIES 3
#define AUTH_PASSWORD_TRIES 3 /* NumberOfPasswordPrompts */
#define AUTH_PARTIAL_CAP 8    /* more factors than any peer has */
#define AUTH_KBDINT_ROUNDS 32 /* questions in one keyboard-interactive exchange */

enum auth_stage {
    AUTH_STAGE_LIST = 0, /* asking which methods the peer takes */
    AUTH_STAGE_PREPARE,  /* reading key files, listing the agent's keys */
    AUTH_STAGE_NEXT,     /* choosing what to try */
    AUTH_STAGE_UNLOCK,   /* asking for the passphrase of the current key */
    AUTH_STAGE_PROBE,    /* agent: the whole request; file: would the peer take this public key? */
    AUTH_STAGE_SIGN,     /* signing with the current key file */
    AUTH_STAGE_KBDINT,
    AUTH_STAGE_PASSWORD,
    AUTH_STAGE_OVER
};

/* The stored secret as the passphrase of a key: `passphrase` is it while in use. */
enum auth_secret { AUTH_SECRET_UNTRIED = 0, AUTH_SECRET_IN_USE, AUTH_SECRET_OVER };

enum auth_step { AUTH_GO_ON, AUTH_WAIT_FOR_INPUT };

/* One key that may be offered. */
struct auth_candidate {
    const uint8_t *blob; /* of `agent_key` or `file`; NULL: only a passphrase tells */
    size_t blob_len;
    bool in_agent;
    const struct auth_agent_key *agent_key;
    struct key_file *file; /* NULL for an agent key that no identity file names */
    bool offered;
    bool accepted; /* used up by a partial success */
};

struct auth {
    uv_loop_t *loop;
    uv_work_t work;
    LIBSSH2_SESSION *ssh;
    const struct host_spec *spec;
    char *log_name;
    struct auth_hooks hooks;
    bool may_ask;
    bool no_passwords;
    bool started;
    bool lent;
    bool finished;
    bool prepared;
    atomic_bool cancelled;

    enum auth_stage stage;
    enum err result;
    struct err_info why;
    char methods[256];      /* what the peer offers now */
    unsigned failures_seen; /* of libssh2_userauth_failure */
    unsigned partial_count;
    char disconnect[256]; /* the peer's last words */
    libssh2_cb_generic *old_disconnect_cb;

    struct key_file *files;
    size_t file_count;
    char *agent_path;
    struct auth_agent_keys agent_keys;
    struct auth_candidate *candidates;
    size_t candidate_count;
    struct auth_candidate *current;
    bool probe_accepted;
    bool sha1_only;             /* the peer did not say that it takes rsa-sha2 */
    struct err_info sign_error; /* of the sign callback; OK when it did not fail */
    char *passphrase;           /* of the current key; wiped */
    unsigned passphrase_tries;
    enum auth_secret secret; /* of the current key */
    char secret_error[300];  /* why the stored secret did not help, last */

    unsigned kbdint_tries;
    unsigned kbdint_rounds;
    bool kbdint_skip; /* the conversation asked nothing, or nobody answers */
    unsigned password_tries;
    char *password;             /* of the current try; wiped */
    char tried[300];            /* for the sentence of a refusal */
    char needs_passphrase[200]; /* a key that the peer would take, had anybody unlocked it */
};

/* Stages; each is called again while it answers AUTH_WAIT_FOR_INPUT. */
void auth_keys_prepare(struct auth *auth);
void auth_keys_deinit(struct auth *auth);
/* Begins with the next key; false when there is none left. */
bool auth_keys_next(struct auth *auth);
/* After a partial success: all keys but the accepted ones may be offered again. */
void auth_keys_reset(struct auth *auth);
enum auth_step auth_sign_unlock(struct auth *auth);
enum auth_step auth_sign_probe(struct auth *auth);
enum auth_step auth_sign_file(struct auth *auth);
enum auth_step auth_password_kbdint(struct auth *auth);
enum auth_step auth_password_try(struct auth *auth);
void auth_password_wipe(char **io_secret);

/* The one setter of `stage`. */
void auth_set_stage(struct auth *auth, enum auth_stage stage);
/* Adds to what the refusal will say was tried. */
void auth_note(struct auth *auth, const char *format, ...) PRINTF_LIKE(2, 3);
/* What a libssh2 call that failed was: handles the peer's FAILURE (partial success too), or a session that broke, and
 * sets the next stage. True when the peer answered with a refusal or a partial success. */
bool auth_settle_failure(struct auth *auth, int status, const char *what);
/* Authenticated. */
void auth_succeed(struct auth *auth, const char *how);
/* "user@host" for messages. Returns `out`. */
const char *auth_peer_text(const struct auth *auth, char *out, size_t cap_bytes);
/* Asks at the terminal; heap string to be wiped, or NULL. */
char *auth_ask(struct auth *auth, const char *prompt, bool echo);
/* The auth whose worker this thread is; for libssh2 callbacks that carry no argument of ours. */
struct auth *auth_current(void);

#endif
