/* Error codes and their human sentence. Every fallible function returns `enum err` (OK is 0) and, where a person may
 * read it, fills a caller-owned `struct err_info`. Foreign codes are translated in one place each: libuv/errno in
 * err_uv (base/err.c), libssh2 in session/ssh2_err.c, Windows in platform/win. */
#ifndef HOLDFAST_BASE_ERR_H
#define HOLDFAST_BASE_ERR_H

#include "base/printf_like.h"

enum err {
    OK = 0,
    ERR_USAGE,       /* a command line that cannot be carried out */
    ERR_DEFINITION,  /* a definition file that cannot be carried out */
    ERR_MEMORY,      /* out of memory */
    ERR_IO,          /* a file or system call failed */
    ERR_RESOLVE,     /* a name did not resolve */
    ERR_CONNECT,     /* no address took the connection */
    ERR_TIMEOUT,     /* no answer in time */
    ERR_CLOSED,      /* the other side ended it */
    ERR_PROTOCOL,    /* the peer broke the protocol, or no common algorithm */
    ERR_HOST_KEY,    /* the peer's host key is unknown or has changed */
    ERR_AUTH,        /* the peer refused us */
    ERR_BIND,        /* an address could not be listened on, here or at the peer */
    ERR_REFUSED,     /* a target or the peer declined a connection */
    ERR_CANCELLED,   /* we were asked to stop */
    ERR_BUSY,        /* somebody else holds it */
    ERR_UNSUPPORTED, /* not in this version, or not on this system */
    ERR_INTERNAL     /* a bug of ours */
};

/* What a failure means for retrying (DESIGN section 7). */
enum err_class {
    ERR_CLASS_NONE = 0,
    ERR_CLASS_TRANSIENT,      /* the network, the peer's load: retry with backoff */
    ERR_CLASS_AUTHENTICATION, /* retry, slowly */
    ERR_CLASS_TRUST,          /* failed until a person acts */
    ERR_CLASS_DEFINITION      /* failed until the definition changes */
};

/* One failure: its code and one sentence without a trailing full stop or newline. Owned by the caller. */
struct err_info {
    enum err code;
    char message[512];
};

/* Fills `info` (may be NULL) and returns `code`. printf-style; a message that does not fit is cut. */
enum err err_set(struct err_info *info, enum err code, const char *format, ...) PRINTF_LIKE(3, 4);

/* Translates a libuv status (negative) into a code. 0 gives OK. */
enum err err_from_uv(int uv_status);

/* The system's sentence for a libuv status, for use inside messages. Static storage, thread-safe. */
const char *err_uv_text(int uv_status);

/* Short lower-case word of a code, as logs and status show it ("timeout", "host_key"). */
const char *err_name(enum err code);

/* How a failure is to be retried; err_class_name gives "transient", "authentication", "trust", "definition", "none". */
enum err_class err_classify(enum err code);
const char *err_class_name(enum err_class class_);

#endif
