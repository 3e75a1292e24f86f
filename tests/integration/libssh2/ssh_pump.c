// ssh_pump: moves bytes over one SSH session with the libssh2 that packaging/deps.sh built, driven the way the engine
// drives it (callbacks over memory buffers, the SEND callback always takes everything), and reports what it cost.
//
//   ssh_pump PORT USER KEY CIPHER MAC MODE BYTES [SLICE [SPOIL]]
//
// MODE  echo: `cat` on the peer, BYTES there and back; send: BYTES into `cat >/dev/null`; receive: BYTES of /dev/zero;
//       lent: the same, by the hooks for input and packets instead of libssh2's channels; made: `cat` on the peer,
//       BYTES there and back by the hooks, for output as well: the bytes are written where they will be sealed, but for
//       every third packet, which is given from elsewhere.
// SLICE the RECV callback serves at most so many bytes at a time, and -EAGAIN in between: every packet arrives in
// pieces.
//       With 0 (the default) it serves what it has.
// SPOIL one bit of the byte of that number (the first is 1) that comes after the command has started is turned over, as
//       somebody on the way could. 0 (the default): none.
// Standard output, one line: sent, received, equal (echo: what came back is what went), evp (calls of EVP_Cipher for
// data), made (contexts made and algorithms fetched), random (calls of RAND_bytes), copied (bytes that memcpy and
// memmove moved), cpu_ms (user + system), wall_ms; all from the command's start. Exit code 0 when all of it arrived, 3
// when libssh2 ended the session. CMakeLists.txt has the list of functions that are wrapped for this.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libssh2.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER_CAP_BYTES = 4 << 20, OUT_MARK_BYTES = 1 << 20, CHUNK_BYTES = 32768, LIMIT_S = 300 };

struct buffer {
    unsigned char *data;
    size_t head;
    size_t tail;
};

struct wire {
    int fd;
    int eof;
    size_t slice_bytes;
    int pause;    // the next RECV says -EAGAIN
    size_t spoil; // so many bytes from here; 0: none
    struct buffer in;
    struct buffer out;
};

static uint64_t evp_calls, made_count, random_calls;
static volatile uint64_t copied_bytes; // to the compiler, memcpy changes nothing of ours

int __real_EVP_Cipher(EVP_CIPHER_CTX *ctx, unsigned char *out, const unsigned char *in, unsigned int len);
int __wrap_EVP_Cipher(EVP_CIPHER_CTX *ctx, unsigned char *out, const unsigned char *in, unsigned int len);

int __wrap_EVP_Cipher(EVP_CIPHER_CTX *ctx, unsigned char *out, const unsigned char *in, unsigned int len)
{
    if (out != NULL && len > 0)
        evp_calls++;
    return __real_EVP_Cipher(ctx, out, in, len);
}

#define COUNTED(counter, type, name, arguments, passed)                                                                \
    type __real_##name arguments;                                                                                      \
    type __wrap_##name arguments;                                                                                      \
    type __wrap_##name arguments                                                                                       \
    {                                                                                                                  \
        (counter)++;                                                                                                   \
        return __real_##name passed;                                                                                   \
    }

COUNTED(made_count, EVP_CIPHER_CTX *, EVP_CIPHER_CTX_new, (void), ())
COUNTED(made_count, EVP_MAC_CTX *, EVP_MAC_CTX_new, (EVP_MAC * mac), (mac))
COUNTED(made_count, EVP_MAC *, EVP_MAC_fetch, (OSSL_LIB_CTX * lib, const char *algorithm, const char *properties),
        (lib, algorithm, properties))
COUNTED(made_count, EVP_CIPHER *, EVP_CIPHER_fetch, (OSSL_LIB_CTX * lib, const char *algorithm, const char *properties),
        (lib, algorithm, properties))
void *__real_memcpy(void *to, const void *from, size_t len);
void *__wrap_memcpy(void *to, const void *from, size_t len);
void *__real_memmove(void *to, const void *from, size_t len);
void *__wrap_memmove(void *to, const void *from, size_t len);

void *__wrap_memcpy(void *to, const void *from, size_t len)
{
    copied_bytes += len;
    return __real_memcpy(to, from, len);
}

void *__wrap_memmove(void *to, const void *from, size_t len)
{
    copied_bytes += len;
    return __real_memmove(to, from, len);
}

COUNTED(random_calls, int, RAND_bytes, (unsigned char *to, int len), (to, len))

static void fail(const char *what)
{
    fprintf(stderr, "ssh_pump: %s\n", what);
    exit(1);
}

static ssize_t wire_send(libssh2_socket_t fd, const void *data, size_t size, int flags, void **abstract)
{
    struct wire *wire = *abstract;
    (void)fd;
    (void)flags;
    if (wire->out.tail + size > BUFFER_CAP_BYTES) {
        memmove(wire->out.data, wire->out.data + wire->out.head, wire->out.tail - wire->out.head);
        wire->out.tail -= wire->out.head;
        wire->out.head = 0;
        if (wire->out.tail + size > BUFFER_CAP_BYTES)
            fail("outbound buffer full");
    }
    memcpy(wire->out.data + wire->out.tail, data, size);
    wire->out.tail += size;
    return (ssize_t)size;
}

static ssize_t wire_recv(libssh2_socket_t fd, void *data, size_t size, int flags, void **abstract)
{
    struct wire *wire = *abstract;
    size_t have = wire->in.tail - wire->in.head;
    (void)fd;
    (void)flags;
    if (have == 0)
        return wire->eof ? 0 : -EAGAIN;
    if (wire->slice_bytes > 0) {
        wire->pause = !wire->pause;
        if (wire->pause)
            return -EAGAIN;
        if (size > wire->slice_bytes)
            size = wire->slice_bytes;
    }
    if (size > have)
        size = have;
    memcpy(data, wire->in.data + wire->in.head, size);
    if (wire->spoil > 0 && wire->spoil <= size)
        ((unsigned char *)data)[wire->spoil - 1] ^= 1;
    wire->spoil = wire->spoil > size ? wire->spoil - size : 0;
    wire->in.head += size;
    if (wire->in.head == wire->in.tail)
        wire->in.head = wire->in.tail = 0;
    return (ssize_t)size;
}

// Moves bytes between the buffers and the socket; waits for at most wait_ms.
static void wire_turn(struct wire *wire, int wait_ms)
{
    struct pollfd p = {.fd = wire->fd, .events = 0, .revents = 0};
    ssize_t n;
    if (wire->in.head == wire->in.tail && !wire->eof)
        p.events |= POLLIN;
    if (wire->out.head < wire->out.tail)
        p.events |= POLLOUT;
    if (wire->in.head < wire->in.tail)
        wait_ms = 0;
    if (p.events == 0)
        return;
    if (poll(&p, 1, wait_ms) <= 0)
        return;
    if (p.revents & POLLOUT) {
        n = send(wire->fd, wire->out.data + wire->out.head, wire->out.tail - wire->out.head,
                 MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0)
            wire->out.head += (size_t)n;
        if (n < 0 && errno != EAGAIN)
            fail("the peer is gone");
        if (wire->out.head == wire->out.tail)
            wire->out.head = wire->out.tail = 0;
    }
    if (p.revents & (POLLIN | POLLHUP | POLLERR)) {
        n = recv(wire->fd, wire->in.data + wire->in.tail, 262144, MSG_DONTWAIT);
        if (n > 0)
            wire->in.tail += (size_t)n;
        else if (n == 0 || errno != EAGAIN)
            wire->eof = 1;
    }
}

static int64_t cpu_ms(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000LL + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

// A stream of bytes that no shift, loss or repetition leaves unchanged; the same at both ends.
static void fill(unsigned char *data, size_t size, uint64_t offset)
{
    static unsigned char pattern[65536 + 251];
    static int made;
    size_t i;
    if (!made) {
        uint32_t x = 2463534242U;
        for (i = 0; i < sizeof pattern; i++) {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            pattern[i] = (unsigned char)(x >> 11);
        }
        made = 1;
    }
    while (size > 0) {
        size_t at = (size_t)(offset % sizeof pattern);
        size_t n = sizeof pattern - at;
        if (n > size)
            n = size;
        memcpy(data, pattern + at, n);
        data += n;
        offset += n;
        size -= n;
    }
}

#define RETRY(call)                                                                                                    \
    while ((call) == LIBSSH2_ERROR_EAGAIN) {                                                                           \
        wire_turn(wire, 1000);                                                                                         \
        if (now_ms() > deadline_ms)                                                                                    \
            fail("no progress: " #call);                                                                               \
    }

static int64_t deadline_ms;

static LIBSSH2_SESSION *session_open(struct wire *wire, char **argv)
{
    LIBSSH2_SESSION *session = libssh2_session_init_ex(NULL, NULL, NULL, wire);
    libssh2_cb_generic *send_callback = (libssh2_cb_generic *)wire_send;
    libssh2_cb_generic *recv_callback = (libssh2_cb_generic *)wire_recv;
    int rc;
    if (session == NULL)
        fail("no memory");
    libssh2_session_set_blocking(session, 0);
    libssh2_session_callback_set2(session, LIBSSH2_CALLBACK_SEND, send_callback);
    libssh2_session_callback_set2(session, LIBSSH2_CALLBACK_RECV, recv_callback);
    if (libssh2_session_method_pref(session, LIBSSH2_METHOD_CRYPT_CS, argv[4]) ||
        libssh2_session_method_pref(session, LIBSSH2_METHOD_CRYPT_SC, argv[4]))
        fail("libssh2 does not have that cipher");
    if (strcmp(argv[5], "-") != 0 && (libssh2_session_method_pref(session, LIBSSH2_METHOD_MAC_CS, argv[5]) ||
                                      libssh2_session_method_pref(session, LIBSSH2_METHOD_MAC_SC, argv[5])))
        fail("libssh2 does not have that MAC");
    RETRY(rc = libssh2_session_handshake(session, wire->fd));
    if (rc != 0)
        fail("handshake");
    RETRY(rc =
              libssh2_userauth_publickey_fromfile_ex(session, argv[2], (unsigned)strlen(argv[2]), NULL, argv[3], NULL));
    if (rc != 0)
        fail("authentication");
    return session;
}

static LIBSSH2_CHANNEL *command_start(LIBSSH2_SESSION *session, struct wire *wire, const char *command)
{
    LIBSSH2_CHANNEL *channel = NULL;
    int rc = 0;
    RETRY((channel = libssh2_channel_open_ex(session, "session", 7, 8 << 20, 32768, NULL, 0)) != NULL
              ? 0
              : libssh2_session_last_errno(session));
    if (channel == NULL)
        fail("channel open");
    RETRY(rc = libssh2_channel_process_startup(channel, "exec", 4, command, (unsigned)strlen(command)));
    if (rc != 0)
        fail("exec");
    return channel;
}

// ---- lent: one channel of our own over the hooks ----

enum {
    MSG_OPEN = 90,
    MSG_CONFIRMATION = 91,
    MSG_WINDOW_ADJUST = 93,
    MSG_DATA = 94,
    MSG_EOF = 96,
    MSG_REQUEST = 98,
    LENT_WINDOW_BYTES = 1 << 30,
    PACKET_HEAD_BYTES = 5,
    DATA_HEAD_BYTES = 9
};

static struct {
    size_t visible; // with SLICE: so many bytes of the input are shown
    uint32_t id;    // the channel's, at the peer
    uint32_t window;
    int open, over, is_echo, is_wrong;
    uint64_t received;
} lent;

static size_t lent_input(LIBSSH2_SESSION *session, size_t taken, size_t wanted, unsigned char **data, void **abstract)
{
    struct wire *wire = *abstract;
    size_t have;
    (void)session;
    wire->in.head += taken;
    lent.visible -= taken < lent.visible ? taken : lent.visible;
    have = wire->in.tail - wire->in.head;
    *data = wire->in.data + wire->in.head;
    if (have < wanted && wire->eof)
        return (size_t)-1;
    return wire->slice_bytes > 0 && lent.visible < have ? lent.visible : have;
}

// fill() as no part of what is counted.
static void fill_uncounted(unsigned char *data, size_t size, uint64_t offset)
{
    uint64_t before = copied_bytes;
    fill(data, size, offset);
    copied_bytes = before;
}

static int is_filled(const unsigned char *data, size_t size, uint64_t offset)
{
    static unsigned char want[65536];
    if (size > sizeof want)
        return 0;
    fill_uncounted(want, size, offset);
    return memcmp(data, want, size) == 0;
}

static uint32_t load_u32(const unsigned char *data)
{
    return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
}

static void lent_packet(LIBSSH2_SESSION *session, unsigned char *packet, size_t len, int is_lent, void **abstract)
{
    (void)abstract;
    switch (packet[0]) {
    case MSG_CONFIRMATION:
        lent.open = 1;
        lent.id = load_u32(packet + 5);
        lent.window = load_u32(packet + 9);
        break;
    case MSG_WINDOW_ADJUST: lent.window += load_u32(packet + 5); break;
    case MSG_DATA:
        if (load_u32(packet + 5) != len - 9)
            fail("a packet of another length than its data");
        lent.is_wrong |= lent.is_echo && !is_filled(packet + 9, len - 9, lent.received);
        lent.received += len - 9;
        break;
    case MSG_EOF: lent.over = 1; break;
    }
    if (!is_lent)
        libssh2_free(session, packet);
}

static size_t store_u32(unsigned char *to, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        to[i] = (unsigned char)(number >> (24 - 8 * i));
    return 4;
}

static size_t store_text(unsigned char *to, const char *text)
{
    size_t len = strlen(text);
    store_u32(to, (uint32_t)len);
    for (size_t i = 0; i < len; i++)
        to[4 + i] = (unsigned char)text[i];
    return 4 + len;
}

static void lent_send(LIBSSH2_SESSION *session, const unsigned char *packet, size_t len)
{
    if (libssh2_session_packet_send(session, packet, len, NULL, 0) != 0)
        fail("packet_send");
}

static void lent_open(LIBSSH2_SESSION *session)
{
    unsigned char packet[64] = {MSG_OPEN};
    size_t len = 1 + store_text(packet + 1, "session");
    len += store_u32(packet + len, 0);
    len += store_u32(packet + len, LENT_WINDOW_BYTES);
    len += store_u32(packet + len, CHUNK_BYTES);
    lent_send(session, packet, len);
}

static void lent_command(LIBSSH2_SESSION *session, const char *command)
{
    unsigned char packet[128] = {MSG_REQUEST};
    size_t len = 1 + store_u32(packet + 1, lent.id);
    len += store_text(packet + len, "exec");
    packet[len++] = 0;
    len += store_text(packet + len, command);
    lent_send(session, packet, len);
}

// What is left goes to the front, and more is read behind it.
static void lent_turn(struct wire *wire)
{
    size_t left = wire->in.tail - wire->in.head;
    struct pollfd p = {.fd = wire->fd, .events = POLLIN};
    ssize_t n;
    if (lent.is_echo)
        __real_memmove(wire->in.data, wire->in.data + wire->in.head, left); // what goes out is counted
    else
        memmove(wire->in.data, wire->in.data + wire->in.head, left);
    wire->in.head = 0;
    wire->in.tail = left;
    wire_turn(wire, 0);
    if (wire->slice_bytes > 0 && lent.visible < left) {
        lent.visible += wire->slice_bytes;
        return;
    }
    if (wire->in.tail > left || poll(&p, 1, 1000) <= 0)
        return;
    n = recv(wire->fd, wire->in.data + left, 262144, MSG_DONTWAIT);
    if (n > 0) {
        if (wire->spoil > 0 && wire->spoil <= (size_t)n)
            wire->in.data[left + wire->spoil - 1] ^= 1;
        wire->spoil = wire->spoil > (size_t)n ? wire->spoil - (size_t)n : 0;
        wire->in.tail += (size_t)n;
    } else if (n == 0 || errno != EAGAIN) {
        wire->eof = 1;
    }
}

// Reads packets until *until is set. 0, or what libssh2 ended the session with.
static int lent_run(LIBSSH2_SESSION *session, struct wire *wire, const int *until)
{
    while (!*until) {
        int rc = libssh2_session_packet_read(session);
        if (rc == LIBSSH2_ERROR_EAGAIN)
            lent_turn(wire);
        else if (rc != 0)
            return rc;
        if (now_ms() > deadline_ms)
            fail("out of time");
    }
    return 0;
}

static void lent_start(LIBSSH2_SESSION *session, struct wire *wire, const char *command)
{
    libssh2_session_packet_hook(session, lent_packet);
    libssh2_session_input_hook(session, lent_input);
    lent_open(session);
    if (lent_run(session, wire, &lent.open) != 0)
        fail("channel open");
    lent_command(session, command);
}

static int lent_receive(LIBSSH2_SESSION *session, struct wire *wire, const char *command, size_t spoil)
{
    lent_start(session, wire, command);
    wire->spoil = spoil;
    evp_calls = made_count = random_calls = copied_bytes = 0;
    if (lent_run(session, wire, &lent.over) != 0)
        return 3;
    printf("sent=0 received=%llu equal=1 copied=%llu\n", (unsigned long long)lent.received,
           (unsigned long long)copied_bytes);
    return 0;
}

static unsigned char *made_output(LIBSSH2_SESSION *session, size_t made, size_t room, void **abstract)
{
    struct wire *wire = *abstract;
    (void)session;
    wire->out.tail += made;
    if (wire->out.tail + room > BUFFER_CAP_BYTES)
        fail("outbound buffer full");
    return wire->out.data + wire->out.tail;
}

// Sends the next packet of data. Returns how many bytes that were.
static size_t made_packet(LIBSSH2_SESSION *session, struct wire *wire, uint64_t sent, size_t most)
{
    static unsigned char elsewhere[CHUNK_BYTES];
    static unsigned number;
    void *abstract = wire;
    unsigned char head[DATA_HEAD_BYTES] = {MSG_DATA};
    unsigned char *body = made_output(session, 0, LIBSSH2_OUTPUT_ROOM, &abstract) + PACKET_HEAD_BYTES + DATA_HEAD_BYTES;
    size_t len = most < CHUNK_BYTES ? most : CHUNK_BYTES;
    if (len > lent.window)
        len = lent.window;
    if (++number % 3 == 0)
        body = elsewhere;
    fill_uncounted(body, len, sent);
    store_u32(head + 1, lent.id);
    store_u32(head + 5, (uint32_t)len);
    if (libssh2_session_packet_send(session, head, sizeof head, body, len) != 0)
        fail("packet_send");
    lent.window -= (uint32_t)len;
    return len;
}

static int made_echo(LIBSSH2_SESSION *session, struct wire *wire, uint64_t bytes)
{
    uint64_t sent = 0;
    libssh2_session_output_hook(session, made_output);
    lent_start(session, wire, "cat");
    lent.is_echo = 1;
    copied_bytes = 0;
    while (lent.received < bytes) {
        int rc = libssh2_session_packet_read(session);
        if (rc != 0 && rc != LIBSSH2_ERROR_EAGAIN)
            return 3;
        while (sent < bytes && lent.window > 0 && wire->out.tail < OUT_MARK_BYTES && !libssh2_session_rekeying(session))
            sent += made_packet(session, wire, sent, (size_t)(bytes - sent));
        if (rc != 0)
            lent_turn(wire);
        if (now_ms() > deadline_ms)
            fail("out of time");
    }
    printf("sent=%llu received=%llu equal=%d copied=%llu\n", (unsigned long long)sent,
           (unsigned long long)lent.received, !lent.is_wrong, (unsigned long long)copied_bytes);
    return 0;
}

int main(int argc, char **argv)
{
    static unsigned char out_chunk[CHUNK_BYTES], in_chunk[65536], want[65536];
    struct wire the_wire = {.fd = -1}, *wire = &the_wire;
    struct sockaddr_in at = {.sin_family = AF_INET};
    const char *command = "cat";
    uint64_t bytes, to_send, to_receive, sent = 0, received = 0;
    int one = 1, equal = 1, eof_sent = 0;
    int64_t cpu_start, start;

    if (argc < 8)
        fail("usage: ssh_pump PORT USER KEY CIPHER MAC echo|send|receive|lent|made BYTES [SLICE [SPOIL]]");
    deadline_ms = now_ms() + LIMIT_S * 1000LL;
    bytes = to_send = to_receive = strtoull(argv[7], NULL, 10);
    wire->slice_bytes = argc > 8 ? (size_t)strtoul(argv[8], NULL, 10) : 0;
    if (strcmp(argv[6], "send") == 0) {
        to_receive = 0;
        command = "cat >/dev/null";
    } else if (strcmp(argv[6], "receive") == 0 || strcmp(argv[6], "lent") == 0) {
        static char head[80];
        to_send = 0;
        snprintf(head, sizeof head, "head -c %llu /dev/zero", (unsigned long long)bytes);
        command = head;
    }
    wire->in.data = malloc(BUFFER_CAP_BYTES);
    wire->out.data = malloc(BUFFER_CAP_BYTES);
    at.sin_port = htons((uint16_t)atoi(argv[1]));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    wire->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (!wire->in.data || !wire->out.data || connect(wire->fd, (struct sockaddr *)&at, sizeof at) != 0)
        fail("connect");
    setsockopt(wire->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (libssh2_init(0) != 0)
        fail("libssh2_init");

    LIBSSH2_SESSION *session = session_open(wire, argv);
    size_t spoil = argc > 9 ? (size_t)strtoul(argv[9], NULL, 10) : 0;
    if (strcmp(argv[6], "lent") == 0) {
        int code = lent_receive(session, wire, command, spoil);
        return code == 0 && lent.received != bytes ? 1 : code;
    }
    if (strcmp(argv[6], "made") == 0)
        return made_echo(session, wire, bytes);
    LIBSSH2_CHANNEL *channel = command_start(session, wire, command);
    wire->spoil = spoil;
    evp_calls = made_count = random_calls = copied_bytes = 0;
    cpu_start = cpu_ms();
    start = now_ms();
    for (;;) {
        int progress = 0;
        ssize_t n;
        while (sent < to_send && wire->out.tail - wire->out.head < OUT_MARK_BYTES) {
            size_t size = to_send - sent < sizeof out_chunk ? (size_t)(to_send - sent) : sizeof out_chunk;
            fill(out_chunk, size, sent);
            n = libssh2_channel_write_ex(channel, 0, (char *)out_chunk, size);
            if (n == LIBSSH2_ERROR_EAGAIN || n == 0)
                break;
            if (n < 0)
                fail("write");
            sent += (uint64_t)n;
            progress = 1;
        }
        if (sent == to_send && !eof_sent) {
            int rc = libssh2_channel_send_eof(channel);
            if (rc != 0 && rc != LIBSSH2_ERROR_EAGAIN)
                fail("eof");
            eof_sent = rc == 0;
        }
        while ((n = libssh2_channel_read_ex(channel, 0, (char *)in_chunk, sizeof in_chunk)) > 0) {
            if (strcmp(argv[6], "echo") == 0) {
                fill(want, (size_t)n, received);
                if (memcmp(want, in_chunk, (size_t)n) != 0)
                    equal = 0;
            }
            received += (uint64_t)n;
            progress = 1;
        }
        if (n < 0 && n != LIBSSH2_ERROR_EAGAIN) {
            char *text = NULL;
            libssh2_session_last_error(session, &text, NULL, 0);
            fprintf(stderr, "ssh_pump: read: %zd %s after %llu\n", n, text, (unsigned long long)received);
            return 3;
        }
        if (eof_sent && libssh2_channel_eof(channel))
            break;
        if (now_ms() > deadline_ms)
            fail("out of time");
        wire_turn(wire, progress || wire->pause ? 0 : 1000);
    }
    printf("sent=%llu received=%llu equal=%d evp=%llu made=%llu random=%llu copied=%llu cpu_ms=%lld wall_ms=%lld\n",
           (unsigned long long)sent, (unsigned long long)received, equal, (unsigned long long)evp_calls,
           (unsigned long long)made_count, (unsigned long long)random_calls, (unsigned long long)copied_bytes,
           (long long)(cpu_ms() - cpu_start), (long long)(now_ms() - start));
    return equal && sent == to_send && received == to_receive ? 0 : 1;
}
