#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <uv.h>

enum err err_set(struct err_info *info, enum err code, const char *format, ...)
{
    if (info != NULL) {
        va_list args;
        va_start(args, format);
        info->code = code;
        (void)vsnprintf(info->message, sizeof info->message, format, args);
        va_end(args);
    }
    return code;
}

enum err err_from_uv(int uv_status)
{
    switch (uv_status) {
    case 0: return OK;
    case UV_ENOMEM: return ERR_MEMORY;
    case UV_ETIMEDOUT: return ERR_TIMEOUT;
    case UV_ECONNREFUSED: return ERR_REFUSED;
    case UV_EHOSTUNREACH:
    case UV_ENETUNREACH:
    case UV_ENETDOWN:
    case UV_EADDRNOTAVAIL: return ERR_CONNECT;
    case UV_ECONNRESET:
    case UV_ECONNABORTED:
    case UV_EPIPE:
    case UV_EOF: return ERR_CLOSED;
    case UV_ECANCELED: return ERR_CANCELLED;
    case UV_EADDRINUSE: return ERR_BIND;
    case UV_EAI_AGAIN:
    case UV_EAI_FAIL:
    case UV_EAI_NODATA:
    case UV_EAI_NONAME:
    case UV_EAI_FAMILY: return ERR_RESOLVE;
    default: return ERR_IO;
    }
}

const char *err_uv_text(int uv_status)
{
    return uv_status == 0 ? "success" : uv_strerror(uv_status);
}

const char *err_name(enum err code)
{
    static const char *const names[] = {
        [OK] = "ok",
        [ERR_USAGE] = "usage",
        [ERR_DEFINITION] = "definition",
        [ERR_MEMORY] = "memory",
        [ERR_IO] = "io",
        [ERR_RESOLVE] = "resolve",
        [ERR_CONNECT] = "connect",
        [ERR_TIMEOUT] = "timeout",
        [ERR_CLOSED] = "closed",
        [ERR_PROTOCOL] = "protocol",
        [ERR_HOST_KEY] = "host_key",
        [ERR_AUTH] = "auth",
        [ERR_BIND] = "bind",
        [ERR_REFUSED] = "refused",
        [ERR_CANCELLED] = "cancelled",
        [ERR_BUSY] = "busy",
        [ERR_UNSUPPORTED] = "unsupported",
        [ERR_INTERNAL] = "internal",
    };
    return names[code];
}

enum err_class err_classify(enum err code)
{
    switch (code) {
    case OK: return ERR_CLASS_NONE;
    case ERR_AUTH: return ERR_CLASS_AUTHENTICATION;
    case ERR_HOST_KEY: return ERR_CLASS_TRUST;
    case ERR_USAGE:
    case ERR_DEFINITION:
    case ERR_UNSUPPORTED: return ERR_CLASS_DEFINITION;
    default: return ERR_CLASS_TRANSIENT;
    }
}

const char *err_class_name(enum err_class class_)
{
    static const char *const names[] = {
        [ERR_CLASS_NONE] = "none",
        [ERR_CLASS_TRANSIENT] = "transient",
        [ERR_CLASS_AUTHENTICATION] = "authentication",
        [ERR_CLASS_TRUST] = "trust",
        [ERR_CLASS_DEFINITION] = "definition",
    };
    return names[class_];
}
