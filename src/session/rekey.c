/* New keys on the way (RFC 4253 section 9): when we ask for them, and what the peer may not do meanwhile. */
#include <string.h>

#include "base/log.h"
#include "session/internal.h"

/* A session whose spec names no limit changes its keys after this much: RFC 4253 section 9 advises to, and a 32-bit
 * count of packets must not come round. */
static const uint64_t REKEY_DEFAULT_BYTES = 16ULL << 30;

/* A peer that shows another host key later is another peer. Looked at after every portion of input while keys are
 * changed: the end of one exchange and the beginning of the next may come in one. */
void rekey_check_host_key(struct session *session)
{
    size_t len = 0;
    int type = 0;
    char text[160];
    const char *key = libssh2_session_hostkey(session->ssh, &len, &type);
    if (key == NULL || len != session->host_key_len || memcmp(key, session->host_key, len) != 0) {
        session_end(session, ERR_HOST_KEY, "the peer showed another host key when the keys were changed: %s",
                    key != NULL ? host_key_text((const uint8_t *)key, len, text, sizeof text) : "none");
    }
}

void rekey_done(struct session *session)
{
    uint64_t limit = session->spec.rekey_limit_bytes != 0 ? session->spec.rekey_limit_bytes : REKEY_DEFAULT_BYTES;
    session->rekey_at_bytes = session->bytes_in + session->bytes_out + limit;
    session->last_rekey_ms = uv_now(session->loop);
}

void rekey_step(struct session *session)
{
    uint64_t total = session->bytes_in + session->bytes_out;
    uint64_t now = uv_now(session->loop);
    bool rekeying = libssh2_session_rekeying(session->ssh) != 0;
    if (session->was_rekeying) {
        rekey_check_host_key(session);
        if (session->ending) {
            return;
        }
    }
    if (session->was_rekeying && !rekeying) {
        session->rekeys++;
        log_debug(session->log_name, "keys changed, %llu times by now", (unsigned long long)session->rekeys);
        rekey_done(session);
    }
    if (!rekeying &&
        (total >= session->rekey_at_bytes ||
         (session->spec.rekey_limit_ms != 0 && now - session->last_rekey_ms >= session->spec.rekey_limit_ms))) {
        int code = libssh2_session_rekey(session->ssh);
        rekeying = true;
        if (code != 0 && code != LIBSSH2_ERROR_EAGAIN) {
            session_end(session, ERR_PROTOCOL, "changing keys failed: %s", ssh2_err_text(session->ssh));
        }
    }
    if (rekeying && !session->was_rekeying) {
        session->rekey_since_ms = now;
        alive_rekeying(session);
    }
    session->was_rekeying = rekeying;
}
