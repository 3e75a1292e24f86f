/* Parsing of endpoints and forward specifications, as YAML values and as ssh's -L/-R/-D arguments. Pure. */
#ifndef HOLDFAST_CONFIG_ENDPOINT_H
#define HOLDFAST_CONFIG_ENDPOINT_H

#include "forward/spec.h"

/* What a YAML `local:`/`remote:` may be: PORT, HOST:PORT, [IPV6]:PORT, *:PORT, a Unix path. Port 0 only if
 * `allow_zero`. */
enum err endpoint_parse_listen(const char *text, bool allow_zero, struct endpoint *out, struct err_info *info);
/* What a YAML `to:` may be: HOST:PORT, [IPV6]:PORT, a Unix path, wsl:DISTRIBUTION:PORT, command:PROGRAM:PORT. */
enum err endpoint_parse_target(const char *text, struct endpoint *out, struct err_info *info);
/* Whether WSL may have a distribution of that name. */
enum err distribution_check(const char *name, struct err_info *info);
/* ssh's -L/-R argument: [bind:]port:host:hostport, [bind:]port:socket, socket:host:hostport, socket:socket; brackets or
 * slashes (bind/port/host/hostport) for IPv6. On Windows a drive letter does not end a field. Ours alone, in the place
 * of host:hostport: wsl:DISTRIBUTION:PORT and command:PROGRAM:PORT. */
enum err forward_parse_flag(enum forward_type type, const char *text, struct forward_spec *out, struct err_info *info);
/* Whether this machine can have this target: ERR_UNSUPPORTED for a distribution of WSL where there is none, or where
 * the peer is to connect. */
enum err forward_check_target(const struct forward_spec *spec, struct err_info *info);
/* Whether this machine can have the side of a forward that is its own, and the target: ERR_UNSUPPORTED for a socket's
 * path on Windows too. */
enum err forward_check_own_side(const struct forward_spec *spec, struct err_info *info);
/* "[user@]name[:port]", "ssh://[user@]host[:port]", "user@[ipv6]:port". user NULL and port 0 when absent. Heap strings.
 */
enum err destination_parse(const char *text, char **out_user, char **out_host, uint16_t *out_port,
                           struct err_info *info);
/* A port 1..65535 (0 too if `allow_zero`), with "port 70000 is not in 1-65535" otherwise. */
enum err port_parse(const char *text, bool allow_zero, uint16_t *out, struct err_info *info);

#endif
