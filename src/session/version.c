#include "session/version.h"

#include <libssh2.h>
#include <openssl/crypto.h>

const char *session_library_version(void)
{
    return libssh2_version(0);
}

const char *session_crypto_version(void)
{
    return OpenSSL_version(OPENSSL_VERSION);
}
