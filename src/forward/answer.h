/* What a command says about a target's address. Pure. */
#ifndef HOLDFAST_FORWARD_ANSWER_H
#define HOLDFAST_FORWARD_ANSWER_H

#include <stdint.h>

#include "base/err.h"

struct answer {
    char host[256]; /* a name or an address, without brackets */
    uint16_t port;  /* 0: none was said */
};

/* The first line of `output` as HOST, HOST:PORT, an IPv6 address, [IPV6] or [IPV6]:PORT. ERR_RESOLVE when it is
 * nothing or nonsense, with a sentence that goes on from the name of who printed it: "printed nothing; ...". */
enum err answer_parse(const char *output, struct answer *out, struct err_info *info);
/* The first address of any in the first line, as `hostname -I` prints them: IPv4 rather than IPv6. Errors as above. */
enum err answer_parse_addresses(const char *output, struct answer *out, struct err_info *info);
/* The first (or last) line of `text` that is not blank, cut to what fits, control characters as '?'. "" when there is
 * none. Returns `out`. */
const char *answer_line(const char *text, int last, char *out, size_t cap_bytes);

#endif
