/* The algorithms that a session offers to its peer: from its spec and our defaults to libssh2. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "platform/platform.h"
#include "session/host_key.h"
#include "session/internal.h"

struct method {
    const char *what; /* for messages */
    int kinds[2];     /* libssh2's, one for each direction where there are two, else twice the same */
    const char *defaults;
    const char *wanted; /* as the user wrote it; NULL: the defaults */
    char *list;         /* heap: what to offer; NULL: out of memory */
};

/* What libssh2 has of a kind, without the two names that are no key exchange and come along in every offer. */
static size_t names_of(LIBSSH2_SESSION *ssh, int kind, const char ***out_names)
{
    int count = libssh2_session_supported_algs(ssh, kind, out_names);
    size_t kept = 0;
    for (int i = 0; i < count; i++) {
        const char *name = (*out_names)[i];
        if (strcmp(name, "ext-info-c") != 0 && strncmp(name, "kex-strict-", 11) != 0) {
            (*out_names)[kept++] = name;
        }
    }
    return kept;
}

static enum err check(const struct session *session, const struct method *method, struct err_info *info)
{
    const char **have = NULL;
    size_t known = 0;
    size_t have_count = names_of(session->ssh, method->kinds[0], &have);
    char *unknown = algorithms_unknown(method->list, have, have_count, &known);
    enum err code = OK;
    if (unknown == NULL) {
        code = err_set(info, ERR_MEMORY, "out of memory");
    } else if (known == 0) {
        code = err_set(info, ERR_DEFINITION, "'%.128s' leaves no %s that holdfast has; without it they are: %s",
                       method->wanted != NULL ? method->wanted : "", method->what, method->defaults);
    } else if (*unknown != '\0') {
        log_debug(session->log_name, "no such %s, passed over: %s", method->what, unknown);
    }
    free(unknown);
    if (have != NULL) {
        libssh2_free(session->ssh, have);
    }
    return code;
}

static enum err set(struct session *session, const struct method *method, struct err_info *info)
{
    if (method->list == NULL) {
        return err_set(info, ERR_MEMORY, "out of memory");
    }
    enum err code = check(session, method, info);
    for (size_t i = 0; i < 2 && code == OK; i++) {
        if (libssh2_session_method_pref(session->ssh, method->kinds[i], method->list) != 0) {
            code = err_set(info, ERR_MEMORY, "out of memory");
        }
    }
    return code;
}

char *methods_offer(enum method_kind kind, const struct host_spec *spec, const char *hostname)
{
    switch (kind) {
    case METHOD_KEX: return algorithms_apply(algorithms_default_kex, spec->kex_algorithms);
    case METHOD_HOST_KEY: return host_key_algorithms(spec, hostname, spec->port);
    case METHOD_CIPHER: return algorithms_apply(algorithms_default_ciphers(platform_has_aes()), spec->ciphers);
    case METHOD_MAC:
    default: return algorithms_apply(algorithms_default_macs, spec->macs);
    }
}

enum err methods_set(struct session *session, struct err_info *info)
{
    const struct host_spec *spec = &session->spec;
    const char *ciphers = algorithms_default_ciphers(platform_has_aes());
    struct method methods[] = {
        {"key exchange",
         {LIBSSH2_METHOD_KEX, LIBSSH2_METHOD_KEX},
         algorithms_default_kex,
         spec->kex_algorithms,
         methods_offer(METHOD_KEX, spec, session->hostname)},
        {"host key algorithm",
         {LIBSSH2_METHOD_HOSTKEY, LIBSSH2_METHOD_HOSTKEY},
         host_key_all_algorithms,
         spec->host_key_algorithms,
         methods_offer(METHOD_HOST_KEY, spec, session->hostname)},
        {"cipher",
         {LIBSSH2_METHOD_CRYPT_CS, LIBSSH2_METHOD_CRYPT_SC},
         ciphers,
         spec->ciphers,
         methods_offer(METHOD_CIPHER, spec, session->hostname)},
        {"MAC",
         {LIBSSH2_METHOD_MAC_CS, LIBSSH2_METHOD_MAC_SC},
         algorithms_default_macs,
         spec->macs,
         methods_offer(METHOD_MAC, spec, session->hostname)},
    };
    enum err code = OK;
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (code == OK) {
            code = set(session, &methods[i], info);
        }
        free(methods[i].list);
    }
    return code;
}
