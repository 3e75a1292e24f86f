#include "session/inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session/internal.h"

void inspect_session(struct session *session, struct inspect *inspect)
{
    session->inspect = inspect;
}

void inspect_received(struct session *session, const uint8_t *bytes, size_t len)
{
    struct inspect *inspect = session->inspect;
    size_t room = sizeof inspect->opening - inspect->opening_len;
    size_t kept = len < room ? len : room;
    memcpy(inspect->opening + inspect->opening_len, bytes, kept);
    inspect->opening_len += kept;
}

void inspect_host_key(struct session *session, const uint8_t *key, size_t len)
{
    struct inspect *inspect = session->inspect;
    if (len <= sizeof inspect->host_key) {
        memcpy(inspect->host_key, key, len);
        inspect->host_key_len = len;
    }
}

void inspect_auth(struct session *session, const struct auth *auth)
{
    struct inspect *inspect = session->inspect;
    (void)snprintf(inspect->auth_methods, sizeof inspect->auth_methods, "%s", auth_get_methods(auth));
    (void)snprintf(inspect->auth_tried, sizeof inspect->auth_tried, "%s", auth_get_tried(auth));
}

/* ---- nothing in common ---- */

static void copy_list(struct wire_slice list, char *out, size_t cap_bytes)
{
    size_t len = list.len < cap_bytes - 1 ? list.len : cap_bytes - 1;
    for (size_t i = 0; i < len; i++) {
        out[i] = list.data[i] > 0x20 && list.data[i] < 0x7f ? (char)list.data[i] : '?';
    }
    out[len] = '\0';
}

static bool has_mac_inside(struct wire_slice cipher)
{
    static const char *const names[] = {"aes128-gcm@openssh.com", "aes256-gcm@openssh.com",
                                        "chacha20-poly1305@openssh.com"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (wire_slice_is(cipher, names[i])) {
            return true;
        }
    }
    return false;
}

const char *inspect_missing(const struct opening *opening, const struct host_spec *spec, const char *hostname,
                            char *theirs, char *ours, size_t cap_bytes)
{
    static const struct {
        enum method_kind kind;
        const char *what;
        enum opening_list lists[2];
    } kinds[] = {
        {METHOD_KEX, "key exchange", {OPENING_KEX, OPENING_KEX}},
        {METHOD_HOST_KEY, "host key algorithm", {OPENING_HOST_KEY, OPENING_HOST_KEY}},
        {METHOD_CIPHER, "cipher", {OPENING_CIPHER_TO_PEER, OPENING_CIPHER_FROM_PEER}},
        {METHOD_MAC, "MAC", {OPENING_MAC_TO_PEER, OPENING_MAC_FROM_PEER}},
    };
    bool needs_mac[2] = {true, true};
    const char *missing = NULL;
    for (size_t i = 0; opening->has_offer && missing == NULL && i < sizeof kinds / sizeof kinds[0]; i++) {
        char *offer = methods_offer(kinds[i].kind, spec, hostname);
        for (size_t way = 0; offer != NULL && missing == NULL && way < 2; way++) {
            struct wire_slice list = opening->lists[kinds[i].lists[way]];
            struct wire_slice common = opening_common(list, offer);
            if (kinds[i].kind == METHOD_CIPHER) {
                needs_mac[way] = !has_mac_inside(common);
            }
            if (common.len == 0 && (kinds[i].kind != METHOD_MAC || needs_mac[way])) {
                missing = kinds[i].what;
                copy_list(list, theirs, cap_bytes);
                (void)snprintf(ours, cap_bytes, "%s", offer);
            }
        }
        free(offer);
    }
    return missing;
}

/* ---- large packets ---- */

void inspect_send_large(struct session *session, size_t padding_bytes, session_reply_cb *on_reply, void *arg)
{
    size_t bytes = padding_bytes < INSPECT_PADDING_MAX_BYTES ? padding_bytes : INSPECT_PADDING_MAX_BYTES;
    mux_padded_request(session->mux, bytes, on_reply, arg);
}
