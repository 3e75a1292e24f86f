/* What is wanted of one forward: plain data, filled by config/, read by forward/. */
#ifndef HOLDFAST_FORWARD_SPEC_H
#define HOLDFAST_FORWARD_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum endpoint_kind {
    ENDPOINT_NONE = 0,
    ENDPOINT_TCP,
    ENDPOINT_UNIX,
    ENDPOINT_COMMAND, /* a target whose address a command prints */
    ENDPOINT_WSL      /* a target in a distribution of the Windows subsystem for Linux */
};

/* A place to listen at or to connect to.
 * TCP listen: host NULL = not given (loopback, or all with gateway_ports); "" or "*" = all addresses; else as written.
 * TCP target: host never NULL. IPv6 addresses are held without brackets. UNIX: `path`.
 * COMMAND: `words`, the program and its arguments; `port` 0 when the command prints it. WSL: the distribution in
 * `host`, and `port`. */
struct endpoint {
    enum endpoint_kind kind;
    char *host;
    uint16_t port;
    char *path;
    char **words; /* ended by NULL */
};

enum forward_type {
    FORWARD_LOCAL = 0,      /* listen here, the peer connects: -L */
    FORWARD_REMOTE,         /* listen on the peer, we connect: -R */
    FORWARD_DYNAMIC,        /* SOCKS here: -D (not in this version) */
    FORWARD_REMOTE_DYNAMIC, /* SOCKS on the peer (not in this version) */
    FORWARD_DIRECT          /* relay without SSH (not in this version) */
};

/* How it is found out that a forward carries. */
enum probe_kind {
    PROBE_OFF = 0,
    PROBE_TCP, /* the target is connected to, from where this is done for clients too */
    PROBE_LOOP /* -R: the peer connects to its own listener, which leads back to us */
};

struct forward_spec {
    enum forward_type type;
    struct endpoint listen;
    struct endpoint to;
    bool gateway_ports;            /* a -L listener without bind address listens on all addresses */
    bool stream_local_bind_unlink; /* remove an existing socket file before listening */
    uint64_t hold_ms;              /* how long a new -L connection waits for the session; 10000 */
    unsigned max_channels;         /* connections at once; 0: no limit */
    enum probe_kind probe;
    uint64_t probe_interval_ms; /* 30000 */
};

void forward_spec_init(struct forward_spec *spec);
enum err forward_spec_copy(struct forward_spec *to, const struct forward_spec *from);
void forward_spec_deinit(struct forward_spec *spec);
/* Whether both ask for the same, in every field. */
bool forward_spec_equal(const struct forward_spec *a, const struct forward_spec *b);
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);
void endpoint_deinit(struct endpoint *endpoint);
enum err endpoint_copy(struct endpoint *to, const struct endpoint *from);

/* Whether the address of this target has to be asked for. */
bool endpoint_moves(const struct endpoint *endpoint);
/* Adds a copy of `word` to `words`. */
enum err endpoint_add_word(struct endpoint *endpoint, const char *word);
/* "127.0.0.1:80", "[::1]:80", "*:80", "80" (no host), "/run/x.sock", "command:PROGRAM:80", "wsl:Debian:80". Returns
 * `out`. */
const char *endpoint_text(const struct endpoint *endpoint, char *out, size_t cap_bytes);
/* Where it listens: "127.0.0.1:8080", "*:80", "/run/x.sock", with the port really bound (`bound_port`, 0: as
 * specified). Returns `out`. */
const char *forward_listen_text(const struct forward_spec *spec, uint16_t bound_port, char *out, size_t cap_bytes);
/* "-L 127.0.0.1:8080 -> intranet:80" with the port really bound (`bound_port`, 0: as specified). Returns `out`. */
const char *forward_spec_text(const struct forward_spec *spec, uint16_t bound_port, char *out, size_t cap_bytes);
/* What the peer is asked to bind for a -R: "localhost" for nothing, "" for every address, as ssh does. Of the spec, or
 * static. */
const char *forward_bind_host(const struct forward_spec *spec);
/* The host by which the peer itself reaches what it listens on. */
const char *forward_loop_host(const struct forward_spec *spec);
/* "-L", "-R", "-D" and "local", "remote", "dynamic", "remote_dynamic", "direct". */
const char *forward_type_flag(enum forward_type type);
const char *forward_type_name(enum forward_type type);

#endif
