/* The ssh-agent protocol (draft-ietf-sshm-ssh-agent; OpenSSH's PROTOCOL.agent), the client's side. */
#ifndef HOLDFAST_SESSION_AUTH_AGENT_H
#define HOLDFAST_SESSION_AUTH_AGENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "platform/agent.h"
#include "session/spec.h"
#include "session/wire.h"

#define AUTH_AGENT_KEY_CAP 2048 /* as many as OpenSSH's own client takes */

struct auth_agent_key {
    uint8_t *blob;
    size_t len;
    char *comment; /* control characters replaced */
};

struct auth_agent_keys {
    struct auth_agent_key *items;
    size_t count;
};

/* Pure: answers of an agent, which may be hostile. */
enum err auth_agent_parse_identities(const uint8_t *answer, size_t len, struct auth_agent_keys *out,
                                     struct err_info *info);
/* The signature proper inside an answer that must be made by `algorithm`; a slice of `answer`. */
enum err auth_agent_parse_signature(const uint8_t *answer, size_t len, struct wire_slice algorithm,
                                    struct wire_slice *out, struct err_info *info);
/* The request to sign `data` with `key`; the flags follow from the algorithm (RFC 8332). */
void auth_agent_write_sign(struct wire_writer *out, const uint8_t *key, size_t key_len, const uint8_t *data, size_t len,
                           struct wire_slice algorithm);

/* Where the agent of this host listens: identity_agent, or the system's (platform_agent_default). Heap
 * string; NULL: no agent. */
char *auth_agent_path(const struct host_spec *spec);

/* Both are blocking: from a worker thread only. `list` opens a connection for one question; `sign` too, since an agent
 * may ask a person first, and gives heap memory in `out_signature`. */
enum err auth_agent_list(const char *path, struct auth_agent_keys *out, struct err_info *info);
enum err auth_agent_sign(const char *path, const uint8_t *key, size_t key_len, const uint8_t *data, size_t len,
                         struct wire_slice algorithm, uint8_t **out_signature, size_t *out_len, struct err_info *info);
void auth_agent_keys_deinit(struct auth_agent_keys *keys);

#endif
