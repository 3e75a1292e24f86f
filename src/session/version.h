/* Which libraries the sessions are made with. */
#ifndef HOLDFAST_SESSION_VERSION_H
#define HOLDFAST_SESSION_VERSION_H

/* The version of libssh2 that is linked ("1.11.1"). Static string. */
const char *session_library_version(void);
/* The version of the crypto library that is linked ("OpenSSL 3.0.17 1 Jul 2025"). Static string. */
const char *session_crypto_version(void);

#endif
