/* hf_crowd: many connections with next to nothing on each. `serve` listens on many ports, each of which is one server
 * with a number of its own; `visit` opens many connections to such servers and checks that each was answered by the
 * right one. */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hf_net.h"
#include "hf_stream.h"

static const char usage[] =
    "usage: hf_crowd serve [--listen HOST] [--ports N] [--greet] [--flood SIZE | --deaf]\n"
    "         listens on N ports (default 1) and prints `listening PORT...`. A connection asks with 16 bytes, a number "
    "of\n"
    "         its own and how much it wants back, and gets the server's number (its place among the ports), the "
    "asker's,\n"
    "         and a stream that both make up, then the end.\n"
    "         --flood: the question is not awaited, and so much sent at once; --deaf: says one byte, and never "
    "reads\n"
    "         --greet: every connection is sent one byte at once\n"
    "       hf_crowd visit [options] HOST:PORT...\n"
    "         --total N    connections in all, to the addresses in turn (default: one each)\n"
    "         --at-once N  how many are open at any time (default 1)\n"
    "         --bytes N    longest answer asked for (default 4K)\n"
    "         --timeout S  give up (default 120)\n"
    "         prints one JSON line {total, ok, wrong, failed, at_once, seconds}; exits 0 when all are right\n"
    "       hf_crowd hold [--total N] [--flood SIZE | --first-byte] HOST:PORT...\n"
    "         opens N connections and reads nothing from them (--first-byte: reads one byte of each, so that it is "
    "known\n"
    "         to be through; --flood: sends into each as much as it takes, up to SIZE). Prints `holding N`, and with "
    "--flood "
    "`written\n"
    "         BYTES` whenever no more fits; ends at the end of its standard input\n";

enum { CROWD_MAX = 20000, QUESTION_BYTES = 16, HEAD_BYTES = 16, BLOCK_BYTES = 16 * 1024 };

enum kind { LISTENER, ANSWERS, FLOODS, DEAF, VISITS, HOLDS };

/* One socket. A server's answer and a visitor's expectation are the same bytes, made from `server` and `asker`. */
struct member {
    enum kind kind;
    uint64_t server, asker, want;
    uint64_t done; /* bytes of the answer sent or received */
    unsigned char question[QUESTION_BYTES];
    size_t question_done;
};

static struct pollfd fds[CROWD_MAX];
static struct member members[CROWD_MAX];
static size_t count;

struct settings {
    const char *host;
    uint64_t ports, total, at_once, bytes, timeout_s;
    uint64_t flood; /* bytes on each connection; 0: no flood */
    bool greet, deaf, first_byte;
    char **addresses;
    size_t address_count;
};

static struct {
    uint64_t started, ok, wrong, failed, at_once;
} sum;

/* Small buffers in the system, for connections that are to be full: thousands of large ones would be more than it has
 * for all. On a listener it holds for what it accepts. */
static void keep_small(int fd)
{
    int bytes = 8 * 1024,
        segment = 1400; /* with the large segments of a loopback the other end has megabytes under way */

    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
}

static struct member *add(int fd, enum kind kind, short events)
{
    if (count == CROWD_MAX)
        hf_die("more than %d sockets", CROWD_MAX);
    fds[count] = (struct pollfd){.fd = fd, .events = events};
    members[count] = (struct member){.kind = kind};
    return &members[count++];
}

static void drop(size_t i)
{
    close(fds[i].fd);
    count--;
    fds[i] = fds[count]; /* turns go from the last one down, so that one has had its turn */
    members[i] = members[count];
}

/* Bytes [at, at + len) of the answer that server `server` gives to asker `asker`: both numbers, then a stream. */
static void make_answer(const struct member *member, uint64_t at, unsigned char *out, size_t len)
{
    unsigned char head[HEAD_BYTES];
    size_t from_head = at < HEAD_BYTES ? HEAD_BYTES - (size_t)at : 0;

    from_head = from_head < len ? from_head : len;
    memcpy(head, &member->server, 8);
    memcpy(head + 8, &member->asker, 8);
    memcpy(out, head + (at < HEAD_BYTES ? at : 0), from_head);
    if (len > from_head)
        hf_stream_fill(member->server << 32 ^ member->asker, at + from_head - HEAD_BYTES, out + from_head,
                       len - from_head);
}

/* ---- serving ---- */

static void accept_all(size_t listener, const struct settings *settings)
{
    enum kind kind = settings->flood != 0 ? FLOODS : settings->deaf ? DEAF : ANSWERS;
    int fd;

    while ((fd = accept(fds[listener].fd, NULL, NULL)) >= 0) {
        hf_nonblocking(fd);
        if (settings->greet && send(fd, "!", 1, MSG_NOSIGNAL) != 1)
            hf_die("a fresh socket takes no byte");
        struct member *fresh = add(fd, kind, kind == FLOODS ? POLLOUT : kind == DEAF ? 0 : POLLIN);
        fresh->server = members[listener].server;
        fresh->want = settings->flood;
    }
}

/* True when the connection is over. */
static bool read_question(size_t i)
{
    struct member *member = &members[i];
    ssize_t got = recv(fds[i].fd, member->question + member->question_done, QUESTION_BYTES - member->question_done, 0);

    if (got <= 0)
        return got == 0 || (errno != EAGAIN && errno != EINTR);
    member->question_done += (size_t)got;
    if (member->question_done == QUESTION_BYTES) {
        memcpy(&member->asker, member->question, 8);
        memcpy(&member->want, member->question + 8, 8);
        member->want += HEAD_BYTES;
        fds[i].events = POLLOUT;
    }
    return false;
}

static bool send_answer(size_t i)
{
    static unsigned char block[BLOCK_BYTES];
    struct member *member = &members[i];
    uint64_t left = member->want - member->done;
    size_t len = left > sizeof block ? sizeof block : (size_t)left;

    if (member->kind != FLOODS)
        make_answer(member, member->done, block, len);
    ssize_t sent = send(fds[i].fd, block, len, MSG_NOSIGNAL);
    if (sent < 0)
        return errno != EAGAIN && errno != EINTR;
    member->done += (uint64_t)sent;
    if (member->kind == FLOODS && member->done == member->want)
        fds[i].events = 0;
    return member->kind != FLOODS && member->done == member->want;
}

static void wait_for_some(int timeout_ms)
{
    if (poll(fds, count, timeout_ms) < 0 && errno != EINTR)
        hf_die("poll: %s", strerror(errno));
}

static void serve(const struct settings *settings)
{
    char address[160];
    uint16_t port;

    printf("listening");
    for (uint64_t i = 0; i < settings->ports; i++) {
        snprintf(address, sizeof address, "%s:0", settings->host);
        int fd = hf_listen(address, &port);
        if (settings->flood != 0 || settings->deaf)
            keep_small(fd);
        add(fd, LISTENER, POLLIN)->server = i;
        printf(" %u", port);
    }
    printf("\n");
    fflush(stdout);
    for (;;) {
        wait_for_some(-1);
        for (size_t i = count; i-- > 0;) {
            bool over = false;

            if (fds[i].revents == 0)
                continue;
            if (members[i].kind == LISTENER)
                accept_all(i, settings);
            else if (fds[i].events == 0)
                over = true; /* the other end has gone */
            else
                over = fds[i].events == POLLIN ? read_question(i) : send_answer(i);
            if (over)
                drop(i);
        }
    }
}

/* ---- visiting ---- */

static void begin_visit(const struct settings *settings)
{
    uint64_t number = sum.started++;
    size_t place = (size_t)(number % settings->address_count);
    struct member *member = add(hf_connect(settings->addresses[place]), VISITS, POLLOUT);
    uint64_t want = number * 2654435761u % (settings->bytes + 1);

    member->server = place;
    member->asker = number + 1000000;
    member->want = want + HEAD_BYTES;
    memcpy(member->question, &member->asker, 8);
    memcpy(member->question + 8, &want, 8);
    sum.at_once = count > sum.at_once ? count : sum.at_once;
}

static bool send_question(size_t i)
{
    struct member *member = &members[i];
    ssize_t sent =
        send(fds[i].fd, member->question + member->question_done, QUESTION_BYTES - member->question_done, MSG_NOSIGNAL);

    if (sent < 0) {
        if (errno == EAGAIN || errno == EINTR)
            return false;
        sum.failed++;
        return true;
    }
    member->question_done += (size_t)sent;
    if (member->question_done == QUESTION_BYTES)
        fds[i].events = POLLIN;
    return false;
}

static bool read_answer(size_t i)
{
    unsigned char got[BLOCK_BYTES], wanted[BLOCK_BYTES];
    struct member *member = &members[i];
    ssize_t len = recv(fds[i].fd, got, sizeof got, 0);

    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (len < 0) {
        sum.failed++;
        return true;
    }
    if (len == 0) {
        sum.ok += member->done == member->want;
        sum.failed += member->done != member->want;
        return true;
    }
    make_answer(member, member->done, wanted, (size_t)len);
    member->done += (uint64_t)len;
    if (member->done > member->want || memcmp(got, wanted, (size_t)len) != 0) {
        sum.wrong++;
        return true;
    }
    return false;
}

static int visit(const struct settings *settings)
{
    uint64_t begun = hf_now_ns(), deadline = begun + settings->timeout_s * 1000000000u;

    while ((sum.started < settings->total || count > 0) && hf_now_ns() < deadline) {
        while (count < settings->at_once && sum.started < settings->total)
            begin_visit(settings);
        wait_for_some(200);
        for (size_t i = count; i-- > 0;)
            if (fds[i].revents != 0 && (fds[i].events == POLLOUT ? send_question(i) : read_answer(i)))
                drop(i);
    }
    sum.failed += count + settings->total - sum.started;
    printf("{\"total\": %llu, \"ok\": %llu, \"wrong\": %llu, \"failed\": %llu, \"at_once\": %llu, \"seconds\": %.3f}\n",
           (unsigned long long)settings->total, (unsigned long long)sum.ok, (unsigned long long)sum.wrong,
           (unsigned long long)sum.failed, (unsigned long long)sum.at_once, (double)(hf_now_ns() - begun) / 1e9);
    return sum.ok == settings->total ? 0 : 1;
}

/* ---- holding ---- */

/* Connects, with at most 100 whose first byte has not come: the listen queue of an sshd is short. */
static uint64_t hold_more(const struct settings *settings, uint64_t through)
{
    const char *address = settings->addresses[sum.started % settings->address_count];

    while (sum.started < settings->total && (!settings->first_byte || sum.started - through < 100)) {
        int fd = hf_connect(address);
        keep_small(fd);
        add(fd, HOLDS, settings->first_byte ? POLLIN : POLLOUT);
        sum.started++;
    }
    return sum.started;
}

static uint64_t turn_held(size_t i, const struct settings *settings)
{
    static unsigned char block[BLOCK_BYTES];
    ssize_t done = settings->first_byte   ? recv(fds[i].fd, block, 1, 0)
                   : settings->flood != 0 ? send(fds[i].fd, block, sizeof block, MSG_NOSIGNAL)
                                          : 0;

    if (done < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (done < 0 || (settings->first_byte && done == 0))
        hf_die("connection %zu: %s", i, done == 0 ? "ended" : strerror(errno));
    members[i].done += (uint64_t)done;
    if (members[i].done >= settings->flood)
        fds[i].events = 0;
    return settings->flood != 0 ? (uint64_t)done : 1;
}

static int hold(const struct settings *settings)
{
    uint64_t progress = 0, said = UINT64_MAX, goal = settings->flood != 0 ? 0 : settings->total;
    bool holding = false;

    add(STDIN_FILENO, LISTENER, POLLIN);
    while (fds[0].revents == 0) {
        hold_more(settings, progress);
        wait_for_some(300);
        uint64_t before = progress;
        for (size_t i = count; i-- > 1;)
            if (fds[i].revents != 0)
                progress += turn_held(i, settings);
        if (!holding && sum.started == settings->total && progress >= goal) {
            holding = true;
            printf("holding %llu\n", (unsigned long long)settings->total);
        }
        if (settings->flood != 0 && progress == before && progress != said) {
            said = progress;
            printf("written %llu\n", (unsigned long long)progress);
        }
        fflush(stdout);
    }
    return 0;
}

static struct settings parse_arguments(int argc, char **argv)
{
    static const struct option options[] = {
        {"listen", 1, NULL, 'l'},  {"ports", 1, NULL, 'p'},      {"flood", 1, NULL, 'f'}, {"deaf", 0, NULL, 'd'},
        {"greet", 0, NULL, 'g'},   {"total", 1, NULL, 'n'},      {"bytes", 1, NULL, 'b'}, {"at-once", 1, NULL, 'a'},
        {"timeout", 1, NULL, 't'}, {"first-byte", 0, NULL, 'y'}, {"help", 0, NULL, 'h'},  {NULL, 0, NULL, 0},
    };
    struct settings settings = {
        .host = "127.0.0.1", .ports = 1, .at_once = 1, .bytes = 4096, .timeout_s = 120, .total = 0};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'l': settings.host = optarg; break;
        case 'p': settings.ports = hf_number(optarg); break;
        case 'f': settings.flood = hf_size(optarg); break;
        case 'g': settings.greet = true; break;
        case 'd': settings.deaf = true; break;
        case 'n': settings.total = hf_number(optarg); break;
        case 'b': settings.bytes = hf_size(optarg); break;
        case 'a': settings.at_once = hf_number(optarg); break;
        case 't': settings.timeout_s = hf_number(optarg); break;
        case 'y': settings.first_byte = true; break;
        default: fputs(usage, option == 'h' ? stdout : stderr); exit(option == 'h' ? 0 : 2);
        }
    }
    settings.addresses = argv + optind + 1;
    settings.address_count = (size_t)(argc - optind - 1);
    if (settings.total == 0)
        settings.total = settings.address_count;
    return settings;
}

int main(int argc, char **argv)
{
    struct settings settings = parse_arguments(argc, argv);
    const char *what = optind < argc ? argv[optind] : "";

    if (strcmp(what, "serve") == 0 && settings.address_count == 0)
        serve(&settings);
    if (settings.address_count == 0)
        hf_die("%s", usage);
    if (strcmp(what, "visit") == 0)
        return visit(&settings);
    if (strcmp(what, "hold") == 0)
        return hold(&settings);
    hf_die("%s", usage);
}
