/* A small SSH server for tests, on the test's own loop: it lets everybody in, refuses every request, leaves channels to
 * the test, and does with the keys what a test wants of it. curve25519-sha256, ssh-ed25519 and aes128-gcm only; any
 * surprise fails the test. */
#ifndef HOLDFAST_TESTS_SSH_PEER_H
#define HOLDFAST_TESTS_SSH_PEER_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "session/spec.h"
#include "session/wire.h"

enum { PEER_KEYS = 2 };

/* One direction's cipher; `on` after the first NEWKEYS. */
struct peer_cipher {
    bool on;
    uint8_t key[16], iv[12];
};

struct ssh_peer {
    uv_loop_t *loop;
    uv_tcp_t listener;
    uv_tcp_t *socket; /* NULL: nobody is connected */
    uint16_t port;
    EVP_PKEY *host_keys[PEER_KEYS];

    /* what a test may set */
    bool stalls;                   /* a KEXINIT of the client's gets no answer */
    int shows;                     /* which host key the next exchanges show */
    int again;                     /* so many further exchanges begin in the same write as the end of the one before */
    int shows_again;               /* and show this host key */
    bool rekeys_before_letting_in; /* shows the second host key after the wish to be let in, and answers that then */
    void (*on_let_in)(struct ssh_peer *peer); /* the client's authentication has succeeded; may be NULL */
    /* A packet of a channel (RFC 4254), from its number on; NULL: there should be none. */
    void (*on_channel)(struct ssh_peer *peer, const uint8_t *packet, size_t len);
    void (*on_sent)(struct ssh_peer *peer); /* all that was to be sent has left; may be NULL */

    /* what it may look at */
    int exchanges; /* that have ended, the first included */
    bool let_in, let_in_told;

    /* its own */
    struct wire_writer in, out; /* raw bytes that came; that leave at the end of the turn */
    uv_write_t write_req;
    uint8_t *writing; /* heap: what the system did not take at once */
    size_t taken;     /* of `in` */
    bool greeted, kexinit_sent;
    struct wire_writer client_version, client_kexinit, our_kexinit;
    uint8_t session_id[32];
    struct peer_cipher read, write, next_read, next_write;
};

/* Listens on a port of its own on 127.0.0.1; takes one client at a time. Keeps no loop alive. */
void ssh_peer_start(struct ssh_peer *peer, uv_loop_t *loop);
/* How a session gets there; host_spec_deinit is the caller's. */
void ssh_peer_spec(const struct ssh_peer *peer, struct host_spec *spec);
/* Ends the connection, and the listener. Run the loop once more after it. */
void ssh_peer_stop(struct ssh_peer *peer);
/* Sends a packet; it leaves with ssh_peer_flush, or when the next input has been handled. */
void ssh_peer_send(struct ssh_peer *peer, const struct wire_writer *packet);
void ssh_peer_flush(struct ssh_peer *peer);
/* Bytes that have not left. */
size_t ssh_peer_unsent(const struct ssh_peer *peer);
/* Begins a key exchange. */
void ssh_peer_rekey(struct ssh_peer *peer);
/* Says something that means nothing: a sign of life. */
void ssh_peer_ignore(struct ssh_peer *peer);

#endif
