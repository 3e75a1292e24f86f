/* Public key authentication (RFC 4252 section 7): asking whether the peer would take a key, and signing. RSA only with
 * SHA-2 (RFC 8332), which libssh2 chooses when the peer's server-sig-algs has it. */
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "platform/secret.h"
#include "session/auth_internal.h"
#include "session/host_key.h"

/* How logs and sentences name a key. */
static const char *candidate_text(const struct auth_candidate *candidate, char *out, size_t cap_bytes)
{
    char key[160] = "";
    if (candidate->blob != NULL)
        (void)host_key_text(candidate->blob, candidate->blob_len, key, sizeof key);
    if (candidate->in_agent)
        (void)snprintf(out, cap_bytes, "agent key %s", key);
    else
        (void)snprintf(out, cap_bytes, "%s", candidate->file->path);
    return out;
}

/* The signature algorithm in the data to be signed: session id, then the request. */
static struct wire_slice requested_algorithm(const uint8_t *data, size_t len)
{
    struct wire_reader reader;
    wire_reader_init(&reader, data, len);
    (void)wire_read_string(&reader); /* session id */
    (void)wire_read_u8(&reader);     /* SSH_MSG_USERAUTH_REQUEST */
    (void)wire_read_string(&reader); /* user */
    (void)wire_read_string(&reader); /* service */
    (void)wire_read_string(&reader); /* "publickey" */
    (void)wire_read_u8(&reader);     /* with signature */
    return wire_read_string(&reader);
}

/* libssh2 calls it once the peer has said that it would take the key. */
static int sign_callback(LIBSSH2_SESSION *ssh, unsigned char **out_signature, size_t *out_len,
                         const unsigned char *data, size_t len, void **abstract)
{
    struct auth *auth = *abstract;
    struct auth_candidate *candidate = auth->current;
    struct wire_slice algorithm = requested_algorithm(data, len);
    (void)ssh;
    auth->probe_accepted = true;
    if (algorithm.len == 0 || wire_slice_is(algorithm, "ssh-rsa")) {
        auth->sha1_only = true;
        return -1;
    }
    if (!candidate->in_agent)
        return -1; /* it was only a question */
    enum err result = auth_agent_sign(auth->agent_path, candidate->blob, candidate->blob_len, data, len, algorithm,
                                      out_signature, out_len, &auth->sign_error);
    return result == OK ? 0 : -1;
}

/* The current key is of no use: says why, and goes on to the next. */
static void drop_candidate(struct auth *auth, const char *why)
{
    char text[256];
    (void)candidate_text(auth->current, text, sizeof text);
    log_info(auth->log_name, "%s: %s", text, why);
    auth_note(auth, "%s (%s)", text, why);
    auth_set_stage(auth, AUTH_STAGE_NEXT);
}

/* The peer's answer to a key: refused, or a factor of several. */
static bool settle(struct auth *auth, int status)
{
    char text[256];
    unsigned partial_before = auth->partial_count;
    (void)candidate_text(auth->current, text, sizeof text);
    if (!auth_settle_failure(auth, status, text))
        return false;
    if (auth->partial_count != partial_before)
        auth->current->accepted = true;
    return true;
}

static void succeed(struct auth *auth)
{
    char text[256];
    auth_succeed(auth, candidate_text(auth->current, text, sizeof text));
}

enum auth_step auth_sign_probe(struct auth *auth)
{
    void *abstract = auth;
    struct auth_candidate *candidate = auth->current;
    int status = libssh2_userauth_publickey(auth->ssh, auth->spec->user, candidate->blob, candidate->blob_len,
                                            sign_callback, &abstract);
    if (status == LIBSSH2_ERROR_EAGAIN)
        return AUTH_WAIT_FOR_INPUT;
    if (status == 0) {
        succeed(auth);
    } else if (status == LIBSSH2_ERROR_METHOD_NONE) {
        drop_candidate(auth, "the peer takes no signature of this type of key");
    } else if (auth->sha1_only) {
        drop_candidate(auth, "the peer would take it only with SHA-1, which is broken: use an ssh-ed25519 key");
    } else if (auth->sign_error.code != OK) {
        drop_candidate(auth, auth->sign_error.message);
    } else if (auth->probe_accepted && !candidate->in_agent) {
        bool locked = candidate->file->encrypted && auth->passphrase == NULL;
        auth_set_stage(auth, locked ? AUTH_STAGE_UNLOCK : AUTH_STAGE_SIGN);
    } else {
        (void)settle(auth, status);
    }
    return AUTH_GO_ON;
}

static void note_secret(struct auth *auth, const char *why)
{
    (void)snprintf(auth->secret_error, sizeof auth->secret_error, "%.299s", why);
    log_warning(auth->log_name, "%.300s: %s", auth->current->file->path, auth->secret_error);
    auth->secret = AUTH_SECRET_OVER;
}

/* A stored secret may open the key. True when there is a passphrase to try; back here after that, it was a wrong one.
 */
static bool take_secret(struct auth *auth)
{
    struct err_info info;
    const char *name = auth->spec->passphrase_secret;
    if (name == NULL || auth->secret == AUTH_SECRET_OVER) {
        return false;
    }
    if (auth->secret == AUTH_SECRET_IN_USE) {
        (void)err_set(&info, ERR_AUTH,
                      "the secret '%s' is not its passphrase; store the right one with holdfast secret set", name);
        note_secret(auth, info.message);
        return false;
    }
    if (platform_secret_get(name, &auth->passphrase, &info) != OK) {
        note_secret(auth, info.message);
        return false;
    }
    auth->secret = AUTH_SECRET_IN_USE;
    return true;
}

/* Asks for the passphrase. False when the key is given up. */
static bool ask_passphrase(struct auth *auth)
{
    char prompt[600];
    const struct key_file *file = auth->current->file;
    if (!auth->may_ask) {
        (void)snprintf(auth->needs_passphrase, sizeof auth->needs_passphrase, "%s", file->path);
        drop_candidate(auth,
                       auth->secret_error[0] != '\0'
                           ? auth->secret_error
                           : "has a passphrase, and nobody can be asked here: load it into ssh-agent, or use a key "
                             "without passphrase and with least rights");
        return false;
    }
    if (auth->passphrase_tries++ == AUTH_PASSPHRASE_TRIES) {
        drop_candidate(auth, "no right passphrase was given");
        return false;
    }
    (void)snprintf(prompt, sizeof prompt, "%sEnter passphrase for key '%.400s': ",
                   auth->passphrase_tries > 1 ? "Bad passphrase, try again. " : "", file->path);
    auth->passphrase = auth_ask(auth, prompt, false);
    if (auth->passphrase == NULL || auth->passphrase[0] == '\0') { /* as with ssh: skips this key */
        auth_password_wipe(&auth->passphrase);
        drop_candidate(auth, "no passphrase was given");
        return false;
    }
    return true;
}

enum auth_step auth_sign_unlock(struct auth *auth)
{
    struct key_file *file = auth->current->file;
    auth_password_wipe(&auth->passphrase);
    if (!take_secret(auth) && !ask_passphrase(auth)) {
        return AUTH_GO_ON;
    }
    if (auth->current->blob != NULL) {
        auth_set_stage(auth, AUTH_STAGE_SIGN);
        return AUTH_GO_ON;
    }
    struct err_info info;
    enum err result = key_file_unlock(file, auth->passphrase, &info);
    if (result == OK) {
        auth->current->blob = file->public_key;
        auth->current->blob_len = file->public_key_len;
        auth_set_stage(auth, AUTH_STAGE_PROBE);
    } else if (result != ERR_AUTH) {
        drop_candidate(auth, info.message);
    }
    return AUTH_GO_ON;
}

enum auth_step auth_sign_file(struct auth *auth)
{
    const struct key_file *file = auth->current->file;
    ERR_clear_error(); /* libssh2 looks at the oldest error in OpenSSL's queue */
    int status = libssh2_userauth_publickey_frommemory(auth->ssh, auth->spec->user, strlen(auth->spec->user), NULL, 0,
                                                       file->text, file->len, auth->passphrase);
    if (status == LIBSSH2_ERROR_EAGAIN)
        return AUTH_WAIT_FOR_INPUT;
    if (status == 0) {
        succeed(auth);
    } else if (settle(auth, status)) {
        return AUTH_GO_ON;
    } else if (auth->stage != AUTH_STAGE_OVER) {
        if (auth->passphrase != NULL)
            auth_set_stage(auth, AUTH_STAGE_UNLOCK);
        else
            drop_candidate(auth, "the key cannot be used: it is broken, or its encryption is not in this version");
    }
    return AUTH_GO_ON;
}
