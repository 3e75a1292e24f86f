/* clang-format off: cmocka.h wants these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
#include "peer/ssh_peer.h"

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

enum {
    MSG_DISCONNECT = 1,
    MSG_IGNORE = 2,
    MSG_SERVICE_REQUEST = 5,
    MSG_SERVICE_ACCEPT = 6,
    MSG_KEXINIT = 20,
    MSG_NEWKEYS = 21,
    MSG_KEX_ECDH_INIT = 30,
    MSG_KEX_ECDH_REPLY = 31,
    MSG_USERAUTH_REQUEST = 50,
    MSG_USERAUTH_SUCCESS = 52,
    MSG_GLOBAL_REQUEST = 80,
    MSG_REQUEST_FAILURE = 82
};
enum { TAG_BYTES = 16, BLOCK_BYTES = 16, HASH_BYTES = 32 };

static const char greeting[] = "SSH-2.0-test";

static void write_text(struct wire_writer *out, const char *text)
{
    wire_write_string(out, text, strlen(text));
}

/* ---- the cipher ---- */

static void count_up(uint8_t *iv)
{
    for (int i = 11; i >= 4 && ++iv[i] == 0; i--) {}
}

/* AES-128-GCM over `len` bytes in place, the packet's length as additional data. */
static void crypt_packet(struct peer_cipher *cipher, bool encrypt, const uint8_t *head, uint8_t *data, int len,
                         uint8_t *tag)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int done = 0;
    assert_non_null(ctx);
    assert_int_equal(EVP_CipherInit_ex(ctx, EVP_aes_128_gcm(), NULL, cipher->key, cipher->iv, encrypt ? 1 : 0), 1);
    assert_int_equal(EVP_CipherUpdate(ctx, NULL, &done, head, 4), 1);
    assert_int_equal(EVP_CipherUpdate(ctx, data, &done, data, len), 1);
    if (!encrypt) {
        assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag), 1);
    }
    assert_int_equal(EVP_CipherFinal_ex(ctx, data + len, &done), 1);
    if (encrypt) {
        assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, tag), 1);
    }
    EVP_CIPHER_CTX_free(ctx);
    count_up(cipher->iv);
}

/* ---- sending ---- */

void ssh_peer_send(struct ssh_peer *peer, const struct wire_writer *payload)
{
    static uint8_t packet[40000];
    size_t clear = peer->write.on ? 0 : 4; /* the length belongs to the padded part, unless a cipher leaves it out */
    size_t padding = BLOCK_BYTES - (clear + 1 + payload->len) % BLOCK_BYTES;
    padding += padding < 4 ? BLOCK_BYTES : 0;
    size_t len = 1 + payload->len + padding;
    assert_true(!payload->failed && 4 + len + TAG_BYTES <= sizeof packet);
    wire_store_u32(packet, (uint32_t)len);
    packet[4] = (uint8_t)padding;
    memset(packet + 5 + payload->len, 0, padding);
    memcpy(packet + 5, payload->data, payload->len);
    if (peer->write.on) {
        crypt_packet(&peer->write, true, packet, packet + 4, (int)len, packet + 4 + len);
        len += TAG_BYTES;
    }
    wire_write_bytes(&peer->out, packet, 4 + len);
}

static void send_byte(struct ssh_peer *peer, uint8_t type)
{
    struct wire_writer payload = {.data = &type, .len = 1, .cap_bytes = 1};
    ssh_peer_send(peer, &payload);
}

static void on_written(uv_write_t *req, int status)
{
    struct ssh_peer *peer = req->data;
    free(peer->writing);
    peer->writing = NULL;
    if (status == 0) {
        ssh_peer_flush(peer);
    }
}

/* What the system does not take at once goes with one write request, and the rest waits for that. */
void ssh_peer_flush(struct ssh_peer *peer)
{
    if (peer->writing != NULL) {
        return;
    }
    if (peer->socket != NULL && peer->out.len > 0) {
        uv_buf_t buf = uv_buf_init((char *)peer->out.data, (unsigned)peer->out.len);
        int sent = uv_try_write((uv_stream_t *)peer->socket, &buf, 1);
        size_t done = sent > 0 ? (size_t)sent : 0;
        if (done < peer->out.len && (sent >= 0 || sent == UV_EAGAIN)) { /* any other: the client is going */
            peer->writing = malloc(peer->out.len - done);
            assert_non_null(peer->writing);
            memcpy(peer->writing, peer->out.data + done, peer->out.len - done);
            buf = uv_buf_init((char *)peer->writing, (unsigned)(peer->out.len - done));
            peer->write_req.data = peer;
            assert_int_equal(uv_write(&peer->write_req, (uv_stream_t *)peer->socket, &buf, 1, on_written), 0);
        }
    }
    peer->out.len = 0;
    if (peer->writing == NULL && peer->on_sent != NULL) {
        peer->on_sent(peer);
    }
}

size_t ssh_peer_unsent(const struct ssh_peer *peer)
{
    return peer->out.len;
}

void ssh_peer_ignore(struct ssh_peer *peer)
{
    struct wire_writer payload;
    wire_writer_init(&payload);
    wire_write_u8(&payload, MSG_IGNORE);
    write_text(&payload, "still here");
    ssh_peer_send(peer, &payload);
    wire_writer_deinit(&payload);
    ssh_peer_flush(peer);
}

/* ---- key exchange (RFC 4253 section 7, RFC 8731) ---- */

static void send_kexinit(struct ssh_peer *peer)
{
    static const char *const lists[] = {"curve25519-sha256",
                                        "ssh-ed25519",
                                        "aes128-gcm@openssh.com",
                                        "aes128-gcm@openssh.com",
                                        "hmac-sha2-256",
                                        "hmac-sha2-256",
                                        "none",
                                        "none",
                                        "",
                                        ""};
    uint8_t cookie[16];
    struct wire_writer *out = &peer->our_kexinit;
    assert_int_equal(RAND_bytes(cookie, sizeof cookie), 1);
    out->len = 0;
    wire_write_u8(out, MSG_KEXINIT);
    wire_write_bytes(out, cookie, sizeof cookie);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        write_text(out, lists[i]);
    }
    wire_write_u8(out, 0);
    wire_write_u32(out, 0);
    ssh_peer_send(peer, out);
    peer->kexinit_sent = true;
}

void ssh_peer_rekey(struct ssh_peer *peer)
{
    send_kexinit(peer);
    ssh_peer_flush(peer);
}

static void sha256(const struct wire_writer *data, uint8_t *out)
{
    assert_false(data->failed);
    assert_int_equal(EVP_Digest(data->data, data->len, out, NULL, EVP_sha256(), NULL), 1);
}

/* The agreed number as mpint in `secret`, and our public half in `ours`. */
static void agree(struct wire_slice theirs, uint8_t *ours, struct wire_writer *secret)
{
    uint8_t raw[32];
    size_t len = sizeof raw;
    EVP_PKEY *mine = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    EVP_PKEY *client = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, theirs.data, theirs.len);
    assert_true(mine != NULL && client != NULL);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(mine, NULL);
    assert_non_null(ctx);
    assert_int_equal(EVP_PKEY_derive_init(ctx), 1);
    assert_int_equal(EVP_PKEY_derive_set_peer(ctx, client), 1);
    assert_int_equal(EVP_PKEY_derive(ctx, raw, &len), 1);
    wire_write_mpint(secret, raw, len);
    len = 32;
    assert_int_equal(EVP_PKEY_get_raw_public_key(mine, ours, &len), 1);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(client);
    EVP_PKEY_free(mine);
}

static void host_key_blob(EVP_PKEY *key, struct wire_writer *out)
{
    uint8_t raw[32];
    size_t len = sizeof raw;
    assert_int_equal(EVP_PKEY_get_raw_public_key(key, raw, &len), 1);
    write_text(out, "ssh-ed25519");
    wire_write_string(out, raw, len);
}

static void write_signature(EVP_PKEY *key, const uint8_t *hash, struct wire_writer *out)
{
    uint8_t raw[64];
    size_t len = sizeof raw;
    struct wire_writer blob;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_non_null(ctx);
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, key), 1);
    assert_int_equal(EVP_DigestSign(ctx, raw, &len, hash, HASH_BYTES), 1);
    EVP_MD_CTX_free(ctx);
    wire_writer_init(&blob);
    write_text(&blob, "ssh-ed25519");
    wire_write_string(&blob, raw, len);
    wire_write_string(out, blob.data, blob.len);
    wire_writer_deinit(&blob);
}

/* HASH(K || H || letter || session_id), its beginning. */
static void derive(const struct ssh_peer *peer, const struct wire_writer *secret, const uint8_t *hash, char letter,
                   uint8_t *out, size_t len)
{
    uint8_t digest[HASH_BYTES];
    struct wire_writer text;
    wire_writer_init(&text);
    wire_write_bytes(&text, secret->data, secret->len);
    wire_write_bytes(&text, hash, HASH_BYTES);
    wire_write_u8(&text, (uint8_t)letter);
    wire_write_bytes(&text, peer->session_id, HASH_BYTES);
    sha256(&text, digest);
    memcpy(out, digest, len);
    wire_writer_deinit(&text);
}

static void derive_all(struct ssh_peer *peer, const struct wire_writer *secret, const uint8_t *hash)
{
    if (peer->exchanges == 0) {
        memcpy(peer->session_id, hash, HASH_BYTES);
    }
    peer->next_read.on = peer->next_write.on = true;
    derive(peer, secret, hash, 'A', peer->next_read.iv, sizeof peer->next_read.iv);
    derive(peer, secret, hash, 'B', peer->next_write.iv, sizeof peer->next_write.iv);
    derive(peer, secret, hash, 'C', peer->next_read.key, sizeof peer->next_read.key);
    derive(peer, secret, hash, 'D', peer->next_write.key, sizeof peer->next_write.key);
}

static void on_ecdh_init(struct ssh_peer *peer, struct wire_reader *reader)
{
    uint8_t ours[32], hash[HASH_BYTES];
    struct wire_writer secret, key, text, reply;
    EVP_PKEY *host_key = peer->host_keys[peer->shows];
    struct wire_slice theirs = wire_read_string(reader);
    wire_writer_init(&secret), wire_writer_init(&key), wire_writer_init(&text), wire_writer_init(&reply);
    agree(theirs, ours, &secret);
    host_key_blob(host_key, &key);
    wire_write_string(&text, peer->client_version.data, peer->client_version.len);
    write_text(&text, greeting);
    wire_write_string(&text, peer->client_kexinit.data, peer->client_kexinit.len);
    wire_write_string(&text, peer->our_kexinit.data, peer->our_kexinit.len);
    wire_write_string(&text, key.data, key.len);
    wire_write_string(&text, theirs.data, theirs.len);
    wire_write_string(&text, ours, sizeof ours);
    wire_write_bytes(&text, secret.data, secret.len);
    sha256(&text, hash);
    derive_all(peer, &secret, hash);

    wire_write_u8(&reply, MSG_KEX_ECDH_REPLY);
    wire_write_string(&reply, key.data, key.len);
    wire_write_string(&reply, ours, sizeof ours);
    write_signature(host_key, hash, &reply);
    ssh_peer_send(peer, &reply);
    send_byte(peer, MSG_NEWKEYS);
    peer->write = peer->next_write;
    wire_writer_deinit(&secret), wire_writer_deinit(&key), wire_writer_deinit(&text), wire_writer_deinit(&reply);
    peer->kexinit_sent = false;
    if (peer->again > 0 && peer->exchanges > 0) {
        peer->again--;
        peer->shows = peer->shows_again;
        send_kexinit(peer);
    }
}

/* ---- receiving ---- */

static void keep(struct wire_writer *copy, const uint8_t *data, size_t len)
{
    copy->len = 0;
    wire_write_bytes(copy, data, len);
}

static void let_in(struct ssh_peer *peer)
{
    send_byte(peer, MSG_USERAUTH_SUCCESS);
    peer->let_in = true;
}

static void on_payload(struct ssh_peer *peer, const uint8_t *data, size_t len)
{
    struct wire_reader reader;
    wire_reader_init(&reader, data, len);
    switch (wire_read_u8(&reader)) {
    case MSG_KEXINIT:
        keep(&peer->client_kexinit, data, len);
        if (!peer->kexinit_sent && !peer->stalls) {
            send_kexinit(peer);
        }
        break;
    case MSG_KEX_ECDH_INIT:
        if (!peer->stalls) {
            on_ecdh_init(peer, &reader);
        }
        break;
    case MSG_NEWKEYS:
        peer->read = peer->next_read;
        if (++peer->exchanges == 2 && peer->rekeys_before_letting_in) {
            let_in(peer);
        }
        break;
    case MSG_SERVICE_REQUEST: {
        struct wire_writer reply;
        wire_writer_init(&reply);
        wire_write_u8(&reply, MSG_SERVICE_ACCEPT);
        write_text(&reply, "ssh-userauth");
        ssh_peer_send(peer, &reply);
        wire_writer_deinit(&reply);
        break;
    }
    case MSG_USERAUTH_REQUEST:
        if (peer->rekeys_before_letting_in) {
            peer->shows = 1;
            send_kexinit(peer);
        } else {
            let_in(peer);
        }
        break;
    case MSG_GLOBAL_REQUEST:
        (void)wire_read_string(&reader);
        if (wire_read_u8(&reader) != 0) {
            send_byte(peer, MSG_REQUEST_FAILURE);
        }
        break;
    case MSG_DISCONNECT:
    case MSG_IGNORE: break;
    default:
        if (data[0] < MSG_GLOBAL_REQUEST || peer->on_channel == NULL) {
            fail_msg("the client sent a packet of type %d", data[0]);
        }
        peer->on_channel(peer, data, len);
    }
}

/* Takes one packet out of what came; false when none is whole. */
static bool take_packet(struct ssh_peer *peer)
{
    struct wire_reader reader;
    uint8_t *at = peer->in.data + peer->taken;
    size_t have = peer->in.len - peer->taken, tag = peer->read.on ? TAG_BYTES : 0;
    wire_reader_init(&reader, at, have);
    uint32_t len = wire_read_u32(&reader);
    if (reader.bad || have < 4 + len + tag) {
        return false;
    }
    assert_in_range(len, 8, 35000);
    if (peer->read.on) {
        crypt_packet(&peer->read, false, at, at + 4, (int)len, at + 4 + len);
    }
    assert_true(at[4] < len);
    peer->taken += 4 + len + tag;
    on_payload(peer, at + 5, len - 1 - at[4]);
    return true;
}

static bool take_greeting(struct ssh_peer *peer)
{
    const uint8_t *end = peer->in.len > 0 ? memchr(peer->in.data, '\n', peer->in.len) : NULL;
    if (end == NULL) {
        return false;
    }
    size_t len = (size_t)(end - peer->in.data);
    peer->taken = len + 1;
    keep(&peer->client_version, peer->in.data, len - (peer->in.data[len - 1] == '\r'));
    peer->greeted = true;
    return true;
}

static void hang_up(struct ssh_peer *peer);

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    struct ssh_peer *peer = stream->data;
    if (nread > 0) {
        wire_write_bytes(&peer->in, buf->base, (size_t)nread);
        while (peer->greeted ? take_packet(peer) : take_greeting(peer)) {}
        memmove(peer->in.data, peer->in.data + peer->taken, peer->in.len - peer->taken);
        peer->in.len -= peer->taken;
        peer->taken = 0;
        ssh_peer_flush(peer);
    } else if (nread < 0) {
        hang_up(peer);
    }
    if (peer->let_in && !peer->let_in_told) {
        peer->let_in_told = true;
        if (peer->on_let_in != NULL) {
            peer->on_let_in(peer);
        }
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    static char buffer[256 * 1024];
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(buffer, sizeof buffer);
}

static void on_socket_closed(uv_handle_t *handle)
{
    free(handle);
}

static void hang_up(struct ssh_peer *peer)
{
    if (peer->socket != NULL) {
        uv_close((uv_handle_t *)peer->socket, on_socket_closed);
        peer->socket = NULL;
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct ssh_peer *peer = listener->data;
    assert_int_equal(status, 0);
    assert_null(peer->socket);
    peer->socket = malloc(sizeof *peer->socket);
    assert_non_null(peer->socket);
    assert_int_equal(uv_tcp_init(peer->loop, peer->socket), 0);
    assert_int_equal(uv_accept(listener, (uv_stream_t *)peer->socket), 0);
    peer->socket->data = peer;
    uv_unref((uv_handle_t *)peer->socket);
    assert_int_equal(uv_read_start((uv_stream_t *)peer->socket, on_alloc, on_read), 0);
    wire_write_bytes(&peer->out, greeting, sizeof greeting - 1);
    wire_write_bytes(&peer->out, "\r\n", 2);
    send_kexinit(peer);
    ssh_peer_flush(peer);
}

void ssh_peer_start(struct ssh_peer *peer, uv_loop_t *loop)
{
    struct sockaddr_in address;
    int len = sizeof address;
    memset(peer, 0, sizeof *peer);
    peer->loop = loop;
    for (int i = 0; i < PEER_KEYS; i++) {
        peer->host_keys[i] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        assert_non_null(peer->host_keys[i]);
    }
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &address), 0);
    assert_int_equal(uv_tcp_init(loop, &peer->listener), 0);
    peer->listener.data = peer;
    assert_int_equal(uv_tcp_bind(&peer->listener, (struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&peer->listener, 4, on_connection), 0);
    assert_int_equal(uv_tcp_getsockname(&peer->listener, (struct sockaddr *)&address, &len), 0);
    uv_unref((uv_handle_t *)&peer->listener);
    peer->port = ntohs(address.sin_port);
}

void ssh_peer_spec(const struct ssh_peer *peer, struct host_spec *spec)
{
    host_spec_init(spec);
    spec->port = peer->port;
    spec->user = strdup("me");
    spec->batch_mode = spec->identities_only = true;
    spec->strict_host_key_checking = HOST_KEY_NO;
    assert_int_equal(string_list_add(&spec->hostnames, "127.0.0.1"), OK);
}

void ssh_peer_stop(struct ssh_peer *peer)
{
    hang_up(peer);
    uv_close((uv_handle_t *)&peer->listener, NULL);
    for (int i = 0; i < PEER_KEYS; i++) {
        EVP_PKEY_free(peer->host_keys[i]);
    }
    wire_writer_deinit(&peer->in);
    wire_writer_deinit(&peer->out);
    wire_writer_deinit(&peer->client_version);
    wire_writer_deinit(&peer->client_kexinit);
    wire_writer_deinit(&peer->our_kexinit);
}
