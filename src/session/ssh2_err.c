#include "session/internal.h"

enum err err_from_ssh2(int code)
{
    switch (code) {
    case LIBSSH2_ERROR_NONE: return OK;
    case LIBSSH2_ERROR_ALLOC: return ERR_MEMORY;
    case LIBSSH2_ERROR_SOCKET_SEND:
    case LIBSSH2_ERROR_SOCKET_RECV:
    case LIBSSH2_ERROR_SOCKET_DISCONNECT:
    case LIBSSH2_ERROR_SOCKET_NONE: return ERR_CLOSED;
    case LIBSSH2_ERROR_TIMEOUT:
    case LIBSSH2_ERROR_SOCKET_TIMEOUT: return ERR_TIMEOUT;
    case LIBSSH2_ERROR_AUTHENTICATION_FAILED:
    case LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED:
    case LIBSSH2_ERROR_PASSWORD_EXPIRED: return ERR_AUTH;
    case LIBSSH2_ERROR_FILE:
    case LIBSSH2_ERROR_KEYFILE_AUTH_FAILED: return ERR_IO;
    default: return ERR_PROTOCOL;
    }
}

const char *ssh2_err_text(LIBSSH2_SESSION *ssh)
{
    char *message = NULL;
    (void)libssh2_session_last_error(ssh, &message, NULL, 0);
    return message != NULL && *message != '\0' ? message : "unknown error";
}
