/* Keyboard-interactive (RFC 4256) and passwords (RFC 4252 section 8), both asked for at a terminal only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "platform/platform.h"
#include "session/auth_internal.h"

void auth_password_wipe(char **io_secret)
{
    if (*io_secret != NULL)
        platform_wipe(*io_secret, strlen(*io_secret));
    free(*io_secret);
    *io_secret = NULL;
}

/* Appends what a peer wants shown, without anything that a terminal would obey. */
static void append_shown(char *out, size_t cap_bytes, const void *text, size_t len)
{
    const unsigned char *bytes = text;
    size_t at = strlen(out);
    for (size_t i = 0; i < len && at + 1 < cap_bytes; i++) {
        bool control = (bytes[i] < 0x20 && bytes[i] != '\n') || bytes[i] == 0x7f;
        /* U+0080 to U+009F, the control characters of eight bits, by their second byte */
        control = control || (i > 0 && bytes[i - 1] == 0xc2 && bytes[i] >= 0x80 && bytes[i] < 0xa0);
        out[at++] = control ? '?' : (char)bytes[i];
    }
    out[at] = '\0';
}

static void answer_prompts(const char *name, int name_len, const char *instruction, int instruction_len,
                           int prompt_count, const LIBSSH2_USERAUTH_KBDINT_PROMPT *prompts,
                           LIBSSH2_USERAUTH_KBDINT_RESPONSE *responses, void **abstract)
{
    struct auth *auth = auth_current();
    char peer[256];
    (void)abstract;
    if (auth->kbdint_rounds++ == AUTH_KBDINT_ROUNDS)
        auth->kbdint_skip = true;
    for (int i = 0; i < prompt_count && !auth->kbdint_skip; i++) {
        char shown[1024] = "";
        if (i == 0 && name_len > 0) {
            append_shown(shown, sizeof shown, name, (size_t)name_len);
            append_shown(shown, sizeof shown, "\n", 1);
        }
        if (i == 0 && instruction_len > 0) {
            append_shown(shown, sizeof shown, instruction, (size_t)instruction_len);
            append_shown(shown, sizeof shown, "\n", 1);
        }
        (void)auth_peer_text(auth, peer, sizeof peer);
        append_shown(shown, sizeof shown, "(", 1);
        append_shown(shown, sizeof shown, peer, strlen(peer));
        append_shown(shown, sizeof shown, ") ", 2);
        append_shown(shown, sizeof shown, prompts[i].text, prompts[i].length);
        responses[i].text = auth_ask(auth, shown, prompts[i].echo != 0);
        if (responses[i].text == NULL)
            auth->kbdint_skip = true; /* an empty answer goes out, and no further try is made */
        else
            responses[i].length = (unsigned)strlen(responses[i].text);
    }
}

enum auth_step auth_password_kbdint(struct auth *auth)
{
    unsigned rounds_before = auth->kbdint_rounds;
    int status = libssh2_userauth_keyboard_interactive_ex(auth->ssh, auth->spec->user,
                                                          (unsigned)strlen(auth->spec->user), answer_prompts);
    if (status == LIBSSH2_ERROR_EAGAIN)
        return AUTH_WAIT_FOR_INPUT;
    if (status == 0) {
        auth_succeed(auth, "keyboard-interactive");
        return AUTH_GO_ON;
    }
    if (auth->kbdint_rounds == 0 && rounds_before == 0)
        auth->kbdint_skip = true; /* refused before any question */
    (void)auth_settle_failure(auth, status, "keyboard-interactive");
    return AUTH_GO_ON;
}

enum auth_step auth_password_try(struct auth *auth)
{
    char peer[256];
    char prompt[320];
    if (auth->password == NULL) {
        (void)snprintf(prompt, sizeof prompt, "%s's password: ", auth_peer_text(auth, peer, sizeof peer));
        auth->password = auth_ask(auth, prompt, false);
        if (auth->password == NULL) {
            auth->password_tries = AUTH_PASSWORD_TRIES;
            auth_set_stage(auth, AUTH_STAGE_NEXT);
            return AUTH_GO_ON;
        }
    }
    int status = libssh2_userauth_password_ex(auth->ssh, auth->spec->user, (unsigned)strlen(auth->spec->user),
                                              auth->password, (unsigned)strlen(auth->password), NULL);
    if (status == LIBSSH2_ERROR_EAGAIN)
        return AUTH_WAIT_FOR_INPUT;
    auth_password_wipe(&auth->password);
    if (status == 0) {
        auth_succeed(auth, "password");
    } else if (status == LIBSSH2_ERROR_PASSWORD_EXPIRED) {
        auth->password_tries = AUTH_PASSWORD_TRIES;
        auth_note(auth, "password (expired: change it at the peer)");
        auth_set_stage(auth, AUTH_STAGE_NEXT);
    } else {
        (void)auth_settle_failure(auth, status, "password");
    }
    return AUTH_GO_ON;
}
